"""Migrate a database to this release's schema; the only module that uses Alembic and SQLAlchemy at run time.

They are imported only when a database is migrated: a process that merely checks the revision starts half a second
earlier without them and uses 40 MB less memory.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hub.db.database import Database, DatabaseUnavailable, StorageFull
from hub.db.sqlite import SqliteDatabase

if TYPE_CHECKING:
    import sqlite3

    from alembic.config import Config
    from sqlalchemy.engine import Connection

    from hub.db.postgres_server import Address

HEAD = "0005_0001"
"""This release's newest migration; a test compares it with the folder. `works_on` explains the name."""

LOCK_S = 0.5
"""Lock timeout of a migration. While it waits for a table lock, all other sessions queue behind it, and requests time
out after a second. So it gives up before that and tries again.
"""
PATIENCE_S = 20.0
"""For how long a migration keeps trying."""
PAUSE_S = 1.0
_UNKNOWN = 1_000_000
_NEWER = "the database has the schema of a newer release: use that one"
_MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(DatabaseUnavailable):
    """The database does not have this release's schema: run `hub migrate`, or use the release that wrote it."""


class NewerSchema(WrongSchema):
    """A newer release has upgraded the database, and this release is not compatible with its schema."""


class TablesInUse(DatabaseUnavailable):
    """A migration could not get a table lock in time; the migrations that remained were not applied."""


def works_on(revision: str) -> bool:
    """Whether this release can serve a database with this schema revision, its own or a newer one.

    A revision is named by its number and, after an underscore, the oldest revision whose release stays compatible with
    it: a release that knows only `0001` finds all that it needs after `0003_0001`. So its processes can even restart
    between the migration and their own upgrade.
    """
    number, oldest = _numbers(revision)
    return oldest <= _numbers(HEAD)[0] <= number


def _numbers(revision: str) -> tuple[int, int]:
    """(number, oldest compatible number): 0 without tables; higher than any of ours for an unknown name."""
    own, _, oldest = revision.partition("_")
    found = [int(part) if part.isdecimal() else _UNKNOWN for part in (own or "0", oldest or own or "0")]
    return found[0], found[1]


def _config(connection: "Connection | None" = None) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connection(place: "Path | Address") -> "Iterator[Connection]":
    """An SQLAlchemy connection as the user who may change tables."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    if isinstance(place, Path):
        engine = create_engine(f"sqlite:///{place}")
        event.listen(engine, "connect", _without_implicit_begin)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        conninfo = place.conninfo
        import psycopg

        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(conninfo, prepare_threshold=None),
            poolclass=NullPool,
        )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _without_implicit_begin(connection: "sqlite3.Connection", _record: object) -> None:
    """Python's driver would commit each DDL statement separately, and a killed migration would leave half of it."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def head() -> str:
    """The newest migration in the folder."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def migrate(place: "Path | Address") -> bool:
    """Create or upgrade the tables; returns whether anything was done. Two concurrent processes do it once.

    Each migration is atomic, and the service keeps running meanwhile. On a server, also grants the service role its
    rights. Does nothing on a newer schema that this release can work on. Raises NewerSchema, TablesInUse, WrongDatabase
    and DatabaseUnavailable.
    """
    return _migrate_file(place) if isinstance(place, Path) else _migrate_server(place)


def _migrate_file(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".migrate.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and not _is_behind(SqliteDatabase(path).revision()):
            return False
        from alembic import command

        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with _room(), _connection(path) as connection:
            command.upgrade(_config(connection), "head")
        return True
    finally:
        os.close(lock)


def _migrate_server(place: "Address") -> bool:
    from hub.db import postgres_server

    with postgres_server.migration_lock(place) as connection:
        done = _is_behind(postgres_server.revision(connection))
        if done:
            _upgrade_server(place)
        if postgres_server.revision(connection) == HEAD:  # the rights under a newer schema are up to its release
            postgres_server.give_rights(connection, place.service_role)
    return done


def _is_behind(revision: str) -> bool:
    """Whether there is a migration to run; raises NewerSchema if the schema is newer and incompatible."""
    if _is_newer(revision) and not works_on(revision):
        raise NewerSchema(_NEWER)
    return not works_on(revision)


def _is_newer(revision: str) -> bool:
    return _numbers(revision) > _numbers(HEAD)


def _upgrade_server(place: "Address") -> None:
    from alembic import command
    from sqlalchemy.exc import DBAPIError

    from hub.db import postgres_server

    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with _connection(place) as connection:
                connection.exec_driver_sql(f"SET lock_timeout = {round(LOCK_S * 1000)}")
                connection.commit()
                command.upgrade(_config(connection), "head")
            return
        except DBAPIError as error:
            if not postgres_server.is_in_use(error.orig):
                postgres_server.raise_translated(error.orig)
                raise
        if time.monotonic() > until:
            raise TablesInUse("a table was in use all the time: nothing was changed")
        time.sleep(PAUSE_S)


@contextmanager
def _room() -> Iterator[None]:
    """Translate the errors of a full disk and of a locked file."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        if "full" in str(error.orig):
            raise StorageFull("database or disk is full") from None
        if "locked" in str(error.orig):
            raise TablesInUse("the database was in use all the time: nothing was changed") from None
        raise


def require(database: Database) -> None:
    """Require exactly this release's schema, for code that copies whole tables; raises WrongSchema."""
    found = database.revision()
    if _is_newer(found):
        raise NewerSchema(_NEWER)
    if found != HEAD:
        raise WrongSchema("the database has not the schema of this release: run `hub migrate`")


def require_usable(database: Database) -> None:
    """Refuse to serve a database with an incompatible schema; raises WrongSchema."""
    if not works_on(database.revision()):
        require(database)
