"""PostgreSQL: a whole write as one statement with writable CTEs, applied completely or not at all.

All parts of such a statement see the same snapshot, not each other's effects, and fail silently: an INSERT that loses
an ON CONFLICT returns no row, and an UPDATE or DELETE that matches nothing does not stop the other parts. So each part
depends on the rows that the guard before it returned, the statement returns the counts, and `write` names the first
part that fell short.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hub.db.database import Values, Writer

MAY_BE_NULL = {
    "certificates": {"valid_until": "INTEGER", "superseded_on": "INTEGER", "organisation": "TEXT"},
    "versions": {"valid_until": "INTEGER", "superseded_on": "INTEGER"},
    "holdings": {"valid_until": "INTEGER", "superseded_on": "INTEGER"},
    "acts": {"subkind": "TEXT"},
    "handles": {"receipt": "TEXT"},
    "cases": {
        **dict.fromkeys(("completed_at", "objected_at"), "BIGINT"),
        **dict.fromkeys(("opened_by", "clerk"), "TEXT"),
        "decided": "SMALLINT",
    },
    "pushes": {"reply": "BYTEA"},
    "audit": {
        **dict.fromkeys(("clerk", "source", "case_number", "request"), "TEXT"),
        **dict.fromkeys(("party", "home", "certificate"), "BIGINT"),
    },
}
"""Column types, for columns whose first value may be NULL, from which PostgreSQL cannot infer the type."""
_MOST = 30_000
"""Most parameters in one statement; the protocol allows 65,535."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A part that must return one row; `{before}` in its text is the condition that the guard before it has held."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows of one type, whose fields are the columns; may be empty.

    guards: existing rows are skipped without an error, and the parts after it are written only if none existed.
    """

    table: str
    rows: Sequence[NamedTuple]
    name: str = ""
    guards: bool = False

    @property
    def shape(self) -> "Shape":
        """What the statement's text depends on."""
        return Shape(self.name or self.table, self.table, self.rows[0]._fields, len(self.rows), self.guards)


@dataclass(frozen=True, slots=True)
class Shape:
    """An Insert without its values; `name` identifies it in the result."""

    name: str
    table: str
    columns: tuple[str, ...]
    rows: int
    guards: bool

    @property
    def marks(self) -> Iterator[list[str]]:
        """The parameter names, row by row."""
        return ([f"{self.name}_{n}_{column}" for column in self.columns] for n in range(self.rows))


def suits(writer: Writer, rows: int) -> bool:
    """Whether this many rows of any table can be written as one statement."""
    return writer.engine == "postgresql" and rows * 20 < _MOST


def write(writer: Writer, parts: Sequence[Guard | Insert], values: Values) -> str | None:
    """Write all parts in order; returns the name of the first that fell short, in which case leave the transaction.

    values: the guards' parameters. Raises Duplicate for an Insert that is no guard.
    """
    used = [part for part in parts if isinstance(part, Guard) or part.rows]
    shapes = tuple(part if isinstance(part, Guard) else part.shape for part in used)
    text, wanted = _statement(shapes)
    given = dict(values)
    for part, shape in zip(used, shapes, strict=True):
        if isinstance(part, Insert) and isinstance(shape, Shape):
            for names, row in zip(_names(shape), part.rows, strict=True):
                given.update(zip(names, row, strict=True))
    found = writer.one(text, given)
    if found is None:
        raise RuntimeError("a statement that counts has returned nothing")
    return next((name for name, count in wanted.items() if found[name] != count), None)


@lru_cache(maxsize=1024)
def _names(shape: Shape) -> list[list[str]]:
    return list(shape.marks)


@lru_cache(maxsize=1024)
def _statement(parts: tuple[Guard | Shape, ...]) -> tuple[str, Mapping[str, int]]:
    """The text, and how many rows each part must return."""
    before, texts, wanted = "TRUE", [], {}
    for part in parts:
        text = part.text if isinstance(part, Guard) else _insertion(part)
        wanted[part.name] = count = 1 if isinstance(part, Guard) else part.rows
        texts.append(f"{part.name}_done AS ({text.replace('{before}', before)})")
        if isinstance(part, Guard) or part.guards:
            before = f"(SELECT COUNT(*) FROM {part.name}_done) = {count}"  # noqa: S608 (names are ours)
    counts = ", ".join(f"(SELECT COUNT(*) FROM {name}_done) AS {name}" for name in wanted)  # noqa: S608
    return f"WITH {', '.join(texts)} SELECT {counts}", wanted


def _insertion(shape: Shape) -> str:
    types = MAY_BE_NULL.get(shape.table, {})
    rows = [[f":{name}" for name in names] for names in shape.marks]
    rows[0] = [
        f"CAST({mark} AS {types[column]})" if column in types else mark
        for mark, column in zip(rows[0], shape.columns, strict=True)
    ]
    values, columns = ", ".join(f"({', '.join(row)})" for row in rows), ", ".join(shape.columns)
    return (
        f"INSERT INTO {shape.table} ({columns}) SELECT * FROM (VALUES {values}) AS v WHERE {{before}}"  # noqa: S608
        f"{' ON CONFLICT DO NOTHING' if shape.guards else ''} RETURNING 1"
    )
