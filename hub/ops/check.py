"""`hub check`: verify that signatures, state, history, ledger, registries, files and directory are consistent.

Read-only, so it can run while the service is running. Findings name identifiers and case sources, never people or
numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from hub.directory import Kind
from hub.domain import numbers
from hub.domain.certificate import Standing
from hub.domain.dates import from_micros, to_int, to_micros
from hub.domain.version import Version
from hub.ops import check_documents
from hub.parts import Parts
from hub.runtime.progress import Progress, silent
from hub.store import acts, cases, certificates, check_rows, intents, parties
from hub.store import keys as key_store
from hub.store.acts import RecordedAct
from hub.store.check_rows import CertificateRows
from hub.vault import VaultError
from indexer.errors import DirectoryUnavailable
from signing import credential, identifier, ledger_leaf, qr, status
from signing.errors import Malformed
from signing.keys import Purpose

BATCH = 500
STUCK_AFTER = timedelta(minutes=10)
_IN_DIRECTORY = {
    Kind.MISSING: "is missing in the directory",
    Kind.STALE: "differs in the directory",
    Kind.EXTRA: "is in the directory but not in the database",
}


@dataclass(frozen=True, slots=True)
class IntegrityFinding:
    """One inconsistency: where (an identifier or the source of a case) and what."""

    where: str
    what: str


@dataclass(slots=True)
class Report:
    """Counts and findings. `waiting`: cases whose certificates are decided but not yet signed."""

    certificates: int = 0
    versions: int = 0
    documents: int = 0
    acts: int = 0
    waiting: int = 0
    findings: list[IntegrityFinding] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether there are no findings."""
        return not self.findings


def check(parts: Parts, progress: Progress = silent) -> Report:
    """Check everything; calls `progress(done, total)` after each batch."""
    report = Report()
    reader = parts.database.reader
    total = check_rows.count_certificates(reader)
    after = (-1, -1)
    while batch := certificates.walk(reader, after, BATCH):
        for home, certificate in batch:
            report.findings += _Certificate(parts, report, home, certificate).findings()
            report.certificates += 1
        after = batch[-1]
        progress(report.certificates, max(total, report.certificates))
    with parts.database.snapshot():
        report.findings += _registries(parts, report)
    strays = check_documents.strays(parts)
    report.findings += [IntegrityFinding(file, "file without a document record") for file in strays]
    report.findings += _directory(parts)
    return report


def _directory(parts: Parts) -> Iterator[IntegrityFinding]:
    """Entries that differ, apart from pending changes. A missing directory is not an inconsistency of the data."""
    try:
        compared = parts.directory.compare()
    except DirectoryUnavailable:
        advice = "cannot be read: the worker will build a new one, or run `hub index rebuild`"
        yield IntegrityFinding("directory", advice)
        return
    for difference in () if compared is None else compared.differences:
        yield IntegrityFinding(
            difference.identifier, f"{_IN_DIRECTORY[difference.kind]}: run `hub index compare --repair`"
        )


def _registries(parts: Parts, report: Report) -> Iterator[IntegrityFinding]:
    reader = parts.database.reader
    reserved = set()
    for source, number, reserved_at in check_rows.open_intents(reader):
        report.waiting += 1
        intent = intents.open_intent(reader, parts.vault, source, number)
        reserved |= {value for p in (intent.planned if intent else ()) for value in (p.identifier, p.code)}
        if parts.clock.now() - from_micros(reserved_at) > STUCK_AFTER:
            yield IntegrityFinding(source, "a decided case has been waiting to be signed for more than ten minutes")
    for _, value in check_rows.handles_without_version(reader):
        if value not in reserved:
            yield IntegrityFinding(value, "reserved, but neither issued nor waiting")
    for source, _ in check_rows.unanswered_pushes(reader):
        yield IntegrityFinding(source, "a push has neither a reply nor an open intent")
    lost = check_rows.parties_without_hash(reader)
    if lost:
        yield IntegrityFinding("parties", f"{lost} parties cannot be found by their number")


