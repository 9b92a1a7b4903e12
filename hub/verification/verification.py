"""Answer anybody's question: is this what was issued, is it ours, is it in force, is it within its dates?

A verdict, never an exception: what cannot be checked now is `unknown` and says so. Nothing is fetched, nothing is
written, and of people only what is masked leaves. An unknown code costs two indexed reads.
"""

from contextlib import suppress
from dataclasses import replace

from hub.db.database import Database, DatabaseUnavailable
from hub.keys.keyring import Keyring
from hub.keys.x509_publication import X509Publication
from hub.runtime.clock import Clock
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault
from hub.verification import problems
from hub.verification.by_code import Places
from hub.verification.by_file import Files
from hub.verification.evidence import Evidence, Proof, carries_signature_of, same_as_issued, say_the_same
from hub.verification.issued import Records
from hub.verification.public_urls import Addresses
from hub.verification.status_lists import StatusLists
from hub.verification.trust import SealTrust
from hub.verification.verdict import Finding, Presented, Verdict
from hub.verification.verdict_builder import Answers
from signing import public_code, qr
from signing.errors import Malformed
from signing.pdf.check.checking import Checkers

_NO, _UNKNOWN = Finding.NO, Finding.UNKNOWN


class Verification:
    """The verdicts of the contract, for the API, the pages and the command line alike."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        keyring: Keyring,
        catalogue: CatalogueCache,
        checkers: Checkers,
        publication: X509Publication,
    ) -> None:
        """Reads keys and addresses, so that signatures can still be checked when the database goes away."""
        self.addresses = Addresses(database)
        self._records = Records(database, vault)
        self._evidence = Evidence(keyring, self.addresses)
        self._answers = Answers(database=database, clock=clock, catalogue=catalogue, evidence=self._evidence)
        self._places = Places(records=self._records, evidence=self._evidence, answers=self._answers)
        self._files = Files(
            records=self._records,
            evidence=self._evidence,
            answers=self._answers,
            addresses=self.addresses,
            places=self._places,
            checkers=checkers,
            trust=SealTrust(publication),
            clock=clock,
        )
        self.status_lists = StatusLists(
            database=database, vault=vault, clock=clock, keyring=keyring, addresses=self.addresses
        )
        with suppress(DatabaseUnavailable):
            keyring.refresh()
            self.addresses.refresh()

    def verify_code(self, text: str) -> Verdict:
        """The record of a public code, as typed: any case, with spaces or dashes."""
        code = public_code.read_code(text)
        return self._answers.missing(problems.CODE_MALFORMED) if code is None else self._places.verify(code, None)

    def verify_qr(self, text: str) -> Verdict:
        """A scanned text: address with code and perhaps digits, a code alone, or digits alone."""
        text = text.strip()
        try:
            parts = qr.split(text[: qr.MAX_TEXT])
            if parts.base_url is not None and not self.addresses.owns(parts.base_url):
                return self._answers.unsaid(problems.HOST_FOREIGN, trusted=_NO)
        except Malformed as error:
            return self._not_our_text(text, error.problem)
        except DatabaseUnavailable:
            return self._answers.unsaid(problems.DATABASE_UNAVAILABLE)
        if parts.code is None:
            return self._verify_digits_alone(parts.digits or "")
        code = public_code.read_code(parts.code)
        if code is None:
            return self._answers.missing(problems.CODE_MALFORMED)
        return self._places.verify(code, parts.digits)

    def verify_credential(self, text: str) -> Verdict:
        """A credential, whole or with disclosures left out.

        Only the one that is on record for its identifier is good: a second one with a true signature of ours was never
        issued, so it is `tampered`. The record is shown for a credential that is good in itself, and for no other.
        """
        text = text.strip()
        proof, read = self._evidence.of_credential(text, self._answers.names())
        if read is None or proof.intact is _NO:
            return self._answers.verdict(Presented.CREDENTIAL, proof)
        found = self._records.by_identifier(read.claims.identifier)
        if not proof.holds:
            same = found.record is not None and carries_signature_of(text, found.record)
            damaged = same and proof.intact is _UNKNOWN and proof.trusted is _NO
            return self._answers.verdict(Presented.CREDENTIAL, replace(proof, intact=_NO) if damaged else proof)
        if found.record is not None and not same_as_issued(text, found.record):
            differs = Proof(_NO, Finding.YES, None, (problems.NOT_AS_ISSUED,))
            return self._answers.verdict(Presented.CREDENTIAL, differs)
        return self._answers.with_record(Presented.CREDENTIAL, proof, found)

    def verify_file(self, data: bytes) -> Verdict:
        """A PDF, or a photo or scan of one (JPEG, PNG); what is in it is read by the checker, never here.

        May take as long as the checker's deadline, twice when all are busy.
        """
        return self.verify_known_file(data) or self.verify_unknown_file(data)

    def verify_known_file(self, data: bytes) -> Verdict | None:
        """The verdict on a file with the very bytes that we gave out; None for any other: one digest, indexed reads."""
        return self._files.known(data)

    def verify_unknown_file(self, data: bytes) -> Verdict:
        """The verdict on any other file, by the checker."""
        return self._files.unknown(data)

    # --- from what was presented to the record -------------------------------------------------------------------

    def _verify_digits_alone(self, digits: str) -> Verdict:
        """Without the code a signature cannot be checked; the record that the digits name tells the code.

        Those of an annotated copy say the same as the version's own under another code: they need it.
        """
        try:
            name = qr.read(digits).face.identifier
        except Malformed:
            return self._answers.verdict(Presented.RECORD, self._evidence.of_digits(None, digits, None, None))
        found = self._records.by_identifier(name)
        if found.record is None:
            return self._places.record_alone(found)
        if digits != found.record.digits and say_the_same(digits, found.record.digits):
            return self._answers.unsaid(problems.CODE_MALFORMED)
        proof = self._evidence.of_digits(found.record.code, digits, found.record, found.digits)
        if not proof.holds:
            return self._answers.verdict(Presented.RECORD, proof)
        return self._answers.with_record(Presented.RECORD, proof, found)

    def _not_our_text(self, text: str, problem: str) -> Verdict:
        """A text in no form of ours: somebody else's address, or nothing that leads to a record."""
        try:
            foreign = "://" in text and not self.addresses.owns_host(text)
        except DatabaseUnavailable:
            return self._answers.unsaid(problems.DATABASE_UNAVAILABLE)
        if foreign:
            return self._answers.unsaid(problems.HOST_FOREIGN, trusted=_NO)
        return self._answers.missing(problem)
