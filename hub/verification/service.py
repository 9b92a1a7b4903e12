"""Answer anybody's question: is this what was issued, is it ours, is it in force, is it within its dates?

A verdict, never an exception: what cannot be checked now is `unknown` and says so. Nothing is fetched, nothing is
written, and of people only what is masked leaves. An unknown code costs one indexed read, like a known one.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date

from hub.clock import Clock
from hub.domain.catalogue import Catalogue
from hub.domain.dates import day_of
from hub.keyring import Keyring
from hub.store import acts, certificates
from hub.store.acts import Why
from hub.store.catalogue import CatalogueCache
from hub.store.certificates import VersionRecord
from hub.store.database import Database, DatabaseUnavailable, Reader
from hub.vault import Vault, VaultError
from hub.verification import problems, shown
from hub.verification.addresses import Addresses
from hub.verification.evidence import Evidence, Proof, carries_signature_of, same_as_issued
from hub.verification.status_lists import StatusLists
from hub.verification.verdict import Checks, Finding, Presented, PublicCertificate, Verdict, VerdictState
from signing import codes, qr
from signing.errors import Malformed

_YES, _NO, _UNKNOWN = Finding.YES, Finding.NO, Finding.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Found:
    """What the repository has: the record, or why it cannot be had (None: there is none)."""

    record: VersionRecord | None
    problem: str | None = None


class Verification:
    """The verdicts of the contract, for the API, the pages and the command line alike."""

    def __init__(
        self, *, database: Database, vault: Vault, clock: Clock, keyring: Keyring, catalogue: CatalogueCache
    ) -> None:
        """Reads keys and addresses, so that signatures can still be checked when the database goes away."""
        self._database = database
        self._vault = vault
        self._clock = clock
        self._catalogue = catalogue
        self._picture = Catalogue()
        self.addresses = Addresses(database)
        self._evidence = Evidence(keyring, self.addresses)
        self.status_lists = StatusLists(
            database=database, vault=vault, clock=clock, keyring=keyring, addresses=self.addresses
        )
        with suppress(DatabaseUnavailable):
            keyring.refresh()
            self.addresses.refresh()

    def verify_code(self, text: str) -> Verdict:
        """The record of a public code, as typed: any case, with spaces or dashes."""
        code = codes.read_code(text)
        return self._missing(problems.CODE_MALFORMED) if code is None else self._verify_place(code, None)

    def verify_qr(self, text: str) -> Verdict:
        """A scanned text: address with code and perhaps digits, a code alone, or digits alone."""
        text = text.strip()
        try:
            parts = qr.split(text[: qr.MAX_TEXT])
            if parts.base_url is not None and not self.addresses.owns(parts.base_url):
                return self._unsaid(problems.HOST_FOREIGN, trusted=_NO)
        except Malformed as error:
            return self._not_our_text(text, error.problem)
        except DatabaseUnavailable:
            return self._unsaid(problems.DATABASE_UNAVAILABLE)
        if parts.code is None:
            return self._verify_digits_alone(parts.digits or "")
        code = codes.read_code(parts.code)
        return self._missing(problems.CODE_MALFORMED) if code is None else self._verify_place(code, parts.digits)

    def verify_credential(self, text: str) -> Verdict:
        """A credential, whole or with disclosures left out.

        Only the one that is on record for its identifier is good: a second one with a true signature of ours was never
        issued, so it is `tampered`. The record is shown for a credential that is good in itself, and for no other.
        """
        text = text.strip()
        proof, read = self._evidence.of_credential(text, self._names())
        if read is None or proof.intact is _NO:
            return self._verdict(Presented.CREDENTIAL, proof)
        name = read.claims.identifier
        found = self._find(lambda reader: certificates.by_identifier(reader, self._vault, name))
        if not proof.holds:
            same = found.record is not None and carries_signature_of(text, found.record)
            damaged = same and proof.intact is _UNKNOWN and proof.trusted is _NO
            return self._verdict(Presented.CREDENTIAL, replace(proof, intact=_NO) if damaged else proof)
        if found.record is not None and not same_as_issued(text, found.record):
            return self._verdict(Presented.CREDENTIAL, Proof(_NO, _YES, None, (problems.NOT_AS_ISSUED,)))
        return self._with_record(Presented.CREDENTIAL, proof, found)

    # --- from what was presented to the record -------------------------------------------------------------------

    def _verify_place(self, code: str, digits: str | None) -> Verdict:
        found = self._find(lambda reader: certificates.by_code(reader, self._vault, code))
        if digits is not None:
            proof = self._evidence.of_digits(code, digits, found.record)
            if proof.intact is not _UNKNOWN or proof.trusted is not _UNKNOWN:
                return self._with_record(Presented.RECORD, proof, found)
        return self._of_record_alone(found)

    def _of_record_alone(self, found: _Found) -> Verdict:
        if found.record is None:
            return self._unsaid(found.problem) if found.problem else self._missing(problems.CODE_UNKNOWN)
        proof = self._evidence.of_record(found.record)
        return self._with_record(Presented.RECORD, proof, found, own=proof)

    def _verify_digits_alone(self, digits: str) -> Verdict:
        """Without the code a signature cannot be checked; the record that the digits name tells the code."""
        try:
            name = qr.read(digits).face.identifier
        except Malformed:
            return self._verdict(Presented.RECORD, self._evidence.of_digits(None, digits, None))
        found = self._find(lambda reader: certificates.by_identifier(reader, self._vault, name))
        if found.record is None:
            return self._of_record_alone(found)
        proof = self._evidence.of_digits(found.record.code, digits, found.record)
        if not proof.holds:
            return self._verdict(Presented.RECORD, proof)
        return self._with_record(Presented.RECORD, proof, found)

    def _find(self, read: Callable[[Reader], VersionRecord | None]) -> _Found:
        try:
            return _Found(read(self._database.reader))
        except DatabaseUnavailable:
            return _Found(None, problems.DATABASE_UNAVAILABLE)
        except VaultError:
            return _Found(None, problems.RECORD_UNREADABLE)

    def _with_record(self, presented: Presented, proof: Proof, found: _Found, own: Proof | None = None) -> Verdict:
        """The verdict on what was presented, with what the record adds where it can be relied on itself (`own`)."""
        if found.record is None:
            absent = found.problem or (problems.RECORD_MISSING if proof.holds else problems.CODE_UNKNOWN)
            return self._verdict(presented, proof, noted=(absent,))
        own = own or self._evidence.of_record(found.record)
        if not own.holds:
            return self._verdict(presented, proof, noted=own.problems)
        return self._verdict(presented, proof, record=found.record)

    # --- endings ---------------------------------------------------------------------------------------------------

    def _unsaid(self, problem: str, trusted: Finding = _UNKNOWN) -> Verdict:
        """Nothing is said of any certificate."""
        return self._verdict(Presented.RECORD, Proof(_UNKNOWN, trusted, None, (problem,)))

    def _missing(self, problem: str) -> Verdict:
        """There is no such record."""
        return self._verdict(Presented.RECORD, Proof(_UNKNOWN, _UNKNOWN, None, (problem,)), missing=True)

    def _not_our_text(self, text: str, problem: str) -> Verdict:
        """A text in no form of ours: somebody else's address, or nothing that leads to a record."""
        try:
            foreign = "://" in text and not self.addresses.owns_host(text)
        except DatabaseUnavailable:
            return self._unsaid(problems.DATABASE_UNAVAILABLE)
        return self._unsaid(problems.HOST_FOREIGN, trusted=_NO) if foreign else self._missing(problem)

    def _verdict(
        self,
        presented: Presented,
        proof: Proof,
        *,
        record: VersionRecord | None = None,
        noted: tuple[str, ...] = (),
        missing: bool = False,
    ) -> Verdict:
        """All findings as of one moment. `record` only where it can be relied on."""
        now = self._clock.now()
        today = day_of(now)
        checks = Checks(proof.intact, proof.trusted)
        certificate: PublicCertificate | None = None
        noted = (*proof.problems, *noted)
        if record is not None:
            certificate, unread = self._shown(record, today)
            noted += unread
            checks = Checks(
                proof.intact,
                proof.trusted,
                Finding.of(holds=shown.in_force(record.standing, record.dates, today)),
                Finding.of(holds=shown.within_dates(record.dates, today)),
            )
        elif proof.said is not None:
            certificate = shown.from_bytes(proof.said, self._names(), today)
            checks = replace(checks, within_dates=Finding.of(holds=shown.within_dates(proof.said.dates, today)))
        state = _conclude(checks, certificate, missing=missing)
        return Verdict(state, presented, checks, now, certificate, tuple(dict.fromkeys(noted)))

    def _shown(self, record: VersionRecord, today: date) -> tuple[PublicCertificate, tuple[str, ...]]:
        state = record.state(today)
        catalogue = self._names(record.type_code, record.authority)
        try:
            return shown.from_record(record, state, acts.why(self._database.reader, record, state), catalogue), ()
        except DatabaseUnavailable:  # it went away between two reads; what is known already stands
            return shown.from_record(record, state, Why(), catalogue), (problems.DATABASE_UNAVAILABLE,)

    def _names(self, *wanted: str) -> Catalogue:
        """The catalogue, or the last one that was seen while the database is away."""
        with suppress(DatabaseUnavailable):
            self._picture = self._catalogue(*wanted)
        return self._picture


def _conclude(checks: Checks, certificate: PublicCertificate | None, *, missing: bool) -> VerdictState:
    """The contract's order; `unknown` only when nothing that was checked says no."""
    if checks.intact is _NO:
        return VerdictState.TAMPERED
    if checks.trusted is _NO:
        return VerdictState.UNTRUSTED
    if missing:
        return VerdictState.NOT_FOUND
    if certificate is None:
        return VerdictState.UNKNOWN
    if certificate.state is VerdictState.VALID and _UNKNOWN in {checks.intact, checks.trusted}:
        return VerdictState.UNKNOWN
    return certificate.state
