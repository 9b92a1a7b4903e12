"""Whole tables, row by row, without knowing what they mean: for backups, and from one engine to another.

Rows are tuples of integers, texts, bytes and None in the order of the columns, which mean the same on both engines
(hub.db.tables). Reading goes by the primary key in small batches, so that any number of rows needs little memory;
inside one `snapshot()` all of them are of one moment.
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
"""A batch has at most so many rows, and ends with the row that makes its sealed values as large as this."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table: its columns in order, which of them are the primary key, and which hold large sealed values."""

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
    from hub.db.tables import metadata  # brings SQLAlchemy with it, which nothing else needs at run time

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
    """All rows past a primary key (or from the first one) in the order of the keys; no batch is empty."""
    while True:
        rows = batch(reader, shape, after)
        if not rows:
            return
        yield rows
        after = shape.key_of(rows[-1])


def batch(reader: Reader, shape: Shape, after: Row | None) -> list[Row]:
    """The next rows past a primary key, fewer where they are large; empty at the end."""
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
    """Insert rows as they are; raises Duplicate where one is there. columns: the order that the rows have."""
    writer.put_many(shape.name, columns or shape.columns, rows)


class Digest:
    """How many rows a table has and what is in them, in the order of their keys: the same on both engines."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.sha256()

    def add(self, rows: Sequence[Row]) -> None:
        """The next rows."""
        for row in rows:
            self._hash.update(cbor2.dumps(list(row)))
        self.rows += len(rows)

    @property
    def value(self) -> tuple[int, str]:
        """To be compared."""
        return self.rows, self._hash.hexdigest()


def digest(reader: Reader, shape: Shape, told: Callable[[int], None]) -> tuple[int, str]:
    """Of a whole table. told: how many rows more were read."""
    found = Digest()
    for rows in batches(reader, shape):
        found.add(rows)
        told(len(rows))
    return found.value
