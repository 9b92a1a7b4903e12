"""Migrations while the previous release runs: it continues to serve, and a migration is applied completely or not at all."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hub.backup import BackupFolder
from hub.db import engines as store_engines
from hub.db import schema
from hub.db.database import DatabaseUnavailable
from hub.db.schema import NewerSchema, TablesInUse
from hub.ops.check import check
from hub.ops.doctor import State, examine
from hub.parts import open_parts
from hub.settings import Settings
from tests.store.test_postgres_loss import HUB, Service, body, children, is_ready, service, wait_for
from tests.support import city as c
from tests.support import engines, later_release, postgres
from tests.support.later_release import COLUMN, INCOMPATIBLE, INDEX
from tests.support.migrations import new_migration

__all__ = ["service"]
BEFORE = schema.HEAD
NEW = "SELECT COUNT(*) AS n FROM certificates WHERE note IS NULL"


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Iterator[Settings]:
    with engines.copied(template, tmp_path / "data", public_url=c.URL) as found:
        yield found
        if found.database_url is not None:
            postgres.shared().drop(engines.name_of(found))  # its tables are no longer the template's


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    return later_release.make(tmp_path / "migrations", INCOMPATIBLE)


def later(settings: Settings, migrations: Path, head: str, *words: str, **more: str) -> tuple[int, str]:
    """Run a command of the next release; exit code and stderr."""
    command = [sys.executable, "-m", "tests.support.later_release", str(migrations), head, *words]
    env = os.environ | engines.environment(settings) | more
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


def now(settings: Settings, *words: str) -> tuple[int, str]:
    """Run a command of this release."""
    env = os.environ | engines.environment(settings)
    done = subprocess.run([*HUB, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def upto(folder: Path, head: str) -> Path:
    return later_release.make(folder, head)


def revision(settings: Settings) -> str:
    with closing(store_engines.opened(store_engines.place_of(settings))) as database:
        return database.revision()


def columns(settings: Settings) -> set[str]:
    """The tables that have the new column."""
    tables = ("certificates", "versions", "cases", "documents")
    with closing(store_engines.opened(store_engines.place_of(settings))) as database:
        if settings.database_url is None:
            listed = "SELECT '{0}' AS t FROM pragma_table_info('{0}') WHERE name = 'note'"
        else:
            listed = "SELECT '{0}' AS t FROM pg_attribute WHERE attrelid = '{0}'::regclass AND attname = 'note'"
        return {row["t"] for table in tables for row in database.reader.all(listed.format(table))}


# --- which release works on which schema -----------------------------------------------------------------------------


def test_a_release_works_on_its_own_schema_and_on_newer_ones_that_say_so() -> None:
    assert schema.works_on(BEFORE)
    number = schema._numbers(schema.HEAD)[0]
    assert schema.works_on(f"{number + 1:04}_{number:04}")
    assert schema.works_on(f"{number + 16:04}_0001")
    for other in ("", f"{number + 1:04}", f"{number + 2:04}_{number + 1:04}", "c0ffee", f"{number + 1:04}_x"):
        assert not schema.works_on(other), other


def test_every_migration_is_named_by_its_number_and_the_oldest_compatible_release() -> None:
    names = [str(path.name) for path in sorted((schema._MIGRATIONS / "versions").glob("[0-9]*.py"))]
    found = [re.match(r"(\d{4})(?:_(\d{4}))?_[a-z]", name) for name in names]
    assert all(found), names
    numbers = [(int(name[1]), int(name[2] or name[1])) for name in found if name]
    assert [number for number, _ in numbers] == list(range(1, len(numbers) + 1))
    assert all(oldest <= number for number, oldest in numbers)


def test_a_new_migration_is_named_so(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(schema._MIGRATIONS, tmp_path / "migrations")
    monkeypatch.setattr(schema, "_MIGRATIONS", tmp_path / "migrations")
    new_migration(store_engines.place_of(settings), "nothing new")
    number = schema._numbers(schema.HEAD)[0]
    name = f"{number + 1:04}_{number:04}"
    made = (tmp_path / "migrations" / "versions" / f"{name}_nothing_new.py").read_text(encoding="utf-8")
    assert f"revision = '{name}'" in made
    assert "op." not in made.partition("def upgrade")[2], "the tables are what the migrations make"


def test_plans_from_before_a_migration_are_replaced(settings: Settings, tmp_path: Path) -> None:
    """Each existing connection gets one error after the tables have changed, and no more."""
    with open_parts(settings) as parts:
        for _ in range(5):
            assert check(parts).findings == []
        assert later(settings, upto(tmp_path / "later", INDEX), INDEX, "migrate")[0] == 0
        refused = 0
        while True:
            try:
                assert check(parts).findings == []
                break
            except DatabaseUnavailable:
                refused += 1
        assert refused <= (0 if settings.database_url is None else settings.database_connections)
        with parts.database.write() as writer:
            assert writer.run("UPDATE certificates SET note = NULL WHERE note = 1") == 0


def test_the_former_release_serves_and_leaves_to_the_new_one_what_it_cannot_know(
    settings: Settings, tmp_path: Path
) -> None:
    folder = upto(tmp_path / "later", INDEX)
    assert later(settings, folder, INDEX, "migrate")[0] == 0
    assert (revision(settings), columns(settings)) == (INDEX, {"certificates", "versions", "cases", "documents"})
    with open_parts(settings) as parts:
        assert check(parts).findings == []
        with pytest.raises(NewerSchema):
            parts.backup.run(BackupFolder(tmp_path / "copy"))
    found = next(finding for finding in examine(settings) if finding.name == "database")
    assert (found.state, "newer release" in found.message_en) == (State.NOTE, True)
    code, said = now(settings, "backup", str(tmp_path / "copy"))
    assert (code, said.count("\n")) == (4, 1), said
    assert "newer release" in said
    assert not list((tmp_path / "copy").rglob("*.rows"))
    for words in (["init"], ["migrate"]):  # a machine that is started again before its own upgrade
        code, said = now(settings, *words)
        assert (code, "nothing changed" in said) == (0, True), said
    assert revision(settings) == INDEX
    assert later(settings, folder, INDEX, "check")[0] == 0
    assert later(settings, folder, INDEX, "migrate")[0] == 0, "again, and nothing to do"


def test_neither_serves_what_it_cannot_work_on(settings: Settings, migrations: Path, tmp_path: Path) -> None:
    for words in (["serve", "--port", "0"], ["work"]):
        code, said = later(settings, migrations, INCOMPATIBLE, *words)
        assert (code, said.count("\n")) == (4, 1), said
        assert "run `hub init`" in said
    assert later(settings, migrations, INCOMPATIBLE, "migrate")[0] == 0
    for words in (["serve", "--port", "0"], ["work"], ["init"]):
        code, said = now(settings, *words)
        assert (code, said.count("\n")) == (4, 1), said
        assert "newer release" in said


# --- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["certificates", "documents"])
def test_a_migration_that_is_killed_has_done_nothing(settings: Settings, tmp_path: Path, table: str) -> None:
    folder = upto(tmp_path / "later", INDEX)
    assert later(settings, folder, INDEX, "migrate", KILLED=table)[0] == -signal.SIGKILL
    assert (revision(settings), columns(settings)) == (BEFORE, set())
    with open_parts(settings) as parts:
        assert check(parts).findings == []
    assert later(settings, folder, INDEX, "migrate")[0] == 0
    assert revision(settings) == INDEX


@contextmanager
def in_use(settings: Settings, table: str) -> Iterator["psycopg.Connection[Any]"]:
    """A long transaction reads a table, as a backup does."""
    with postgres.shared().connect(engines.name_of(settings)) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(f"SELECT COUNT(*) FROM {table}")
        yield connection


@pytest.fixture
def on_server(tmp_path: Path) -> Iterator[Settings]:
    postgres.require()
    c.load_city(tmp_path / "template", engines.POSTGRESQL)
    with engines.copied(tmp_path / "template", tmp_path / "data", public_url=c.URL) as found:
        yield found
        postgres.shared().drop(engines.name_of(found))


def test_a_table_in_use_is_left_unchanged_and_no_request_waits(on_server: Settings, tmp_path: Path) -> None:
    folder = upto(tmp_path / "later", INDEX)
    database = store_engines.opened(store_engines.place_of(on_server, patient=False))
    longest = 0.0
    with in_use(on_server, "versions"), ThreadPoolExecutor(1) as thread:
        migrating = thread.submit(later, on_server, folder, INDEX, "migrate", PATIENCE_S="4")
        while not migrating.done():
            began = time.monotonic()
            database.reader.one("SELECT COUNT(*) AS n FROM versions")
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.01)
        code, said = migrating.result()
    database.close()
    assert (code, said.count("\n")) == (5, 1), said
    assert "Run it again" in said
    assert "升级没有完成" in said
    assert longest > 0.3, "it has waited behind the migration, and for no longer than a request may"
    assert (revision(on_server), columns(on_server)) == (BEFORE, set())
    assert later(on_server, folder, INDEX, "migrate")[0] == 0
    assert revision(on_server) == INDEX


def test_a_table_that_is_free_in_time_is_changed(on_server: Settings, tmp_path: Path) -> None:
    folder = upto(tmp_path / "later", COLUMN)
    with in_use(on_server, "versions") as reader, ThreadPoolExecutor(1) as thread:
        migrating = thread.submit(later, on_server, folder, COLUMN, "migrate")
        time.sleep(3)
        reader.execute("COMMIT")
        assert migrating.result()[0] == 0


def test_an_unfinished_index_is_rebuilt(on_server: Settings, tmp_path: Path) -> None:
    """Built during writes, it waits for earlier readers, and is not usable until then."""
    assert later(on_server, upto(tmp_path / "first", COLUMN), COLUMN, "migrate")[0] == 0
    folder = upto(tmp_path / "later", INDEX)
    command = [sys.executable, "-m", "tests.support.later_release", str(folder), INDEX, "migrate"]
    env = os.environ | engines.environment(on_server)
    with in_use(on_server, "parties"):
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        wait_for(lambda: invalid(on_server) == 1)
        with open_parts(on_server) as parts, parts.database.write() as writer:
            assert writer.run("UPDATE certificates SET revision = revision") > 50
        process.kill()
        process.wait()
    assert revision(on_server) == COLUMN
    assert later(on_server, folder, INDEX, "migrate")[0] == 0
    assert invalid(on_server) == 0
    assert revision(on_server) == INDEX


def invalid(settings: Settings) -> int:
    with postgres.shared().connect(engines.name_of(settings)) as connection:
        row = connection.execute("SELECT COUNT(*) FROM pg_index WHERE NOT indisvalid").fetchone()
    return int(row[0]) if row else 0


def test_two_migrations_at_once_wait_for_each_other(on_server: Settings, tmp_path: Path) -> None:
    """Also if one builds an index concurrently, which waits for all statements: sessions that poll for the lock run
    none."""
    folder = upto(tmp_path / "later", INDEX)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: later(on_server, folder, INDEX, "migrate"), range(2)))
    assert [code for code, _ in done] == [0, 0], done


@pytest.mark.sqlite
def test_a_busy_file_is_reported(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(schema, "_MIGRATIONS", upto(tmp_path / "later", COLUMN))
    monkeypatch.setattr(schema, "HEAD", COLUMN)
    place = store_engines.place_of(settings)
    with closing(store_engines.opened(place)) as database, database.write() as writer:
        writer.one("SELECT 1")
        with pytest.raises(TablesInUse):
            schema.migrate(place)
    assert schema.migrate(place)


# --- while everything runs -------------------------------------------------------------------------------------


def test_processes_continue_while_their_tables_change(service: Service, tmp_path: Path) -> None:
    """Pushes, readers and the worker of the previous release; connections with prepared plans are replaced."""
    stop, refused, journal = threading.Event(), [0], {}

    def clerk(index: int) -> None:
        count = 0
        while not stop.is_set():
            case = f"M-{index}-{count}"
            answer = service.push(case, body(case))
            read = service.get("/api/v1/cases/L-FIRST")
            assert {answer.status_code, read.status_code} <= {200, 201, 202, 503}, (answer.text, read.text)
            refused[0] += [answer.status_code, read.status_code].count(503)
            if answer.status_code in {200, 201}:
                journal[case] = answer.json()["certificates"][0]["identifier"]
                count += 1

    assert service.push("L-FIRST", body("L-FIRST")).status_code == 201
    folder = upto(tmp_path / "later", INDEX)
    with ThreadPoolExecutor(4) as threads:
        clerks = [threads.submit(clerk, index) for index in range(4)]
        wait_for(lambda: len(journal) > 40)
        assert refused == [0]
        code, said = later(service.settings, folder, INDEX, "migrate")
        assert code == 0, said
        before = len(journal)
        wait_for(lambda: len(journal) > before + 40)
        settled = refused[0]
        before = len(journal)
        wait_for(lambda: len(journal) > before + 40)
        assert refused[0] == settled, "afterwards no request is refused"
        stop.set()
        for one in clerks:
            one.result(30)
    assert settled <= 20, "at most one for each connection of two processes"
    assert is_ready(service)
    former = children(service.process.pid)
    os.kill(former[0], signal.SIGKILL)
    wait_for(lambda: len(set(children(service.process.pid)) - {former[0]}) == 2)
    assert service.push("L-LATER", body("L-LATER")).status_code == 201
    with open_parts(service.settings) as parts:
        wait_for(lambda: not parts.directory.sequence() and check(parts).findings == [])
        rows = parts.database.reader.all("SELECT case_number, identifier FROM versions")
        found = {row["case_number"]: row["identifier"] for row in rows}
        assert {case: found[case] for case in journal} == journal
