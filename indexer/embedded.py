"""The embedded engine: SQLite FTS5, one file for every generation, the one in use named by the file `current`.

One writer (the feeder), any number of reading threads and processes. A reader looks at `current` at every question, so
that a swap reaches it at once. All faults are DirectoryUnavailable: whoever asks then asks the repository.
"""

import os
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from indexer import tokens
from indexer.entry import Entry
from indexer.query import FACET_SAMPLE, MAX_LIMIT, Page, Search, region_prefix, state_of

_COLUMNS = tuple(f.name for f in fields(Entry))
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_NAME = re.compile(r"g[0-9]{1,12}")
_TABLES = (
    (
        "CREATE TABLE entries (party INTEGER NOT NULL, home INTEGER NOT NULL, certificate INTEGER NOT NULL,"
        ' revision INTEGER NOT NULL, "primary" INTEGER NOT NULL, ended INTEGER NOT NULL, identifier TEXT NOT NULL,'
        " type_code TEXT NOT NULL, authority TEXT NOT NULL, region TEXT NOT NULL, standing INTEGER NOT NULL,"
        " issued_on INTEGER NOT NULL, valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL,"
        " superseded_on INTEGER NOT NULL, organisation TEXT NOT NULL, title TEXT NOT NULL, personal INTEGER NOT NULL,"
        " ord INTEGER NOT NULL, PRIMARY KEY (party, home, certificate)) WITHOUT ROWID"
    ),
    'CREATE INDEX by_order ON entries (ord) WHERE "primary" = 1 AND ended = 0',
    'CREATE INDEX by_type ON entries (type_code, ord) WHERE "primary" = 1 AND ended = 0',
    'CREATE INDEX by_authority ON entries (authority, ord) WHERE "primary" = 1 AND ended = 0',
    # The ascii tokenizer leaves every Chinese code point alone, also those that came after SQLite's own tables.
    "CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='ascii')",
)
_STANDS = "e.standing IN (1, 4) AND e.superseded_on > :today AND e.valid_until >= :today"
_STATES = {
    "revoked": "e.standing = 3",
    "superseded": "e.standing <> 3 AND e.superseded_on <= :today",
    "expired": "e.standing <> 3 AND e.superseded_on > :today AND e.valid_until < :today",
    "suspended": "e.standing = 2 AND e.superseded_on > :today AND e.valid_until >= :today",
    "not_yet": f"{_STANDS} AND e.valid_from > :today",
    "valid": f"{_STANDS} AND e.valid_from <= :today",
}


class DirectoryUnavailable(Exception):  # noqa: N818
    """The directory cannot answer or be written now; nothing is lost, for the repository has everything."""


