"""The embedded engine: SQLite FTS5, one file for every generation, the one in use named by the file `current`.

Any number of writers (one at a time) and of reading threads and processes. A file knows how far in the feed it has
come: its marks are written in the commit of the entries that they speak of, so a file that was lost, cut short by a
power failure or put back from a backup says so itself. All faults are DirectoryUnavailable: whoever asks then asks the
repository. Who asks several questions that belong together names the generation in each.
"""

import os
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from indexer import tokens
from indexer.entry import Entry
from indexer.query import FACET_SAMPLE, MAX_LIMIT, Page, Search, region_prefix, state

_COLUMNS = tuple(f.name for f in fields(Entry))
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_TEXT = ("organisation", "title")
_COUNTED = ("type_code", "authority", "region", "standing", "valid_from", "valid_until", "superseded_on")
_VALUES = attrgetter(*_COLUMNS)
_INSERT = f"INSERT OR REPLACE INTO entries ({_NAMES}, ord) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"  # noqa: S608
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}
_READ_WAIT_S = 0.25
_WRITE_WAIT_S = 5.0
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
    "CREATE TABLE marks (name TEXT NOT NULL PRIMARY KEY, value ANY) WITHOUT ROWID",
    # The ascii tokenizer leaves every Chinese code point alone, also those that came after SQLite's own tables.
    "CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='ascii')",
)
Mark = int | str
"""A value beside the entries; a number only ever grows."""
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


class DirectoryBroken(DirectoryUnavailable):
    """A generation is gone or its file is no directory: it will not come back, and another one takes its place."""


