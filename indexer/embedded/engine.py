"""The embedded engine: one SQLite FTS5 file per generation; the file `current` names the current one.

One writer at a time; any number of reading threads and processes. Marks are written in the same commit as the entries
that they describe, so a file that was lost, truncated by a power failure or restored from a backup has the correct
position. All errors are DirectoryUnavailable, on which callers fall back to the repository. A caller with several
related queries names the generation in each.
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
    """All generations in one folder. Safe to share between threads; open a new one after a fork."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._local = threading.local()

    # --- generations --------------------------------------------------------------------------------------------------

    def current(self) -> str | None:
        """The current generation, None before the first."""
        try:
            name = (self.folder / "current").read_text().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise DirectoryUnavailable(str(error)) from None
        return name if _NAME.fullmatch(name) else None

    def answering(self, mark: str) -> tuple[str, Mark] | None:
        """The current generation and one of its marks; None without either."""
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
        """Create an empty generation with these marks and return its name. It serves no queries until `swap`."""
        with _faults():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = self.names()
            name = f"g{int(names[-1][1:]) + 1 if names else 1}"
            for suffix in ("-wal", "-shm"):  # remains of a file that was deleted while in use
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
        """Make a generation current, atomically for every process.

        First creates the indexes for queries if they are missing: about 10 seconds for a million entries.
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
        """Delete a generation that is not current."""
        if name == self.current():
            raise ValueError("the generation in use cannot be dropped")
        with _faults():
            for suffix in ("", "-wal", "-shm"):
                (self.folder / f"{name}.db{suffix}").unlink(missing_ok=True)

    def examine(self, name: str) -> None:
        """Read the whole file of a generation; raises DirectoryBroken if it is corrupt."""
        with _faults(), self._open(name, "ro") as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DirectoryBroken("the file is damaged")

    def require_whole(self, name: str) -> None:
        """Nothing to check: a file cannot lose a part."""

    # --- writing ------------------------------------------------------------------------------------------------------

    def write(
        self,
        name: str,
        entries: Iterable[Entry],
        marks: Mapping[str, Mark] | None = None,
        instead_of: Iterable[Entry] = (),
        on_rejected: OnRejected = reject,  # noqa: ARG002 (a file accepts every entry)
    ) -> int:
        """Upsert entries and set marks in one commit; returns the number of entries. Lower revisions than the stored
        ones are skipped, and so are lower numbers for marks. Entries of `instead_of` are deleted first, where they are
        still stored exactly like this.

        On return they are searchable but may not survive a power failure. The marks are then lost with them, and the
        feed resumes from the older position.
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
        """What a party holds of some types on a day (yyyymmdd), in no particular order."""
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
        """The next entries of a generation in key order; for comparisons."""
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
        """The number of entries in a generation, including ended ones."""
        with _faults():
            return int(self._reader(name).execute("SELECT COUNT(*) FROM entries").fetchone()[0])

    def server(self) -> None:
        """None: there is no server."""

    # --- connections --------------------------------------------------------------------------------------------------

    def _reader(self, name: str) -> sqlite3.Connection:
        """This thread's connection to a generation; a new one if the file was replaced."""
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
