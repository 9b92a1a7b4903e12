"""Documents as write-once files: encrypted, with random names, and never served before their row exists.

A file is complete and on disk before its row is inserted, so every row has its file. An interruption in between leaves
a file without a row, which `sweep` removes. If two processes render the same document at once, the row decides: the
loser's file is deleted, and both serve the winner's bytes.

A process that copies the folder holds its lock (`held`): until then, no file is removed that a row may have named.
"""

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any

from hub.db.database import Database, DatabaseUnavailable, Duplicate, Reader, Row, StorageFull
from hub.domain.dates import from_micros, to_micros
from hub.runtime.fsync import sync_folder
from hub.store.keys import require_current
from hub.store.sealing import key_text
from hub.vault import Vault, VaultError

LABEL = "documents"
PARTS = 256
UNREFERENCED_FOR = timedelta(hours=1)
"""No process takes that long between file and row."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Kind(IntEnum):
    """The PDF of a version, or the annotated copy of one retrieval."""

    RENDITION = 1
    COPY = 2


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """Identifies a document. receipt: of the retrieval that a copy was made for, empty for a rendition."""

    home: int
    certificate: int
    version: int
    kind: Kind = Kind.RENDITION
    receipt: str = ""

    def values(self) -> dict[str, object]:
        """The primary key by its columns."""
        return {
            "home": self.home,
            "certificate": self.certificate,
            "version": self.version,
            "kind": int(self.kind),
            "receipt": self.receipt,
        }


@dataclass(frozen=True, slots=True)
class Document:
    """A document on record. sha256 and size: of the plain bytes; file: within the folder; key_number: its data key."""

    key: DocumentKey
    sha256: bytes
    file: str
    size: int
    key_number: int
    recorded_at: datetime


class DocumentDamaged(VaultError):  # noqa: N818 (what is the matter)
    """A file is missing, cannot be decrypted, or differs from its row. It is never regenerated automatically."""


_WHERE = (
    " WHERE home = :home AND certificate = :certificate AND version = :version AND kind = :kind AND receipt = :receipt"
)


def find(reader: Reader, key: DocumentKey) -> Document | None:
    """A document's row, or None."""
    row = reader.one("SELECT * FROM documents" + _WHERE, key.values())  # noqa: S608 (a constant)
    return None if row is None else _document(row)


def by_digest(reader: Reader, sha256: bytes) -> Document | None:
    """The document with this SHA-256 of its plain bytes, or None."""
    row = reader.one("SELECT * FROM documents WHERE sha256 = :sha256", {"sha256": sha256})
    return None if row is None else _document(row)


def of_certificate(reader: Reader, home: int, certificate: int) -> list[Document]:
    """Every document of a certificate."""
    rows = reader.all(
        "SELECT * FROM documents WHERE home = :home AND certificate = :certificate ORDER BY version, kind, receipt",
        {"home": home, "certificate": certificate},
    )
    return [_document(row) for row in rows]


def without_rendition(reader: Reader, home: int, certificate: int) -> list[int]:
    """The versions of a certificate whose PDF has not been made, oldest first."""
    rows = reader.all(
        "SELECT version FROM versions v WHERE home = :home AND certificate = :certificate AND NOT EXISTS"
        " (SELECT 1 FROM documents d WHERE d.home = v.home AND d.certificate = v.certificate"
        " AND d.version = v.version AND d.kind = 1) ORDER BY version",
        {"home": home, "certificate": certificate},
    )
    return [int(row["version"]) for row in rows]


def sealed_otherwise(reader: Reader, number: int, after: str, limit: int) -> list[Document]:
    """The next documents, by file name, that are encrypted with a data key other than `number`."""
    rows = reader.all(
        "SELECT * FROM documents WHERE file > :after AND key_number <> :number ORDER BY file LIMIT :limit",
        {"after": after, "number": number, "limit": limit},
    )
    return [_document(row) for row in rows]


def count_by_key(reader: Reader) -> dict[int, int]:
    """The number of files by the data key that encrypts them."""
    rows = reader.all("SELECT key_number, COUNT(*) AS n FROM documents GROUP BY key_number")
    return {int(row["key_number"]): int(row["n"]) for row in rows}


