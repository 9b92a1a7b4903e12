"""Copy whole tables row by row, whatever they contain: for backups, and from one engine to the other.

Rows are tuples of integers, strings, bytes and None in column order, which mean the same on both engines
(hub.db.tables). Reads page by primary key in small batches, so memory stays bounded; inside one `snapshot()`, all rows
are consistent.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cbor2

from hub.db.database import Reader, Writer
from hub.db.sealed_columns import SEALED

Value = int | str | bytes | None
Row = tuple[Value, ...]
ROWS = 1000
BYTES = 8 * 1024 * 1024
"""A batch holds at most ROWS rows, and ends with the row that brings its sealed values to this size."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table: its columns in order, its primary key, and the columns with large sealed values."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    sealed: tuple[str, ...]

    def key_of(self, row: Row) -> Row:
        """A row's primary key."""
        return tuple(row[self.columns.index(name)] for name in self.key)


@cache
def shapes() -> tuple[Shape, ...]:
    """Every table of this release, in a fixed order."""
    from hub.db.tables import metadata  # imports SQLAlchemy, which nothing else needs at run time

    return tuple(
        Shape(
            table.name,
            tuple(column.name for column in table.columns),
            tuple(column.name for column in table.primary_key.columns),
            tuple(column for label, column, _ in SEALED if label.partition(".")[0] == table.name),
        )
        for table in metadata.sorted_tables
    )


def batches(reader: Reader, shape: Shape, after: Row | None = None) -> Iterator[list[Row]]:
    """All rows after a primary key (or all rows) in key order; no batch is empty."""
    while True:
        rows = batch(reader, shape, after)
        if not rows:
            return
        yield rows
        after = shape.key_of(rows[-1])


def batch(reader: Reader, shape: Shape, after: Row | None) -> list[Row]:
    """The next rows after a primary key, fewer if they are large; empty at the end."""
    where = _past(shape, after)
    values = {f"k{place}": value for place, value in enumerate(after or ())}
    limit = ROWS
    if shape.sealed:
        size = " + ".join(f"coalesce(length({name}), 0)" for name in shape.sealed)
        sizes = reader.all(f"SELECT {size} AS size FROM {shape.name}{where}", {**values, "limit": ROWS})  # noqa: S608
        limit = _how_many([int(row["size"]) for row in sizes])
    columns = ", ".join(shape.columns)
    found = reader.all(f"SELECT {columns} FROM {shape.name}{where}", {**values, "limit": limit})  # noqa: S608
    return [tuple(row) for row in found]


def _past(shape: Shape, after: Row | None) -> str:
    key = ", ".join(shape.key)
    marks = ", ".join(f":k{place}" for place in range(len(shape.key)))
    beyond = "" if after is None else f" WHERE ({key}) > ({marks})"
    return f"{beyond} ORDER BY {key} LIMIT :limit"


def _how_many(sizes: Sequence[int]) -> int:
    total = 0
    for count, size in enumerate(sizes, 1):
        total += size
        if total >= BYTES:
            return count
    return max(1, len(sizes))


def put(writer: Writer, shape: Shape, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """Insert rows unchanged; raises Duplicate if one exists. columns: the order of the rows' values."""
    writer.put_many(shape.name, columns or shape.columns, rows)


class Digest:
    """A table's row count and a hash of its rows in key order: the same on both engines."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()

    def add(self, rows: Sequence[Row]) -> None:
        """Add the next rows."""
        for row in rows:
            self._hash.update(cbor2.dumps(list(row)))
        self.rows += len(rows)

    @property
    def value(self) -> tuple[int, str]:
        """For comparison."""
        return self.rows, self._hash.hexdigest()


def digest(reader: Reader, shape: Shape, progress: Callable[[int], None]) -> tuple[int, str]:
    """The digest of a whole table. progress: called with the number of rows just read."""
    found = Digest()
    for rows in batches(reader, shape):
        found.add(rows)
        progress(len(rows))
    return found.value
