"""The tables of a generation of the embedded engine, and entries as rows and words.

The rowid of words is the negated order of their entry, so that newest first is the direction in which FTS5 reads: it
stops as soon as a page is full, and skips through the pages of common words to the rare ones.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from indexer import tokens
from indexer.engine import Mark
from indexer.entry import Entry, EntryKey

NAMES = ", ".join(f'"{name}"' for name in Entry._fields)
_INSERT = f"INSERT OR REPLACE INTO entries ({NAMES}, ord) VALUES ({', '.join('?' * (len(Entry._fields) + 1))})"  # noqa: S608
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
    # Read from the front until all words match; skipping costs a page at a time, so pages are small.
    "INSERT INTO words (words, rank) VALUES ('pgsz', 1000)",
)
# Covering indexes: entries that are only counted or skipped are not read.
_ASKED = 'region, standing, issued_on, valid_from, valid_until, superseded_on, personal, "primary", ended'
_LISTED = '"primary" = 1 AND ended = 0'
FOR_ANSWERS = (
    f"CREATE INDEX IF NOT EXISTS by_order ON entries (ord, type_code, authority, {_ASKED}) WHERE {_LISTED}",
    f"CREATE INDEX IF NOT EXISTS by_type ON entries (type_code, ord, authority, {_ASKED}) WHERE {_LISTED}",
    f"CREATE INDEX IF NOT EXISTS by_authority ON entries (authority, ord, type_code, {_ASKED}) WHERE {_LISTED}",
    "INSERT INTO words (words) VALUES ('optimize')",
)
"""Created before a generation becomes current: building an index from all rows costs a fraction of maintaining it."""


def entry_of(row: Sequence[Any]) -> Entry:
    """An entry from its NAMES; SQLite has no booleans."""
    return Entry._make([*row[:4], bool(row[4]), bool(row[5]), *row[6:-1], bool(row[-1])])


def find(connection: sqlite3.Connection, keys: Collection[EntryKey]) -> dict[EntryKey, Entry]:
    """The entries with these keys that exist."""
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
    """Upsert entries that are not older than the stored ones, after deleting those of `instead_of` that are stored
    exactly like this; returns the number of entries that are stored now. Identical entries are not rewritten: after a
    rebuild there are many."""
    seen = set(instead_of)
    there = find(connection, {entry.key for entry in seen})
    deleted = [entry for entry in seen if there.get(entry.key) == entry]
    _unlist(connection, deleted)
    connection.executemany(
        "DELETE FROM entries WHERE party = ? AND home = ? AND certificate = ?", (entry.key for entry in deleted)
    )
    wanted = {entry.key: entry for entry in entries}
    before = find(connection, wanted)
    current = [e for key, e in wanted.items() if key not in before or before[key].revision <= e.revision]
    changed = [entry for entry in current if before.get(entry.key) != entry]
    # Delete all old words first: a certificate's place in the listing may pass from one holder to another.
    _unlist(connection, (before[entry.key] for entry in changed if entry.key in before))
    connection.executemany(_INSERT, ((*entry, entry.order) for entry in changed))
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", _words(changed))
    return len(current)


def put_marks(connection: sqlite3.Connection, marks: Mapping[str, Mark]) -> None:
    """Set marks; a number lower than the stored one is skipped."""
    for name, value in marks.items():
        connection.execute(
            "INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            " WHERE typeof(value) <> 'integer' OR excluded.value > value",
            (name, value),
        )


def _unlist(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    connection.executemany("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", _words(entries))


def _words(entries: Iterable[Entry]) -> list[tuple[int, str]]:
    """Rows of `words` in ascending order: FTS5 starts another segment whenever a rowid is lower than the last one."""
    listed = (entry for entry in entries if entry.primary and not entry.ended)
    return sorted((-e.order, f"{_tokens(e.organisation)} {_tokens(e.title)}") for e in listed)


@lru_cache(4096)
def _tokens(text: str) -> str:
    """Cached: types have few titles, and an organisation's certificates are often written together."""
    return " ".join(tokens.tokens(text))