def of_row(row: Row | Mapping[str, Any]) -> Document:
    """Convert a row of `documents`, whichever module has read it."""
    return _document(row)


def _document(row: Row | Mapping[str, Any]) -> Document:
    key = DocumentKey(row["home"], row["certificate"], row["version"], Kind(row["kind"]), row["receipt"])
    return Document(
        key, bytes(row["sha256"]), row["file"], row["size"], row["key_number"], from_micros(row["recorded_at"])
    )


class Files:
    """The files of one folder, decrypted and checked against their rows."""

    def __init__(self, vault: Vault, folder: Path) -> None:
        self._vault = vault
        self._folder = folder

    def opened(self, document: Document) -> bytes:
        """The decrypted content of a file; raises DocumentDamaged, and DatabaseUnavailable if it cannot be read."""
        return self._opened(document, self._read(document))

    def sealed(self, document: Document) -> bytes:
        """The encrypted bytes of a file, after checking that they can be decrypted; raises like `opened`."""
        content = self._read(document)
        self.check(document, content)
        return content

    def check(self, document: Document, sealed: bytes) -> None:
        """Raise DocumentDamaged unless these are the encrypted bytes of this document."""
        self._opened(document, sealed)

    def _read(self, document: Document) -> bytes:
        try:
            return (self._folder / document.file).read_bytes()
        except FileNotFoundError:
            raise DocumentDamaged("the file of a document is missing") from None
        except OSError as error:
            raise DatabaseUnavailable(f"a document cannot be read: {_name_of(error)}") from None

    def _opened(self, document: Document, sealed: bytes) -> bytes:
        try:
            content = self._vault.open(LABEL, _bound_to(document.key), sealed)
        except VaultError:
            raise DocumentDamaged("the file of a document cannot be decrypted") from None
        if len(content) != document.size or hashlib.sha256(content).digest() != document.sha256:
            raise DocumentDamaged("the file of a document does not match its row")
        return content