class EmbeddedDirectory:
    """Every generation in one folder. Safe to share between threads; open it again after a fork."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._local = threading.local()

    # --- generations --------------------------------------------------------------------------------------------------

    def current(self) -> str | None:
        """The generation that answers, None before the first."""
        try:
            name = (self.folder / "current").read_text().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise DirectoryUnavailable(str(error)) from None
        return name if _NAME.fullmatch(name) else None

    def names(self) -> list[str]:
        """Every generation on disk, oldest first."""
        if not self.folder.is_dir():
            return []
        found = (path.stem for path in self.folder.glob("g*.db") if _NAME.fullmatch(path.stem))
        return sorted(found, key=lambda name: int(name[1:]))

    def create(self, marks: Mapping[str, Mark] | None = None) -> str:
        """A new, empty generation with these marks; its name. It answers nothing until `swap`."""
        with _faults():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = self.names()
            name = f"g{int(names[-1][1:]) + 1 if names else 1}"
            for suffix in ("-wal", "-shm"):  # of a file that was taken away under its users
                (self.folder / f"{name}.db{suffix}").unlink(missing_ok=True)
            with self._open(name, "rwc") as connection:
                (self.folder / f"{name}.db").chmod(0o600)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE")
                for statement in _TABLES:
                    connection.execute(statement)
                _put_marks(connection, marks or {})
                connection.execute("COMMIT")
        return name

    def swap(self, name: str) -> None:
        """Let a generation answer from now on, at once and for every process."""
        draft = self.folder / f".current.{os.getpid()}"
        with _faults():
            with draft.open("w") as file:
                file.write(name + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / "current")

    def drop(self, name: str) -> None:
        """Delete a generation that does not answer."""
        if name == self.current():
            raise ValueError("the generation in use cannot be dropped")
        with _faults():
            for suffix in ("", "-wal", "-shm"):
                (self.folder / f"{name}.db{suffix}").unlink(missing_ok=True)

    def examine(self, name: str) -> None:
        """Read a generation's whole file; raises DirectoryBroken when it is not sound."""
        with _faults(), self._open(name, "ro") as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DirectoryBroken("the file is damaged")

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(
        self,
        name: str,
        entries: Iterable[Entry],
        marks: Mapping[str, Mark] | None = None,
        instead_of: Iterable[Entry] = (),
    ) -> int:
        """Write whole entries and marks in one commit; how many entries. A lower revision than what is there is left
        out, and so is a lower number for a mark. Entries of `instead_of` are taken out first, where they are still
        exactly this.

        When it returns they are searchable, but perhaps not safe from a power cut: then the marks are the older ones
        too, and whoever feeds begins there.
        """
        with _faults(), self._writing(name) as connection:
            for seen in instead_of:
                if _find(connection, seen.key) == seen:
                    _unlist(connection, seen)
                    connection.execute("DELETE FROM entries WHERE party = ? AND home = ? AND certificate = ?", seen.key)
            newer = [(before, entry) for before, entry in _paired(connection, entries) if _is_newer(before, entry)]
            # All old words go first: a certificate's place in the listing may pass from one holder to another.
            for before, _ in newer:
                _unlist(connection, before)
            connection.executemany(_INSERT, ((*_VALUES(entry), entry.order) for _, entry in newer))
            # In rising order, for FTS5 writes a segment of its own whenever a number is lower than the one before.
            for _, entry in sorted(newer, key=lambda pair: pair[1].order):
                _enlist(connection, entry)
            _put_marks(connection, marks or {})
        return len(newer)

    # --- questions ----------------------------------------------------------------------------------------------------

    def mark(self, name: str, mark: str) -> Mark | None:
        """One of a generation's marks, None where it was never set."""
        with _faults():
            row = self._reader(name).execute("SELECT value FROM marks WHERE name = ?", (mark,)).fetchone()
        return None if row is None else row[0]

    def of_party(self, name: str, party: int, type_codes: Sequence[str], today: int) -> list[Entry]:
        """What a party holds of some types on a day (yyyymmdd), in no order that counts."""
        marks = ", ".join(f":type{n}" for n in range(len(type_codes)))
        values = {"party": party, "today": today, **{f"type{n}": code for n, code in enumerate(type_codes)}}
        sql = (
            f"SELECT {_NAMES} FROM entries WHERE party = :party AND (ended = 0 OR superseded_on > :today)"  # noqa: S608
            f" AND type_code IN ({marks})"
        )
        with _faults():
            return [_entry(row) for row in self._reader(name).execute(sql, values)]

    def search(self, name: str, search: Search) -> Page:
        """One page; facets on the first page only."""
        limit = min(search.limit, MAX_LIMIT)
        if search.text and not search.tokens:
            return Page((), None)
        entries = [_entry(row) for row in self._matches(name, search, _COLUMNS, limit + 1)]
        following = entries[limit - 1].order if len(entries) > limit else None
        if search.before is not None:
            return Page(tuple(entries[:limit]), following)
        if following is None:
            sample = [attrgetter(*_COUNTED)(entry) for entry in entries]
        else:
            sample = self._matches(name, search, _COUNTED, FACET_SAMPLE + 1)
        facets = _facets(sample[:FACET_SAMPLE], search.today)
        return Page(tuple(entries[:limit]), following, facets, sampled=len(sample) > FACET_SAMPLE)

    def _matches(self, name: str, search: Search, columns: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """Some columns of the newest entries that match."""
        words = search.tokens
        where, values = _conditions(search)
        source, place = "entries e", "e.ord"
        if words and search.party is None:
            values["phrase"] = '"' + " ".join(words) + '"'
            source, place = "words JOIN entries e ON e.ord = words.rowid", "words.rowid"
            where = ["words MATCH :phrase", *where]
        if search.before is not None:
            where.append(f"{place} < :before")
            values["before"] = search.before
        is_sieved = bool(words) and search.party is not None  # words has one holder a certificate; a party has few
        wanted = ", ".join(f'e."{column}"' for column in (*columns, *(_TEXT if is_sieved else ())))
        sql = f"SELECT {wanted} FROM {source} WHERE {' AND '.join(where)} ORDER BY {place} DESC LIMIT :limit"  # noqa: S608
        with _faults():
            rows = self._reader(name).execute(sql, {**values, "limit": -1 if is_sieved else limit}).fetchall()
        if is_sieved:
            rows = [row for row in rows if tokens.matches(words, " ".join(row[-len(_TEXT) :]).strip())]
        return [row[: len(columns)] for row in rows[:limit]]

    def walk(self, name: str, after: tuple[int, int, int], limit: int) -> list[Entry]:
        """The next entries of a generation in the order of their keys: how two of them are compared."""
        values = {"party": after[0], "home": after[1], "certificate": after[2], "limit": limit}
        sql = (
            f"SELECT {_NAMES} FROM entries WHERE (party, home, certificate) > (:party, :home, :certificate)"  # noqa: S608
            " ORDER BY party, home, certificate LIMIT :limit"
        )
        with _faults():
            return [_entry(row) for row in self._reader(name).execute(sql, values)]

    def find(self, name: str, key: tuple[int, int, int]) -> Entry | None:
        """One entry of a generation."""
        with _faults():
            return _find(self._reader(name), key)

    def count(self, name: str) -> int:
        """How many entries a generation has, ended ones too."""
        with _faults():
            return int(self._reader(name).execute("SELECT COUNT(*) FROM entries").fetchone()[0])

    # --- connections --------------------------------------------------------------------------------------------------

    def _reader(self, name: str) -> sqlite3.Connection:
        """This thread's connection to a generation; another one when another file lies in its place."""
        place = self._regular(name).stat()
        wanted = (name, place.st_dev, place.st_ino)
        held: tuple[object, sqlite3.Connection] | None = getattr(self._local, "reader", None)
        if held is None or held[0] != wanted:
            if held is not None:
                self._local.reader = None
                held[1].close()
            held = (wanted, self._connect(name, "ro"))
            self._local.reader = held
        return held[1]

    @contextmanager
    def _writing(self, name: str) -> Iterator[sqlite3.Connection]:
        with self._open(name, "rw") as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self, name: str, mode: str) -> Iterator[sqlite3.Connection]:
        connection = self._connect(name, mode)
        try:
            yield connection
        finally:
            connection.close()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError("not the name of a generation")
        return self.folder / f"{name}.db"

    def _regular(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            raise FileNotFoundError(f"{name}.db is not there")
        return path

    def _connect(self, name: str, mode: str) -> sqlite3.Connection:
        if mode != "rwc":
            self._regular(name)
        address = f"{self._path(name).absolute().as_uri()}?mode={mode}"
        wait_s = _READ_WAIT_S if mode == "ro" else _WRITE_WAIT_S
        return sqlite3.connect(address, uri=True, isolation_level=None, timeout=wait_s, check_same_thread=False)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DirectoryBroken(str(error)) from None
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        broken = code in _BROKEN or "no such table" in str(error)
        raise (DirectoryBroken if broken else DirectoryUnavailable)(str(error)) from None


def _paired(connection: sqlite3.Connection, entries: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry]]:
    """Each entry with what is there; of several with one key in a batch the last one."""
    for entry in {entry.key: entry for entry in entries}.values():
        yield _find(connection, entry.key), entry


