"""What the store requires of a database, on both engines: equal statements, and what one writer sees of another.

Every pitfall of PostgreSQL that SQLite does not have is a test here, on both.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from hub.db import engines, schema
from hub.db.database import Database, Duplicate, Writer
from hub.db.tables import metadata
from hub.settings import Settings
from hub.store import ledger
from tests.support import engines as e
from tests.support import migrations, postgres

ENTRY = {"home": 7, "certificate": 1, "kind": 1, "leaf": b"leaf"}
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "data"
    folder.mkdir()
    e.make(engine, Settings(data_dir=folder), lambda settings: _migrate(settings))
    return folder


def _migrate(settings: Settings) -> None:
    place = engines.place_of(settings)
    assert schema.migrate(place)
    assert not schema.migrate(place)


@pytest.fixture
def settings(migrated: Path, tmp_path: Path) -> Iterator[Settings]:
    with e.copied(migrated, tmp_path / "data", database_lock_s=10.0) as found:
        yield found


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    found = engines.opened(engines.place_of(settings))
    yield found
    found.close()


def is_sqlite(settings: Settings) -> bool:
    return settings.database_url is None


# --- the schema ------------------------------------------------------------------------------------------------------


def test_the_migrated_tables_are_those_of_the_schema(settings: Settings) -> None:
    assert migrations.differences(engines.place_of(settings)) == []
    assert schema.head() == schema.HEAD


def test_columns_have_the_types_that_they_are_said_to_have(settings: Settings, database: Database) -> None:
    if is_sqlite(settings):
        types = {"BIGINT", "INTEGER", "SMALLINT", "TEXT", "BLOB"}
        found = {
            row["type"]
            for table in metadata.tables
            for row in database.reader.all(f"SELECT type FROM pragma_table_info('{table}')")
        }
        assert found == types
        return
    with postgres.shared().connect(e.name_of(settings)) as connection:
        rows = connection.execute(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation::text"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND c.relname <> 'alembic_version'"
        ).fetchall()
    assert {kind for _, kind, _ in rows} == {"bigint", "integer", "smallint", "text", "bytea"}
    assert {collation for _, kind, collation in rows if kind == "text"} == {'"C"'}


def test_two_migrations_at_once_do_it_once(tmp_path: Path, engine: str) -> None:
    place: Any = tmp_path / "hub.db"
    if engine == e.POSTGRESQL:
        cluster = postgres.shared()
        place = engines.place_of(Settings(data_dir=tmp_path, database_url=cluster.url(cluster.create())))
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(schema.migrate, [place, place])) == [False, True]


@pytest.mark.parametrize("table", ["audit", "acts", "ledger"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = 0", "DELETE FROM {}"])
def test_what_only_grows_cannot_be_changed_even_by_its_owner(settings: Settings, table: str, change: str) -> None:
    column = {"audit": "at", "acts": "standing", "ledger": "kind"}[table]
    owner = engines.opened_as_owner(engines.place_of(settings))
    try:
        with owner.write() as writer:
            row = {c.name: b"x" if c.type.python_type is bytes else 1 for c in metadata.tables[table].columns}
            names = {c.name for c in metadata.tables[table].columns if c.type.python_type is str}
            writer.insert(table, {name: "x" if name in names else value for name, value in row.items()})
        with pytest.raises(Exception, match="append-only"), owner.write() as writer:
            writer.run(change.format(table, column))
    finally:
        owner.close()


# --- statements ------------------------------------------------------------------------------------------------------


def test_rows_are_read_by_name_and_by_place(database: Database) -> None:
    with database.write() as writer:
        writer.insert("id_blocks", {"name": "名", "next": 2**62})
    row = database.reader.one(
        "SELECT name, next FROM id_blocks WHERE name = :name AND :name <> :other",
        {"name": "名", "other": "x", "unused": 1},
    )
    assert row is not None
    name, number = row
    assert (row["name"], row[1], name, number) == ("名", 2**62, "名", 2**62)
    assert dict(row) == {"name": "名", "next": 2**62}
    assert database.reader.one("SELECT next FROM id_blocks WHERE name = :name", {"name": "none"}) is None
    assert database.reader.all("SELECT next FROM id_blocks WHERE name = 'none'") == []


def test_texts_are_ordered_by_their_bytes(database: Database) -> None:
    names = ["b", "B", "a", "é", "z", "中", "-", "_", "10", "9"]
    with database.write() as writer:
        writer.insert_many("id_blocks", [{"name": name, "next": n} for n, name in enumerate(names)])
    found = [row["name"] for row in database.reader.all("SELECT name FROM id_blocks ORDER BY name")]
    assert found == sorted(names, key=str.encode)


def test_a_duplicate_raises_and_nothing_is_kept(database: Database) -> None:
    with database.write() as writer:
        writer.insert("id_blocks", {"name": "a", "next": 1})

    def insert() -> None:
        with database.write() as writer:
            writer.insert("id_blocks", {"name": "b", "next": 1})
            writer.insert_many("id_blocks", [{"name": "c", "next": 1}, {"name": "a", "next": 2}])

    with pytest.raises(Duplicate) as caught:
        insert()
    assert "id_blocks" in str(caught.value)
    assert [row["name"] for row in database.reader.all("SELECT name FROM id_blocks")] == ["a"]


def test_a_transaction_that_has_failed_is_never_acknowledged(settings: Settings, database: Database) -> None:
    """The server acknowledges a COMMIT but has stored nothing."""
    with database.write() as writer:
        writer.insert("id_blocks", {"name": "a", "next": 1})

    def goes_on() -> None:
        with database.write() as writer, suppress(Duplicate):
            writer.insert("id_blocks", {"name": "a", "next": 2})

    if is_sqlite(settings):
        goes_on()
    else:
        with pytest.raises(RuntimeError):
            goes_on()
    with database.write() as writer:
        writer.insert("id_blocks", {"name": "b", "next": 1})


def test_writes_do_not_nest_and_a_snapshot_stands_still(database: Database) -> None:
    with database.write() as writer:
        writer.insert("id_blocks", {"name": "a", "next": 1})
        with pytest.raises(RuntimeError), database.write():
            pass
    with database.snapshot() as reader:
        before = reader.all("SELECT next FROM id_blocks")
        add(database, "b")
        assert len(reader.all("SELECT next FROM id_blocks")) == len(before)
        assert len(database.reader.all("SELECT next FROM id_blocks")) == len(before)
    assert len(database.reader.all("SELECT next FROM id_blocks")) == len(before) + 1


def add(database: Database, name: str) -> None:
    """In another thread."""

    def insert() -> None:
        with database.write() as writer:
            writer.insert("id_blocks", {"name": name, "next": 1})

    with ThreadPoolExecutor(1) as thread:
        thread.submit(insert).result(PATIENCE_S)


# --- concurrent writers ---------------------------------------------------------------------------------------


class Beside:
    """A write in a separate thread that stays open until it is released."""

    def __init__(self, database: Database, work: Any, *, exclusive: bool = False) -> None:
        self._database, self._work, self._exclusive = database, work, exclusive
        self._go, self.done_at, self.found = threading.Event(), 0.0, None
        self.began = threading.Event()
        self.fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self._database.write(exclusive=self._exclusive) as writer:
                self.found = self._work(writer)
                self.began.set()
                assert self._go.wait(PATIENCE_S)
            self.done_at = time.monotonic()
        except BaseException as fault:
            self.fault = fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def end(self) -> None:
        self._go.set()
        self._thread.join(PATIENCE_S)

    def __exit__(self, *_: object) -> None:
        self.end()


def block(writer: Writer) -> int:
    row = writer.select_for_update("SELECT next FROM id_blocks WHERE name = :name", {"name": "a"})
    assert row is not None
    return int(row["next"])


def test_what_is_held_does_not_change(database: Database) -> None:
    with database.write() as writer:
        writer.insert("id_blocks", {"name": "a", "next": 1})
    with Beside(database, block) as first:
        assert first.began.wait(PATIENCE_S)
        with Beside(database, lambda w: w.run("UPDATE id_blocks SET next = next + 1 WHERE name = 'a'")) as second:
            assert not second.began.wait(0.3)
            first.end()
            assert second.began.wait(PATIENCE_S)
            second.end()
    assert (first.fault, second.fault) == (None, None)
    row = database.reader.one("SELECT next FROM id_blocks WHERE name = 'a'")
    assert row is not None
    assert row["next"] == 2


@pytest.mark.parametrize("exclusive", [True, False])
def test_exclusive_write_waits_for_the_others_and_they_for_it(database: Database, exclusive: bool) -> None:
    with Beside(database, lambda w: w.insert("id_blocks", {"name": "a", "next": 1}), exclusive=exclusive) as first:
        assert first.began.wait(PATIENCE_S)
        with Beside(database, lambda w: w.one("SELECT next FROM id_blocks"), exclusive=not exclusive) as second:
            assert not second.began.wait(0.3)
            first.end()
            assert second.began.wait(PATIENCE_S)
            assert second.found is not None, "it sees what was written before it"


def test_a_count_tells_who_came_first(database: Database) -> None:
    """The loser of ON CONFLICT changes no row, even while the winner has not committed: it waits and counts."""
    text = "INSERT INTO jtis (client, jti, expires_at) VALUES ('c', 'j', 1) ON CONFLICT (client, jti) DO NOTHING"

    def use(_: int) -> int:
        with database.write() as writer:
            return writer.run(text)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(use, range(4))) == [0, 0, 0, 1]


# --- the sequencer ---------------------------------------------------------------------------------------------------


def wait_in_outbox(writer: Writer, entry: int, revision: int = 1, certificate: int = 1) -> None:
    writer.insert("outbox", {**ENTRY, "entry": entry, "revision": revision, "certificate": certificate})


def sequenced(database: Database) -> int:
    with database.write() as writer:
        return ledger.sequence(writer, 100)


def test_a_reader_after_a_position_never_misses_a_late_commit(settings: Settings, database: Database) -> None:
    """The lower entry commits last: a reader that remembers only the highest entry would miss it."""
    if is_sqlite(settings):  # one writer at a time: nothing can commit late
        for entry in (2, 1):
            with database.write() as writer:
                wait_in_outbox(writer, entry, certificate=entry)
            assert sequenced(database) == 1
    else:
        with Beside(database, lambda w: wait_in_outbox(w, 1, certificate=1)) as late:
            assert late.began.wait(PATIENCE_S)
            with database.write() as writer:
                wait_in_outbox(writer, 2, certificate=2)
            assert sequenced(database) == 1
            assert [one.certificate for one in ledger.after(database.reader, 0, 10)] == [2]
            late.end()
        assert sequenced(database) == 1
    assert [(one.position, one.certificate) for one in ledger.after(database.reader, 0, 10)] == [(1, 2), (2, 1)]
    assert [one.certificate for one in ledger.after(database.reader, 1, 10)] == [1]


def test_within_a_certificate_positions_follow_revisions(database: Database) -> None:
    with database.write() as writer:
        wait_in_outbox(writer, 10, revision=1)
        wait_in_outbox(writer, 5, revision=2)
        wait_in_outbox(writer, 7, revision=3)
    assert [sequenced(database) for _ in range(4)] == [1, 1, 1, 0]
    assert [one.revision for one in ledger.after(database.reader, 0, 10)] == [1, 2, 3]


def test_only_one_sequences_at_a_time(settings: Settings, database: Database) -> None:
    with database.write() as writer:
        for entry in range(1, 4):
            wait_in_outbox(writer, entry, certificate=entry)
    if is_sqlite(settings):
        assert sequenced(database) == 3
        return
    with Beside(database, lambda w: ledger.sequence(w, 2)) as first:
        assert first.began.wait(PATIENCE_S)
        assert sequenced(database) == 0, "another process is at it"
        assert ledger.after(database.reader, 0, 10) == []
        first.end()
    assert sequenced(database) == 1
    assert [one.position for one in ledger.after(database.reader, 0, 10)] == [1, 2, 3]
