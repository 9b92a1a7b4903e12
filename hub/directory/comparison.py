"""Compare the directory with the repository: which entries are missing, stale or extra.

Read-only unless asked to repair, and safe while the hub runs: certificates with pending changes are skipped, and every
difference is checked again before it is reported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hub.directory.entries import certificate_of, entries_of
from hub.directory.writing import Writing
from hub.domain.certificate import CertificateKey
from hub.runtime.progress import Progress
from hub.store import directory_source, ledger
from hub.store.directory_source import BEFORE_ALL, SourceCertificate
from indexer.entry import Entry, EntryKey

_BATCH = 500


class Kind(StrEnum):
    """How an entry differs."""

    MISSING = "missing"
    STALE = "stale"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that differs from the repository: of which version, and what the directory has instead."""

    kind: Kind
    identifier: str
    key: EntryKey
    found: Entry | None


@dataclass(slots=True)
class Report:
    """What was compared; `pending` counts certificates with changes that the directory does not have yet."""

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
        while certificates := directory_source.between(self._reader, self._writing.vault, after, _BATCH):
            for certificate in certificates:
                if any(True for _ in self._differences(certificate)):
                    self._confirm(certificate.key, repair=repair)
            self._report.certificates += len(certificates)
            after = certificates[-1].key
            progress(self._report.certificates, 0)
        last = (-1, -1, -1)
        while entries := self._directory.walk(self._generation, last, _BATCH):
            self._find_extras(entries, repair=repair)
            self._report.entries += len(entries)
            last = entries[-1].key
        return self._report

    def _confirm(self, key: CertificateKey, *, repair: bool) -> None:
        """Report a difference that persists: read position, pending changes and rows first, the directory last.

        In this order the directory can only be newer than the rows, and then the rows have changed.
        """
        while True:
            position = self._writing.position(self._generation)
            with self._writing.database.snapshot() as reader:
                pending = ledger.pending_among(reader, position, [key])
                certificates = directory_source.of_keys(reader, self._writing.vault, [key])
            if pending:
                self._report.pending += 1
                return
            found = [difference for certificate in certificates for difference in self._differences(certificate)]
            if not found or not self._has_changed(certificates[0]):
                break
        self._report.differences += found
        if found and repair:
            self._repair(certificates, found)

    def _has_changed(self, certificate: SourceCertificate) -> bool:
        now = directory_source.of_keys(self._reader, self._writing.vault, [certificate.key])
        return not now or now[0].revision != certificate.revision

    def _differences(self, certificate: SourceCertificate) -> Iterator[Difference]:
        catalogue = self._writing.catalogue(certificate.type_code, certificate.authority)
        for expected in entries_of(certificate, catalogue):
            found = self._directory.find(self._generation, expected.key)
            if found != expected:
                kind = Kind.MISSING if found is None else Kind.STALE
                yield Difference(kind, expected.identifier, expected.key, found)

    def _find_extras(self, entries: list[Entry], *, repair: bool) -> None:
        """Entries for which the repository has no certificate, or none that this party ever held."""
        backed = self._backed(entries)
        for entry in entries:
            if entry.key not in backed and entry.key not in self._backed([entry]):
                extra = Difference(Kind.EXTRA, entry.identifier, entry.key, entry)
                self._report.differences.append(extra)
                if repair:
                    self._repair((), [extra])

    def _backed(self, entries: Sequence[Entry]) -> set[EntryKey]:
        """The keys of entries that a holding backs; entries of unreadable certificates get the benefit of the doubt."""
        keys = set(map(certificate_of, entries))
        certificates = directory_source.of_keys(self._reader, self._writing.vault, keys)
        held = {(holder.party, *c.key) for c in certificates for version in c.versions for holder in version.holders}
        unreadable = {certificate.key for certificate in certificates if not certificate.versions}
        return {entry.key for entry in entries if entry.key in held or certificate_of(entry) in unreadable}

    def _repair(self, certificates: Sequence[SourceCertificate], differences: list[Difference]) -> None:
        """Replace the entries that were found with the correct ones, unless the feeder has changed them since."""
        seen = [difference.found for difference in differences if difference.found is not None]
        self._writing.write(self._generation, certificates, {}, instead_of=seen)
        self._report.repaired += len(differences)
