"""New keys in place of old ones, while everything runs and through every interruption (docs/adr/0010).

Where a rotation stands is read from `data_keys` alone, so the worker, a command and a restart go on with the same one;
two of them at once do some work twice and no harm. Digest, status and files keys are never rotated (see the ADR).
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hub.db.database import Conflict, Database
from hub.domain.dates import from_micros, month_of, to_micros
from hub.keys.generate import KeyRequest, SigningKeys
from hub.keys.keyring import Keyring
from hub.rotation.walks import Walks
from hub.runtime.clock import Clock
from hub.runtime.fsync import sync_folder
from hub.settings import Settings
from hub.store import catalogue as catalogue_store
from hub.store import intents
from hub.store import keys as key_store
from hub.store import reseal as store
from hub.store.documents import Documents
from hub.store.keys import SigningKey, SigningState, X509Record
from hub.store.reseal import DataKey
from hub.store.retry import retry_on_conflict
from hub.vault import KeyPurpose, KeyState, MasterKey, Vault, next_master_key
from signing.keys import PublicKey, Purpose

SIGNING_PURPOSES = (Purpose.CREDENTIAL, Purpose.DOCUMENT, Purpose.ACCESS_TOKEN, Purpose.STATUS, Purpose.LEDGER)
DATA_PURPOSES = (KeyPurpose.SEAL, KeyPurpose.BLIND)
ACTIONS_A_SEAL_KEY = 2**24
"""Requests after which a seal key is replaced by itself: at most 2^30 seals, far below what AES-GCM allows."""
LOOK_EVERY_S = 3600.0
_LOCK_FILE = ".init.lock"


class CannotRotate(Exception):  # noqa: N818 (an answer to the operator)
    """What was asked for is not possible now; Chinese and English, nothing was changed."""

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.message = message
        self.message_en = message_en


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done next, as `data_keys` says."""

    kind: str
    number: int
    others: tuple[int, ...]


