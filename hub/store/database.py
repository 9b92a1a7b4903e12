"""The embedded database: one SQLite file, many readers, one writer at a time across processes.

Reads run on a connection of the calling thread. A write holds an advisory file lock, then BEGIN IMMEDIATE: with the
lock a queue of writers waits in order instead of polling. The only BEGIN and COMMIT of the program are here. Nothing is
signed, sealed, rendered or waited for while a `write()` is open.
"""

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Row = sqlite3.Row
Values = Mapping[str, Any]

_BUSY_S = 5.0
_LOOK_S = 1.0
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
    # 40 MB of log before it is moved into the file: ten times rarer than by default, and a page that is written again
    # and again is then moved once (measured: 1.4 against 2.0 ms of a push).
    "PRAGMA wal_autocheckpoint=10000",
)


class DatabaseUnavailable(Exception):  # noqa: N818
    """The database cannot be read or written now; nothing of the current transaction was kept."""


class StorageFull(DatabaseUnavailable):
    """No room is left where the database lies; nothing of the current transaction was kept."""


class Duplicate(Exception):  # noqa: N818
    """A row with the same unique key exists; `table` and the columns are in `what`, never the values."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Raced(Exception):  # noqa: N818
    """Somebody changed meanwhile what this transaction was prepared from; nothing was kept: read and do it again."""


class _Faults:
    """Engine errors in the program's own words, without values. A class, for it stands around every statement."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            known = _in_our_words(error)
            if known is not None:
                raise known from None


_FAULTS = _Faults()


def _in_our_words(error: sqlite3.Error) -> Exception | None:
    """What a caller can do something about; None for a fault of the program, which is left as it is."""
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        known = "UNIQUE" in text or "PRIMARY KEY" in text
        return Duplicate(text.partition(": ")[2]) if known else None
    if isinstance(error, sqlite3.OperationalError):
        if "full" in text or error.sqlite_errorname == "SQLITE_IOERR_SHMSIZE":  # no room for the log's index either
            return StorageFull("database or disk is full")
        if any(word in text for word in ("syntax", "no such", "has no column")):
            return None
    return DatabaseUnavailable(text) if isinstance(error, sqlite3.DatabaseError) else None


class Reader:
    """One connection's statements. Parameters are named `:name`; rows are read by column name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self, sql: str, values: Values | None = None) -> list[Row]:
        """Every row."""
        with _FAULTS:
            return self._connection.execute(sql, values or {}).fetchall()

    def one(self, sql: str, values: Values | None = None) -> Row | None:
        """The first row, or None."""
        with _FAULTS:
            row: Row | None = self._connection.execute(sql, values or {}).fetchone()
            return row


class Writer(Reader):
    """A reader inside the one open write transaction."""

    def run(self, sql: str, values: Values | None = None) -> int:
        """Execute one statement; how many rows it changed."""
        with _FAULTS:
            return self._connection.execute(sql, values or {}).rowcount

    def insert(self, table: str, values: Values) -> None:
        """Insert one row; raises Duplicate when a unique key exists. Column names come from code, never from input."""
        columns = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self.run(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608

    def insert_many(self, table: str, rows: Sequence[Values]) -> None:
        """Insert rows that share one set of columns."""
        if rows:
            columns = ", ".join(rows[0])
            marks = ", ".join(f":{name}" for name in rows[0])
            with _FAULTS:
                self._connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608


_Inode = tuple[int, int] | None


def _inode(path: str) -> _Inode:
    try:
        found = os.stat(path)  # noqa: PTH116 (at every write; Path.stat takes three times as long)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Database:
    """The open database file. Safe to share between threads; open it again after a fork.

    Whoever takes the file or its logs away while it is open, or puts others in their place, is noticed: at every write,
    and by readers within a second. Otherwise the engine would go on, and acknowledge what is lost with the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        self._looked_at = float("-inf")

    @property
    def reader(self) -> Reader:
        """The calling thread's reader. Each statement sees the newest commit."""
        found: Reader | None = getattr(self._local, "reader", None)
        if found is None:
            found = Reader(self._connect())
            self._local.reader = found
        elif time.monotonic() - self._looked_at > _LOOK_S:
            self._require_file()
            self._looked_at = time.monotonic()
        return found

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """A reader whose statements all see one moment."""
        reader = self.reader
        with _FAULTS:
            reader._connection.execute("BEGIN")  # noqa: SLF001
        try:
            yield reader
        finally:
            with suppress(sqlite3.Error):
                reader._connection.execute("COMMIT")  # noqa: SLF001

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """One transaction: kept and flushed to disk when the block ends, gone without trace when it raises."""
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
                yield Writer(connection)
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
        found = _inode(self._file_path)
        self._file = self._file or found
        if found is None or found != self._file:
            raise DatabaseUnavailable("the database file was taken away or replaced while it was open: start again")

    def _require_logs(self) -> None:
        """Inside a transaction, when the logs exist."""
        logs = tuple(map(_inode, self._log_paths))
        self._logs = self._logs or logs
        if self._logs != logs:
            raise DatabaseUnavailable("the database's log was taken away while it was open: start again")

    def close(self) -> None:
        """Close every connection; the object is not used afterwards."""
        for connection in self._opened:
            with suppress(sqlite3.Error):
                connection.close()
        self._opened.clear()
        self._writer = None
        self._local = threading.local()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
