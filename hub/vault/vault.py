"""Seal, open, blind: all personal data passes through here on its way to and from disk. Called by the store only.

sealed = 01 ‖ data key number (4, big-endian) ‖ nonce (12) ‖ ciphertext ‖ tag, AES-256-GCM, AAD = `table|primary key`.
Data keys are stored wrapped under the master key (a file outside every backup of the data). On an unknown key number,
the vault reloads the keys, so that running processes follow a key rotation.
"""

import hmac
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.vault.master_key import KeyPurpose, KeyState, MasterKey, VaultError, WrappedKey

_FORMAT = b"\x01"
_NONCE = 12
_HEADER = 1 + 4 + _NONCE
BLIND_BYTES = 16
_READINGS = 3


class StaleKeys(Exception):  # noqa: N818
    """The keys changed since this vault loaded them; reload them and redo the work."""


@dataclass(frozen=True, slots=True)
class _View:
    """Which key is used for what, as of one load of `data_keys`; immutable, only replaced."""

    sealing: int
    digest: int
    status: int
    files: int
    blind_read: int
    blind_write: tuple[int, ...]
    mark: tuple[tuple[int, int], ...]


def _age(mark: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    return len(mark), sum(state for _, state in mark)


class Vault:
    """Seals and blinds with the keys that `load` returns; thread-safe.

    Secrets are only ever added. `reload` replaces the assignment of keys to purposes as a whole; inside `pinned`, a
    thread keeps the assignment that it started with.
    """

    def __init__(self, master: MasterKey, load: Callable[[], Sequence[WrappedKey]]) -> None:
        self._master = master
        self._load = load
        self._lock = threading.Lock()
        self._pins = threading.local()
        self._secrets: dict[int, bytes] = {}
        self._ciphers: dict[int, AESGCM] = {}
        self._view = _View(0, 0, 0, 0, 0, (), ())
        self.reload()

    def reload(self) -> None:
        """Load the keys again; called at startup, for an unknown key number, and after StaleKeys."""
        with self._lock:
            keys = self._unwrapped()
            mark = tuple((key.number, int(key.state)) for key in keys)
            if _age(mark) < _age(self._view.mark):
                return  # loaded from an older snapshot than the current view; states only advance
            self._view = _View(
                sealing=self._newest(keys, KeyPurpose.SEAL),
                digest=self._newest(keys, KeyPurpose.DIGEST),
                status=self._newest(keys, KeyPurpose.STATUS),
                files=self._newest(keys, KeyPurpose.FILES),
                blind_read=self._newest(keys, KeyPurpose.BLIND),
                blind_write=tuple(
                    key.number
                    for key in keys
                    if key.purpose is KeyPurpose.BLIND and key.state in {KeyState.NEXT, KeyState.ACTIVE}
                ),
                mark=mark,
            )

    def _unwrapped(self) -> list[WrappedKey]:
        """Load the current keys and add their secrets to ours.

        If the master key is replaced between the reads of rows and file, the file does not open the rows: read both
        again.
        """
        for attempt in range(_READINGS):
            keys = sorted(self._load(), key=lambda key: key.number)
            try:
                fresh = {key.number: self._master.unwrap(key) for key in keys if key.number not in self._secrets}
            except VaultError:
                if attempt + 1 == _READINGS:
                    raise
                continue
            self._ciphers |= {
                k.number: AESGCM(fresh[k.number]) for k in keys if k.number in fresh and k.purpose == "seal"
            }
            self._secrets |= fresh
            break
        return keys

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Inside, this thread seals, hashes and compares `mark` with one consistent view of the keys.

        Otherwise a `reload` by another thread between sealing and committing would make stale rows look current.
        """
        outer = getattr(self._pins, "view", None)
        self._pins.view = self._view
        try:
            yield
        finally:
            self._pins.view = outer

    @property
    def _now(self) -> _View:
        pinned: _View | None = getattr(self._pins, "view", None)
        return self._view if pinned is None else pinned

    @property
    def mark(self) -> tuple[tuple[int, int], ...]:
        """(number, state) of every data key in this thread's view; `require_current` compares it with the database."""
        return self._now.mark

    @staticmethod
    def _newest(keys: Sequence[WrappedKey], purpose: KeyPurpose) -> int:
        active = [key.number for key in keys if key.purpose is purpose and key.state is KeyState.ACTIVE]
        return active[-1] if active else 0

    def seal(self, table: str, key: str, plain: bytes) -> bytes:
        """Seal `plain` for one row; `key`, its primary key as text, prevents moving the value to another row."""
        nonce = os.urandom(_NONCE)
        number = self._now.sealing
        return (
            _FORMAT
            + number.to_bytes(4, "big")
            + nonce
            + self._ciphers[number].encrypt(nonce, plain, f"{table}|{key}".encode())
        )

    def open(self, table: str, key: str, sealed: bytes) -> bytes:
        """The plaintext; raises VaultError for anything that was not sealed for this row."""
        number = self.key_number(sealed)
        cipher = self._ciphers.get(number)
        if cipher is None:
            self.reload()
            cipher = self._ciphers.get(number)
        if cipher is None:
            raise VaultError(f"unknown data key in {table}")
        try:
            return cipher.decrypt(sealed[5:_HEADER], sealed[_HEADER:], f"{table}|{key}".encode())
        except InvalidTag:
            raise VaultError(f"a sealed value in {table} cannot be decrypted") from None

    @staticmethod
    def key_number(sealed: bytes) -> int:
        """The number of the data key that sealed this; raises VaultError for another format."""
        if len(sealed) < _HEADER + 16 or sealed[:1] != _FORMAT:
            raise VaultError("not a sealed value")
        return int.from_bytes(sealed[1:5], "big")

    @property
    def reading_key(self) -> int:
        """The number of the active blind key in the current view: the first one to search with."""
        return self._now.blind_read

    def blind(self, number: int, text: str) -> bytes:
        """The blind index value of `text` under one key; raises VaultError for an unknown key."""
        secret = self._secrets.get(number)
        if secret is None:
            self.reload()
            secret = self._secrets.get(number)
        if secret is None:
            raise VaultError("unknown blind key")
        return hmac.digest(secret, text.encode(), "sha256")[:BLIND_BYTES]

    def blind_for_writing(self, text: str) -> tuple[tuple[int, bytes], ...]:
        """Every (key number, hash) to write for `text`: two during a rotation."""
        return tuple((number, self.blind(number, text)) for number in self._now.blind_write)

    def digest(self, data: bytes) -> bytes:
        """A keyed digest (32 bytes) of personal data, for comparing pushes; its key is never rotated (ADR 0010)."""
        return hmac.digest(self._secrets[self._now.digest], data, "sha256")

    @property
    def status_key(self) -> bytes:
        """The key of the status list index permutation; it never changes, as credentials contain the indexes."""
        return self._secrets[self._now.status]

    @property
    def key_files_passphrase(self) -> bytes:
        """The passphrase of the private signing key files; replacing the master key does not change it."""
        return self._secrets[self._now.files].hex().encode()