class Rotation:
    """Begins rotations, and goes on with those that were begun."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        settings: Settings,
        signing_keys: SigningKeys,
        keyring: Keyring,
        documents: Documents,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._data_dir = settings.data_dir
        self._master_path = settings.master_key_path
        self._signing_keys = signing_keys
        self._keyring = keyring
        self._walks = Walks(database, vault, documents)
        self._lock = threading.Lock()
        self._walk: tuple[_Job, Iterator[int]] | None = None
        self._gave_up: _Job | None = None
        self._looked_at = float("-inf")

    # --- data keys ----------------------------------------------------------------------------------------------------

    def data_keys(self) -> list[DataKey]:
        """Every data key, oldest first."""
        return store.data_keys(self._database.reader)

    def rows(self) -> dict[int, int]:
        """How many values each data key has sealed or hashed; reads everything through."""
        found = store.sealed_rows(self._database.reader)
        for (_, number), count in store.blind_rows(self._database.reader).items():
            found[number] = found.get(number, 0) + count
        return found

    def begin(self, purpose: KeyPurpose) -> int:
        """Put a new key on record and return its number; for a blind key that is under way already, that one's.

        From this commit on every process seals with it (seal) or writes it beside the one that is read (blind). What
        was written before is left to `step`. Raises CannotRotate for other purposes.
        """
        if purpose not in DATA_PURPOSES:
            raise CannotRotate("此类密钥不能更换。", "Keys for this purpose are never rotated.")
        number = retry_on_conflict(self._vault, lambda: self._begin_once(purpose))
        self._gave_up = None
        self._vault.reload()
        return number

    def _begin_once(self, purpose: KeyPurpose) -> int:
        with self._alone():
            self._finish_master()
            known = store.data_keys(self._database.reader)
            under_way = [key.number for key in known if key.purpose is purpose and key.state is KeyState.NEXT]
            return under_way[0] if under_way else self._add(purpose, known)

    def _add(self, purpose: KeyPurpose, known: Sequence[DataKey]) -> int:
        master = MasterKey.read(self._master_path)
        number = known[-1].number + 1
        state = KeyState.NEXT if purpose is KeyPurpose.BLIND else KeyState.ACTIVE
        fresh = master.new_key(number, purpose, state)
        with self._database.write(exclusive=True) as writer:
            if not master.opens(key_store.data_keys(writer)[0]):
                raise Conflict  # another master key has taken over: a key wrapped with this one would be lost
            if store.data_keys(writer) != known:
                raise Conflict  # another machine has begun a rotation meanwhile
            if state is KeyState.ACTIVE:
                for key in known:
                    if key.purpose is purpose:
                        store.change_state(writer, key.number, KeyState.ACTIVE, KeyState.RETIRED)
            key_store.add_data_key(writer, fresh, to_micros(self._clock.now()))
        return number

    def remaining(self) -> int:
        """Roughly how many rows `run` will deal with; reads everything through."""
        job = self._job()
        if job is None:
            return 0
        rows = self.rows()
        old = (job.number,) if job.kind == "drop" else job.others
        return sum(rows.get(number, 0) for number in old) * (2 if job.kind == "publish" else 1)

    def run(self) -> Iterator[int]:
        """Go on with whatever was begun until nothing is left; after every batch, the number of its rows."""
        while (rows := self._batch()) is not None:
            yield rows

    def step(self) -> bool:
        """One batch of whatever was begun; False when nothing is left to do. What the worker calls.

        Once an hour it also looks whether the seal key has been used enough, and then begins a new one.
        """
        return self._batch() is not None or self._renew()

    def _renew(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = now
        key = next(k for k in reversed(self.data_keys()) if k.purpose is KeyPurpose.SEAL)
        begun = month_of(from_micros(key.created_at))
        if not store.has_actions_after(self._database.reader, begun, ACTIONS_A_SEAL_KEY) or not self.is_complete():
            return False
        self.begin(KeyPurpose.SEAL)
        return True

    def is_complete(self) -> bool:
        """Whether nothing is left of any rotation, damaged rows included."""
        return self._job() is None

    def _batch(self) -> int | None:
        with self._lock:
            if next_master_key(self._master_path).exists():
                retry_on_conflict(self._vault, self._finish_master_alone)
            job = self._job()
            if job is None or job == self._gave_up:
                self._walk = None
                return None
            walk, self._walk = self._walk, None  # a walk that ends in a fault is not continued but begun again
            if walk is None or walk[0] != job:
                self._vault.reload()
                walk = (job, self._begin_walk(job))
            rows = next(walk[1], None)
            if rows is None:  # walked through, and the keys are where they were: rows are left that do not open
                self._gave_up = job
            else:
                self._walk = walk
            return rows

    def _begin_walk(self, job: _Job) -> Iterator[int]:
        if job.kind == "publish":
            return self._walks.publish(job.others[0], job.number)
        if job.kind == "drop":
            return self._walks.drop(job.number)
        return self._walks.reseal(job.number, job.others)

    def _job(self) -> _Job | None:
        keys = self.data_keys()
        by = {
            (purpose, state): tuple(key.number for key in keys if key.purpose is purpose and key.state is state)
            for purpose in DATA_PURPOSES
            for state in KeyState
        }
        seal, blind = KeyPurpose.SEAL, KeyPurpose.BLIND
        if coming := by[blind, KeyState.NEXT]:
            return _Job("publish", coming[-1], by[blind, KeyState.ACTIVE])
        if left := by[blind, KeyState.RETIRED]:
            return _Job("drop", left[0], ())
        if left := by[seal, KeyState.RETIRED]:
            return _Job("reseal", by[seal, KeyState.ACTIVE][-1], left)
        return None

    # --- the master key -----------------------------------------------------------------------------------------------

    def rotate_master(self) -> Path:
        """Wrap every data key under a new master key; where the former one is kept, for backups from before.

        The new key lies beside the old one until all rows are rewrapped, in one commit; whoever starts or looks for a
        new key in between tries both. Killed anywhere, the next call (or `step`) goes on.
        """
        return retry_on_conflict(self._vault, self._rotate_master_once)

    def _rotate_master_once(self) -> Path:
        with self._alone():
            MasterKey.create(next_master_key(self._master_path))
            return self._finish_master()

    def _finish_master_alone(self) -> Path:
        with self._alone():
            return self._finish_master()

    def _finish_master(self) -> Path:
        """Where the former key is, or where the present one is when nothing was under way."""
        coming = next_master_key(self._master_path)
        if not coming.exists():
            return self._master_path
        new, old = MasterKey.read(coming), MasterKey.read(self._master_path)
        name = old.name
        before = key_store.data_keys(self._database.reader)
        pairs = [(k, new.wrap(k.number, k.purpose, k.state, old.unwrap(k))) for k in before if not new.opens(k)]
        with self._database.write(exclusive=True) as writer:
            if len(key_store.data_keys(writer)) != len(before) or not all(
                store.rewrap(writer, *pair) for pair in pairs
            ):
                raise Conflict
        former = self._master_path.with_name(f"{self._master_path.name}.former-{name}")
        with suppress(FileExistsError):
            former.hardlink_to(self._master_path)
        coming.replace(self._master_path)
        sync_folder(self._master_path.parent)
        return former

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One maker of data keys at a time on this data directory; `hub init` takes the same lock."""
        handle = os.open(self._data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # --- signing keys -------------------------------------------------------------------------------------------------

    def signing_keys(self) -> list[tuple[SigningKey, bool]]:
        """Every signing key, oldest first, and whether its private part is here."""
        folder = self._keyring.folder
        return [(key, folder.has(key.public.kid, key.public.purpose)) for key in self._keyring.all()]

    def x509_certificates(self) -> list[X509Record]:
        """Every X.509 certificate on record."""
        return key_store.x509_certificates(self._database.reader)

    def replace(self, purpose: Purpose, authority: str = "") -> PublicKey:
        """A new signing key that signs from now on; the former one verifies for ever. Raises CannotRotate."""
        if purpose not in SIGNING_PURPOSES:
            raise CannotRotate("此类签名密钥不能在此更换。", "Keys for this purpose are not rotated here.")
        wanted = KeyRequest(purpose)
        if purpose is Purpose.DOCUMENT:
            known = catalogue_store.read(self._database.reader).authorities.get(authority)
            if known is None:
                raise CannotRotate("没有这个机构。", "There is no such authority.")
            wanted = KeyRequest(purpose, known.code, known.name)
        made = self._signing_keys.replace(wanted)
        self._keyring.refresh()
        return made

    def retire(self, kid: str) -> PublicKey:
        """Delete the private part of a signing key that no longer signs, for good. Raises CannotRotate.

        Refused while an open intent was prepared for it; the worker prepares such an intent anew within seconds.
        """
        found = next((key for key in self._keyring.all() if key.public.kid == kid), None)
        if found is None:
            raise CannotRotate("没有这个密钥。", "There is no such key.")
        if found.state is not SigningState.RETIRED:
            raise CannotRotate("此密钥仍在使用,请先更换。", "This key is in use: rotate it first.")
        waiting = sum(kid in needed for needed in intents.open_key_ids(self._database.reader))
        if waiting:
            raise CannotRotate(
                f"还有 {waiting} 个待签办件要用它,稍后再试。", f"{waiting} open intents need it: try again shortly."
            )
        self._keyring.folder.retire(kid, found.public.purpose)
        return found.public

    def revoke(self, kid: str) -> PublicKey:
        """Put the X.509 certificate of a document key on the list of those that count no more. Raises CannotRotate.

        Whatever it sealed is then `untrusted` as a file, before and after; the certificates themselves stay as they
        are. For a private part that fell into other hands: one that was merely replaced stays good for ever.
        """
        found = next((key for key in self._keyring.all() if key.public.kid == kid), None)
        if found is None or found.public.purpose is not Purpose.DOCUMENT:
            raise CannotRotate("没有这个用章密钥。", "There is no such document key.")
        if found.state is not SigningState.RETIRED:
            raise CannotRotate("此密钥仍在使用,请先更换。", "This key is in use: rotate it first.")
        with self._database.write(exclusive=True) as writer:
            if not key_store.revoke_x509(writer, kid, to_micros(self._clock.now())):
                raise CannotRotate("此密钥的 X.509 证书早已吊销。", "Its X.509 certificate was revoked before.")
        return found.public