class EmbeddedDirectory:
    """Every generation in one folder. Safe to share between threads; open it again after a fork."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()

    # --- generations --------------------------------------------------------------------------------------------------

    def current(self) -> str | None:
        """The generation that answers, None before the first."""
        try:
            name = (self._folder / "current").read_text().strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DirectoryUnavailable(str(error)) from None
        return name if _NAME.fullmatch(name) else None

    def names(self) -> list[str]:
        """Every generation on disk, oldest first."""
        if not self._folder.is_dir():
            return []
        found = (path.stem for path in self._folder.glob("g*.db") if _NAME.fullmatch(path.stem))
        return sorted(found, key=lambda name: int(name[1:]))

    def create(self) -> str:
        """A new, empty generation; its name. It answers nothing until `swap`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = self.names()
        name = f"g{int(names[-1][1:]) + 1 if names else 1}"
        with _faults(), self._open(name, "rwc") as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            for statement in _TABLES:
                connection.execute(statement)
        (self._folder / f"{name}.db").chmod(0o600)
        return name

    def swap(self, name: str) -> None:
        """Let a generation answer from now on, at once and for every process."""
        draft = self._folder / f".current.{os.getpid()}"
        draft.write_text(name + "\n")
        draft.replace(self._folder / "current")

    def drop(self, name: str) -> None:
        """Delete a generation that does not answer."""
        if name == self.current():
            raise ValueError("the generation in use cannot be dropped")
        for suffix in ("", "-wal", "-shm"):
            (self._folder / f"{name}.db{suffix}").unlink(missing_ok=True)

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(self, name: str, entries: Iterable[Entry]) -> int:
        """Write whole entries in one commit; how many. One with a lower revision than what is there is left out.

        When it returns they are searchable, but not yet safe from a power cut: the cursor is what is safe.
        """
        written = 0
        with _faults(), self._open(name, "rw") as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                # What ends goes first, so that a certificate's place in the listing is free for its next holder.
                for entry in sorted(entries, key=lambda e: not e.ended):
                    written += _put(connection, entry)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        return written

    # --- questions ----------------------------------------------------------------------------------------------------

    def of_party(self, party: int, type_codes: Sequence[str]) -> list[Entry]:
        """What a party holds of some types, in no order that counts."""
        marks = ", ".join(f":type{n}" for n in range(len(type_codes)))
        values = {"party": party, **{f"type{n}": code for n, code in enumerate(type_codes)}}
        sql = f"SELECT {_NAMES} FROM entries WHERE party = :party AND ended = 0 AND type_code IN ({marks})"  # noqa: S608
        with _faults():
            return [_entry(row) for row in self._reader().execute(sql, values)]

    def search(self, search: Search) -> Page:
        """One page; facets on the first page only."""
        limit = min(search.limit, MAX_LIMIT)
        wanted = max(limit + 1, FACET_SAMPLE + 1) if search.before is None else limit + 1
        found = self._matches(search, wanted)
        entries = tuple(found[:limit])
        following = entries[-1].order if len(found) > limit else None
        facets = _facets(found[:FACET_SAMPLE], search.today) if search.before is None else {}
        return Page(entries, following, facets, sampled=len(found) > FACET_SAMPLE)

    def _matches(self, search: Search, limit: int) -> list[Entry]:
        words = search.tokens
        if search.text and not words:
            return []
        where, values = _conditions(search)
        names = ", ".join(f'e."{name}"' for name in _COLUMNS)
        if words:
            values["phrase"] = '"' + " ".join(words) + '"'
            source = "words JOIN entries e ON e.ord = words.rowid"
            where = ["words MATCH :phrase", *where]
            place = "words.rowid"
        else:
            source, place = "entries e", "e.ord"
        if search.before is not None:
            where.append(f"{place} < :before")
            values["before"] = search.before
        sql = f"SELECT {names} FROM {source} WHERE {' AND '.join(where)} ORDER BY {place} DESC LIMIT :limit"  # noqa: S608
        with _faults():
            rows = self._reader().execute(sql, {**values, "limit": limit}).fetchall()
        return [_entry(row) for row in rows]

    def walk(self, name: str, after: tuple[int, int, int], limit: int) -> list[Entry]:
        """The next entries of a generation in the order of their keys: how two of them are compared."""
        values = {"party": after[0], "home": after[1], "certificate": after[2], "limit": limit}
        sql = (
            f"SELECT {_NAMES} FROM entries WHERE (party, home, certificate) > (:party, :home, :certificate)"  # noqa: S608
            " ORDER BY party, home, certificate LIMIT :limit"
        )
        with _faults(), self._open(name, "ro") as connection:
            return [_entry(row) for row in connection.execute(sql, values)]

    def find(self, name: str, key: tuple[int, int, int]) -> Entry | None:
        """One entry of a generation."""
        values = {"party": key[0], "home": key[1], "certificate": key[2]}
        sql = f"SELECT {_NAMES} FROM entries WHERE party = :party AND home = :home AND certificate = :certificate"  # noqa: S608
        with _faults(), self._open(name, "ro") as connection:
            row = connection.execute(sql, values).fetchone()
        return None if row is None else _entry(row)

    def count(self, name: str) -> int:
        """How many entries a generation has, ended ones too."""
        with _faults(), self._open(name, "ro") as connection:
            return int(connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0])

    def _reader(self) -> sqlite3.Connection:
        name = self.current()
        if name is None:
            raise DirectoryUnavailable("there is no generation yet")
        held: tuple[str, sqlite3.Connection] | None = getattr(self._local, "reader", None)
        if held is None or held[0] != name:
            if held is not None:
                held[1].close()
            held = (name, self._connect(name, "ro"))
            self._local.reader = held
        return held[1]

    @contextmanager
    def _open(self, name: str, mode: str) -> Iterator[sqlite3.Connection]:
        connection = self._connect(name, mode)
        try:
            yield connection
        finally:
            connection.close()

    def _connect(self, name: str, mode: str) -> sqlite3.Connection:
        if not _NAME.fullmatch(name):
            raise ValueError("not the name of a generation")
        address = f"{(self._folder / name).absolute().as_uri()}.db?mode={mode}"
        return sqlite3.connect(address, uri=True, isolation_level=None, timeout=5, check_same_thread=False)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise DirectoryUnavailable(str(error)) from None


