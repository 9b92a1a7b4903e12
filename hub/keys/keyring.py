"""The signing keys in use: the active one for each purpose, and every public key ever recorded; and the public address
that is signed and printed with them.

Private keys are files (`signing.keys.KeyFolder`); the public keys in the database are authoritative. A signature is
verified with the recorded public key, never with one derived from the private file.
"""

import threading
import time

from hub.db.database import Database
from hub.store import keys as key_store
from hub.store.keys import SigningKey, SigningState
from signing.errors import KeyMissing
from signing.keys import KeyFolder, PublicKey, Purpose

REFRESH_S = 2.0


class Keyring:
    """The recorded keys, reloaded every two seconds, so that running processes follow a rotation."""

    def __init__(self, database: Database, folder: KeyFolder) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._keys: dict[str, SigningKey] = {}
        self._active: dict[tuple[Purpose, str], str] = {}
        self._url = ""
        self.folder = folder

    def refresh(self) -> None:
        """Reload the recorded keys now."""
        found = key_store.signing_keys(self._database.reader)
        urls = key_store.public_urls(self._database.reader)
        active = {(k.public.purpose, k.public.authority or ""): k.public.kid for k in found if _signs(k)}
        with self._lock:
            self._keys = {key.public.kid: key for key in found}
            self._active = active
            self._url = urls[0] if urls else ""
            self._read_at = time.monotonic()

    def active(self, purpose: Purpose, authority: str = "") -> PublicKey:
        """The active key; raises KeyMissing if there is none."""
        self._read_again()
        kid = self._active.get((purpose, authority))
        if kid is None:
            raise KeyMissing(f"no active {purpose.value} key")
        return self._keys[kid].public

    def public_url(self) -> str:
        """The address that is printed and signed now. Former addresses remain ours permanently."""
        self._read_again()
        return self._url

    def _read_again(self) -> None:
        if time.monotonic() - self._read_at > REFRESH_S:
            self.refresh()

    def find(self, kid: str) -> SigningKey | None:
        """Any recorded key, including one that another process has just generated."""
        return self._keys.get(kid) or key_store.signing_key(self._database.reader, kid)

    def public(self, kid: str, purpose: Purpose) -> PublicKey | None:
        """The public key that verifies a signature of this purpose, or None if it was never ours."""
        found = self.find(kid)
        return found.public if found is not None and found.public.purpose is purpose else None

    def all(self) -> list[SigningKey]:
        """Every recorded key, oldest first."""
        self.refresh()
        return list(self._keys.values())

    def sign(self, kid: str, purpose: Purpose, data: bytes) -> bytes:
        """Sign, and verify with the recorded public key; raises KeyMissing rather than return a wrong signature."""
        signature = self.folder.sign(kid, purpose, data)
        public = self.public(kid, purpose)
        if public is None or not public.verify(purpose, data, signature):
            raise KeyMissing(kid)
        return signature


def _signs(key: SigningKey) -> bool:
    return key.state is SigningState.ACTIVE
