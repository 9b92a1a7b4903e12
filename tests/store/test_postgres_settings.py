"""Which servers and users are accepted: one sentence says why a start fails, and the service has no more privileges
than it needs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hub.db import engines, postgres_roles, schema
from hub.db.tables import metadata
from hub.ops.doctor import State, examine
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from tests.ops.test_serve import START_S, wait_for
from tests.support import postgres
from tests.support import town as t
from tests.support.ports import free_port
from tests.support.postgres import Cluster

DENIED = psycopg.errors.InsufficientPrivilege
LOGIN, OUTSIDER, OWNER, SINGLE = "hub_test_login", "hub_test_outsider", "hub_test_owner", "hub_test_single"


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    found = postgres.shared()
    with found.connect() as connection:
        for role in (LOGIN, OUTSIDER, OWNER, SINGLE):
            with suppress(psycopg.errors.DuplicateObject):
                connection.execute(f"CREATE ROLE {role} LOGIN")
    return found


@pytest.fixture(scope="module")
def made(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Initialised by an owner without superuser privileges; LOGIN is a member of the service role."""
    name = cluster.create()
    with cluster.connect() as connection:
        with suppress(psycopg.errors.DuplicateObject):
            connection.execute("CREATE ROLE hub_service NOLOGIN")
        connection.execute(f'ALTER DATABASE "{name}" OWNER TO {OWNER}')
        connection.execute(f"GRANT hub_service TO {LOGIN}")
    folder = tmp_path_factory.mktemp("settings") / "data"
    settings = Settings(data_dir=folder, public_url=t.URL, database_url=cluster.url(name, OWNER))
    initialise(settings)
    return settings


def as_user(settings: Settings, user: str) -> Settings:
    assert settings.database_url is not None
    return settings.model_copy(update={"database_url": settings.database_url.replace(OWNER, user)})


