"""From findings to a verdict: every check as of one moment, what may be shown, and the one state that follows."""

from contextlib import suppress
from dataclasses import replace
from datetime import date

from hub.db.database import Database, DatabaseUnavailable
from hub.domain.catalogue import Catalogue
from hub.domain.dates import day_of
from hub.domain.version import Version
from hub.runtime.clock import Clock
from hub.store import acts
from hub.store.acts import Why
from hub.store.catalogue import CatalogueCache
from hub.verification import problems, public_view
from hub.verification.evidence import Evidence, Proof
from hub.verification.issued import Found
from hub.verification.verdict import Checks, Finding, Presented, PublicCertificate, PublicCopy, Verdict, VerdictState

_YES, _NO, _UNKNOWN = Finding.YES, Finding.NO, Finding.UNKNOWN


class Answers:
    """Makes verdicts, with the names of the last catalogue that was seen."""

    def __init__(self, *, database: Database, clock: Clock, catalogue: CatalogueCache, evidence: Evidence) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue
        self._picture = Catalogue()
        self._evidence = evidence

    def with_record(
        self, presented: Presented, proof: Proof, found: Found, *, own: Proof | None = None, missing: bool = False
    ) -> Verdict:
        """The verdict on what was presented, with what the record adds where it can be relied on itself (`own`).

        missing: nothing else was presented than a way to the record, so without one it was not found.
        """
        if found.record is None:
            absent = found.problem or (problems.RECORD_MISSING if proof.holds else problems.CODE_UNKNOWN)
            return self.verdict(presented, proof, noted=(absent,), missing=missing and found.problem is None)
        own = own or self._evidence.of_record(found.record)
        if not own.holds:
            return self.verdict(presented, proof, noted=own.problems)
        return self.verdict(presented, proof, found=found)

    def unsaid(self, problem: str, trusted: Finding = _UNKNOWN) -> Verdict:
        """Nothing is said of any certificate."""
        return self.verdict(Presented.RECORD, Proof(_UNKNOWN, trusted, None, (problem,)))

    def missing(self, problem: str) -> Verdict:
        """There is no such record."""
        return self.verdict(Presented.RECORD, Proof(_UNKNOWN, _UNKNOWN, None, (problem,)), missing=True)

    def verdict(
        self,
        presented: Presented,
        proof: Proof,
        *,
        found: Found | None = None,
        noted: tuple[str, ...] = (),
        missing: bool = False,
    ) -> Verdict:
        """All findings as of one moment. `found` only where its record can be relied on."""
        now = self._clock.now()
        today = day_of(now)
        checks = Checks(proof.intact, proof.trusted)
        certificate: PublicCertificate | None = None
        copy: PublicCopy | None = None
        noted = (*proof.problems, *noted)
        if found is not None and (record := found.record) is not None:
            certificate, unread = self._shown(record, today)
            noted += unread
            copy = None if found.receipt is None else public_view.copy(found.receipt)
            checks = Checks(
                proof.intact,
                proof.trusted,
                Finding.of(holds=public_view.in_force(record.standing, record.dates, today)),
                Finding.of(holds=public_view.within_dates(record.dates, today)),
            )
        elif proof.said is not None:
            certificate = public_view.from_bytes(proof.said, self.names(), today)
            checks = replace(checks, within_dates=Finding.of(holds=public_view.within_dates(proof.said.dates, today)))
        over = copy is not None and today > copy.expires_on
        state = _conclude(checks, certificate, missing=missing, over=over)
        return Verdict(state, presented, checks, now, certificate, tuple(dict.fromkeys(noted)), copy)

    def names(self, *wanted: str) -> Catalogue:
        """The catalogue, or the last one that was seen while the database is away."""
        with suppress(DatabaseUnavailable):
            self._picture = self._catalogue(*wanted)
        return self._picture

    def _shown(self, record: Version, today: date) -> tuple[PublicCertificate, tuple[str, ...]]:
        state = record.state(today)
        catalogue = self.names(record.type_code, record.authority)
        try:
            return public_view.from_record(record, state, acts.why(self._database.reader, record, state), catalogue), ()
        except DatabaseUnavailable:  # it went away between two reads; what is known already stands
            return public_view.from_record(record, state, Why(), catalogue), (problems.DATABASE_UNAVAILABLE,)


def _conclude(checks: Checks, certificate: PublicCertificate | None, *, missing: bool, over: bool) -> VerdictState:
    """The contract's order; `unknown` only when nothing that was checked says no."""
    if checks.intact is _NO:
        return VerdictState.TAMPERED
    if checks.trusted is _NO:
        return VerdictState.UNTRUSTED
    if missing:
        return VerdictState.NOT_FOUND
    if over:
        return VerdictState.CODE_EXPIRED
    if certificate is None:
        return VerdictState.UNKNOWN
    if certificate.state is VerdictState.VALID and _UNKNOWN in {checks.intact, checks.trusted}:
        return VerdictState.UNKNOWN
    return certificate.state