class Documents(Files):
    """The files of one folder and their rows. All disk errors are StorageFull or DatabaseUnavailable."""

    def __init__(
        self, database: Database, vault: Vault, folder: Path, at_step: Callable[[str], None] = lambda _: None
    ) -> None:
        """at_step: gets `written` between file and row, for crash tests."""
        super().__init__(vault, folder)
        self._database = database
        self._at_step = at_step
        self._swept = 0

    def read(self, document: Document) -> bytes:
        """The stored bytes, which never change; raises DocumentDamaged.

        If a key rotation replaces the file meanwhile, its row is read again.
        """
        try:
            return self.opened(document)
        except DocumentDamaged:
            now = find(self._database.reader, document.key)
            if now is None or now.file == document.file:
                raise
            return self.opened(now)

    def keep(self, key: DocumentKey, content: bytes, at: datetime) -> bytes:
        """Store a document unless another process was faster; returns the stored bytes, the only ones to serve.

        After an exception, nothing was served or recorded, except if the result of the commit is unknown: then the row
        may appear later, and its file exists. Raises StaleKeys: see `hub.store.retry`.
        """
        file, number = self._write(key, content)
        self._at_step("written")
        row = {
            **key.values(),
            "sha256": hashlib.sha256(content).digest(),
            "file": file,
            "size": len(content),
            "key_number": number,
            "recorded_at": to_micros(at),
        }
        try:
            with self._database.write() as writer:
                require_current(writer, self._vault)
                writer.insert("documents", row)
        except Duplicate:
            self._remove_unless_named(file)
        except BaseException as error:
            self._remove_unless_kept(file, error)
            raise
        else:
            return content
        winner = find(self._database.reader, key)
        if winner is None:
            raise DatabaseUnavailable("the row of a document is missing")
        return self.read(winner)

    def reseal(self, document: Document) -> bool:
        """Re-encrypt a file with the current data key; False if it cannot be decrypted."""
        try:
            content = self.opened(document)
        except DocumentDamaged:
            return find(self._database.reader, document.key) != document
        file, number = self._write(document.key, content)
        values = {**document.key.values(), "file": file, "number": number, "before": document.file}
        try:
            with self._database.write() as writer:
                require_current(writer, self._vault)
                sql = "UPDATE documents SET file = :file, key_number = :number" + _WHERE + " AND file = :before"  # noqa: S608
                swapped = writer.run(sql, values) == 1
        except BaseException as error:
            self._remove_unless_kept(file, error)
            raise
        if swapped:
            with suppress(OSError):
                self._remove(document.file)
        else:
            self._remove_unless_named(file)
        return True

    def sweep(self, now: datetime, *, everything: bool = False) -> int:
        """Remove files without a row that are older than an hour; returns their number.

        Each call looks into the next one of the 256 subfolders, or into all of them. Nothing is removed while another
        process holds the folder's lock.
        """
        places = range(PARTS) if everything else (self._swept,)
        gone = 0
        for place in places:
            for file in self._unreferenced(place, now):
                if not self._remove(file):
                    return gone
                gone += 1
        self._swept = (self._swept + 1) % PARTS
        return gone

    def unreferenced(self, now: datetime) -> Iterator[str]:
        """The files that a sweep of everything would remove."""
        for place in range(PARTS):
            yield from self._unreferenced(place, now)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a shared lock: inside the block, no file is removed that a row names or has named.

        A later sweep removes what a key rotation has replaced meanwhile.
        """
        with self._lock(fcntl.LOCK_SH):
            yield

    # --- files -------------------------------------------------------------------------------------------------------

    def _write(self, key: DocumentKey, content: bytes) -> tuple[str, int]:
        """Write and fsync a file encrypted for this document; returns its name and data key."""
        sealed = self._vault.seal(LABEL, _bound_to(key), content)
        name = secrets.token_hex(16)
        file = f"{name[:2]}/{name}"
        try:
            self._write_durably(self._folder / file, sealed)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFull("no disk space for a document") from None
            raise DatabaseUnavailable(f"a document cannot be written: {_name_of(error)}") from None
        return file, self._vault.key_number(sealed)

    def _write_durably(self, path: Path, content: bytes) -> None:
        if not path.parent.is_dir():
            for folder in (self._folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(folder.parent)
        temporary = path.with_name(f".{path.name}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as f:
                f.write(content)
                f.flush()
                os.fsync(f.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            for leftover in (temporary, path):
                with suppress(OSError):
                    leftover.unlink(missing_ok=True)
            raise

    def _remove_unless_kept(self, file: str, error: BaseException) -> None:
        """If the result of a commit is unknown, its row may still appear: leave the file to the sweep."""
        if not isinstance(error, DatabaseUnavailable) or isinstance(error, StorageFull):
            self._remove_unless_named(file)

    def _remove_unless_named(self, file: str) -> None:
        """Delete a file that no row names; if the database cannot tell, leave it to the sweep."""
        with suppress(OSError, DatabaseUnavailable):
            if not self._is_named(file):
                (self._folder / file).unlink(missing_ok=True)

    def _remove(self, file: str) -> bool:
        """Delete a file that a row may have named; False, and no deletion, while another process holds the lock."""
        try:
            with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                (self._folder / file).unlink(missing_ok=True)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        path = self._folder.with_name(f"{self._folder.name}.lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)

    def _is_named(self, file: str) -> bool:
        return self._database.reader.one("SELECT 1 FROM documents WHERE file = :file", {"file": file}) is not None

    def _unreferenced(self, place: int, now: datetime) -> list[str]:
        folder = self._folder / f"{place:02x}"
        before = (now - UNREFERENCED_FOR).timestamp()
        try:
            files = [f"{folder.name}/{entry.name}" for entry in os.scandir(folder) if entry.stat().st_mtime < before]
        except FileNotFoundError:
            return []
        return [file for file in files if not self._is_named(file)]


def _name_of(error: OSError) -> str:
    """The name of an error, such as ENOENT: its full text would contain a path."""
    return errno.errorcode.get(error.errno or 0, "unknown")


def _bound_to(key: DocumentKey) -> str:
    return key_text(tuple(key.values().values()))
