"""PostgreSQL as the database: a pool of connections, many writers at once, and no request that waits for a dead server.

The same statements as on SQLite: `:name` becomes `$1` once and is kept. A reader borrows a connection for one
statement, which commits by itself; a snapshot is one REPEATABLE READ transaction; a write is one READ COMMITTED
transaction that takes an advisory lock with its BEGIN: shared, or exclusive for `write(alone=True)`.

Who asks while the server is away waits once, for `wait_s` at most; then everybody is told at once for a moment, so that
nothing piles up. The pool finds the server again by itself.
"""

import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from hub.store.database import (
    DatabaseUnavailable,
    Duplicate,
    LostTurn,
    StorageFull,
    Values,
    insertion,
)

Connection = psycopg.Connection[Any]

LOCKS = 0x68756200
"""Advisory locks of the hub are (this, n): 1 every write, beyond that one for each job that only one may do."""
_JOBS = {"sequencer": 2, "migration": 3}
_DOWN_S = 0.5
"""After a wait that was in vain, nobody else waits for so long."""
_GRACE_S = 0.2
"""How much longer than the server's own limit a statement may take before its connection is cut."""
_LOOK_EVERY_S = 0.1
_PREPARED = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and how many connections one process may have.

    wait_s: for a connection; statement_s: for one statement; lock_s: for what another transaction holds; connect_s: for
    the server to answer at the start.
    """

    connections: int = 10
    wait_s: float = 1.0
    statement_s: float = 1.5
    lock_s: float = 1.4
    connect_s: float = 5.0

    @property
    def options(self) -> str:
        """What a session is told when it begins."""
        statement, lock = round(self.statement_s * 1000), round(self.lock_s * 1000)
        idle = round((self.statement_s + self.lock_s) * 10_000)
        return (
            f"-c statement_timeout={statement} -c lock_timeout={lock} -c idle_in_transaction_session_timeout={idle}"
            " -c client_encoding=UTF8 -c default_transaction_isolation=read\\ committed"
        )


_pool_log = logging.getLogger("psycopg")
_pool_log.addHandler(logging.NullHandler())
_pool_log.propagate = False  # what it has to say, the hub says in its own way


# --- faults -----------------------------------------------------------------------------------------------------------


class _Faults:
    """Engine errors in the program's own words, without values. A class, for it stands around every statement."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, psycopg.Error):
            known = in_our_words(error)
            if known is not None:
                raise known from None


_FAULTS = _Faults()
_FULL = (errors.DiskFull, errors.OutOfMemory)
_OF_THE_PROGRAM = (psycopg.ProgrammingError, psycopg.DataError, psycopg.IntegrityError, errors.RaiseException)


def in_our_words(error: psycopg.Error) -> Exception | None:
    """What a caller can do something about; None for a fault of the program, which is left as it is."""
    if isinstance(error, errors.UniqueViolation):
        return Duplicate(f"{error.diag.table_name}: {error.diag.constraint_name}")
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
        return LostTurn("two transactions waited for each other")
    if isinstance(error, _FULL):
        return StorageFull("the database server has no room left")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return DatabaseUnavailable("the server takes no writes: it is a standby, or was made read-only")
    if isinstance(error, errors.LockNotAvailable):
        return DatabaseUnavailable("another transaction held what was needed for too long")
    if isinstance(error, errors.QueryCanceled):
        return DatabaseUnavailable("a statement took too long")
    if isinstance(error, _OF_THE_PROGRAM):
        return None
    return DatabaseUnavailable("the database server did not answer")


# --- statements and rows ----------------------------------------------------------------------------------------------

