"""The embedded database: one SQLite file, many readers, one writer at a time across processes.

Reads use the calling thread's connection. A write takes an advisory file lock before BEGIN IMMEDIATE, so that writers
queue in order instead of polling. All BEGIN and COMMIT statements for SQLite are here. Never sign, seal, render or wait
inside a `write()`.
"""

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hub.db import migrated_marker
from hub.db.database import (
    DatabaseUnavailable,
    Duplicate,
    StorageFull,
    Values,
    columns_of,
    insertion,
    positional_insertion,
)

_BUSY_S = 5.0
_CHECK_S = 1.0
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
)


class _Faults:
    """Translate driver errors into ours, without values. A class, because it wraps every statement."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            known = _translated(error)
            if known is not None:
                raise known from None


_FAULTS = _Faults()


def _translated(error: sqlite3.Error) -> Exception | None:
    """The error that a caller can handle, or None for a programming error, which propagates unchanged."""
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        known = "UNIQUE" in text or "PRIMARY KEY" in text
        return Duplicate(text.partition(": ")[2]) if known else None
    if isinstance(error, sqlite3.OperationalError):
        if "full" in text or error.sqlite_errorname == "SQLITE_IOERR_SHMSIZE":  # no room for the WAL index
            return StorageFull("database or disk is full")
        if any(word in text for word in ("syntax", "no such", "has no column")):
            return None
    return DatabaseUnavailable(text) if isinstance(error, sqlite3.DatabaseError) else None


class SqliteReader:
    """Statements on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self, sql: str, values: Values | None = None) -> list[sqlite3.Row]:
        """Every row."""
        with _FAULTS:
            return self._connection.execute(sql, values or {}).fetchall()

    def one(self, sql: str, values: Values | None = None) -> sqlite3.Row | None:
        """The first row, or None."""
        with _FAULTS:
            row: sqlite3.Row | None = self._connection.execute(sql, values or {}).fetchone()
            return row


