"""PostgreSQL as the database: a pool of connections, many writers at once, and no request that waits for a dead server.

The same statements as on SQLite: `:name` becomes `$1` once and is kept. A reader borrows a connection for one
statement, which commits by itself; a snapshot is one REPEATABLE READ transaction; a write is one READ COMMITTED
transaction that takes an advisory lock with its BEGIN: shared, or exclusive for `write(exclusive=True)`.
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
"""Advisory locks of the hub are (this, n): 1 every write, beyond that one for each job that only one may do."""
_COPIED = 40
"""From so many rows on `insert_many` copies them."""
_TYPES: dict[tuple[str, tuple[str, ...]], list[int]] = {}
"""Of columns, by table; the engine's own numbers, which are the same in every database."""
_JOBS = {"sequencer": 2, "migration": 3}
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)

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
def _row_class(names: tuple[bytes, ...]) -> type[PostgresRow]:
    return type("Row", (PostgresRow,), {"__slots__": (), "places": {name.decode(): n for n, name in enumerate(names)}})


def _rows(cursor: Any) -> Callable[[Sequence[Any]], PostgresRow]:
    result = cursor.pgresult  # of which `description` would make an object a column
    names = () if result is None else tuple(map(result.fname, range(result.nfields)))
    return _row_class(() if None in names else names)  # what is copied has columns without names


# --- the face ---------------------------------------------------------------------------------------------------------


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
    """Statements on a connection of their own each."""

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
    """The statements of one write."""

    engine: Literal["sqlite", "postgresql"] = "postgresql"

    def run(self, sql: str, values: Values | None = None) -> int:
        """Execute one statement; how many rows it changed."""
        return _ask(self._connections, self._connection, sql, values).rowcount

    def select_for_update(self, sql: str, values: Values, *, shared: bool = False) -> PostgresRow | None:
        """The first row, which nobody else changes until this transaction ends."""
        return self.one(f"{sql} FOR {'SHARE' if shared else 'UPDATE'}", values)

    def try_lock(self, job: str) -> bool:
        """Whether nobody else does this job now; it is ours until the transaction ends, however it does."""
        row = self.one(f"SELECT pg_try_advisory_xact_lock({LOCKS}, {_JOBS[job]}) AS mine")
        return row is not None and bool(row["mine"])

    def insert(self, table: str, row: "Values | NamedTuple") -> None:
        """Insert one row; raises Duplicate when a unique key exists."""
        self.insert_many(table, [row])

    def insert_many(self, table: str, rows: "Sequence[Values | NamedTuple]") -> None:
        """Insert rows of one type or one set of columns, in one statement; many of them are copied."""
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
        """COPY in binary, which takes half the CPU of INSERT on the server and a fifth of it here."""
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
    """One database of a server, through a pool of connections."""

    def __init__(self, conninfo: str, limits: Limits, role: str | None = None) -> None:
        """role: what every connection works as. Nothing is asked before the first statement."""
        self._connections = Connections(conninfo, limits, role, _rows)
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
    def write(self, *, exclusive: bool = False) -> Iterator[PostgresWriter]:
        """One transaction: kept and flushed to disk when the block ends, gone without trace when it raises."""
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
        """The COMMIT of a transaction in which a statement has failed is answered with ROLLBACK, and no error."""
        if self._control(connection, "COMMIT") != "COMMIT":
            raise RuntimeError("a statement had failed, and its transaction was gone on with")

    def _control(self, connection: Connection, text: str) -> str | None:
        """What the server says was done last. Several statements are one message; no rows come back that matter, so
        the protocol's own call does, in half the time of a cursor's."""
        with self._connections.asking(connection):
            result = connection.pgconn.exec_(text.encode())
            if result.status not in _DONE:
                raise psycopg.errors.error_from_result(result, connection.info.encoding)
            return None if result.command_status is None else result.command_status.decode()

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