def _put(connection: sqlite3.Connection, entry: Entry) -> int:
    key = dict(zip(("party", "home", "certificate"), entry.key, strict=True))
    sql = f"SELECT {_NAMES} FROM entries WHERE party = :party AND home = :home AND certificate = :certificate"  # noqa: S608
    row = connection.execute(sql, key).fetchone()
    before = None if row is None else _entry(row)
    if before is not None and before.revision > entry.revision:
        return 0
    if before is not None and _is_listed(before):
        values = (before.order, _text(before))
        connection.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", values)
    marks = ", ".join("?" * (len(_COLUMNS) + 1))
    values_of = (*(int(v) if isinstance(v, bool) else v for v in astuple(entry)), entry.order)
    connection.execute(f"INSERT OR REPLACE INTO entries ({_NAMES}, ord) VALUES ({marks})", values_of)  # noqa: S608
    if _is_listed(entry):
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (entry.order, _text(entry)))
    return 1


def _is_listed(entry: Entry) -> bool:
    return entry.primary and not entry.ended


def _text(entry: Entry) -> str:
    return " ".join(tokens.tokens(entry.text))


def _entry(row: Sequence[Any]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Entry(**{**values, **{name: bool(values[name]) for name in ("primary", "ended", "personal")}})


def _conditions(search: Search) -> tuple[list[str], dict[str, Any]]:
    where = ['e."primary" = 1', "e.ended = 0"]
    values: dict[str, Any] = {"today": search.today}
    for name in ("type_code", "authority", "party"):
        if getattr(search, name) not in {"", None}:
            where.append(f"e.{name} = :{name}")
            values[name] = getattr(search, name)
    if search.region:
        where.append("substr(e.region, 1, :region_length) = :region")
        values["region"] = region_prefix(search.region)
        values["region_length"] = len(values["region"])
    for name, sign, day in (("issued_from", ">=", search.issued_from), ("issued_to", "<=", search.issued_to)):
        if day is not None:
            where.append(f"e.issued_on {sign} :{name}")
            values[name] = day
    if search.state:
        where.append(_STATES[search.state])
    owners = {f"owner{n}": code for n, code in enumerate(sorted(search.persons_of))}
    where.append(f"(e.personal = 0 OR e.authority IN ({', '.join(f':{name}' for name in owners)}))")
    return where, {**values, **owners}


def _facets(entries: Sequence[Entry], today: int) -> dict[str, dict[str, int]]:
    found = {
        "type_code": Counter(entry.type_code for entry in entries),
        "authority_code": Counter(entry.authority for entry in entries),
        "region": Counter(entry.region for entry in entries),
        "state": Counter(state_of(entry, today) for entry in entries),
    }
    return {name: dict(counts.most_common()) for name, counts in found.items()}
