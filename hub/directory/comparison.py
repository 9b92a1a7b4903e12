"""The directory beside the repository: what is missing, stale or has nothing behind it.

Reads only, unless it is asked to repair. Writes may go on: a certificate whose change is still on its way is left out,
and what differs is looked at once more before it is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hub.directory.entries import certificate_of, entries_of
from hub.directory.writing import Writing
from hub.domain.certificate import CertificateKey
from hub.runtime.progress import Progress
from hub.store import directory_source, ledger
from hub.store.directory_source import BEFORE_ALL, Listed
from indexer.entry import Entry, EntryKey

_BATCH = 500


class Kind(StrEnum):
    """How an entry differs."""

    MISSING = "missing"
    STALE = "stale"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that is not as the repository says: of which version, and what the directory has instead."""

    kind: Kind
    identifier: str
    key: EntryKey
    found: Entry | None


@dataclass(slots=True)
class Report:
    """What was compared; `pending` are certificates whose change is still on its way."""

    generation: str
    certificates: int = 0
    entries: int = 0
    pending: int = 0
    repaired: int = 0
    differences: list[Difference] = field(default_factory=list)

    def count(self, kind: Kind) -> int:
        """How many differences of a kind."""
        return sum(difference.kind is kind for difference in self.differences)


class Comparison:
    """Compares one generation."""

    def __init__(self, writing: Writing, generation: str) -> None:
        self._writing = writing
        self._directory = writing.directory
        self._reader = writing.database.reader
        self._generation = generation
        self._report = Report(generation)

    def run(self, *, repair: bool, progress: Progress) -> Report:
        """Walk both sides; raises DirectoryUnavailable."""
        after = BEFORE_ALL
        while listed := directory_source.between(self._reader, self._writing.vault, after, _BATCH):
            for one in listed:
                if any(True for _ in self._differences(one)):
                    self._settle(one.key, repair=repair)
            self._report.certificates += len(listed)
            after = listed[-1].key
            progress(self._report.certificates, 0)
        place = (-1, -1, -1)
        while entries := self._directory.walk(self._generation, place, _BATCH):
            self._look_for_extras(entries, repair=repair)
            self._report.entries += len(entries)
            place = entries[-1].key
        return self._report

    def _settle(self, key: CertificateKey, *, repair: bool) -> None:
        """Say what differs for good: position, pending and rows first, the directory last.

        So the directory can only be newer than the rows, and then the rows have moved.
        """
        while True:
            position = self._writing.position(self._generation)
            with self._writing.database.snapshot() as reader:
                pending = ledger.pending_among(reader, position, [key])
                listed = directory_source.of_keys(reader, self._writing.vault, [key])
            if pending:
                self._report.pending += 1
                return
            found = [difference for one in listed for difference in self._differences(one)]
            if not found or not self._has_moved(listed[0]):
                break
        self._report.differences += found
        if found and repair:
            self._repair(listed, found)

    def _has_moved(self, listed: Listed) -> bool:
        now = directory_source.of_keys(self._reader, self._writing.vault, [listed.key])
        return not now or now[0].revision != listed.revision

    def _differences(self, listed: Listed) -> Iterator[Difference]:
        picture = self._writing.catalogue(listed.type_code, listed.authority)
        for expected in entries_of(listed, picture):
            found = self._directory.find(self._generation, expected.key)
            if found != expected:
                kind = Kind.MISSING if found is None else Kind.STALE
                yield Difference(kind, expected.identifier, expected.key, found)

    def _look_for_extras(self, entries: list[Entry], *, repair: bool) -> None:
        """Entries for which the repository has no certificate, or none that this party ever held."""
        standing = self._standing(entries)
        for entry in entries:
            if entry.key not in standing and entry.key not in self._standing([entry]):
                extra = Difference(Kind.EXTRA, entry.identifier, entry.key, entry)
                self._report.differences.append(extra)
                if repair:
                    self._repair((), [extra])

    def _standing(self, entries: Sequence[Entry]) -> set[EntryKey]:
        """The keys of those entries that have a holding behind them; who can tell of what cannot be read?"""
        keys = set(map(certificate_of, entries))
        listed = directory_source.of_keys(self._reader, self._writing.vault, keys)
        held = {(holder.party, *one.key) for one in listed for held in one.versions for holder in held.holders}
        unreadable = {one.key for one in listed if not one.versions}
        return {entry.key for entry in entries if entry.key in held or certificate_of(entry) in unreadable}

    def _repair(self, listed: Sequence[Listed], differences: list[Difference]) -> None:
        """Put what is into the place of what was found, unless the feeder was there meanwhile."""
        seen = [difference.found for difference in differences if difference.found is not None]
        self._writing.write(self._generation, listed, {}, instead_of=seen)
        self._report.repaired += len(differences)