class _Certificate:
    """The checks of one certificate."""

    def __init__(self, parts: Parts, report: Report, home: int, certificate: int) -> None:
        self._parts = parts
        self._report = report
        self._key = (home, certificate)

    def findings(self) -> list[IntegrityFinding]:
        with self._parts.database.snapshot() as reader:
            try:
                versions = certificates.versions_of(reader, self._parts.vault, *self._key)
                history = acts.acts_of(reader, self._parts.vault, *self._key)
                people = [party for version in versions for party in version.parties]
                rows = check_rows.certificate_rows(reader, *self._key, people)
                found = [] if rows is None else list(self._all(rows, versions, history))
            except (VaultError, Malformed) as error:
                return [IntegrityFinding(f"certificate {self._key[1]}", f"cannot be read: {error}")]
        if versions:  # key rotation replaces files, so read them as of now, not as of the snapshot
            walked, wrong = check_documents.findings(self._parts, versions)
            found += wrong
            self._report.documents += walked
        self._report.versions += len(versions)
        self._report.acts += len(history)
        where = versions[-1].identifier if versions else f"certificate {self._key[1]}"
        return [IntegrityFinding(where, what) for what in found]

    def _all(self, rows: CertificateRows, versions: list[Version], history: list[RecordedAct]) -> Iterator[str]:
        if not versions:
            yield "has no version"
            return
        for version in versions:
            yield from self._signed(version)
            yield from self._in_case(version)
        yield from self._chain(rows, versions)
        yield from self._acts(rows, history)
        yield from self._feed(rows, versions, history)
        yield from self._holdings(rows, versions[-1])
        yield from self._registered(rows, versions)

    # --- what was signed ----------------------------------------------------------------------------------------------

    def _signed(self, version: Version) -> Iterator[str]:
        read = credential.read(version.credential)
        public = self._parts.keyring.public(version.kid, Purpose.CREDENTIAL)
        if public is None or not credential.is_signed_by(read, public):
            yield f"version {version.version}: the credential's signature does not verify"
        digits = qr.read(version.digits)
        if public is None or not qr.is_signed_by(digits, version.code, public):
            yield f"version {version.version}: the QR code's signature does not verify"
        place = status.index_of(version.version_key, self._parts.vault.status_key)
        dates = (version.dates.issued_on, version.dates.valid_from, version.dates.valid_until)
        claims, face = read.claims, digits.face
        if claims.identifier != version.identifier or face.identifier != version.identifier:
            yield f"version {version.version}: a different identifier was signed"
        if (claims.issued_on, claims.valid_from, claims.valid_until) != dates:
            yield f"version {version.version}: the credential has different dates"
        if (face.issued_on, face.valid_from, face.valid_until) != dates:
            yield f"version {version.version}: the QR code has different dates"
        if (claims.status_list, claims.status_index) != place or (face.status_list, face.status_index) != place:
            yield f"version {version.version}: a different status list position was signed"
        if claims.issuer not in key_store.public_urls(self._parts.database.reader):
            yield f"version {version.version}: the issuer is not an address of this hub"
        yield from self._disclosed(version, read)

    @staticmethod
    def _disclosed(version: Version, read: credential.Credential) -> Iterator[str]:
        holders = tuple((h.name, h.id_type, h.id_number) for h in read.holders or ())
        recorded = tuple((h.name, h.id_type, h.id_number) for h in version.holders)
        if (read.number, holders, dict(read.fields)) != (version.number, recorded, dict(version.fields)):
            yield f"version {version.version}: the credential and the record have different contents"

    def _in_case(self, version: Version) -> Iterator[str]:
        case = cases.find(self._parts.database.reader, self._parts.vault, version.source, version.case_number)
        granted = () if case is None else case.certificates
        if not any(key[:2] == self._key and key[2] >= version.version for key in granted):
            yield f"version {version.version}: its case does not refer to it"

    # --- history ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _chain(rows: CertificateRows, versions: list[Version]) -> Iterator[str]:
        row, current = rows.certificate, versions[-1]
        if [v.version for v in versions] != list(range(1, len(versions) + 1)) or row["version"] != current.version:
            yield "versions are not numbered from 1 to the current one"
        if any(v.dates.superseded_on is None for v in versions[:-1]):
            yield "an old version has no end date"
        ended = current.dates.superseded_on
        dates = (current.dates.issued_on, current.dates.valid_from, current.dates.valid_until, ended)
        recorded = tuple(row[name] for name in ("issued_on", "valid_from", "valid_until", "superseded_on"))
        if tuple(None if day is None else to_int(day) for day in dates) != recorded:
            yield "certificate and current version have different dates"
        if current.standing != row["standing"]:
            yield "certificate and current version have different standings"
        revoked = row["standing"] == Standing.REVOKED
        if any((v.standing is Standing.REVOKED) != revoked for v in versions):
            yield "not every version is revoked"
        for version in versions:
            made = identifier.build(row["type"], row["authority"], row["serial"], version.version)
            if version.identifier != made:
                yield f"version {version.version}: the identifier does not belong to the certificate"

    @staticmethod
    def _acts(rows: CertificateRows, history: list[RecordedAct]) -> Iterator[str]:
        row = rows.certificate
        if [act.revision for act in history] != list(range(1, row["revision"] + 1)):
            yield "events are not numbered from 1 to the revision"
        elif history[-1].standing != row["standing"]:
            yield "the standing differs from the last event"

    @staticmethod
    def _feed(rows: CertificateRows, versions: list[Version], history: list[RecordedAct]) -> Iterator[str]:
        if [row["revision"] for row in rows.leaves] != [act.revision for act in history]:
            yield "outbox and ledger do not have exactly one leaf per event"
            return
        by_number = {version.version: version for version in versions}
        for row, act in zip(rows.leaves, history, strict=True):
            version = by_number.get(act.version)
            expected = (
                None
                if version is None
                else ledger_leaf.leaf(
                    int(act.kind),
                    version.identifier,
                    version.credential,
                    version.salt,
                    act.effective_on,
                    to_micros(act.recorded_at),
                    act.revision,
                )
            )
            if row["kind"] != act.kind or bytes(row["leaf"]) != expected:
                yield f"revision {act.revision}: the leaf does not match the event"

    # --- lookup tables ------------------------------------------------------------------------------------------------

    @staticmethod
    def _holdings(rows: CertificateRows, current: Version) -> Iterator[str]:
        open_rows = {row["party"]: row for row in rows.holdings if not row["ended"]}
        if set(open_rows) != set(current.parties):
            yield "holdings and holders differ"
        row = rows.certificate
        names = ("type", "standing", "issued_on", "valid_from", "valid_until", "superseded_on")
        if any(holding[name] != row[name] for holding in open_rows.values() for name in names):
            yield "a holding and its certificate differ"

    def _registered(self, rows: CertificateRows, versions: list[Version]) -> Iterator[str]:
        expected = {(*self._key, version.version) for version in versions}
        found = [(row["home"], row["certificate"], row["version"]) for row in rows.handles]
        if len(found) != 2 * len(versions) or set(found) != expected:
            yield "an identifier or public code leads to a different certificate"
        text = numbers.number_text(versions[-1].authority, versions[-1].type_code, versions[-1].number)
        if parties.holder_of_number(self._parts.database.reader, self._parts.vault, text) != self._key:
            yield "the printed number leads to a different certificate"
