"""Write entries, derived from current rows, and positions into a generation: the common part of feed and build."""

from collections.abc import Callable, Sequence

from hub.db.database import Database
from hub.directory import marks
from hub.directory.entries import certificate_of, entries_of, names_in, names_text
from hub.domain.catalogue import Catalogue
from hub.domain.dates import to_micros
from hub.runtime import logs
from hub.runtime.clock import Clock
from hub.store import directory_rejects, directory_source, ledger
from hub.store.catalogue import CatalogueCache
from hub.store.directory_source import SourceCertificate
from hub.vault import Vault
from indexer.engine import DirectoryEngine, Mark, RejectedEntry
from indexer.entry import Entry
from indexer.errors import DirectoryBroken

BATCH = 500
_log = logs.get("directory")


class Writing:
    """Writes to generations. Safe to kill between any two steps; `at_step` gets the name of each, for crash tests."""

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
        self.database = database
        self.vault = vault
        self.clock = clock
        self.catalogue = catalogue
        self.directory = directory
        self._at_step = at_step
        self._known: dict[str, tuple[Catalogue, bool]] = {}

    def feed(self, generation: str) -> int:
        """Apply the next batch of the ledger; returns the number of changes, 0 if the generation is up to date.

        Raises DirectoryBroken if the generation is ahead of the ledger: the repository was restored from a backup, and
        changes that the backup does not have must not stay in the directory.
        """
        reader = self.database.reader
        position = self.position(generation)
        changes = ledger.after(reader, position, BATCH)
        if not changes:
            if position > ledger.head(reader):
                raise DirectoryBroken("the generation is ahead of the ledger")
            return 0
        self._at_step("changes read")
        certificates = directory_source.of_keys(reader, self.vault, {change.key for change in changes})
        self._at_step("rows read")
        self.write(generation, certificates, {marks.POSITION: changes[-1].position})
        self._at_step("written")
        self.advance(generation, changes[-1].position)
        self._at_step("advanced")
        return len(changes)

    def write(
        self,
        generation: str,
        certificates: Sequence[SourceCertificate],
        new_marks: dict[str, Mark],
        instead_of: Sequence[Entry] = (),
    ) -> int:
        """Write the entries of certificates, and marks in the same commit; returns the number of entries.

        instead_of: entries to delete where they are still stored exactly like this, whatever their revision.
        """
        catalogue = self.catalogue(*{code for one in certificates for code in (one.type_code, one.authority)})
        self.has_current_names(generation, catalogue)
        entries: list[Entry] = []
        for certificate in certificates:
            entries += entries_of(certificate, catalogue)
        rejected: list[RejectedEntry] = []

        def on_rejected(found: Sequence[RejectedEntry]) -> None:
            rejected.extend(found)
            self._record_rejects(found)

        count = self.directory.write(generation, entries, new_marks, instead_of, on_rejected)
        self._clear_rejects(generation, certificates, rejected)
        return count

    def _record_rejects(self, rejected: Sequence[RejectedEntry]) -> None:
        _log.error("set aside", count=len(rejected), reasons=sorted({one.reason for one in rejected}))
        now = to_micros(self.clock.now())
        with self.database.write() as writer:
            for one in rejected:
                entry = one.entry
                key = certificate_of(entry)
                directory_rejects.put(writer, entry.party, key, entry.revision, one.reason, now)

    def _clear_rejects(
        self, generation: str, certificates: Sequence[SourceCertificate], rejected: Sequence[RejectedEntry]
    ) -> None:
        """Delete the records of rejects that are now accepted, unless the generation is still being built."""
        if (
            not certificates
            or not directory_rejects.is_any(self.database.reader)
            or generation != self.directory.current()
        ):
            return
        with self.database.write() as writer:
            for certificate in certificates:
                parties = [r.entry.party for r in rejected if certificate_of(r.entry) == certificate.key]
                directory_rejects.keep_only(writer, certificate.key, parties)

    def advance(self, generation: str, position: int) -> None:
        """Record the generation's position in the repository; its entries up to there can already be found."""
        with self.database.write() as writer:
            ledger.advance(writer, marks.consumer(generation), position)

    def position(self, generation: str) -> int:
        """The ledger position up to which a generation has every change; raises DirectoryBroken if it has none."""
        position = self.directory.mark(generation, marks.POSITION)
        if not isinstance(position, int):
            raise DirectoryBroken("the generation has no position")
        return position

    def has_current_names(self, generation: str, catalogue: Catalogue) -> bool:
        """Whether the generation was built with the names that the catalogue has now; records new names in it."""
        known = self._known.get(generation)
        if known is not None and known[0] is catalogue:
            return known[1]
        stored, now = marks.names_of(self.directory.mark(generation, marks.NAMES)), names_in(catalogue)
        same = all(now.get(code, name) == name for code, name in stored.items())
        if not stored.keys() >= now.keys():
            self.directory.write(generation, (), {marks.NAMES: names_text(now | stored)})
        self._known = {generation: (catalogue, same)}
        return same