def _is_newer(before: Entry | None, entry: Entry) -> bool:
    return before is None or before.revision <= entry.revision


def _find(connection: sqlite3.Connection, key: tuple[int, int, int]) -> Entry | None:
    sql = f"SELECT {_NAMES} FROM entries WHERE party = ? AND home = ? AND certificate = ?"  # noqa: S608
    row = connection.execute(sql, key).fetchone()
    return None if row is None else _entry(row)


def _unlist(connection: sqlite3.Connection, entry: Entry | None) -> None:
    if entry is not None and _is_listed(entry):
        values = (entry.order, _text(entry))
        connection.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", values)


def _enlist(connection: sqlite3.Connection, entry: Entry) -> None:
    if _is_listed(entry):
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (entry.order, _text(entry)))


def _put_marks(connection: sqlite3.Connection, marks: Mapping[str, Mark]) -> None:
    for name, value in marks.items():
        connection.execute(
            "INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            " WHERE typeof(value) <> 'integer' OR excluded.value > value",
            (name, value),
        )


def _is_listed(entry: Entry) -> bool:
    return entry.primary and not entry.ended


def _text(entry: Entry) -> str:
    return " ".join(tokens.tokens(entry.text))


def _entry(row: Sequence[Any]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Entry(**{**values, **{name: bool(values[name]) for name in ("primary", "ended", "personal")}})


def _conditions(search: Search) -> tuple[list[str], dict[str, Any]]:
    where = ["e.ended = 0"]
    if search.party is None:
        where.append('e."primary" = 1')
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


def _facets(rows: Sequence[tuple[Any, ...]], today: int) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {name: Counter() for name in ("type_code", "authority_code", "region", "state")}
    for (type_code, authority, region, standing, begins, ends, superseded), times in Counter(rows).items():
        found["type_code"][type_code] += times
        found["authority_code"][authority] += times
        found["region"][region] += times
        found["state"][state(standing, begins, ends, superseded, today)] += times
    return {name: dict(counts.most_common()) for name, counts in found.items()}
