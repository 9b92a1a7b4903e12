"""PostgreSQL connection pool with time limits, so that a dead server does not block the hub.

While the server is unavailable, a caller waits for `wait_s` at most; then all callers fail immediately for a moment, so
that requests do not pile up. The pool reconnects on its own. If the network drops packets silently, a statement is
given up after `statement_s`.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from hub.db.database import DatabaseUnavailable, Duplicate, LostTurn, StorageFull

Connection = psycopg.Connection[Any]

_DOWN_S = 0.5
"""After a wait for a connection has failed, all callers fail immediately for this long."""
_GRACE_S = 0.2
"""How much longer than the server's statement timeout a statement may take before its connection is closed."""
_CHECK_EVERY_S = 0.05
_A_WHILE_S = 0.3
_PREPARED = 500
_DEAD_PEERS = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""For callers that may wait for minutes: TCP keepalives detect a dead host within 11 s."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds, and the number of connections per process.

    wait_s: for a free connection; statement_s: statement timeout; lock_s: lock timeout; connect_s: for the server to
    answer a new connection.
    """

    connections: int = 10
    wait_s: float = 1.0
    statement_s: float = 1.2
    lock_s: float = 1.1
    connect_s: float = 5.0

    @property
    def options(self) -> str:
        """The parameters that a session starts with."""
        statement, lock = round(self.statement_s * 1000), round(self.lock_s * 1000)
        idle = round((self.statement_s + self.lock_s) * 10_000)
        return (
            f"-c statement_timeout={statement} -c lock_timeout={lock} -c idle_in_transaction_session_timeout={idle}"
            " -c client_encoding=UTF8 -c default_transaction_isolation=read\\ committed"
        )


_pool_log = logging.getLogger("psycopg")
_pool_log.addHandler(logging.NullHandler())
_pool_log.propagate = False  # the hub logs these events itself


# --- errors -----------------------------------------------------------------------------------------------------------


class _Faults:
    """Translate driver errors into ours, without values. A class, because it wraps every statement."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, psycopg.Error):
            known = translated(error)
            if known is not None:
                raise known from None


_FAULTS = _Faults()
_FULL = (errors.DiskFull, errors.OutOfMemory)
_OF_THE_PROGRAM = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    errors.RaiseException,
)


def translated(error: psycopg.Error) -> Exception | None:
    """The error that a caller can handle, or None for a programming error, which propagates unchanged."""
    if isinstance(error, errors.UniqueViolation):
        return Duplicate(f"{error.diag.table_name}: {error.diag.constraint_name}")
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
        return LostTurn("two transactions waited for each other")
    if isinstance(error, _FULL):
        return StorageFull("the database server is out of disk space")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return DatabaseUnavailable("the server is read-only: it is a standby, or set to read-only")
    if isinstance(error, errors.LockNotAvailable):
        return DatabaseUnavailable("timed out waiting for a lock")
    if isinstance(error, errors.QueryCanceled):
        return DatabaseUnavailable("statement timeout")
    if isinstance(error, _OF_THE_PROGRAM):
        return None
    return DatabaseUnavailable("the database server did not answer")


def _configure(connection: Connection) -> None:
    """Send every integer as BIGINT and every string as TEXT: one query plan per statement, whatever the values are."""
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_dumper(str, StrBinaryDumper)
    connection.prepared_max = _PREPARED


# --- connections ------------------------------------------------------------------------------------------------------


class _Watch:
    """Shuts down connections whose reply is overdue: a network that drops packets reports no error.

    A server that does not even report a statement timeout answers no other request either: callers that have waited for
    a while fail together with the first one, and new callers fail immediately.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.down_until = float("-inf")
        self.busy: dict[Connection, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_CHECK_EVERY_S):
            now = time.monotonic()
            waiting = list(self.busy.items())
            if any(now - since > self._limit_s for _, since in waiting):
                self.down_until = now + _DOWN_S
                for connection, since in waiting:
                    if now - since > min(_A_WHILE_S, self._limit_s):
                        _cut(connection)

    def close(self) -> None:
        self._stop.set()


def _cut(connection: Connection) -> None:
    """Make the thread that waits for this connection fail."""
    with suppress(OSError, psycopg.Error):
        duplicate = socket.socket(fileno=socket.dup(connection.fileno()))
        with duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


def _is_lost(connection: Connection) -> bool:
    """Whether the server closed an idle connection or left unread data in it; in both cases, discard it."""
    if connection.closed:
        return True
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error):
        return True


class Connections:
    """The pool, and the limits that keep a dead server from blocking callers."""

    def __init__(self, conninfo: str, limits: Limits, role: str | None, row_factory: Any) -> None:
        self._limits = limits
        self.watch = _Watch(limits.statement_s + _GRACE_S)
        options = limits.options + (f" -c role={role}" if role else "")
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo,
            kwargs={
                "autocommit": True,
                "options": options,
                "cursor_factory": psycopg.RawCursor,
                "row_factory": row_factory,
                "connect_timeout": max(2, round(limits.connect_s)),
                "prepare_threshold": 3,
                **_DEAD_PEERS,
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
        """Borrow a connection that works, as far as one can tell without a round trip."""
        connection = self._take()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _take(self) -> Connection:
        if time.monotonic() < self.watch.down_until:
            raise DatabaseUnavailable("the database server was unreachable a moment ago")
        deadline = time.monotonic() + self._limits.wait_s
        while True:
            try:
                connection = self._pool.getconn(deadline - time.monotonic())
            except PoolTimeout:
                self.watch.down_until = time.monotonic() + _DOWN_S
                raise DatabaseUnavailable("no connection to the database server") from None
            except PoolClosed:
                raise DatabaseUnavailable("the database was closed") from None
            if not _is_lost(connection):
                return connection
            connection.close()
            self._pool.putconn(connection)

    @contextmanager
    def asking(self, connection: Connection) -> Iterator[None]:
        """Wraps every statement: enforces its deadline and translates its errors."""
        busy = self.watch.busy
        busy[connection] = time.monotonic()
        try:
            with _FAULTS:
                yield
        except errors.FeatureNotSupported:  # a cached plan older than a migration: reconnect
            connection.close()
            raise DatabaseUnavailable("the tables have just changed") from None
        finally:
            busy.pop(connection, None)

    def close(self) -> None:
        """Close all idle connections, and the others when they are returned."""
        self.watch.close()
        self._pool.close(timeout=2.0)
