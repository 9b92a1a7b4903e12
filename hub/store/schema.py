"""Bring a database to this release's schema; the one place where Alembic and SQLAlchemy are used at run time.

They are imported when a database is migrated, not before: a process that only checks the revision starts half a second
earlier without them and stays 40 MB smaller.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hub.store.database import Database, DatabaseUnavailable, StorageFull
from hub.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

    from hub.store.server import Address

HEAD = "0001"
"""The newest migration of this release; a test compares it with the folder."""

LOCK_S = 5.0
"""A change of a table waits so long for whoever uses it; longer, and everybody would wait behind it."""
_MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(DatabaseUnavailable):
    """The database has not the schema of this release: run `hub migrate`, or use the release that wrote it."""


def _config(connection: "Connection | None" = None) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connection(place: "Path | Address") -> "Iterator[Connection]":
    """A connection of SQLAlchemy's, as whoever may change tables."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if isinstance(place, Path):
        engine = create_engine(f"sqlite:///{place}")
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


def head() -> str:
    """The newest migration in the folder."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def migrate(place: "Path | Address") -> bool:
    """Create or upgrade the tables; whether anything was done. Two processes at once do it once.

    On a server, also gives the service role its rights. Raises WrongDatabase and DatabaseUnavailable; what another
    transaction holds for longer than LOCK_S ends it, and nothing was done: try again.
    """
    return _migrate_file(place) if isinstance(place, Path) else _migrate_server(place)


def _migrate_file(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".migrate.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and SqliteDatabase(path).revision() == HEAD:
            return False
        from alembic import command

        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with _room(), _connection(path) as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            command.upgrade(_config(connection), "head")
            connection.commit()
        return True
    finally:
        os.close(lock)


def _migrate_server(place: "Address") -> bool:
    from hub.store import server

    with server.alone(place) as connection:
        done = server.revision(connection) != HEAD
        if done:
            from alembic import command
            from sqlalchemy.exc import DBAPIError

            try:
                with _connection(place) as upgrading:
                    upgrading.exec_driver_sql(f"SET lock_timeout = {round(LOCK_S * 1000)}")
                    command.upgrade(_config(upgrading), "head")
                    upgrading.commit()
            except DBAPIError as error:
                server.tell(error.orig)
                raise
        server.give_rights(connection, place.service_role)
    return done


@contextmanager
def _room() -> Iterator[None]:
    """Tell a full disk in our own words."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        if "full" not in str(error.orig):
            raise
        raise StorageFull("database or disk is full") from None


def require(database: Database) -> None:
    """Refuse to run on another schema; raises WrongSchema."""
    if database.revision() != HEAD:
        raise WrongSchema("the database has not the schema of this release: run `hub migrate`")


def differences(place: "Path | Address") -> list[object]:
    """What the migrated database and `tables.py` differ in; a test wants none."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from hub.store.tables import metadata

    with _connection(place) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def new_revision(place: "Path | Address", message: str) -> None:
    """Write a migration from the difference between the database and `tables.py`; to be read before use."""
    from alembic import command

    with _connection(place) as connection:
        command.revision(_config(connection), message=message, autogenerate=True)
