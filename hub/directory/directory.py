"""The directory's service: feed, rebuild, compare, explain, search."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.db.database import Database
from hub.directory import marks
from hub.directory.building import Builder
from hub.directory.comparison import Comparison, Report
from hub.directory.entries import FORMAT, entries_of
from hub.directory.search import DirectoryQuery, Searching, SearchResult
from hub.directory.writing import BATCH, Writing
from hub.domain.caller import Caller
from hub.domain.certificate import CertificateKey
from hub.domain.errors import Refusal
from hub.runtime.clock import Clock
from hub.runtime.progress import Progress, silent
from hub.store import certificates, directory_rejects, directory_source, ledger
from hub.store.catalogue import CatalogueCache
from hub.store.directory_source import BEFORE_ALL
from hub.store.ledger import Lag
from hub.vault import Vault
from indexer.engine import DirectoryEngine, ServerState
from indexer.entry import Entry
from indexer.errors import DirectoryBroken, DirectoryUnavailable

SEQUENCED_AT_ONCE = 500
CLEANED_EVERY = timedelta(hours=1)
WHOLE_EVERY_S = 5.0
"""How often the feeder checks that the generation is complete."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the directory. generation: None before the first one is current. lag: changes that are not indexed
    yet. rejected: entries that the engine rejected."""

    generation: str | None
    entries: int
    position: int
    head: int
    lag: Lag
    others: tuple[str, ...]
    rejected: int


@dataclass(frozen=True, slots=True)
class Explained:
    """One certificate: the entries that the directory should have, and those that it has, in the same order."""

    revision: int
    expected: tuple[Entry, ...]
    found: tuple[Entry | None, ...]
    generation: str | None
    position: int
    head: int
    pending: bool


class Directory:
    """Operations on the directory. Only the worker and the command line write to it, never a request."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        catalogue: CatalogueCache,
        directory: DirectoryEngine,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._directory = directory
        self._writing = Writing(
            database=database, vault=vault, clock=clock, catalogue=catalogue, directory=directory, at_step=at_step
        )
        self._builder = Builder(self._writing)
        self._searching = Searching(self._writing, clock)
        self._examined: str | None = None
        self._whole_until = 0.0
        self._clock = clock
        self._cleaned_at: datetime | None = None

    # --- the feed -----------------------------------------------------------------------------------------------------

    def sequence(self) -> int:
        """Move a batch of waiting changes into the ledger; returns their number."""
        if not ledger.is_waiting(self._database.reader):
            return 0
        with self._database.write() as writer:
            return ledger.sequence(writer, SEQUENCED_AT_ONCE)

    def feed(self) -> int:
        """Apply one batch of changes to the current generation; returns the amount of work done.

        If no generation is current, or if it is broken, in another format, or built with outdated names, one batch of a
        new generation is built too. Raises DirectoryUnavailable if the engine cannot be written.
        """
        done, is_good = self._feed_current()
        if not is_good:
            return done + self._builder.step()
        now = self._clock.now()
        if self._cleaned_at is None or now - self._cleaned_at >= CLEANED_EVERY:
            self._builder.clean()
            self._cleaned_at = now
        return done

    def _feed_current(self) -> tuple[int, bool]:
        generation = self._directory.current()
        if generation is None:
            return 0, False
        try:
            if generation != self._examined:
                self._directory.examine(generation)
                self._examined = generation
                self._retry_rejects()
            self._require_whole(generation)
            done = self._writing.feed(generation)
            return done, self._is_up_to_date(generation)
        except DirectoryBroken:
            self._examined = None
            return 0, False

    def _require_whole(self, generation: str) -> None:
        now = time.monotonic()
        if now >= self._whole_until:
            self._directory.require_whole(generation)
            self._whole_until = now + WHOLE_EVERY_S

    def _is_up_to_date(self, generation: str) -> bool:
        same_format = self._directory.mark(generation, marks.FORMAT_OF) == FORMAT
        return same_format and self._writing.has_current_names(generation, self._writing.catalogue())

    def rebuild(self, progress: Progress = silent) -> str:
        """Build a new generation from the whole repository online, swap it in and return its name.

        Raises Busy while another build runs, and DirectoryUnavailable.
        """
        name = self._builder.rebuild(progress)
        self._retry_rejects()
        return name

    def _retry_rejects(self) -> None:
        """A new generation may accept what the previous one rejected."""
        if self.rejected_count():
            self.retry()

    # --- queries and status -------------------------------------------------------------------------------------------

    def search(self, caller: Caller, wanted: DirectoryQuery) -> SearchResult:
        """See `Searching.search`."""
        return self._searching.search(caller, wanted)

    def compare(self, *, repair: bool = False, progress: Progress = silent) -> Report | None:
        """Compare the current generation with the repository; None without one. Raises DirectoryUnavailable."""
        generation = self._directory.current()
        return (
            None if generation is None else Comparison(self._writing, generation).run(repair=repair, progress=progress)
        )

    def status(self) -> Status:
        """The state of the directory; raises DirectoryUnavailable if the generation is unreadable or incomplete."""
        generation = self._directory.current()
        if generation is not None:
            self._directory.require_whole(generation)
        position = 0 if generation is None else self._writing.position(generation)
        entries = 0 if generation is None else self._directory.count(generation)
        others = tuple(name for name in self._directory.names() if name != generation)
        head, lag = ledger.head(self._database.reader), ledger.lag(self._database.reader, position)
        return Status(generation, entries, position, head, lag, others, self.rejected_count())

    def server(self) -> ServerState | None:
        """The state of the engine's servers; None for the embedded engine. Raises DirectoryUnavailable."""
        return self._directory.server()

    def rejected_count(self) -> int:
        """The number of entries that the engine rejected; only the repository finds their certificates."""
        return directory_rejects.count(self._database.reader)

    def retry(self) -> tuple[int, int]:
        """Re-index every certificate with a rejected entry; returns (certificates tried, entries rejected again).

        Raises DirectoryUnavailable.
        """
        generation = self._directory.current()
        if generation is None:
            raise DirectoryUnavailable("there is no generation yet")
        tried, after = 0, BEFORE_ALL
        while keys := directory_rejects.certificates(self._database.reader, after, BATCH):
            self._writing.write(generation, directory_source.of_keys(self._database.reader, self._vault, keys), {})
            tried, after = tried + len(keys), keys[-1]
        return tried, self.rejected_count()

    def lag(self) -> Lag:
        """The changes that the current generation lacks; raises DirectoryUnavailable without a complete generation."""
        generation = self._directory.current()
        if generation is None:
            raise DirectoryUnavailable("there is no generation yet")
        self._directory.require_whole(generation)
        return ledger.lag(self._database.reader, self._writing.position(generation))

    def explain(self, identifier: str) -> Explained:
        """Explain one certificate; raises Refusal `certificate.not_found`, and DirectoryUnavailable."""
        version = certificates.by_identifier(self._database.reader, self._vault, identifier)
        if version is None:
            raise Refusal("certificate.not_found")
        key = CertificateKey(version.home, version.certificate)
        generation = self._directory.current()
        position = 0 if generation is None else self._writing.position(generation)
        with self._database.snapshot() as reader:
            certificate = directory_source.of_keys(reader, self._vault, [key])[0]
            pending = bool(ledger.pending_among(reader, position, [key]))
            head = ledger.head(reader)
        catalogue = self._writing.catalogue(certificate.type_code, certificate.authority)
        expected = tuple(entries_of(certificate, catalogue))
        found = tuple(None if generation is None else self._directory.find(generation, e.key) for e in expected)
        return Explained(certificate.revision, expected, found, generation, position, head, pending)
