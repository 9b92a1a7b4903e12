"""The master key and what it wraps: the data keys, as rows of `data_keys`.

The master key is the one key that lies outside every backup of the data.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class VaultError(Exception):
    """A sealed value cannot be opened: wrong master key, moved row, or changed bytes."""


class KeyPurpose(StrEnum):
    """What a data key is for; a key serves one purpose."""

    SEAL = "seal"
    BLIND = "blind"
    DIGEST = "digest"
    STATUS = "status"
    FILES = "files"


class KeyState(IntEnum):
    """A data key only ever moves on; docs/adr/0010 has the rotation that moves it.

    next: blind keys only, written with, not yet read. active: the one that is read and written with. retired: rows of
    it are left, and none is added. spent: no row of it is left; it is kept for backups.
    """

    NEXT = 1
    ACTIVE = 2
    RETIRED = 3
    SPENT = 4


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A row of `data_keys`."""

    number: int
    purpose: KeyPurpose
    state: KeyState
    wrapped: bytes


class MasterKey:
    """It wraps the data keys and nothing else."""

    def __init__(self, secret: bytes, path: Path | None = None) -> None:
        self._path = path
        self._wrappers = [self._wrapper_of(secret)]

    @staticmethod
    def _wrapper_of(secret: bytes) -> AESGCM:
        if len(secret) != 32:
            raise VaultError("the master key must be 32 bytes: 64 hexadecimal digits in HUB_MASTER_KEY_FILE")
        return AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"hub data keys").derive(secret))

    @classmethod
    def read(cls, path: Path) -> "MasterKey":
        """From a file of 64 hexadecimal digits; raises VaultError with what to do."""
        return cls(cls._secret(path), path)

    @classmethod
    def _secret(cls, path: Path) -> bytes:
        secret = cls._secret_if_there(path)
        if secret is None:
            raise VaultError("the master key file is missing: set HUB_MASTER_KEY_FILE or put the file back")
        return secret

    @staticmethod
    def _secret_if_there(path: Path) -> bytes | None:
        try:
            return bytes.fromhex(path.read_text().strip())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise VaultError("the master key file cannot be read as 64 hexadecimal digits") from None

    @classmethod
    def create(cls, path: Path) -> "MasterKey":
        """A new key in a new file with mode 0600; an existing file is read, never replaced.

        The file appears whole or not at all, and two at once read the same one.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(os.urandom(32).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(temporary)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return cls.read(path)

    def new_key(self, number: int, purpose: KeyPurpose, state: KeyState) -> WrappedKey:
        """A fresh data key, wrapped."""
        return self.wrap(number, purpose, state, os.urandom(32))

    def wrap(self, number: int, purpose: KeyPurpose, state: KeyState, secret: bytes) -> WrappedKey:
        """A data key under this master key."""
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._wrappers[0].encrypt(nonce, secret, f"data_keys|{number}|{purpose}".encode())
        return WrappedKey(number, purpose, state, wrapped)

    def unwrap(self, key: WrappedKey) -> bytes:
        """The data key; raises VaultError when this is another master key."""
        secret = self._try(key)
        if secret is None and self._path is not None:
            self._look_again(self._path)
            secret = self._try(key)
        if secret is None:
            raise VaultError("the master key does not open this database's keys: use the one it was made with")
        return secret

    def opens(self, key: WrappedKey) -> bool:
        """Whether `key` is wrapped under this master key as it was read."""
        return self._try(key) is not None

    def _look_again(self, path: Path) -> None:
        """Another process may be putting a new master key in place; until it has, the new one lies beside the old.

        The new one is looked for first: when it is not there any more, it is in its place already.
        """
        found = [
            self._wrapper_of(secret) for secret in map(self._secret_if_there, (next_master_key(path), path)) if secret
        ]
        self._wrappers = [*found, self._wrappers[0]]

    def _try(self, key: WrappedKey) -> bytes | None:
        aad = f"data_keys|{key.number}|{key.purpose}".encode()
        for wrapper in self._wrappers:
            with suppress(InvalidTag):
                return wrapper.decrypt(key.wrapped[:_NONCE], key.wrapped[_NONCE:], aad)
        return None


def next_master_key(path: Path) -> Path:
    """Where a new master key lies while it takes over."""
    return path.with_name(path.name + ".next")
