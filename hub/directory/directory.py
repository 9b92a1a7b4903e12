"""Everything about the directory in one place: fed, rebuilt, compared, explained, searched."""

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
"""How often the feeder asks whether the generation still has all of its parts."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where the directory stands. generation: None while nothing answers. lag: what it does not know yet. set_aside:
    entries that its engine has refused."""

    generation: str | None
    entries: int
    position: int
    head: int
    lag: Lag
    others: tuple[str, ...]
    set_aside: int


@dataclass(frozen=True, slots=True)
class Explained:
    """One certificate on both sides: what it should have in the directory, and what is there, in the same order."""

    revision: int
    expected: tuple[Entry, ...]
    found: tuple[Entry | None, ...]
    generation: str | None
    position: int
    head: int
    pending: bool


class Directory:
    """The directory's work. What writes to it is for the worker and the command line alone, never for a request."""

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
        """Give waiting changes their positions in the ledger, a batch; how many."""
        if not ledger.is_waiting(self._database.reader):
            return 0
        with self._database.write() as writer:
            return ledger.sequence(writer, SEQUENCED_AT_ONCE)

    def feed(self) -> int:
        """One batch of changes into the generation that answers; how much was done.

        Where none answers, or the one that does is broken, of another format or made with other names, one batch of a
        new generation is built too. Raises DirectoryUnavailable when nothing can be written.
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
                self._settle()
            self._require_whole(generation)
            done = self._writing.feed(generation)
            return done, self._is_of_now(generation)
        except DirectoryBroken:
            self._examined = None
            return 0, False

    def _require_whole(self, generation: str) -> None:
        now = time.monotonic()
        if now >= self._whole_until:
            self._directory.require_whole(generation)
            self._whole_until = now + WHOLE_EVERY_S

    def _is_of_now(self, generation: str) -> bool:
        same_format = self._directory.mark(generation, marks.FORMAT_OF) == FORMAT
        return same_format and self._writing.agrees(generation, self._writing.catalogue())

    def rebuild(self, progress: Progress = silent) -> str:
        """A new generation from all that is in the repository, swapped in while everything runs; its name.

        Raises Busy while another is being built, and DirectoryUnavailable.
        """
        name = self._builder.rebuild(progress)
        self._settle()
        return name

    def _settle(self) -> None:
        """What a former generation has refused and this one may have taken when it was built."""
        if self.set_aside():
            self.retry()

    # --- looking at it ------------------------------------------------------------------------------------------------

    def search(self, caller: Caller, wanted: DirectoryQuery) -> SearchResult:
        """Free search; see `Searching.search`."""
        return self._searching.search(caller, wanted)

    def compare(self, *, repair: bool = False, progress: Progress = silent) -> Report | None:
        """The generation that answers beside the repository; None where none does. Raises DirectoryUnavailable."""
        generation = self._directory.current()
        return (
            None if generation is None else Comparison(self._writing, generation).run(repair=repair, progress=progress)
        )

    def status(self) -> Status:
        """Where it stands; raises DirectoryUnavailable when the generation that should answer cannot be read or has
        lost a part."""
        generation = self._directory.current()
        if generation is not None:
            self._directory.require_whole(generation)
        position = 0 if generation is None else self._writing.position(generation)
        entries = 0 if generation is None else self._directory.count(generation)
        others = tuple(name for name in self._directory.names() if name != generation)
        head, lag = ledger.head(self._database.reader), ledger.lag(self._database.reader, position)
        return Status(generation, entries, position, head, lag, others, self.set_aside())

    def server(self) -> ServerState | None:
        """How the servers behind it are; None where it is a file. Raises DirectoryUnavailable."""
        return self._directory.server()

    def set_aside(self) -> int:
        """How many entries the engine has refused; what they stand for is found in the repository alone."""
        return directory_rejects.count(self._database.reader)

    def retry(self) -> tuple[int, int]:
        """Write anew every certificate with an entry that was refused; (tried, entries that are refused again).

        Raises DirectoryUnavailable.
        """
        generation = self._directory.current()
        if generation is None:
            raise DirectoryUnavailable("there is no generation yet")
        tried, after = 0, BEFORE_ALL
        while keys := directory_rejects.certificates(self._database.reader, after, BATCH):
            self._writing.write(generation, directory_source.of_keys(self._database.reader, self._vault, keys), {})
            tried, after = tried + len(keys), keys[-1]
        return tried, self.set_aside()

    def lag(self) -> Lag:
        """What the generation that answers does not know yet; raises DirectoryUnavailable where none answers, or one
        that has lost a part."""
        generation = self._directory.current()
        if generation is None:
            raise DirectoryUnavailable("there is no generation yet")
        self._directory.require_whole(generation)
        return ledger.lag(self._database.reader, self._writing.position(generation))

    def explain(self, identifier: str) -> Explained:
        """One certificate on both sides; raises Refusal `certificate.not_found`, and DirectoryUnavailable."""
        version = certificates.by_identifier(self._database.reader, self._vault, identifier)
        if version is None:
            raise Refusal("certificate.not_found")
        key = CertificateKey(version.home, version.certificate)
        generation = self._directory.current()
        position = 0 if generation is None else self._writing.position(generation)
        with self._database.snapshot() as reader:
            listed = directory_source.of_keys(reader, self._vault, [key])[0]
            pending = bool(ledger.pending_among(reader, position, [key]))
            head = ledger.head(reader)
        picture = self._writing.catalogue(listed.type_code, listed.authority)
        expected = tuple(entries_of(listed, picture))
        found = tuple(None if generation is None else self._directory.find(generation, e.key) for e in expected)
        return Explained(listed.revision, expected, found, generation, position, head, pending)