def hub(folder: Path, url: str, *words: str, **more: str) -> tuple[int, str]:
    environment = {"PATH": os.environ["PATH"], "HUB_DATA_DIR": str(folder), "HUB_DATABASE_URL": url, **more}
    environment.setdefault("HUB_DATABASE_CONNECT_S", "1")  # how long a start waits for an unavailable server
    done = subprocess.run(
        [sys.executable, "-m", "hub", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    return done.returncode, done.stderr


WRONG: dict[str, tuple[str, int, str]] = {
    "another scheme": ("mysql://hub@127.0.0.1/hub", 4, "postgresql+psycopg://"),
    "no URL": ("hub", 4, "postgresql+psycopg://"),
    "a nonsensical URL": ("postgresql+psycopg://127.0.0.1:port/hub", 4, "HUB_DATABASE_URL"),
    "no such database": ("postgresql+psycopg://postgres@127.0.0.1:{port}/nothing", 4, "check user, database"),
    "no such user": ("postgresql+psycopg://no-such-user@127.0.0.1:{port}/postgres", 4, "check user, database"),
    "no server answers": ("postgresql+psycopg://postgres@127.0.0.1:{nowhere}/hub", 5, "cannot be reached"),
    "no such host": ("postgresql+psycopg://postgres@nowhere.invalid/hub", 5, "cannot be reached"),
    "no TLS there": ("postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?sslmode=require", 4, "TLS"),
    "an unreadable CA": (
        "postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert=/nowhere/ca.pem",
        4,
        "TLS",
    ),
    "no tables yet": ("postgresql+psycopg://postgres@127.0.0.1:{port}/template1", 4, "run `hub init`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_place_stops_the_start_with_one_sentence(cluster: Cluster, tmp_path: Path, name: str) -> None:
    url, code, told = WRONG[name]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "master.key").write_text("00" * 32)
    found, said = hub(tmp_path / "data", url.format(port=cluster.port, nowhere=free_port()), "serve", "--port", "0")
    assert (found, said.count("\n")) == (code, 1), said
    assert told in said


def test_an_encoding_that_loses_characters_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.connect() as connection:
        connection.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    code, said = hub(tmp_path / "data", cluster.url("ascii"), "init")
    assert code == 4
    assert "UTF8" in said
    cluster.drop("ascii")


AN_OLDER_SERVER = """
import sys
import psycopg
psycopg.ConnectionInfo.server_version = property(lambda _: 140_019)
from hub.cli import main
main()
"""


@pytest.mark.parametrize("words", [("init",), ("serve", "--port", "0"), ("work",), ("check",)])
def test_a_server_that_is_too_old_is_refused(made: Settings, words: tuple[str, ...]) -> None:
    """No older server is available: the driver reports another number, and everything else is unchanged."""
    environment = {"PATH": os.environ["PATH"], "HUB_DATA_DIR": str(made.data_dir)}
    done = subprocess.run(
        [sys.executable, "-c", AN_OLDER_SERVER, *words],
        env={**environment, "HUB_DATABASE_URL": str(made.database_url)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "The server is PostgreSQL 14; version 15 or later is required" in done.stderr


def test_a_password_may_lie_in_a_file(cluster: Cluster, made: Settings, tmp_path: Path) -> None:
    """The server trusts every login here; an unreadable file is reported."""
    code, said = hub(made.data_dir, str(made.database_url), "init", HUB_DATABASE_PASSWORD_FILE=str(tmp_path / "none"))
    assert code == 4
    assert "HUB_DATABASE_PASSWORD_FILE" in said
    (tmp_path / "password").write_text("a secret\n")
    place = engines.place_of(made.model_copy(update={"database_password_file": tmp_path / "password"}))
    assert not isinstance(place, Path)
    assert psycopg.conninfo.conninfo_to_dict(place.conninfo)["password"] == "a secret"
    assert "secret" not in repr(place)


def test_a_user_who_may_not_create_tables_gets_an_error(cluster: Cluster, tmp_path: Path) -> None:
    code, said = hub(tmp_path / "data", cluster.url(cluster.create(), OUTSIDER), "init")
    assert (code, said.count("\n")) == (4, 1), said
    assert "owner of the database" in said


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("serve", "--port", "0", "--workers", "2"), ("work",)])
def test_who_lacks_rights_does_not_start(made: Settings, command: tuple[str, ...]) -> None:
    code, said = hub(made.data_dir, str(as_user(made, OUTSIDER).database_url), *command)
    assert (code, said.count("\n")) == (4, 1), said
    assert "hub_service" in said


def test_the_doctor_tells_who_may_change_what_only_grows(made: Settings) -> None:
    found = {f.name: f for f in examine(made)}
    assert found["database rights"].state is State.PROBLEM
    assert {"acts", "audit", "ledger"} <= set(
        found["database rights"].message_en.rstrip(".").replace(":", ",").split(", ")
    )
    assert "log in as that member" in found["database rights"].fix_en
    assert found["database"].message_en.startswith("PostgreSQL 1")
    found = {f.name: f for f in examine(as_user(made, LOGIN))}
    assert found["database rights"].state is State.OK


def test_a_right_that_was_taken_is_missed_and_given_again(cluster: Cluster, made: Settings) -> None:
    assert made.database_url is not None
    with cluster.connect(made.database_url.rpartition("/")[2]) as connection:
        connection.execute("REVOKE INSERT ON audit FROM hub_service")
        code, said = hub(made.data_dir, str(as_user(made, LOGIN).database_url), "work")
        assert (code, "on audit" in said) == (4, True), said
    assert hub(made.data_dir, made.database_url, "migrate")[0] == 0
    with open_parts(as_user(made, LOGIN)) as parts:
        assert parts.database.revision() == schema.HEAD


EXTRA = {
    "GRANT DELETE ON audit TO hub_service": ("REVOKE DELETE ON audit FROM hub_service", True),
    "GRANT UPDATE ON ledger TO hub_service": ("REVOKE UPDATE ON ledger FROM hub_service", True),
    "GRANT TRUNCATE ON parties TO hub_service": ("REVOKE TRUNCATE ON parties FROM hub_service", True),
    "GRANT DELETE ON acts TO PUBLIC": ("REVOKE DELETE ON acts FROM PUBLIC", False),
    f"GRANT {OWNER} TO hub_service": (f"REVOKE {OWNER} FROM hub_service", False),
    "GRANT pg_write_all_data TO hub_service": ("REVOKE pg_write_all_data FROM hub_service", False),
}


@pytest.mark.parametrize("statement", EXTRA)
def test_a_service_role_that_may_do_more_does_not_start(cluster: Cluster, made: Settings, statement: str) -> None:
    """`hub init` revokes privileges granted on the tables themselves; others must be revoked by their grantor."""
    assert made.database_url is not None
    undo, is_undone_by_init = EXTRA[statement]
    login = str(as_user(made, LOGIN).database_url)
    with cluster.connect(made.database_url.rpartition("/")[2]) as connection:
        connection.execute(statement)
        try:
            for words in (["work"], ["serve", "--port", "0"]):
                code, said = hub(made.data_dir, login, *words)
                assert (code, said.count("\n")) == (4, 1), said
                assert "has too many privileges" in said
            assert hub(made.data_dir, made.database_url, "init")[0] == 0
            assert (hub(made.data_dir, login, "keys", "list")[0] == 0) is is_undone_by_init
        finally:
            connection.execute(undo)
    assert hub(made.data_dir, login, "keys", "list")[0] == 0


def test_serving_as_the_owner_warns(cluster: Cluster, tmp_path: Path) -> None:
    """A single login that may not create roles: it works, and every start warns and says what would be better."""
    name = cluster.create()
    with cluster.connect() as connection:
        connection.execute(f'ALTER DATABASE "{name}" OWNER TO {SINGLE}')
    url, role = cluster.url(name, SINGLE), {"HUB_DATABASE_SERVICE_ROLE": "hub_test_service"}
    code, said = hub(tmp_path / "data", url, "init", **role)
    assert code == 0
    assert "CREATE ROLE hub_test_service NOLOGIN" in said
    assert "log in as that member" in said
    assert "more database privileges than it needs" in started(tmp_path / "data", url, "work", **role)
    assert "more database privileges than it needs" in started(tmp_path / "data", url, "serve", "--port", "0", **role)
    settings = Settings(data_dir=tmp_path / "data", database_url=url, database_service_role="hub_test_service")
    assert {f.name: f.state for f in examine(settings)}["database rights"] is State.PROBLEM
    with cluster.connect() as connection:  # what the warning says to do
        connection.execute("CREATE ROLE hub_test_service NOLOGIN")
        connection.execute(f"GRANT hub_test_service TO {LOGIN}")
    code, said = hub(tmp_path / "data", url, "init", **role)
    assert (code, "more database privileges" in said) == (0, False)
    assert "more database privileges" in started(tmp_path / "data", url, "work", **role), (
        "it is still the owner's login"
    )
    better = {**role, "HUB_DATABASE_URL": cluster.url(name, LOGIN)}
    assert "more database privileges" not in started(tmp_path / "data", cluster.url(name, LOGIN), "work", **role)
    found = examine(settings.model_copy(update={"database_url": better["HUB_DATABASE_URL"]}))
    assert {f.name: f.state for f in found}["database rights"] is State.OK


def started(folder: Path, url: str, *words: str, **more: str) -> str:
    """The output of a process that was started and stopped; it must exit cleanly."""
    environment = {"PATH": os.environ["PATH"], "HUB_DATA_DIR": str(folder), "HUB_DATABASE_URL": url, **more}
    log = folder.with_suffix(".log")
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, "-m", "hub", *words], env=environment, stderr=sink)
    wait_for(lambda: process.poll() is not None or b'"level"' in log.read_bytes(), START_S)
    process.terminate()
    assert process.wait(START_S) == 0, log.read_text()
    return log.read_text()


@pytest.fixture
def service(cluster: Cluster, made: Settings) -> Iterator["psycopg.Connection[Any]"]:
    assert made.database_url is not None
    with cluster.connect(made.database_url.rpartition("/")[2], LOGIN) as connection:
        yield connection


@pytest.mark.parametrize("table", ["audit", "acts", "ledger"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {} = 0",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} ADD COLUMN x integer",
        "DROP TABLE {}",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TRIGGER {0}_no_update ON {0}",
    ],
)
def test_the_service_may_neither_change_nor_delete_what_only_grows(service: Any, table: str, statement: str) -> None:
    column = {"audit": "at", "acts": "standing", "ledger": "kind"}[table]
    with pytest.raises(DENIED):
        service.execute(statement.format(table, column))


def test_the_service_may_alter_nothing(service: Any) -> None:
    for table in metadata.tables:
        for statement in (f"ALTER TABLE {table} ADD COLUMN x integer", f"DROP TABLE {table}", f"TRUNCATE {table}"):
            with pytest.raises(DENIED):
                service.execute(statement)
    for statement in ("CREATE TABLE x (y integer)", "UPDATE alembic_version SET version_num = 'x'"):
        with pytest.raises(DENIED):
            service.execute(statement)


def test_rights_are_said_of_every_table_and_are_what_the_server_has(service: Any) -> None:
    assert set(metadata.tables) == postgres_roles.UPDATED | postgres_roles.ONLY_ADDED
    assert set(metadata.tables) >= postgres_roles.DELETED
    for table in metadata.tables:
        rows = service.execute(
            "SELECT privilege_type FROM information_schema.role_table_grants"
            " WHERE table_name = %s AND grantee = 'hub_service'",
            [table],
        ).fetchall()
        assert {row[0] for row in rows} == set(postgres_roles.rights_of(table))


def test_an_act_is_resealed_and_nothing_else_of_it(service: Any) -> None:
    service.execute("INSERT INTO acts VALUES (1, 1, 1, 1, 1, 1, NULL, 20260101, 1, 'c', '\\x01')")
    call = "SELECT reseal_act(1, 1, 1, %s, %s)"
    assert service.execute(call, [b"\x02", b"\x03"]).fetchone() == (0,), "it is not what was read"
    assert service.execute(call, [b"\x01", b"\x03"]).fetchone() == (1,)
    row = service.execute("SELECT kind, sealed FROM acts WHERE home = 1").fetchone()
    assert row == (1, b"\x03")
