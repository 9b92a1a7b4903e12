"""Bring a database file to this release's schema; the one place where Alembic and SQLAlchemy are used at run time.

They are imported when a file is migrated, not before: a process that only checks the revision starts half a second
earlier without them and stays 40 MB smaller.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hub.store.database import Database, DatabaseUnavailable, StorageFull

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

HEAD = "0001"
"""The newest migration of this release; a test compares it with the folder."""

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
def _connection(path: Path) -> "Iterator[Connection]":
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def head() -> str:
    """The newest migration in the folder."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def migrate(path: Path) -> bool:
    """Create or upgrade the file; whether anything was done. Two processes at once do it once (file lock)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".migrate.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and _revision(path) == HEAD:
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


def _revision(path: Path) -> str:
    """The migration that a file has, empty without tables; raises DatabaseUnavailable where it cannot be read."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):
            return ""
        raise DatabaseUnavailable(str(error)) from None
    return str(row[0]) if row else ""


def require(database: Database) -> None:
    """Refuse to run on another schema; raises WrongSchema."""
    if not database.path.exists() or _revision(database.path) != HEAD:
        raise WrongSchema("the database has not the schema of this release: run `hub migrate`")


def differences(path: Path) -> list[object]:
    """What the migrated file and `tables.py` differ in; a test wants none."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from hub.store.tables import metadata

    with _connection(path) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def new_revision(path: Path, message: str) -> None:
    """Write a migration from the difference between the file and `tables.py`; to be read before use."""
    from alembic import command

    with _connection(path) as connection:
        command.revision(_config(connection), message=message, autogenerate=True)