class SqliteWriter(SqliteReader):
    """Statements of the one open write transaction, which locks the whole database."""

    engine: Literal["sqlite", "postgresql"] = "sqlite"

    def run(self, sql: str, values: Values | None = None) -> int:
        """Execute one statement; returns how many rows it changed."""
        with _FAULTS:
            return self._connection.execute(sql, values or {}).rowcount

    def select_for_update(self, sql: str, values: Values, *, shared: bool = False) -> sqlite3.Row | None:  # noqa: ARG002
        """The first row; there is no other writer."""
        return self.one(sql, values)

    def try_lock(self, job: str) -> bool:  # noqa: ARG002
        """True; there is no other writer."""
        return True

    def insert(self, table: str, row: "Values | NamedTuple") -> None:
        """Insert one row; raises Duplicate if its unique key exists."""
        self.insert_many(table, [row])

    def insert_many(self, table: str, rows: "Sequence[Values | NamedTuple]") -> None:
        """Insert rows of one type or one set of columns."""
        if rows:
            text = (positional_insertion if isinstance(rows[0], tuple) else insertion)(table, columns_of(rows[0]))
            with _FAULTS:
                self._connection.executemany(text, rows)

    def put_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert very many rows."""
        with _FAULTS:
            self._connection.executemany(positional_insertion(table, tuple(columns)), rows)


_Inode = tuple[int, int] | None


def _inode(path: str) -> _Inode:
    try:
        found = os.stat(path)  # noqa: PTH116 (at every write; Path.stat takes three times as long)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class SqliteDatabase:
    """The open database file. Thread-safe; after a fork, open it again.

    Detects that the file, its WAL or its shared memory was removed or replaced while open: at every write, and within a
    second on reads. Otherwise the engine would keep acknowledging writes that are lost with the process.
    """

    def __init__(self, path: Path, *, migrating: bool = False) -> None:
        """migrating: only for the command that moves the database to a server."""
        self.path = path
        self._moved = None if migrating else str(migrated_marker.path_of(path))
        self._local = threading.local()
        self._writing = threading.Lock()
        self._writing_thread = 0
        self._opened: list[sqlite3.Connection] = []
        self._lock_file: int | None = None
        self._writer: sqlite3.Connection | None = None
        self._file_path = str(path)
        self._file: _Inode = None
        self._logs: tuple[_Inode, ...] = ()
        self._log_paths = [f"{path}-wal", f"{path}-shm"]
        self._checked_at = float("-inf")

    @property
    def reader(self) -> SqliteReader:
        """The calling thread's reader. Each statement sees the newest commit."""
        found: SqliteReader | None = getattr(self._local, "reader", None)
        if found is None:
            found = SqliteReader(self._connect())
            self._local.reader = found
        elif time.monotonic() - self._checked_at > _CHECK_S:
            self._require_file()
            self._checked_at = time.monotonic()
        return found

    @contextmanager
    def snapshot(self) -> Iterator[SqliteReader]:
        """A reader whose statements all see the same snapshot."""
        reader = self.reader
        with _FAULTS:
            reader._connection.execute("BEGIN")  # noqa: SLF001
        try:
            yield reader
        finally:
            with suppress(sqlite3.Error):
                reader._connection.execute("COMMIT")  # noqa: SLF001

    @contextmanager
    def write(self, *, exclusive: bool = False) -> Iterator[SqliteWriter]:  # noqa: ARG002 (SQLite has one writer)
        """One transaction: committed and flushed to disk when the block ends, rolled back when it raises."""
        if self._writing_thread == threading.get_ident():
            raise RuntimeError("a write() inside a write()")
        with self._writing, self._process_lock():
            self._writing_thread = threading.get_ident()
            try:
                if self._writer is None:
                    self._writer = self._connect()
                connection = self._writer
                with _FAULTS:
                    connection.execute("BEGIN IMMEDIATE")
                self._require_file()
                self._require_logs()
                yield SqliteWriter(connection)
                with _FAULTS:
                    connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._writer is not None and self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                raise
            finally:
                self._writing_thread = 0

    @contextmanager
    def _process_lock(self) -> Iterator[None]:
        try:
            if self._lock_file is None:
                lock_path = self.path.with_name(self.path.name + ".lock")
                self._lock_file = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        except OSError as error:
            kind = StorageFull if error.errno == errno.ENOSPC else DatabaseUnavailable
            raise kind("the database's lock file cannot be opened") from None
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise DatabaseUnavailable("the database file is missing: run `hub init`")
        with _FAULTS:
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            connection.row_factory = sqlite3.Row
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        self._opened.append(connection)
        self._require_file()
        return connection

    def _require_file(self) -> None:
        if self._moved is not None and os.path.exists(self._moved):  # noqa: PTH110 (at every write)
            migrated_marker.require_not(self.path)
        found = _inode(self._file_path)
        self._file = self._file or found
        if found is None or found != self._file:
            raise DatabaseUnavailable("the database file was removed or replaced while open: restart the process")

    def _require_logs(self) -> None:
        """Call inside a transaction, when the WAL files exist."""
        logs = tuple(map(_inode, self._log_paths))
        self._logs = self._logs or logs
        if self._logs != logs:
            raise DatabaseUnavailable("the write-ahead log was removed while open: restart the process")

    def revision(self) -> str:
        """The file's schema revision, empty without tables or file; raises DatabaseUnavailable."""
        if not self.path.exists():
            return ""
        try:
            with closing(sqlite3.connect(self.path)) as connection:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError as error:
            if "no such table" in str(error):
                return ""
            raise DatabaseUnavailable(str(error)) from None
        return str(row[0]) if row else ""

    def why_not_writable(self) -> str | None:
        """Says why if file permissions forbid writing the file or its folder."""
        may = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        return None if may else "the database is not writable"

    def close(self) -> None:
        """Close every connection; the object cannot be used afterwards."""
        for connection in self._opened:
            with suppress(sqlite3.Error):
                connection.close()
        self._opened.clear()
        self._writer = None
        self._local = threading.local()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
