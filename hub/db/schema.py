"""Bring a database to this release's schema; the one place where Alembic and SQLAlchemy are used at run time.

They are imported when a database is migrated, not before: a process that only checks the revision starts half a second
earlier without them and stays 40 MB smaller.
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

HEAD = "0001"
"""The newest migration of this release; a test compares it with the folder. See `works_on` for what the name says."""

LOCK_S = 0.5
"""A change of a table waits so long for whoever uses it. Everybody else waits behind it meanwhile, and requests give up
after a second: so it is let go again before, and tried anew.
"""
PATIENCE_S = 20.0
"""So long a migration tries."""
PAUSE_S = 1.0
_NOBODYS = 1_000_000
_NEWER = "the database has the schema of a newer release: use that one"
_MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(DatabaseUnavailable):
    """The database has not the schema of this release: run `hub migrate`, or use the release that wrote it."""


class NewerSchema(WrongSchema):
    """A newer release has upgraded the database, and this one cannot work on it."""


class TablesInUse(DatabaseUnavailable):
    """A migration found no moment in which nobody used a table: of what was not done yet, nothing was changed."""


def works_on(revision: str) -> bool:
    """Whether this release can serve a database with this migration, its own or a newer one.

    The name of a migration is its number and, behind an underscore, that of the oldest one whose release goes on
    working beside it: a release that knows `0001` alone finds all that it needs after `0003_0001`. So its processes may
    even be started again between the migration and their own upgrade.
    """
    number, oldest = _numbers(revision)
    return oldest <= _numbers(HEAD)[0] <= number


def _numbers(revision: str) -> tuple[int, int]:
    """Of no tables 0; of what no release of ours has made, more than any that we know."""
    own, _, oldest = revision.partition("_")
    found = [int(part) if part.isdecimal() else _NOBODYS for part in (own or "0", oldest or own or "0")]
    return found[0], found[1]


def _config(connection: "Connection | None" = None) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connection(place: "Path | Address") -> "Iterator[Connection]":
    """A connection of SQLAlchemy's, as whoever may change tables."""
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
    """Python's driver would keep each change of a table by itself, and a migration that is killed leave half of it."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def head() -> str:
    """The newest migration in the folder."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def migrate(place: "Path | Address") -> bool:
    """Create or upgrade the tables; whether anything was done. Two processes at once do it once.

    Each migration is done as a whole or not at all, while whoever serves goes on. On a server, also gives the service
    role its rights. Nothing is done where a newer release was, as long as this one works on it. Raises NewerSchema,
    TablesInUse, WrongDatabase and DatabaseUnavailable.
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

    with postgres_server.alone(place) as connection:
        done = _is_behind(postgres_server.revision(connection))
        if done:
            _upgrade_server(place)
        if postgres_server.revision(connection) == HEAD:  # what a newer release has given is for it to say
            postgres_server.give_rights(connection, place.service_role)
    return done


def _is_behind(revision: str) -> bool:
    """Whether there is something to do; raises NewerSchema where this release does not know what was done."""
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
                postgres_server.tell(error.orig)
                raise
        if time.monotonic() > until:
            raise TablesInUse("a table was in use all the time: nothing was changed")
        time.sleep(PAUSE_S)


@contextmanager
def _room() -> Iterator[None]:
    """Tell a full disk, and a file that somebody keeps busy, in our own words."""
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
    """Refuse to work on any schema but this release's own, for whoever copies all there is; raises WrongSchema."""
    found = database.revision()
    if _is_newer(found):
        raise NewerSchema(_NEWER)
    if found != HEAD:
        raise WrongSchema("the database has not the schema of this release: run `hub migrate`")


def require_usable(database: Database) -> None:
    """Refuse to serve a database that this release cannot work on; raises WrongSchema."""
    if not works_on(database.revision()):
        require(database)
