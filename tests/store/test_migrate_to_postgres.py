"""`hub migrate --to`: an embedded hub is moved to a server completely or not at all, and no process uses the file afterwards."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.backup import BackupFolder, NotPossible
from hub.backup.to_postgres import Differs, migrate
from hub.cli.serve import serve_lock_held
from hub.db import engines as store_engines
from hub.db import migrated_marker, schema, sqlite, table_copy
from hub.db.database import WrongDatabase
from hub.ops.check import check
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from hub.store import documents
from hub.verification.verdict import VerdictState
from tests.faults import acts
from tests.faults.acts import certificate, completed, invented_person
from tests.faults.forkserver import ForkServer, fork_server
from tests.support import city as c
from tests.support import engines, postgres
from tests.support.copies import Copied, hub, rows_of


@pytest.fixture(scope="module")
def forkserver() -> Iterator[ForkServer]:
    with fork_server() as found:
        yield found


@pytest.fixture
def settings(copied: Copied, tmp_path: Path) -> Settings:
    """A separate embedded hub, with files, and its master key next to it."""
    folder = tmp_path / "city"
    shutil.copytree(copied.city, folder)
    return Settings(data_dir=folder, public_url=c.URL)


def on_server(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": url})


def rows_in_file(settings: Settings) -> dict[str, list[table_copy.Row]]:
    """The content of the embedded database, whether moved or not."""
    source = sqlite.SqliteDatabase(settings.data_dir / "hub.db", migrating=True)
    try:
        reader = source.reader
        return {s.name: [row for some in table_copy.batches(reader, s) for row in some] for s in table_copy.shapes()}
    finally:
        source.close()


def is_there(settings: Settings, url: str) -> bool:
    """Every row of the file was copied, including numbers and positions, and `hub check` passes."""
    with open_parts(on_server(settings, url)) as parts:
        assert rows_of(parts) == rows_in_file(settings)
        assert check(parts).findings == []
        assert len(parts.database.reader.all("SELECT 1 FROM certificates")) > 50
        for row in parts.database.reader.all("SELECT * FROM documents LIMIT 2"):
            content = parts.documents.read(documents.of_row(row))
            assert parts.verification.verify_file(content).state is not VerdictState.TAMPERED
    return True


def push(parts: Any, number: int) -> dict[str, Any]:
    return acts.push(
        parts, f"FZGA-2026-M-{number}", completed(certificate(f"试〔2026〕迁{number}", invented_person(number)))
    )


# --- whole -----------------------------------------------------------------------------------------------------------


def test_the_command_moves_everything_and_says_what_to_set(settings: Settings, url: str) -> None:
    data = settings.data_dir
    secret = url.replace("postgres@", "postgres:not-to-be-shown@")
    done = hub("migrate", "--to", secret, data=data)
    assert done.returncode == 0, done.stderr
    assert "HUB_DATABASE_URL" in done.stderr
    assert "not-to-be-shown" not in done.stdout + done.stderr + migrated_marker.path_of(data / "hub.db").read_text()
    assert hub("check", data=data, url=url).returncode == 0
    assert is_there(settings, url)
    again = hub("migrate", "--to", url, data=data)
    assert (again.returncode, again.stdout) == (0, "")
    for command in (("serve",), ("init",), ("backup", data.parent / "copy")):
        refused = hub(*command, data=data)
        assert refused.returncode == 4, command
        assert "was moved to PostgreSQL" in refused.stderr
        assert "已迁到" in refused.stderr
    with open_parts(on_server(settings, url)) as parts:
        before = {row["name"]: row["next"] for row in parts.database.reader.all("SELECT * FROM id_blocks")}
        assert push(parts, 1)["status"] == 201
        newest = parts.database.reader.one("SELECT MAX(version_key) AS newest FROM versions")
        assert newest is not None
        assert newest["newest"] >= before["version"]
        while parts.directory.sequence():
            pass
        parts.rendering.step()
        assert check(parts).findings == []
        made = parts.backup.run(BackupFolder(data.parent / "copy"))
        assert made.engine == "postgresql"


def test_a_process_that_has_it_open_is_stopped_and_what_was_acknowledged_is_there(settings: Settings, url: str) -> None:
    acknowledged: list[int] = []
    ended: list[str] = []

    def work() -> None:
        with open_parts(settings) as parts:
            for number in range(100_000):
                try:
                    assert push(parts, number)["status"] == 201
                except WrongDatabase as error:
                    ended.append(str(error))
                    return
                acknowledged.append(number)

    thread = threading.Thread(target=work)
    with open_parts(settings) as reading:
        thread.start()
        while len(acknowledged) < 5:
            time.sleep(0.01)
        migrate(settings, url)
        thread.join(30)
        assert "moved" in ended[0]
        time.sleep(1.1)
        with pytest.raises(WrongDatabase, match="moved"):
            reading.database.reader.one("SELECT 1 FROM cases")
    with open_parts(on_server(settings, url)) as parts:
        parts.issuance.finish(c.caller(acts.CLIENT).source, f"FZGA-2026-M-{len(acknowledged)}")
        for number in acknowledged:
            assert push(parts, number)["status"] == 200
        assert check(parts).findings == []


# --- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["begun", "some rows", "copied", "compared", "kept"])
def test_killed_anywhere_it_is_begun_again_or_found_done(
    forkserver: ForkServer, settings: Settings, url: str, step: str
) -> None:
    order = {"data": str(settings.data_dir), "act": "move", "url": url}
    assert forkserver.one(**order, kill_step=f"step {step}").killed
    with pytest.raises(WrongDatabase, match="run `hub migrate --to` again"), open_parts(settings):
        pass
    if step != "kept":  # nothing of it is there
        with postgres.shared().connect(engines.name_of(on_server(settings, url))) as connection:
            has = connection.execute("SELECT to_regclass('data_keys')").fetchone()
            assert has == (None,) or connection.execute("SELECT 1 FROM data_keys").fetchone() is None
    with pytest.raises(WrongDatabase, match="not finished"), open_parts(on_server(settings, url)):
        pass
    with pytest.raises(WrongDatabase, match="not finished"):
        initialise(on_server(settings, url))
    other = postgres.shared().url("other")
    with pytest.raises(NotPossible, match="use the same target"):
        migrate(settings, other)
    ended = forkserver.one(**order)
    assert "value" in ended.value, ended
    assert bool(ended.value["value"]) is (step != "kept")
    with pytest.raises(WrongDatabase, match="was moved"), open_parts(settings):
        pass
    assert is_there(settings, url)


@pytest.mark.parametrize("at", ["copied", "compared"])
def test_a_server_that_ends_the_connection_leaves_all_as_it_was(
    forkserver: ForkServer, settings: Settings, tmp_path: Path, url: str, at: str
) -> None:
    go, reached = tmp_path / "go", tmp_path / "reached"
    hold = {"at": at, "go": str(go), "reached": str(reached)}
    pid = forkserver.start(data=str(settings.data_dir), act="move", url=url, hold=hold)
    while not reached.exists():
        time.sleep(0.01)
    with pytest.raises(NotPossible, match="Another command"):
        migrate(settings, url)
    with postgres.shared().connect() as connection:
        name = engines.name_of(on_server(settings, url))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    go.touch()
    ended = forkserver.end(pid)
    assert ended.value.get("fault") == "DatabaseUnavailable", ended
    with open_parts(settings) as parts:
        assert push(parts, 1)["status"] == 201
    migrate(settings, url)
    assert is_there(settings, url)


def test_what_differs_is_not_kept(settings: Settings, url: str) -> None:
    """A foreign trigger changes one value in one table."""
    schema.migrate(store_engines.place_of(on_server(settings, url)))
    with postgres.shared().connect(engines.name_of(on_server(settings, url))) as connection:
        connection.execute(
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.created_at := NEW.created_at + 1; RETURN NEW; END $$;"
            " CREATE TRIGGER meddling BEFORE INSERT ON clerks FOR EACH ROW EXECUTE FUNCTION meddle()"
        )
        with pytest.raises(Differs, match="clerks"):
            migrate(settings, url)
        assert connection.execute("SELECT 1 FROM certificates LIMIT 1").fetchone() is None
        done = hub("migrate", "--to", url, data=settings.data_dir)
        assert done.returncode == 1
        assert "clerks" in done.stderr
    with open_parts(settings) as parts:
        assert push(parts, 1)["status"] == 201


# --- refused ---------------------------------------------------------------------------------------------------------


def test_it_is_refused_while_the_hub_is_served_and_into_what_is_not_empty(settings: Settings, url: str) -> None:
    with serve_lock_held(settings):
        done = hub("migrate", "--to", url, data=settings.data_dir)
        assert done.returncode == 4
        assert "hub serve" in done.stderr
    with postgres.shared().connect(engines.name_of(on_server(settings, url))) as connection:
        connection.execute("CREATE TABLE mine (a int)")
    with pytest.raises(WrongDatabase, match="not empty"):
        migrate(settings, url)
    assert not migrated_marker.path_of(settings.data_dir / "hub.db").exists()


def test_only_an_embedded_hub_is_moved(settings: Settings, tmp_path: Path, url: str) -> None:
    with pytest.raises(NotPossible, match="unset that variable"):
        migrate(on_server(settings, url), url)
    with pytest.raises(NotPossible, match="no embedded database"):
        migrate(Settings(data_dir=tmp_path / "none"), url)
    with pytest.raises(WrongDatabase, match="begin with"):
        migrate(settings, "sqlite:///somewhere")
