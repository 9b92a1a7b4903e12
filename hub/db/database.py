"""The database interface that the rest of the hub uses: readers, write transactions, and errors without engine types.

Two engines implement it: `hub.db.sqlite`, a file in the data directory, and `hub.db.postgres`, a server. Both run the
same SQL text, with parameters `:name`. SQLite has one writer at a time, PostgreSQL many. So every decision inside a
`write()` must depend on what its own statements changed (a row count, RETURNING, Duplicate) or on a row read with
`select_for_update`; otherwise it needs `write(exclusive=True)`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

Values = Mapping[str, Any]


class DatabaseUnavailable(Exception):  # noqa: N818
    """The database cannot be read or written now; the current transaction was rolled back.

    Exception: if the server's reply to a COMMIT was lost, the outcome is unknown. A caller that retries finds out.
    """


class StorageFull(DatabaseUnavailable):
    """The database's disk is full; the current transaction was rolled back."""


class WrongDatabase(DatabaseUnavailable):
    """The configured database cannot be used as it is; `message` and the exception's text say what to change."""

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.message = message


class Duplicate(Exception):  # noqa: N818
    """A row with the same unique key exists. `what` names the table and the columns, never the values.

    The transaction can no longer be used: leave it. To continue after a duplicate, insert with ON CONFLICT and count
    rows.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Conflict(Exception):  # noqa: N818
    """Optimistic lock lost: what this transaction was prepared from has changed. Rolled back; re-read and retry."""


class LostTurn(Conflict, DatabaseUnavailable):
    """Deadlock or serialisation failure: the server aborted this transaction. Rolled back; retry or report it."""


class Row(Protocol):
    """One row, accessed by column name or position; unpacks like a tuple, and `dict(row)` has its columns."""

    def __getitem__(self, key: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def keys(self) -> Sequence[str]:
        """The names of the columns, in order."""
        ...


class Reader(Protocol):
    """Read-only statements. Parameters are named `:name`; rows are accessed by column name."""

    def all(self, sql: str, values: Values | None = None) -> Sequence[Row]:
        """Every row."""
        ...

    def one(self, sql: str, values: Values | None = None) -> Row | None:
        """The first row, or None."""
        ...


class Writer(Reader, Protocol):
    """A reader inside one open write transaction."""

    engine: Literal["sqlite", "postgresql"]

    def run(self, sql: str, values: Values | None = None) -> int:
        """Execute one statement; returns how many rows it changed."""
        ...

    def select_for_update(self, sql: str, values: Values, *, shared: bool = False) -> Row | None:
        """The first row of a plain SELECT from one table, locked until this transaction ends.

        shared: other transactions may hold the same shared lock; without it they wait.
        """
        ...

    def try_lock(self, job: str) -> bool:
        """Try to take the named lock until this transaction ends, without waiting; returns whether it succeeded."""
        ...

    def insert(self, table: str, row: "Values | NamedTuple") -> None:
        """Insert one row; raises Duplicate if its unique key exists. Column names come from code, never from input."""
        ...

    def insert_many(self, table: str, rows: "Sequence[Values] | Sequence[NamedTuple]") -> None:
        """Insert rows of one type or one set of columns; raises as `insert`, having inserted none of them."""
        ...

    def put_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Like `insert_many`, for very many rows: uses the engine's fastest way to load them."""
        ...


class Database(Protocol):
    """An open database. Thread-safe; after a fork, open it again."""

    @property
    def reader(self) -> Reader:
        """The calling thread's reader. Each statement sees the newest commit or, inside `snapshot()`, that snapshot."""
        ...

    def snapshot(self) -> AbstractContextManager[Reader]:
        """A reader whose statements all see the same snapshot; cannot be nested."""
        ...

    def write(self, *, exclusive: bool = False) -> AbstractContextManager[Writer]:
        """One transaction: committed and flushed to disk when the block ends, rolled back when it raises.

        exclusive: the hub has no other write transaction open meanwhile, in any process; for rare work that reads first
        and then writes. Never sign, seal, render or wait inside a transaction.
        """
        ...

    def revision(self) -> str:
        """The database's schema revision, empty without tables; raises DatabaseUnavailable."""
        ...

    def why_not_writable(self) -> str | None:
        """Why the database is not writable, judged without writing, or None; raises DatabaseUnavailable."""
        ...

    def close(self) -> None:
        """Close every connection; the object cannot be used afterwards."""
        ...


@lru_cache(maxsize=256)
def insertion(table: str, columns: tuple[str, ...]) -> str:
    """The INSERT statement for one row; table and column names come from code."""
    marks = ", ".join(f":{name}" for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


@lru_cache(maxsize=256)
def positional_insertion(table: str, columns: tuple[str, ...]) -> str:
    """The same for a row whose values come in the order of the columns."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def columns_of(row: "Values | NamedTuple") -> tuple[str, ...]:
    """The columns of a row: the fields of its type, or the keys of a mapping."""
    return row._fields if isinstance(row, tuple) else tuple(row)
