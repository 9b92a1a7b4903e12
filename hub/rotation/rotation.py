"""Online key rotation that survives every interruption (docs/adr/0010).

The state of a rotation is stored only in `data_keys`, so the worker, a command or a restarted process can continue it;
two of them at once duplicate some work but do no harm. Digest, status and files keys are never rotated (see the ADR).
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
"""Requests after which a seal key is replaced automatically: at most 2^30 seals, far below the AES-GCM limit."""
CHECK_EVERY_S = 3600.0
_LOCK_FILE = ".init.lock"


class CannotRotate(Exception):  # noqa: N818 (an answer to the operator)
    """The operation is not possible at present and nothing was changed; messages in Chinese and English."""

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.message = message
        self.message_en = message_en


@dataclass(frozen=True, slots=True)
class _Job:
    """The next piece of work according to `data_keys`."""

    kind: str
    number: int
    others: tuple[int, ...]


class Rotation:
    """Starts rotations and continues those in progress."""

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
        self._checked_at = float("-inf")

    # --- data keys ----------------------------------------------------------------------------------------------------

    def data_keys(self) -> list[DataKey]:
        """All data keys, oldest first."""
        return store.data_keys(self._database.reader)

    def rows(self) -> dict[int, int]:
        """The number of values that each data key has sealed or hashed; scans everything."""
        found = store.sealed_rows(self._database.reader)
        for (_, number), count in store.blind_rows(self._database.reader).items():
            found[number] = found.get(number, 0) + count
        return found

    def begin(self, purpose: KeyPurpose) -> int:
        """Record a new key and return its number, or the number of the blind key whose rotation is in progress.

        From this commit on, every process seals with the new key (seal), or writes hashes under both keys and reads
        under the old one (blind). `step` converts existing data. Raises CannotRotate for other purposes.
        """
        if purpose not in DATA_PURPOSES:
            raise CannotRotate("这类密钥不能更换。", "Keys of this purpose cannot be rotated.")
        number = retry_on_conflict(self._vault, lambda: self._begin_once(purpose))
        self._gave_up = None
        self._vault.reload()
        return number

    def _begin_once(self, purpose: KeyPurpose) -> int:
        with self._creation_lock():
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
                raise Conflict  # the master key was rotated: a key wrapped with this one would be lost
            if store.data_keys(writer) != known:
                raise Conflict  # another machine has started a rotation in the meantime
            if state is KeyState.ACTIVE:
                for key in known:
                    if key.purpose is purpose:
                        store.change_state(writer, key.number, KeyState.ACTIVE, KeyState.RETIRED)
            key_store.add_data_key(writer, fresh, to_micros(self._clock.now()))
        return number

    def remaining(self) -> int:
        """Roughly how many rows `run` will process; scans everything."""
        job = self._job()
        if job is None:
            return 0
        rows = self.rows()
        old = (job.number,) if job.kind == "drop" else job.others
        return sum(rows.get(number, 0) for number in old) * (2 if job.kind == "publish" else 1)

    def run(self) -> Iterator[int]:
        """Continue all rotations in progress to the end; yields the number of rows of each batch."""
        while (rows := self._batch()) is not None:
            yield rows

    def step(self) -> bool:
        """Process one batch; False if nothing is left to do. Called by the worker.

        Once an hour, also checks whether the seal key has reached its usage limit, and then starts its rotation.
        """
        return self._batch() is not None or self._renew()

    def _renew(self) -> bool:
        now = time.monotonic()
        if now - self._checked_at < CHECK_EVERY_S:
            return False
        self._checked_at = now
        key = next(k for k in reversed(self.data_keys()) if k.purpose is KeyPurpose.SEAL)
        begun = month_of(from_micros(key.created_at))
        if not store.has_actions_after(self._database.reader, begun, ACTIONS_A_SEAL_KEY) or not self.is_complete():
            return False
        self.begin(KeyPurpose.SEAL)
        return True

    def is_complete(self) -> bool:
        """Whether no rotation is in progress, not even because of damaged rows."""
        return self._job() is None

    def _batch(self) -> int | None:
        with self._lock:
            if next_master_key(self._master_path).exists():
                retry_on_conflict(self._vault, self._finish_master_alone)
            job = self._job()
            if job is None or job == self._gave_up:
                self._walk = None
                return None
            walk, self._walk = self._walk, None  # a walk that fails is restarted, not continued
            if walk is None or walk[0] != job:
                self._vault.reload()
                walk = (job, self._begin_walk(job))
            rows = next(walk[1], None)
            if rows is None:  # finished without changing the state of the keys: some rows cannot be decrypted
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
        """Wrap every data key with a new master key; returns the path of the old one, which older backups need.

        The new key file exists next to the old one until all rows are rewrapped in one commit; processes that start or
        reload keys in the meantime try both. If killed, the next call (or `step`) continues.
        """
        return retry_on_conflict(self._vault, self._rotate_master_once)

    def _rotate_master_once(self) -> Path:
        with self._creation_lock():
            MasterKey.create(next_master_key(self._master_path))
            return self._finish_master()

    def _finish_master_alone(self) -> Path:
        with self._creation_lock():
            return self._finish_master()

    def _finish_master(self) -> Path:
        """The path of the old key, or of the current one if no rotation was in progress."""
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
    def _creation_lock(self) -> Iterator[None]:
        """Serialise the creation of data keys in this data directory; `hub init` takes the same lock."""
        handle = os.open(self._data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # --- signing keys -------------------------------------------------------------------------------------------------

    def signing_keys(self) -> list[tuple[SigningKey, bool]]:
        """All signing keys, oldest first, and whether the private part of each is present."""
        folder = self._keyring.folder
        return [(key, folder.has(key.public.kid, key.public.purpose)) for key in self._keyring.all()]

    def x509_certificates(self) -> list[X509Record]:
        """All recorded X.509 certificates."""
        return key_store.x509_certificates(self._database.reader)

    def replace(self, purpose: Purpose, authority: str = "") -> PublicKey:
        """Create a signing key and use it from now on; old signatures remain valid. Raises CannotRotate."""
        if purpose not in SIGNING_PURPOSES:
            raise CannotRotate(
                "这类签名密钥不能用这个命令更换。", "Signing keys of this purpose cannot be rotated with this command."
            )
        wanted = KeyRequest(purpose)
        if purpose is Purpose.DOCUMENT:
            known = catalogue_store.read(self._database.reader).authorities.get(authority)
            if known is None:
                raise CannotRotate("没有这个机构。", "Unknown authority.")
            wanted = KeyRequest(purpose, known.code, known.name)
        made = self._signing_keys.replace(wanted)
        self._keyring.refresh()
        return made

    def retire(self, kid: str) -> PublicKey:
        """Permanently delete the private part of a retired signing key. Raises CannotRotate.

        Refused while an open intent was prepared for the key; the worker prepares such intents again within seconds.
        """
        found = next((key for key in self._keyring.all() if key.public.kid == kid), None)
        if found is None:
            raise CannotRotate("没有这个密钥。", "Unknown key.")
        if found.state is not SigningState.RETIRED:
            raise CannotRotate("这个密钥还在使用，请先更换。", "This key is in use: rotate it first.")
        waiting = sum(kid in needed for needed in intents.open_key_ids(self._database.reader))
        if waiting:
            raise CannotRotate(
                f"还有 {waiting} 个待签办件要用它，请稍后再试。",
                f"{waiting} open intents need this key; retry shortly.",
            )
        self._keyring.folder.retire(kid, found.public.purpose)
        return found.public

    def revoke(self, kid: str) -> PublicKey:
        """Revoke the X.509 certificate of a document key. Raises CannotRotate.

        All files that it has sealed become `untrusted`; the certificates themselves are not affected. Only for a
        compromised private part: a key that was merely rotated stays valid.
        """
        found = next((key for key in self._keyring.all() if key.public.kid == kid), None)
        if found is None or found.public.purpose is not Purpose.DOCUMENT:
            raise CannotRotate("没有这个印章密钥。", "Unknown document key.")
        if found.state is not SigningState.RETIRED:
            raise CannotRotate("这个密钥还在使用，请先更换。", "This key is in use: rotate it first.")
        with self._database.write(exclusive=True) as writer:
            if not key_store.revoke_x509(writer, kid, to_micros(self._clock.now())):
                raise CannotRotate(
                    "这个密钥的 X.509 证书已经吊销过了。", "The X.509 certificate of this key was already revoked."
                )
        return found.public