_NAMES = re.compile(r"(?<![:\w]):([a-z_]\w*)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def translated(text: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement with `$1` in place of `:name`, and the names in the order of their numbers.

    Text in quotes must hold no colon before a letter; all statements are ours.
    """
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}"

    return _NAMES.sub(number, text).encode(), tuple(names)


class PostgresRow(tuple[Any, ...]):
    """A row; there is one subclass for every set of columns."""

    __slots__ = ()
    places: dict[str, int] = {}  # noqa: RUF012 (set once, by `_row_class`)

    def __getitem__(self, key: Any) -> Any:
        """By name, or by place."""
        return tuple.__getitem__(self, self.places[key] if type(key) is str else key)

    def keys(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.places)


@lru_cache(maxsize=1024)
def _row_class(names: tuple[str, ...]) -> type[PostgresRow]:
    return type("Row", (PostgresRow,), {"__slots__": (), "places": {name: n for n, name in enumerate(names)}})


def _rows(cursor: Any) -> Callable[[Sequence[Any]], PostgresRow]:
    columns = cursor.description
    return _row_class(tuple(column.name for column in columns) if columns else ())


def _configure(connection: Connection) -> None:
    """Every integer travels as BIGINT and every text as TEXT: one plan a statement, whatever the values are."""
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_dumper(str, StrBinaryDumper)
    connection.prepared_max = _PREPARED


# --- connections ------------------------------------------------------------------------------------------------------


class _Watch:
    """Cuts connections on which an answer is overdue: a network that swallows everything tells nobody."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.busy: dict[Connection, float] = {}
        self.cut: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            now = time.monotonic()
            for connection, since in list(self.busy.items()):
                if now - since > self.limit_s:
                    _cut(connection)

    def close(self) -> None:
        self._stop.set()


def _cut(connection: Connection) -> None:
    """Whoever waits for this connection is told that it is lost."""
    with suppress(OSError, psycopg.Error):
        duplicate = socket.socket(fileno=socket.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


def _is_lost(connection: Connection) -> bool:
    """Whether the server has closed an idle connection, or left a message in it: either way it is not used again."""
    if connection.closed:
        return True
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error):
        return True


class _Connections:
    """The pool, and what keeps a dead server from holding anybody up."""

    def __init__(self, conninfo: str, limits: Limits, role: str | None) -> None:
        self._limits = limits
        self._down_until = float("-inf")
        self.watch = _Watch(limits.statement_s + _GRACE_S)
        options = limits.options + (f" -c role={role}" if role else "")
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo,
            kwargs={
                "autocommit": True,
                "options": options,
                "cursor_factory": psycopg.RawCursor,
                "row_factory": _rows,
                "connect_timeout": max(2, round(limits.connect_s)),
                "prepare_threshold": 3,
            },
            configure=_configure,
            min_size=1,
            max_size=limits.connections,
            timeout=limits.wait_s,
            reconnect_timeout=5.0,
            num_workers=2,
            open=True,
        )

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection that works, as far as can be told without asking the server."""
        connection = self._take()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _take(self) -> Connection:
        if time.monotonic() < self._down_until:
            raise DatabaseUnavailable("the database server was not there a moment ago")
        deadline = time.monotonic() + self._limits.wait_s
        while True:
            try:
                connection = self._pool.getconn(deadline - time.monotonic())
            except PoolTimeout:
                self._down_until = time.monotonic() + _DOWN_S
                raise DatabaseUnavailable("there is no connection to the database server") from None
            except PoolClosed:
                raise DatabaseUnavailable("the database was closed") from None
            if not _is_lost(connection):
                return connection
            connection.close()
            self._pool.putconn(connection)

    @contextmanager
    def asking(self, connection: Connection) -> Iterator[None]:
        """Around every statement: it ends in time, and in our words."""
        busy = self.watch.busy
        busy[connection] = started = time.monotonic()
        try:
            with _FAULTS:
                yield
        except DatabaseUnavailable:
            if time.monotonic() - started > self.watch.limit_s:
                self._down_until = time.monotonic() + _DOWN_S
            raise
        finally:
            busy.pop(connection, None)

    def close(self) -> None:
        self.watch.close()
        self._pool.close(timeout=2.0)


# --- the face ---------------------------------------------------------------------------------------------------------


def _ask(connections: _Connections, connection: Connection, text: str, values: Values | None) -> psycopg.Cursor[Any]:
    statement, names = translated(text)
    cursor = connection.cursor(binary=True)
    with connections.asking(connection):
        if not names:
            cursor.execute(statement)
        else:
            given = values or {}
            cursor.execute(statement, [given[name] for name in names])
    return cursor


class PostgresReader:
    """Statements on a connection of their own each."""

    def __init__(self, connections: _Connections) -> None:
        self._connections = connections

    def all(self, sql: str, values: Values | None = None) -> list[PostgresRow]:
        """Every row."""
        with self._connections.lent() as connection:
            return _ask(self._connections, connection, sql, values).fetchall()

    def one(self, sql: str, values: Values | None = None) -> PostgresRow | None:
        """The first row, or None."""
        with self._connections.lent() as connection:
            row: PostgresRow | None = _ask(self._connections, connection, sql, values).fetchone()
            return row


class PostgresTransaction:
    """Statements of one transaction."""

    def __init__(self, connections: _Connections, connection: Connection) -> None:
        self._connections = connections
        self._connection = connection

    def all(self, sql: str, values: Values | None = None) -> list[PostgresRow]:
        """Every row."""
        return _ask(self._connections, self._connection, sql, values).fetchall()

    def one(self, sql: str, values: Values | None = None) -> PostgresRow | None:
        """The first row, or None."""
        row: PostgresRow | None = _ask(self._connections, self._connection, sql, values).fetchone()
        return row


class PostgresWriter(PostgresTransaction):
    """The statements of one write."""

    engine: Literal["sqlite", "postgresql"] = "postgresql"

    def run(self, sql: str, values: Values | None = None) -> int:
        """Execute one statement; how many rows it changed."""
        return _ask(self._connections, self._connection, sql, values).rowcount

    def held(self, sql: str, values: Values, *, shared: bool = False) -> PostgresRow | None:
        """The first row, which nobody else changes until this transaction ends."""
        return self.one(f"{sql} FOR {'SHARE' if shared else 'UPDATE'}", values)

    def is_mine(self, job: str) -> bool:
        """Whether nobody else does this job now; it is ours until the transaction ends, however it does."""
        row = self.one(f"SELECT pg_try_advisory_xact_lock({LOCKS}, {_JOBS[job]}) AS mine")
        return row is not None and bool(row["mine"])

    def insert(self, table: str, values: Values) -> None:
        """Insert one row; raises Duplicate when a unique key exists."""
        self.run(insertion(table, tuple(values)), values)

    def insert_many(self, table: str, rows: Sequence[Values]) -> None:
        """Insert rows that share one set of columns, in one statement; there must be fewer than 65,536 values."""
        if not rows:
            return
        columns = tuple(rows[0])
        marks = ", ".join(f"({', '.join(f':{name}_{n}' for name in columns)})" for n in range(len(rows)))
        values = {f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in columns}
        self.run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {marks}", values)  # noqa: S608


class PostgresDatabase:
    """One database of a server, through a pool of connections."""

    def __init__(self, conninfo: str, limits: Limits, role: str | None = None) -> None:
        """role: what every connection works as. Nothing is asked before the first statement."""
        self._connections = _Connections(conninfo, limits, role)
        self._reader = PostgresReader(self._connections)
        self._local = threading.local()

    @property
    def reader(self) -> PostgresReader | PostgresTransaction:
        """The calling thread's reader: each statement sees the newest commit, or that of the open snapshot."""
        return getattr(self._local, "snapshot", None) or self._reader

    @contextmanager
    def snapshot(self) -> Iterator[PostgresTransaction]:
        """A reader whose statements all see one moment."""
        if getattr(self._local, "snapshot", None) is not None:
            raise RuntimeError("a snapshot() inside a snapshot()")
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            reader = PostgresTransaction(self._connections, connection)
            self._local.snapshot = reader
            try:
                yield reader
            finally:
                self._local.snapshot = None

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[PostgresWriter]:
        """One transaction: kept and flushed to disk when the block ends, gone without trace when it raises."""
        if getattr(self._local, "writing", False):
            raise RuntimeError("a write() inside a write()")
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        with self._transaction(f"BEGIN; SELECT {lock}({LOCKS}, 1)") as connection:
            self._local.writing = True
            try:
                yield PostgresWriter(self._connections, connection)
            finally:
                self._local.writing = False

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with self._connections.lent() as connection:
            try:
                self._control(connection, begin)
                yield connection
                self._commit(connection)
            except BaseException:
                with suppress(psycopg.Error, DatabaseUnavailable):
                    if connection.info.transaction_status is not TransactionStatus.IDLE:
                        self._control(connection, "ROLLBACK")
                raise

    def _commit(self, connection: Connection) -> None:
        """The server answers the COMMIT of a transaction in which a statement has failed with ROLLBACK, and no error."""
        if self._control(connection, "COMMIT") != "COMMIT":
            raise RuntimeError("a statement had failed, and its transaction was gone on with")

    def _control(self, connection: Connection, text: str) -> str | None:
        """What the server says was done last; without parameters several statements are one message."""
        with self._connections.asking(connection):
            return psycopg.Cursor(connection).execute(text.encode(), prepare=False).statusmessage

    def revision(self) -> str:
        """The migration that the database has, empty without tables; raises DatabaseUnavailable."""
        there = self.reader.one("SELECT to_regclass('alembic_version') AS found")
        if there is None or there["found"] is None:
            return ""
        row = self.reader.one("SELECT version_num FROM alembic_version")
        return str(row["version_num"]) if row else ""

    def why_not_writable(self) -> str | None:
        """Whether the server takes writes."""
        row = self.reader.one("SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS only")
        reads = row is not None and (row["standby"] or row["only"] == "on")
        return "the server takes no writes: it is a standby, or was made read-only" if reads else None

    def close(self) -> None:
        """Close every connection; the object is not used afterwards."""
        self._connections.close()
