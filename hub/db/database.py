"""What the store and the steps know of a database: readers, one write at a time, and faults in the program's words.

Two engines stand behind this face: `hub.db.sqlite`, one file beside the documents, and `hub.db.postgres`, a
server. Statements are one text for both, with parameters `:name`. On SQLite one writer works at a time. On PostgreSQL
many do, so that whatever is decided inside a `write()` must hang on what its own statements changed (a count of rows,
RETURNING, Duplicate), on a row that is `held`, or must be a `write(exclusive=True)`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

Values = Mapping[str, Any]


class DatabaseUnavailable(Exception):  # noqa: N818
    """The database cannot be read or written now; nothing of the current transaction was kept.

    Of a commit whose answer was lost on the way from a server nobody can tell: whoever asks again finds out.
    """


class StorageFull(DatabaseUnavailable):
    """No room is left where the database lies; nothing of the current transaction was kept."""


class WrongDatabase(DatabaseUnavailable):
    """The database that the settings name will never do as it is; `message` and the text itself say what to change."""

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.message = message


class Duplicate(Exception):  # noqa: N818
    """A row with the same unique key exists; `table` and the columns are in `what`, never the values.

    The transaction is of no more use: leave it. Whoever wants to go on inserts with ON CONFLICT and counts.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Conflict(Exception):  # noqa: N818
    """Optimistic lock lost: what this transaction was prepared from has changed. Rolled back; re-read and retry."""


class LostTurn(Conflict, DatabaseUnavailable):
    """Deadlock or serialisation failure: the server ended this transaction. Rolled back; retry or report it."""


class Row(Protocol):
    """One row, read by column name or place; unpacks like a tuple, and `dict(row)` has its columns."""

    def __getitem__(self, key: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def keys(self) -> Sequence[str]:
        """The names of the columns, in order."""
        ...


class Reader(Protocol):
    """Statements that change nothing. Parameters are named `:name`; rows are read by column name."""

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
        """Execute one statement; how many rows it changed."""
        ...

    def select_for_update(self, sql: str, values: Values, *, shared: bool = False) -> Row | None:
        """The first row of a plain SELECT from one table, locked until this transaction ends.

        shared: other transactions may take the same shared lock; otherwise they wait.
        """
        ...

    def try_lock(self, job: str) -> bool:
        """Whether this transaction got the lock of that name, which it keeps until it ends; never waits."""
        ...

    def insert(self, table: str, row: "Values | NamedTuple") -> None:
        """Insert one row; raises Duplicate when a unique key exists. Column names come from code, never from input."""
        ...

    def insert_many(self, table: str, rows: "Sequence[Values] | Sequence[NamedTuple]") -> None:
        """Insert rows of one type or one set of columns; raises as `insert`, and then has inserted none."""
        ...

    def put_many(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """The same for very many rows, in the fastest way that the engine has."""
        ...


class Database(Protocol):
    """An open database. Safe to share between threads; open it again after a fork."""

    @property
    def reader(self) -> Reader:
        """The calling thread's reader. Each statement sees the newest commit; inside `snapshot()`, that moment."""
        ...

    def snapshot(self) -> AbstractContextManager[Reader]:
        """A reader whose statements all see one moment; never one inside another."""
        ...

    def write(self, *, exclusive: bool = False) -> AbstractContextManager[Writer]:
        """One transaction: kept and flushed to disk when the block ends, gone without trace when it raises.

        exclusive: no other write of this hub is open at the same time, in any process; for rare work that reads first
        and then writes. Nothing is signed, sealed, rendered or waited for inside.
        """
        ...

    def revision(self) -> str:
        """The migration that the database has, empty without tables; raises DatabaseUnavailable."""
        ...

    def why_not_writable(self) -> str | None:
        """Why nothing can be written now as far as can be told without writing, or None; raises DatabaseUnavailable."""
        ...

    def close(self) -> None:
        """Close every connection; the object is not used afterwards."""
        ...


@lru_cache(maxsize=256)
def insertion(table: str, columns: tuple[str, ...]) -> str:
    """The INSERT of one row; names come from code."""
    marks = ", ".join(f":{name}" for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


@lru_cache(maxsize=256)
def positional_insertion(table: str, columns: tuple[str, ...]) -> str:
    """The same for a row whose values come in the order of the columns."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def columns_of(row: "Values | NamedTuple") -> tuple[str, ...]:
    """The columns of a row: the fields of its type, or the keys of a mapping."""
    return row._fields if isinstance(row, tuple) else tuple(row)
