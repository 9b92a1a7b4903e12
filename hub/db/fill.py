"""An empty database is filled, and is then there at once or not at all: for restores, and from one engine to another.

A file is made beside its place and gets its name last. On a server everything is one transaction, in which nobody else
writes; the mark of whoever fills it is put into it with the rows, so that who was killed at the end can tell whether it
came to be.
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
"""For every table the order of the columns, and the rows, some at a time."""


class Filling(Protocol):
    """A database while it is filled."""

    @property
    def reader(self) -> Reader:
        """What has been put so far."""
        ...

    def put(self, shape: Shape, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
        """Insert rows as they are; columns: the order that they have. Raises Duplicate, DatabaseUnavailable."""
        ...

    def write(self) -> AbstractContextManager[Writer]:
        """Other statements; never a `put` inside."""
        ...


class Blank(Protocol):
    """Where a database is to be."""

    @property
    def name(self) -> str:
        """Which one, for people and for comparing; without passwords."""
        ...

    def require_empty(self) -> None:
        """Raise WrongDatabase where there are rows, other tables, or a schema of another release."""
        ...

    def is_filled(self, mark: str) -> bool:
        """Whether a filling with this mark came to its end; raises DatabaseUnavailable where nobody can tell now."""
        ...

    def filling(self, mark: str) -> AbstractContextManager[Filling]:
        """The tables of this release, kept with all that was put into them when the block ends, or not at all.

        mark: letters and digits. Raises WrongDatabase and DatabaseUnavailable; of a server that goes away at the very
        end only `is_filled` tells what became of it.
        """
        ...


def load(filling: Filling, tables: Tables, told: Callable[[int], None]) -> None:
    """Put whole tables, any number of rows in little memory. told: how many rows more there are now."""
    for shape, columns, rows in tables:
        for some in rows:
            filling.put(shape, some, columns)
            told(len(some))


# --- a file -----------------------------------------------------------------------------------------------------------


class _FileFilling:
    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def reader(self) -> Reader:
        return self._database.reader

    def put(self, shape: Shape, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
        """A commit for every batch: nobody knows the file yet."""
        with self._database.write() as writer:
            table_copy.put(writer, shape, rows, columns)

    def write(self) -> AbstractContextManager[Writer]:
        return self._database.write()


class BlankFile:
    """The embedded database; it is made in `staging`, which the caller brings and takes away."""

    def __init__(self, path: Path, staging: Path) -> None:
        self._path = path
        self._staging = staging

    @property
    def name(self) -> str:
        """Of the file."""
        return self._path.name

    def require_empty(self) -> None:
        """The caller looks at the folder."""

    def is_filled(self, mark: str) -> bool:  # noqa: ARG002 (whoever gave the file its name was at the end)
        """Whether the file is there."""
        return self._path.exists()

    @contextmanager
    def filling(self, mark: str) -> Iterator[Filling]:  # noqa: ARG002
        """Renamed at the end; the caller brings the folder's names to the disk."""
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
    """A database of a server; the address names the owner of its tables, as for `hub init`."""

    def __init__(self, place: "Address") -> None:
        self._place = place

    @property
    def name(self) -> str:
        """Host, port and database."""
        return self._place.name

    def require_empty(self) -> None:
        """Tables of this release may be there, if nothing is in them."""
        from hub.db import postgres_server

        postgres_server.require_empty(self._place, schema.HEAD, [shape.name for shape in table_copy.shapes()])

    def is_filled(self, mark: str) -> bool:
        """Waits for a filling whose process was killed and that the server has not ended yet."""
        from hub.db import postgres_server

        return mark != "" and postgres_server.mark_of(self._place) == mark

    @contextmanager
    def filling(self, mark: str) -> Iterator[Filling]:
        """One transaction beside the making of the tables, which does no harm by itself."""
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
    """Where the settings say that the database is; a file is made in `staging`."""
    return BlankFile(place, staging) if isinstance(place, Path) else BlankServer(place)
