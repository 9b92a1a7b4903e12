"""Whole entries from current rows into one generation, and how far it has come: what feeding and building share."""

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
from hub.store.directory_source import Listed
from hub.vault import Vault
from indexer.engine import DirectoryEngine, Mark, RejectedEntry
from indexer.entry import Entry
from indexer.errors import DirectoryBroken

BATCH = 500
_log = logs.get("directory")


class Writing:
    """Writes to generations. Safe to kill between any two steps; `at_step` is told each one's name, for crash tests."""

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
        """One batch of the ledger past the generation's mark; how many changes, 0 when it knows all of them.

        Raises DirectoryBroken when the generation knows more than the ledger has: the repository was put back from a
        backup, and what it has forgotten must not stay in the directory.
        """
        reader = self.database.reader
        position = self.position(generation)
        changes = ledger.after(reader, position, BATCH)
        if not changes:
            if position > ledger.head(reader):
                raise DirectoryBroken("the generation is ahead of the ledger")
            return 0
        self._at_step("changes read")
        listed = directory_source.of_keys(reader, self.vault, {change.key for change in changes})
        self._at_step("rows read")
        self.write(generation, listed, {marks.POSITION: changes[-1].position})
        self._at_step("written")
        self.advance(generation, changes[-1].position)
        self._at_step("advanced")
        return len(changes)

    def write(
        self, generation: str, listed: Sequence[Listed], more: dict[str, Mark], instead_of: Sequence[Entry] = ()
    ) -> int:
        """The entries of some certificates as their rows say, with marks in the same commit; how many.

        instead_of: entries that are taken out where they are still exactly this, whatever their revision.
        """
        picture = self.catalogue(*{code for one in listed for code in (one.type_code, one.authority)})
        self.agrees(generation, picture)
        entries: list[Entry] = []
        for one in listed:
            entries += entries_of(one, picture)
        refused: list[RejectedEntry] = []

        def aside(found: Sequence[RejectedEntry]) -> None:
            refused.extend(found)
            self._put_on_record(found)

        count = self.directory.write(generation, entries, more, instead_of, aside)
        self._settle(generation, listed, refused)
        return count

    def _put_on_record(self, refused: Sequence[RejectedEntry]) -> None:
        _log.error("set aside", count=len(refused), reasons=sorted({one.reason for one in refused}))
        now = to_micros(self.clock.now())
        with self.database.write() as writer:
            for one in refused:
                entry = one.entry
                key = certificate_of(entry)
                directory_rejects.put(writer, entry.party, key, entry.revision, one.reason, now)

    def _settle(self, generation: str, listed: Sequence[Listed], refused: Sequence[RejectedEntry]) -> None:
        """What was refused before and has been taken now is no longer set aside; one in the making answers nobody."""
        if not listed or not directory_rejects.is_any(self.database.reader) or generation != self.directory.current():
            return
        with self.database.write() as writer:
            for one in listed:
                parties = [r.entry.party for r in refused if certificate_of(r.entry) == one.key]
                directory_rejects.settle(writer, one.key, parties)

    def advance(self, generation: str, position: int) -> None:
        """Note in the repository how far the generation has come; what it knows can be found already."""
        with self.database.write() as writer:
            ledger.advance(writer, marks.consumer(generation), position)

    def position(self, generation: str) -> int:
        """Up to where in the ledger a generation knows everything; raises DirectoryBroken where it does not say."""
        position = self.directory.mark(generation, marks.POSITION)
        if not isinstance(position, int):
            raise DirectoryBroken("the generation has no position")
        return position

    def agrees(self, generation: str, picture: Catalogue) -> bool:
        """Whether the generation was made with the names that the catalogue has now; new ones are noted in it."""
        known = self._known.get(generation)
        if known is not None and known[0] is picture:
            return known[1]
        noted, now = marks.names_of(self.directory.mark(generation, marks.NAMES)), names_in(picture)
        same = all(now.get(code, name) == name for code, name in noted.items())
        if not noted.keys() >= now.keys():
            self.directory.write(generation, (), {marks.NAMES: names_text(now | noted)})
        self._known = {generation: (picture, same)}
        return same
