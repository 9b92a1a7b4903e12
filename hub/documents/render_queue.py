"""Background rendering: the worker makes the PDF of every version shortly after it was issued.

Like the directory, it consumes the ledger with a cursor of its own. A version that cannot be rendered because its
authority's key is missing is retried with exponential back-off while others are rendered; the cursor stays before it,
so that it is found again after a restart.
"""

import time
from dataclasses import dataclass

from hub.db.database import Database
from hub.documents.rendition import Rendition
from hub.domain.certificate import CertificateKey
from hub.runtime import logs
from hub.store import certificates, documents, ledger
from hub.vault import Vault, VaultError
from signing.errors import KeyMissing, Malformed

CONSUMER = "render"
ENTRIES_AT_ONCE = 50
VERSIONS_AT_ONCE = 4
"""After this many, the loop checks for a stop signal and runs the thread's other chores."""
MOST_WAITING = 10_000
READY_AFTER_S = 3.0
"""Modules for drawing are loaded before the first version arrives, but not during startup."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0

_log = logs.get("rendering")


@dataclass(slots=True)
class _Waiting:
    """A certificate that could not be rendered: its ledger position, and when to retry."""

    position: int
    failed: int
    next_at: float


class Rendering:
    """Renders new versions. Single-threaded; two concurrent processes duplicate some work, harmlessly."""

    def __init__(self, *, database: Database, vault: Vault, rendition: Rendition) -> None:
        self._database = database
        self._vault = vault
        self._rendition = rendition
        self._read_to: int | None = None
        self._noted = 0
        self._ready_at: float | None = None
        self._waiting: dict[CertificateKey, _Waiting] = {}

    def step(self) -> int:
        """Render a few versions; returns how much was done, 0 if nothing is due. Raises DatabaseUnavailable."""
        reader = self._database.reader
        if self._read_to is None:
            self._read_to = self._noted = ledger.cursor(reader, CONSUMER)
            self._ready_at = time.monotonic() + READY_AFTER_S
        if self._ready_at is not None and time.monotonic() >= self._ready_at:
            self._rendition.get_ready()
            self._ready_at = None
        done = self._retry_one()
        entries = ledger.after(reader, self._read_to, ENTRIES_AT_ONCE) if len(self._waiting) < MOST_WAITING else []
        for entry in entries:
            if done >= VERSIONS_AT_ONCE:
                break
            done += self._render(entry.key, entry.position)
            self._read_to = entry.position
        advanced = self._record_cursor(self._read_to)
        return done + advanced

    def lag(self) -> ledger.Lag:
        """The entries after the recorded cursor, which is the same in every process."""
        reader = self._database.reader
        return ledger.lag(reader, ledger.cursor(reader, CONSUMER))

    @property
    def waiting(self) -> int:
        """How many certificates wait for a key."""
        return len(self._waiting)

    def _retry_one(self) -> int:
        """Retry one certificate that is due: if the key is missing for one, it is mostly missing for all."""
        now = time.monotonic()
        for key, waiting in self._waiting.items():
            if waiting.next_at <= now:
                return self._render(key, waiting.position)
        return 0

    def _render(self, key: CertificateKey, position: int) -> int:
        """Render every version of a certificate that has no PDF; returns how many."""
        done = 0
        for number in documents.without_rendition(self._database.reader, *key):
            try:
                done += self._render_version(key, number)
            except KeyMissing:
                self._wait(key, position)
                return done
        self._waiting.pop(key, None)
        return done

    def _render_version(self, key: CertificateKey, number: int) -> int:
        try:
            version = certificates.by_key(self._database.reader, self._vault, *key, number)
            if version is None:
                return 0
            self._rendition.of_version(version)
        except (Malformed, VaultError) as fault:
            # Retrying does not help; readers get an error, and `hub check` reports a record that does not open.
            _log.error("undrawable", certificate=key[1], version=number, kind=type(fault).__name__, what=str(fault))
            return 0
        return 1

    def _wait(self, key: CertificateKey, position: int) -> None:
        before = self._waiting.pop(key, None)  # to the end of the queue
        failed = 0 if before is None else before.failed + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failed, 10))
        place = position if before is None else min(before.position, position)
        self._waiting[key] = _Waiting(place, failed, time.monotonic() + pause)
        if before is None:
            _log.warning("waiting", certificate=key[1], pause_s=pause)

    def _record_cursor(self, read_to: int) -> int:
        """Advance the recorded cursor, but not past a waiting certificate; returns 1 if it advanced."""
        place = min((waiting.position - 1 for waiting in self._waiting.values()), default=read_to)
        if place <= self._noted:
            return 0
        with self._database.write() as writer:
            ledger.advance(writer, CONSUMER, place)
        self._noted = place
        return 1
