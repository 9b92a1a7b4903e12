"""PostgreSQL: a connection pool, concurrent writers, and no request that waits for a dead server.

Runs the same statements as SQLite: `:name` is translated to `$1` once and cached. A reader borrows a connection for one
autocommitted statement; a snapshot is one REPEATABLE READ transaction; a write is one READ COMMITTED transaction that
takes an advisory lock with its BEGIN: shared, or exclusive for `write(exclusive=True)`.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from hub.db.database import DatabaseUnavailable, Values, columns_of
from hub.db.postgres_pool import Connection, Connections, Limits

LOCKS = 0x68756200
"""The hub's advisory locks are (this, n): 1 for every write, and one more for each job that only one process may do."""
_COPIED = 40
"""From this many rows on, `insert_many` uses COPY."""
_TYPES: dict[tuple[str, tuple[str, ...]], list[int]] = {}
"""Type OIDs of columns, by table; those of built-in types are the same in every database."""
_JOBS = {"sequencer": 2, "migration": 3}
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)

# --- statements and rows ----------------------------------------------------------------------------------------------

_NAMES = re.compile(r"(?<![:\w]):([a-z_]\w*)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def translated(text: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with `$1` in place of `:name`, and the names in order of their numbers.

    Quoted text must not contain a colon before a letter; all statements are our own.
    """
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}"

    return _NAMES.sub(number, text).encode(), tuple(names)


class PostgresRow(tuple[Any, ...]):
    """A row; each set of columns has its own subclass."""

    __slots__ = ()
    places: dict[str, int] = {}  # noqa: RUF012 (set once, by `_row_class`)

    def __getitem__(self, key: Any) -> Any:
        """By name or by position."""
        return tuple.__getitem__(self, self.places[key] if type(key) is str else key)

    def keys(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.places)


@lru_cache(maxsize=1024)
def _row_class(names: tuple[bytes, ...]) -> type[PostgresRow]:
    return type("Row", (PostgresRow,), {"__slots__": (), "places": {name.decode(): n for n, name in enumerate(names)}})


def _rows(cursor: Any) -> Callable[[Sequence[Any]], PostgresRow]:
    result = cursor.pgresult  # `description` would create an object per column
    names = () if result is None else tuple(map(result.fname, range(result.nfields)))
    return _row_class(() if None in names else names)  # columns of a COPY have no names


# --- the interface ----------------------------------------------------------------------------------------------------


def _ask(connections: Connections, connection: Connection, text: str, values: Values | None) -> psycopg.Cursor[Any]:
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
    """Each statement runs on a connection borrowed for it alone."""

    def __init__(self, connections: Connections) -> None:
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

    def __init__(self, connections: Connections, connection: Connection) -> None:
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
    """Statements of one write transaction."""

    engine: Literal["sqlite", "postgresql"] = "postgresql"

    def run(self, sql: str, values: Values | None = None) -> int:
        """Execute one statement; returns how many rows it changed."""
        return _ask(self._connections, self._connection, sql, values).rowcount

    def select_for_update(self, sql: str, values: Values, *, shared: bool = False) -> PostgresRow | None:
        """The first row, locked until this transaction ends."""
        return self.one(f"{sql} FOR {'SHARE' if shared else 'UPDATE'}", values)

    def try_lock(self, job: str) -> bool:
        """Whether the job's lock was free; if so, it is held until the transaction ends, by commit or rollback."""
        row = self.one(f"SELECT pg_try_advisory_xact_lock({LOCKS}, {_JOBS[job]}) AS mine")
        return row is not None and bool(row["mine"])

    def insert(self, table: str, row: "Values | NamedTuple") -> None:
        """Insert one row; raises Duplicate if its unique key exists."""
        self.insert_many(table, [row])

    def insert_many(self, table: str, rows: "Sequence[Values | NamedTuple]") -> None:
        """Insert rows of one type or one set of columns, in one statement; large batches use COPY."""
        if not rows:
            return
        columns = columns_of(rows[0])
        lists = (row if isinstance(row, tuple) else [row[name] for name in columns] for row in rows)
        if len(rows) >= _COPIED:
            self.put_many(table, columns, lists)
            return
        names = [[f"{name}_{n}" for name in columns] for n in range(len(rows))]
        marks = ", ".join(f"(:{', :'.join(row)})" for row in names)
        values = dict(zip(chain.from_iterable(names), chain.from_iterable(lists), strict=True))
        self.run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {marks}", values)  # noqa: S608

    def put_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Binary COPY, which takes half the CPU of INSERT on the server and a fifth of it in this process."""
        names = tuple(columns)
        listed = ", ".join(names)
        if (table, names) not in _TYPES:
            described = _ask(self._connections, self._connection, f"SELECT {listed} FROM {table} LIMIT 0", None)  # noqa: S608
            _TYPES[table, names] = [column.type_code for column in described.description or ()]
        cursor = psycopg.Cursor(self._connection)
        statement = f"COPY {table} ({listed}) FROM STDIN (FORMAT BINARY)".encode()
        with self._connections.asking(self._connection), cursor.copy(statement) as copy:
            copy.set_types(_TYPES[table, names])
            for row in rows:
                copy.write_row(row)


class PostgresDatabase:
    """One database on a server, through a connection pool."""

    def __init__(self, conninfo: str, limits: Limits, role: str | None = None) -> None:
        """role: set for every connection. Does not contact the server before the first statement."""
        self._connections = Connections(conninfo, limits, role, _rows)
        self._reader = PostgresReader(self._connections)
        self._local = threading.local()

    @property
    def reader(self) -> PostgresReader | PostgresTransaction:
        """The calling thread's reader: each statement sees the newest commit, or the open snapshot."""
        return getattr(self._local, "snapshot", None) or self._reader

    @contextmanager
    def snapshot(self) -> Iterator[PostgresTransaction]:
        """A reader whose statements all see the same snapshot."""
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
    def write(self, *, exclusive: bool = False) -> Iterator[PostgresWriter]:
        """One transaction: committed and flushed to disk when the block ends, rolled back when it raises."""
        if getattr(self._local, "writing", False):
            raise RuntimeError("a write() inside a write()")
        lock = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
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
        """PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK instead of an error; raise one here."""
        if self._control(connection, "COMMIT") != "COMMIT":
            raise RuntimeError("a statement had failed, and its transaction was gone on with")

    def _control(self, connection: Connection, text: str) -> str | None:
        """Returns the status of the last command. Several statements go in one message; no rows are needed, so the
        direct libpq call is used, which takes half the time of a cursor.
        """
        with self._connections.asking(connection):
            result = connection.pgconn.exec_(text.encode())
            if result.status not in _DONE:
                raise psycopg.errors.error_from_result(result, connection.info.encoding)
            return None if result.command_status is None else result.command_status.decode()

    def revision(self) -> str:
        """The database's schema revision, empty without tables; raises DatabaseUnavailable."""
        there = self.reader.one("SELECT to_regclass('alembic_version') AS found")
        if there is None or there["found"] is None:
            return ""
        row = self.reader.one("SELECT version_num FROM alembic_version")
        return str(row["version_num"]) if row else ""

    def why_not_writable(self) -> str | None:
        """Says why if the server accepts no writes."""
        row = self.reader.one("SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS only")
        reads = row is not None and (row["standby"] or row["only"] == "on")
        return "the server is read-only: it is a standby, or set to read-only" if reads else None

    def close(self) -> None:
        """Close every connection; the object cannot be used afterwards."""
        self._connections.close()
