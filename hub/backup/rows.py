"""The rows of one table as a file: CBOR (RFC 8949) in encrypted frames, which need little memory for any number of rows
and cannot be read, replaced or cut off unnoticed.

    file  = frame*                       frame = length (4, big-endian) ‖ AES-256-GCM(plain)
    plain = 00 ‖ CBOR array of rows, or 01 ‖ zlib of it       row = array of integers, texts, byte strings, null
    key   = HKDF-SHA-256(key of the backup, "hub backup rows|" table)
    nonce = number of the frame (12)     AAD = "more", or "last" for the last one, which is never missing
"""

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.backup.manifest import TableFile
from hub.db.table_copy import Row

_LENGTH = 4
_MORE, _LAST = b"more", b"last"
_PLAIN, _PACKED = b"\x00", b"\x01"
_MAX_FRAME = 1 << 30


class Damaged(Exception):  # noqa: N818 (names the state of the backup)
    """A file is missing, was changed, or belongs to a different backup; `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def _cipher(secret: bytes, table: str) -> AESGCM:
    info = f"hub backup rows|{table}".encode()
    return AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(secret))


class RowsWriter:
    """Writes a new file; it is durable after `close`."""

    def __init__(self, path: Path, secret: bytes, table: str, *, packed: bool) -> None:
        """packed: compress the rows; not useful for sealed values."""
        self._cipher = _cipher(secret, table)
        self._packed = packed
        self._frames = 0
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        self.rows = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Write one frame."""
        self._add(rows, _MORE)

    def close(self) -> tuple[int, str]:
        """Finish the file and sync it; returns its size and SHA-256."""
        self._add((), _LAST)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._bytes, self._digest.hexdigest()

    def give_up(self) -> None:
        """Close an unfinished file."""
        self._file.close()

    def _add(self, rows: Sequence[Row], kind: bytes) -> None:
        plain = cbor2.dumps([list(row) for row in rows])
        plain = _PACKED + zlib.compress(plain, 1) if self._packed else _PLAIN + plain
        sealed = self._cipher.encrypt(_nonce(self._frames), plain, kind)
        for piece in (len(sealed).to_bytes(_LENGTH, "big"), sealed):
            self._file.write(piece)
            self._digest.update(piece)
            self._bytes += len(piece)
        self._frames += 1
        self.rows += len(rows)


def read_rows(path: Path, secret: bytes, table: TableFile) -> Iterator[list[Row]]:
    """Yield the rows in their original order; raises Damaged, at the latest at the end, unless all are intact."""
    digest = hashlib.sha256()
    rows = 0
    try:
        with path.open("rb") as file:
            for some in _frames(file, _cipher(secret, table.name), digest, path.name):
                rows += len(some)
                if any(len(row) != len(table.columns) for row in some):
                    raise Damaged(path.name)
                if some:
                    yield some
    except FileNotFoundError:
        raise Damaged(path.name) from None
    if rows != table.rows or digest.hexdigest() != table.sha256:
        raise Damaged(path.name)


def _frames(file: BinaryIO, cipher: AESGCM, digest: "hashlib._Hash", name: str) -> Iterator[list[Row]]:
    number, is_last = 0, False
    while head := file.read(_LENGTH):
        length = int.from_bytes(head, "big")
        sealed = file.read(length) if not is_last and length < _MAX_FRAME else b""
        digest.update(head)
        digest.update(sealed)
        try:
            plain, is_last = _opened(cipher, number, sealed)
        except (InvalidTag, ValueError):
            raise Damaged(name) from None
        yield [tuple(row) for row in cbor2.loads(_unpacked(plain))]
        number += 1
    if not is_last:
        raise Damaged(name)


def _opened(cipher: AESGCM, number: int, sealed: bytes) -> tuple[bytes, bool]:
    try:
        return cipher.decrypt(_nonce(number), sealed, _MORE), False
    except InvalidTag:
        return cipher.decrypt(_nonce(number), sealed, _LAST), True


def _unpacked(plain: bytes) -> bytes:
    return zlib.decompress(plain[1:]) if plain[:1] == _PACKED else plain[1:]


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
