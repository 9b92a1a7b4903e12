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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from indexer.embedded import queries, tables
from indexer.embedded.tables import FOR_ANSWERS, NAMES, TABLES, entry_of, find, put_marks
from indexer.engine import Mark, OnRejected, reject
from indexer.entry import Entry
from indexer.errors import DirectoryBroken, DirectoryUnavailable
from indexer.query import Page, Search

__all__ = ["DirectoryBroken", "DirectoryUnavailable", "EmbeddedDirectory", "Mark"]

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}
_READ_WAIT_S = 0.25
_WRITE_WAIT_S = 5.0
_READ_CACHE_KB = 8_000
_WRITE_CACHE_KB = 64_000
_NAME = re.compile(r"g[0-9]{1,12}")


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

    def answering(self, mark: str) -> tuple[str, Mark] | None:
        """The generation that answers and one of its marks, as they are now; None without either."""
        name = self.current()
        value = None if name is None else self.mark(name, mark)
        return None if name is None or value is None else (name, value)

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
                with _transaction(connection, "BEGIN IMMEDIATE"):
                    for statement in TABLES:
                        connection.execute(statement)
                    put_marks(connection, marks or {})
        return name

    def swap(self, name: str) -> None:
        """Let a generation answer from now on, at once and for every process.

        What it needs for that is made first, where it is not there yet: about 10 seconds for a million entries.
        """
        draft = self.folder / f".current.{os.getpid()}"
        with _faults():
            with self._writing(name) as connection:
                for statement in FOR_ANSWERS:
                    connection.execute(statement)
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

    def require_whole(self, name: str) -> None:
        """A file is there or it is not."""

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(
        self,
        name: str,
        entries: Iterable[Entry],
        marks: Mapping[str, Mark] | None = None,
        instead_of: Iterable[Entry] = (),
        on_rejected: OnRejected = reject,  # noqa: ARG002 (a file accepts every entry)
    ) -> int:
        """Write whole entries and marks in one commit; how many entries. A lower revision than what is there is left
        out, and so is a lower number for a mark. Entries of `instead_of` are taken out first, where they are still
        exactly this.

        When it returns they are searchable, but perhaps not safe from a power cut: then the marks are the older ones
        too, and whoever feeds begins there.
        """
        with _faults(), self._writing(name) as connection:
            count = tables.replace(connection, entries, instead_of)
            put_marks(connection, marks or {})
        return count

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
            f"SELECT {NAMES} FROM entries WHERE party = :party AND (ended = 0 OR superseded_on > :today)"  # noqa: S608
            f" AND type_code IN ({marks})"
        )
        with _faults():
            return [entry_of(row) for row in self._reader(name).execute(sql, values)]

    def search(self, name: str, search: Search) -> Page:
        """One page; facets on the first page only."""
        with _faults(), _transaction(self._reader(name), "BEGIN") as connection:
            return queries.search(connection, search)

    def walk(self, name: str, after: tuple[int, int, int], limit: int) -> list[Entry]:
        """The next entries of a generation in the order of their keys: how two of them are compared."""
        values = {"party": after[0], "home": after[1], "certificate": after[2], "limit": limit}
        sql = (
            f"SELECT {NAMES} FROM entries WHERE (party, home, certificate) > (:party, :home, :certificate)"  # noqa: S608
            " ORDER BY party, home, certificate LIMIT :limit"
        )
        with _faults():
            return [entry_of(row) for row in self._reader(name).execute(sql, values)]

    def find(self, name: str, key: tuple[int, int, int]) -> Entry | None:
        """One entry of a generation."""
        with _faults():
            return find(self._reader(name), [key]).get(key)

    def count(self, name: str) -> int:
        """How many entries a generation has, ended ones too."""
        with _faults():
            return int(self._reader(name).execute("SELECT COUNT(*) FROM entries").fetchone()[0])

    def server(self) -> None:
        """There is no server."""

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
            with _transaction(connection, "BEGIN IMMEDIATE"):
                yield connection

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
        connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=wait_s, check_same_thread=False)
        connection.execute(f"PRAGMA cache_size=-{_READ_CACHE_KB if mode == 'ro' else _WRITE_CACHE_KB}")
        return connection


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[sqlite3.Connection]:
    connection.execute(begin)
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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
