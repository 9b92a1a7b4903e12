"""A backup of either engine is restored to either engine, completely or not at all."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.backup import BackupFolder, Manifest, NotPossible
from hub.db.database import DatabaseUnavailable, WrongDatabase
from hub.ops.check import check
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from hub.store import documents
from hub.verification.verdict import VerdictState
from tests.faults.forkserver import ForkServer, fork_server
from tests.support import city as c
from tests.support import engines, postgres
from tests.support.copies import Copied, files, hub, names, restored, rows_of, settings_of

DERIVED = {"id_blocks", "cursors"}


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


def name_in(url: str) -> str:
    return url.rpartition("/")[2]


def same(was: Settings, now: Settings) -> bool:
    """Every row, file and key of the first is in the second, and `hub check` passes."""
    with open_parts(was) as former, open_parts(now) as parts:
        assert check(parts).findings == []
        before, after = rows_of(former), rows_of(parts)
        assert {name: after[name] for name in after if name not in DERIVED} == {
            name: before[name] for name in before if name not in DERIVED
        }
        assert len(before["certificates"]) > 50
        for row in parts.database.reader.all("SELECT * FROM documents LIMIT 3"):
            content = parts.documents.read(documents.of_row(row))
            assert parts.verification.verify_file(content).state is not VerdictState.TAMPERED
        for key in parts.keyring.all():
            assert parts.keyring.folder.file(key.public.kid, key.public.purpose)
    there, here = (sorted(p.name for p in files(s.data_dir / "documents")) for s in (was, now))
    assert there == here
    return True


# --- from one to the other -------------------------------------------------------------------------------------------


def test_a_backup_of_a_file_is_restored_to_a_server(copied: Copied, tmp_path: Path, url: str) -> None:
    data = tmp_path / "new"
    done = hub("restore", copied.folder, data=data, master=copied.master, url=url)
    assert done.returncode == 0, done.stderr
    assert hub("check", data=data, master=copied.master, url=url).returncode == 0
    assert not (data / "hub.db").exists()
    assert not [name for name in names(data) if name.startswith(".restor")]
    assert same(settings_of(copied.city, copied.master), settings_of(data, copied.master, database_url=url))
    again = hub("restore", copied.folder, data=tmp_path / "other", master=copied.master, url=url)
    assert again.returncode == 4
    assert "not empty" in again.stderr
    assert hub("init", data=data, master=copied.master, url=url).returncode == 0


def test_a_backup_of_a_server_is_restored_to_either(tmp_path: Path, url: str) -> None:
    c.load_city(tmp_path / "template", engines.POSTGRESQL)
    with engines.copied(tmp_path / "template", tmp_path / "city", public_url=c.URL) as settings:
        with open_parts(settings) as parts:
            while parts.directory.sequence():
                pass
            parts.rendering.step()
            made: Manifest = parts.backup.run(BackupFolder(tmp_path / "copy"))
        assert made.engine == "postgresql"
        assert made.documents > 0
        master = settings.data_dir / "master.key"
        assert same(settings, restored(tmp_path / "copy", tmp_path / "file", master))
        assert same(settings, restored(tmp_path / "copy", tmp_path / "server", master, database_url=url))


def test_a_backup_reads_one_moment_and_cannot_write(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=url)
    initialise(settings)
    with open_parts(settings) as parts, parts.database.snapshot() as reader:
        row = reader.one(
            "SELECT current_setting('transaction_isolation') AS a, current_setting('transaction_read_only') AS b"
        )
        assert row is not None
        assert tuple(row) == ("repeatable read", "on")


# --- only into an empty one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE TABLE mine (a int)", "not empty"),
        ("CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('0099')", "0099"),
    ],
)
def test_a_database_with_something_else_in_it_is_left_alone(
    copied: Copied, tmp_path: Path, url: str, statement: str, told: str
) -> None:
    with postgres.shared().connect(name_in(url)) as connection:
        connection.execute(statement)
        before = tables(connection)
        with pytest.raises(WrongDatabase, match=told):
            restored(copied.folder, tmp_path / "new", copied.master, database_url=url)
        assert tables(connection) == before
    assert names(tmp_path / "new") == [".init.lock"]


def tables(connection: Any) -> list[Any]:
    return connection.execute("SELECT schemaname, tablename FROM pg_tables ORDER BY 1, 2").fetchall()  # type: ignore[no-any-return]


def test_a_hub_that_is_there_is_left_alone(copied: Copied, tmp_path: Path, url: str) -> None:
    there = Settings(data_dir=tmp_path / "there", database_url=url)
    initialise(there)
    with open_parts(there) as parts:
        before = rows_of(parts)
        with pytest.raises(WrongDatabase, match="not empty"):
            restored(copied.folder, tmp_path / "new", copied.master, database_url=url)
        assert rows_of(parts) == before
    assert names(tmp_path / "new") == [".init.lock"]


def test_a_user_who_may_not_create_tables_gets_an_error(copied: Copied, tmp_path: Path, url: str) -> None:
    cluster = postgres.shared()
    with cluster.connect() as connection:
        connection.execute("DO $$ BEGIN CREATE ROLE nobody_much LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    done = hub(
        "restore",
        copied.folder,
        data=tmp_path / "new",
        master=copied.master,
        url=cluster.url(name_in(url), "nobody_much"),
    )
    assert done.returncode == 4
    assert "owner" in done.stderr
    assert names(tmp_path / "new") == [".init.lock"]


# --- killed ----------------------------------------------------------------------------------------------------------

BEFORE_IT_IS_KEPT = ("begun", "some rows", "rows", "keys", "some documents", "filled")


def restoring(copied: Copied, data: Path, url: str) -> dict[str, Any]:
    with_folder = {"folder": str(copied.folder)}
    return {"data": str(data), "act": "restore", "master": str(copied.master), "url": url, "with": with_folder}


@pytest.mark.parametrize("step", [*BEFORE_IT_IS_KEPT, "kept"])
def test_a_restore_killed_anywhere_is_begun_again(
    forkserver: ForkServer, copied: Copied, tmp_path: Path, url: str, step: str
) -> None:
    data = tmp_path / "new"
    settings = settings_of(data, copied.master, database_url=url)
    assert forkserver.one(**restoring(copied, data, url), kill_step=f"step {step}").killed
    with pytest.raises(WrongDatabase, match="interrupted"):
        initialise(settings)
    with pytest.raises(WrongDatabase, match="interrupted"), open_parts(settings):
        pass
    if step == "some documents":
        done = hub("serve", data=data, master=copied.master, url=url)
        assert done.returncode == 4
        assert "hub restore" in done.stderr
    if step in BEFORE_IT_IS_KEPT:
        with postgres.shared().connect(name_in(url)) as connection:
            has = connection.execute("SELECT to_regclass('data_keys')").fetchone()
            assert has == (None,) or connection.execute("SELECT 1 FROM data_keys").fetchone() is None
    ended = forkserver.one(**restoring(copied, data, url))
    assert ended.value.get("value") == copied.manifest.backup, ended.value
    assert names(data) == [".init.lock", "documents", "keys"]
    assert same(settings_of(copied.city, copied.master), settings)


def test_it_is_gone_on_with_where_it_was_begun(
    forkserver: ForkServer, copied: Copied, tmp_path: Path, url: str
) -> None:
    """Keys and files may belong to a complete database: another setting must not remove them."""
    data = tmp_path / "new"
    assert forkserver.one(**restoring(copied, data, url), kill_step="step kept").killed
    before = files(data)
    with pytest.raises(NotPossible, match=name_in(url)):
        restored(copied.folder, data, copied.master)
    assert files(data) == before
    restored(copied.folder, data, copied.master, database_url=url)
    assert same(settings_of(copied.city, copied.master), settings_of(data, copied.master, database_url=url))


def held(forkserver: ForkServer, tmp_path: Path, at: str, **order: Any) -> tuple[int, Path]:
    """An order that waits at a step until the file appears."""
    go, reached = tmp_path / "go", tmp_path / "reached"
    pid = forkserver.start(**order, hold={"at": at, "go": str(go), "reached": str(reached)})
    deadline = time.monotonic() + 60
    while not reached.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return pid, go


def test_one_restore_into_a_database_at_a_time(
    forkserver: ForkServer, copied: Copied, tmp_path: Path, url: str
) -> None:
    first, go = held(forkserver, tmp_path, "rows", **restoring(copied, tmp_path / "new", url))
    with pytest.raises(DatabaseUnavailable):
        restored(copied.folder, tmp_path / "other", copied.master, database_url=url)
    go.touch()
    assert forkserver.end(first).value["value"] == copied.manifest.backup
    assert same(settings_of(copied.city, copied.master), settings_of(tmp_path / "new", copied.master, database_url=url))


@pytest.mark.parametrize("step", ["rows", "filled"])
def test_a_server_that_ends_the_connection_keeps_nothing(
    forkserver: ForkServer, copied: Copied, tmp_path: Path, url: str, step: str
) -> None:
    data = tmp_path / "new"
    pid, go = held(forkserver, tmp_path, step, **restoring(copied, data, url))
    with postgres.shared().connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name_in(url)])
    go.touch()
    ended = forkserver.end(pid)
    assert ended.value.get("fault") == "DatabaseUnavailable", ended
    assert names(data) == [".init.lock"]
    restored(copied.folder, data, copied.master, database_url=url)
    assert same(settings_of(copied.city, copied.master), settings_of(data, copied.master, database_url=url))
