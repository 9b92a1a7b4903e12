"""What a generation of the embedded engine is made of: its tables, and entries as rows and words.

Words are numbered by the order of their entry turned round, so that newest first is FTS5's own forward direction: it
stops as soon as a page is full, and skips through the pages of common words to where rare ones are.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from indexer import tokens
from indexer.engine import EntryKey, Mark
from indexer.entry import Entry

_COLUMNS = tuple(f.name for f in fields(Entry))
NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_VALUES = attrgetter(*_COLUMNS)
_FLAGS = ("primary", "ended", "personal")
_INSERT = f"INSERT OR REPLACE INTO entries ({NAMES}, ord) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"  # noqa: S608
_KEYS_AT_ONCE = 300

TABLES = (
    (
        "CREATE TABLE entries (party INTEGER NOT NULL, home INTEGER NOT NULL, certificate INTEGER NOT NULL,"
        ' revision INTEGER NOT NULL, "primary" INTEGER NOT NULL, ended INTEGER NOT NULL, identifier TEXT NOT NULL,'
        " type_code TEXT NOT NULL, authority TEXT NOT NULL, region TEXT NOT NULL, standing INTEGER NOT NULL,"
        " issued_on INTEGER NOT NULL, valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL,"
        " superseded_on INTEGER NOT NULL, organisation TEXT NOT NULL, title TEXT NOT NULL, personal INTEGER NOT NULL,"
        " ord INTEGER NOT NULL, PRIMARY KEY (party, home, certificate)) WITHOUT ROWID"
    ),
    "CREATE TABLE marks (name TEXT NOT NULL PRIMARY KEY, value ANY) WITHOUT ROWID",
    # The ascii tokenizer leaves every Chinese code point alone, also those that came after SQLite's own tables.
    "CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='ascii')",
    # Read from the front until words meet: what is skipped costs a page at a time, so pages are small.
    "INSERT INTO words (words, rank) VALUES ('pgsz', 1000)",
)
# With everything that a search asks for, so that entries which are counted or passed over are not touched.
_ASKED = 'region, standing, issued_on, valid_from, valid_until, superseded_on, personal, "primary", ended'
_LISTED = '"primary" = 1 AND ended = 0'
FOR_ANSWERS = (
    f"CREATE INDEX IF NOT EXISTS by_order ON entries (ord, type_code, authority, {_ASKED}) WHERE {_LISTED}",
    f"CREATE INDEX IF NOT EXISTS by_type ON entries (type_code, ord, authority, {_ASKED}) WHERE {_LISTED}",
    f"CREATE INDEX IF NOT EXISTS by_authority ON entries (authority, ord, type_code, {_ASKED}) WHERE {_LISTED}",
    "INSERT INTO words (words) VALUES ('optimize')",
)
"""What a generation needs only once it answers: made at once of all rows, it costs a fraction of what rows would."""


def entry_of(row: Sequence[Any]) -> Entry:
    """An entry from its NAMES."""
    values = dict(zip(_COLUMNS, row, strict=True))
    return Entry(**{**values, **{name: bool(values[name]) for name in _FLAGS}})


def find(connection: sqlite3.Connection, keys: Collection[EntryKey]) -> dict[EntryKey, Entry]:
    """Those of some entries that there are."""
    wanted, found = list(keys), {}
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        some = wanted[start : start + _KEYS_AT_ONCE]
        marks = ", ".join(["(?, ?, ?)"] * len(some))
        sql = (
            f"WITH k (party, home, certificate) AS (VALUES {marks}) "  # noqa: S608
            f"SELECT {NAMES} FROM k CROSS JOIN entries USING (party, home, certificate)"
        )
        for row in connection.execute(sql, [part for key in some for part in key]):
            found[row[:3]] = entry_of(row)
    return found


def replace(connection: sqlite3.Connection, entries: Iterable[Entry], instead_of: Iterable[Entry]) -> int:
    """Put entries where they are not older than what is there, after taking out those of `instead_of` that are there
    exactly; how many are there now. What is there already is not written again: after a rebuild that is much."""
    seen = set(instead_of)
    there = find(connection, {entry.key for entry in seen})
    gone = [entry for entry in seen if there.get(entry.key) == entry]
    _unlist(connection, gone)
    connection.executemany(
        "DELETE FROM entries WHERE party = ? AND home = ? AND certificate = ?", (entry.key for entry in gone)
    )
    wanted = {entry.key: entry for entry in entries}
    before = find(connection, wanted)
    current = [e for key, e in wanted.items() if key not in before or before[key].revision <= e.revision]
    changed = [entry for entry in current if before.get(entry.key) != entry]
    # All old words go first: a certificate's place in the listing may pass from one holder to another.
    _unlist(connection, (before[entry.key] for entry in changed if entry.key in before))
    connection.executemany(_INSERT, ((*_VALUES(entry), entry.order) for entry in changed))
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", _words(changed))
    return len(current)


def put_marks(connection: sqlite3.Connection, marks: Mapping[str, Mark]) -> None:
    """Set marks; a lower number than what is there is left out."""
    for name, value in marks.items():
        connection.execute(
            "INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            " WHERE typeof(value) <> 'integer' OR excluded.value > value",
            (name, value),
        )


def _unlist(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    connection.executemany("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", _words(entries))


def _words(entries: Iterable[Entry]) -> list[tuple[int, str]]:
    """Rows of `words`, in rising order: FTS5 writes a segment of its own whenever a number is lower than the last."""
    listed = (entry for entry in entries if entry.primary and not entry.ended)
    return sorted((-e.order, f"{_tokens(e.organisation)} {_tokens(e.title)}") for e in listed)


@lru_cache(4096)
def _tokens(text: str) -> str:
    """Types have few titles, and what a body holds is written together."""
    return " ".join(tokens.tokens(text))
