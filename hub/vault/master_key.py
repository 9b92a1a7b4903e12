"""The master key and the data keys that it wraps, which are rows of `data_keys`.

The master key is the only key that is never part of a backup of the data.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.runtime.fsync import sync_folder

_NONCE = 12
_SALT = 16
_NAME = 4
_KEYS_FORMAT = b"HUBKEYS\x01"
_KEYS_HEADER = len(_KEYS_FORMAT) + _NAME + _SALT


class VaultError(Exception):
    """A sealed value cannot be opened: wrong master key, moved row, or modified bytes."""


class OtherMasterKey(VaultError):  # noqa: N818 (named for the cause)
    """The keys of a backup were sealed under another master key than the one given."""

    def __init__(self, wanted: str, given: str) -> None:
        super().__init__(f"this backup was made under master key {wanted}, and the one that was given is {given}")
        self.wanted = wanted
        self.given = given


class KeyPurpose(StrEnum):
    """The purpose of a data key; a key serves one purpose."""

    SEAL = "seal"
    BLIND = "blind"
    DIGEST = "digest"
    STATUS = "status"
    FILES = "files"


class KeyState(IntEnum):
    """A data key's state only ever advances; docs/adr/0010 describes the rotation.

    next: blind keys only; used for writing, not yet for reading. active: used for reading and writing. retired: some
    rows still use it, but no new ones. spent: no row uses it; kept for backups.
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


class _Secret:
    """One master key as read from its file, and the keys derived from it."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise VaultError("the master key must be 32 bytes: 64 hexadecimal digits in HUB_MASTER_KEY_FILE")
        self._secret = secret
        self.name = hashlib.sha256(b"hub master key|" + secret.hex().encode()).hexdigest()[: 2 * _NAME]
        self.wrapper = AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"hub data keys").derive(secret))

    def for_backup(self, salt: bytes) -> AESGCM:
        """The cipher that seals the keys of one backup."""
        return AESGCM(HKDF(hashes.SHA256(), 32, salt=salt, info=b"hub backup keys").derive(self._secret))


class MasterKey:
    """Wraps the data keys and the keys of a backup; it is used for nothing else."""

    def __init__(self, secret: bytes, path: Path | None = None) -> None:
        self._path = path
        self._secrets = [_Secret(secret)]

    @classmethod
    def read(cls, path: Path) -> "MasterKey":
        """Read a file of 64 hexadecimal digits; raises VaultError, which says what to do."""
        return cls(cls._secret(path), path)

    @classmethod
    def _secret(cls, path: Path) -> bytes:
        secret = cls._secret_if_there(path)
        if secret is None:
            raise VaultError("the master key file is missing: set HUB_MASTER_KEY_FILE or restore the file")
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
        """Create a new key in a new file with mode 0600; an existing file is read, never replaced.

        The file is created atomically, and two concurrent callers get the same key.
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
        sync_folder(path.parent)
        return cls.read(path)

    def new_key(self, number: int, purpose: KeyPurpose, state: KeyState) -> WrappedKey:
        """A new data key, wrapped."""
        return self.wrap(number, purpose, state, os.urandom(32))

    def wrap(self, number: int, purpose: KeyPurpose, state: KeyState, secret: bytes) -> WrappedKey:
        """Wrap a data key under this master key."""
        nonce = os.urandom(_NONCE)
        wrapped = nonce + self._secrets[0].wrapper.encrypt(nonce, secret, f"data_keys|{number}|{purpose}".encode())
        return WrappedKey(number, purpose, state, wrapped)

    @property
    def name(self) -> str:
        """Eight hexadecimal digits that distinguish master keys and reveal nothing else about them."""
        return self._secrets[0].name

    def seal_keys(self, like: WrappedKey, plain: bytes) -> bytes:
        """Seal the keys of a backup with a key derived from the master key that wraps `like`.

        `HUBKEYS`, 01, the master key's name (4), salt (16), nonce (12), then AES-256-GCM ciphertext; the AAD is
        everything before the nonce. Raises VaultError if this is another master key.
        """
        self.unwrap(like)
        secret = next(known for known in self._secrets if self._opened(known, like) is not None)
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        header = _KEYS_FORMAT + bytes.fromhex(secret.name) + salt
        return header + nonce + secret.for_backup(salt).encrypt(nonce, plain, header)

    @staticmethod
    def name_in(sealed: bytes) -> str:
        """The name of the master key that opens these keys of a backup."""
        return sealed[len(_KEYS_FORMAT) : len(_KEYS_FORMAT) + _NAME].hex()

    def open_keys(self, sealed: bytes) -> bytes:
        """The inverse of `seal_keys`; raises OtherMasterKey, and VaultError for malformed or modified input."""
        header, nonce = sealed[:_KEYS_HEADER], sealed[_KEYS_HEADER : _KEYS_HEADER + _NONCE]
        if len(nonce) != _NONCE or not header.startswith(_KEYS_FORMAT):
            raise VaultError("not the keys part of a backup")
        wanted = self.name_in(sealed)
        secret = self._secrets[0]
        if wanted != secret.name:
            raise OtherMasterKey(wanted, secret.name)
        try:
            return secret.for_backup(header[-_SALT:]).decrypt(nonce, sealed[_KEYS_HEADER + _NONCE :], header)
        except InvalidTag:
            raise VaultError("the keys part of the backup is damaged") from None

    def unwrap(self, key: WrappedKey) -> bytes:
        """Unwrap a data key; raises VaultError if this is another master key."""
        secret = self._try(key)
        if secret is None and self._path is not None:
            self._reread(self._path)
            secret = self._try(key)
        if secret is None:
            raise VaultError("the master key does not match this database: use the one it was created with")
        return secret

    def opens(self, key: WrappedKey) -> bool:
        """Whether `key` is wrapped under this master key, as currently loaded."""
        return self._try(key) is not None

    def _reread(self, path: Path) -> None:
        """Another process may be replacing the master key; until then, the new file is next to the old one.

        Read the new file first: if it no longer exists, it has already been renamed over the old one.
        """
        found = [_Secret(secret) for secret in map(self._secret_if_there, (next_master_key(path), path)) if secret]
        self._secrets = [*found, self._secrets[0]]

    def _try(self, key: WrappedKey) -> bytes | None:
        opened = (self._opened(secret, key) for secret in self._secrets)
        return next((secret for secret in opened if secret is not None), None)

    @staticmethod
    def _opened(secret: _Secret, key: WrappedKey) -> bytes | None:
        aad = f"data_keys|{key.number}|{key.purpose}".encode()
        with suppress(InvalidTag):
            return secret.wrapper.decrypt(key.wrapped[:_NONCE], key.wrapped[_NONCE:], aad)
        return None


def next_master_key(path: Path) -> Path:
    """The path of a new master key while it is being put in place."""
    return path.with_name(path.name + ".next")
