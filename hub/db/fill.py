"""Fill an empty database atomically, for restores and for moving from one engine to the other.

A file is built in a staging folder and renamed last. On a server, everything is one exclusive transaction; it stores
the caller's mark together with the rows, so that a process that was killed at the end can find out whether it
committed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hub.db import schema, table_copy
from hub.db.database import Database, Reader, StorageFull, Writer
from hub.db.sqlite import SqliteDatabase
from hub.db.table_copy import Row, Shape

if TYPE_CHECKING:
    from hub.db.postgres_server import Address

Tables = Iterator[tuple[Shape, Sequence[str], Iterator[list[Row]]]]
"""For each table, the order of its columns and its rows in batches."""


class Filling(Protocol):
    """A database while it is being filled."""

    @property
    def reader(self) -> Reader:
        """Reads what has been inserted so far."""
        ...

    def put(self, shape: Shape, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
        """Insert rows unchanged; columns: the order of their values. Raises Duplicate, DatabaseUnavailable."""
        ...

    def write(self) -> AbstractContextManager[Writer]:
        """A transaction for other statements; call no `put` inside."""
        ...


class Blank(Protocol):
    """A place for a new database."""

    @property
    def name(self) -> str:
        """Identifies the place, for display and comparison; contains no password."""
        ...

    def require_empty(self) -> None:
        """Raise WrongDatabase if it has rows, foreign tables, or the schema of another release."""
        ...

    def is_filled(self, mark: str) -> bool:
        """Whether a filling with this mark was committed; raises DatabaseUnavailable if that is not known now."""
        ...

    def filling(self, mark: str) -> AbstractContextManager[Filling]:
        """Create this release's tables; they are kept with all inserted rows when the block ends, or not at all.

        mark: letters and digits. Raises WrongDatabase and DatabaseUnavailable; if the server fails during the
        commit, only `is_filled` can tell the outcome.
        """
        ...


def load(filling: Filling, tables: Tables, progress: Callable[[int], None]) -> None:
    """Insert whole tables of any size in bounded memory. progress: called with the number of rows just added."""
    for shape, columns, rows in tables:
        for some in rows:
            filling.put(shape, some, columns)
            progress(len(some))


# --- a file -----------------------------------------------------------------------------------------------------------


class _FileFilling:
    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def reader(self) -> Reader:
        return self._database.reader

    def put(self, shape: Shape, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
        """One commit per batch: nothing else opens this file yet."""
        with self._database.write() as writer:
            table_copy.put(writer, shape, rows, columns)

    def write(self) -> AbstractContextManager[Writer]:
        return self._database.write()


class BlankFile:
    """The embedded database, built in `staging`, a folder that the caller creates and removes."""

    def __init__(self, path: Path, staging: Path) -> None:
        self._path = path
        self._staging = staging

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    def require_empty(self) -> None:
        """Nothing to check: the caller inspects the folder."""

    def is_filled(self, mark: str) -> bool:  # noqa: ARG002 (the rename is the last step)
        """Whether the file exists."""
        return self._path.exists()

    @contextmanager
    def filling(self, mark: str) -> Iterator[Filling]:  # noqa: ARG002
        """Renames the file at the end; the caller syncs the folder."""
        made = self._staging / self._path.name
        schema.migrate(made)
        database = SqliteDatabase(made)
        try:
            yield _FileFilling(database)
        finally:
            database.close()
        if made.with_name(f"{made.name}-wal").exists():
            raise StorageFull("the write-ahead log could not be checkpointed")
        made.rename(self._path)


# --- a server ---------------------------------------------------------------------------------------------------------


class _ServerFilling:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @property
    def reader(self) -> Reader:
        return self._writer

    def put(self, shape: Shape, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
        table_copy.put(self._writer, shape, rows, columns)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        yield self._writer


class BlankServer:
    """A database on a server; the address names the owner of its tables, as for `hub init`."""

    def __init__(self, place: "Address") -> None:
        self._place = place

    @property
    def name(self) -> str:
        """Host, port and database."""
        return self._place.name

    def require_empty(self) -> None:
        """This release's tables may exist if they are empty."""
        from hub.db import postgres_server

        postgres_server.require_empty(self._place, schema.HEAD, [shape.name for shape in table_copy.shapes()])

    def is_filled(self, mark: str) -> bool:
        """Waits while the server still runs the transaction of a filling whose process was killed."""
        from hub.db import postgres_server

        return mark != "" and postgres_server.mark_of(self._place) == mark

    @contextmanager
    def filling(self, mark: str) -> Iterator[Filling]:
        """One transaction, apart from the creation of the tables, which is harmless without it."""
        from hub.db import postgres_server

        schema.migrate(self._place)
        database = postgres_server.opened_as_owner(self._place)
        try:
            with database.write(exclusive=True) as writer:
                postgres_server.require_no_rows(writer, [shape.name for shape in table_copy.shapes()])
                yield _ServerFilling(writer)
                postgres_server.leave_mark(writer, mark)
        finally:
            database.close()
        postgres_server.analyse(self._place)


def blank(place: "Path | Address", staging: Path) -> Blank:
    """The configured place of the database; a file is built in `staging`."""
    return BlankFile(place, staging) if isinstance(place, Path) else BlankServer(place)
