"""Files: a PDF of ours, somebody else's, a scan, a photo. Bytes that we gave out are known by their digest; every other
file is read by the checker, which has no keys, no database and no network, and reports what it sees.

What the checker reports is put together here with what is on record: its seal, its credential and its QR code must be
of one and the same version, sealed by the authority that issued it, and no other file may have been given out for it.
A PDF without a seal proves nothing by itself, whatever its text says, and is never valid. A photo or scan of paper is
answered by its QR code, and the answer says so.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from hub.db.database import DatabaseUnavailable
from hub.runtime.clock import Clock
from hub.verification import problems
from hub.verification.by_code import Places
from hub.verification.evidence import Evidence, Proof, Said, same_as_issued
from hub.verification.issued import Found, Records
from hub.verification.public_urls import Addresses
from hub.verification.trust import SealTrust
from hub.verification.verdict import Finding, Presented, Verdict
from hub.verification.verdict_builder import Answers
from signing import identifier, public_code, qr
from signing.errors import Malformed
from signing.pdf.check import finding as checked
from signing.pdf.check.checking import Checkers
from signing.pdf.check.finding import Trust, What

_YES, _NO, _UNKNOWN = Finding.YES, Finding.NO, Finding.UNKNOWN
_NOTHING = Found(None)


@dataclass(frozen=True, slots=True)
class _Part:
    """A credential or a QR code of a file: whether it holds, what it is of, and the record that it leads to."""

    proof: Proof
    found: Found
    identifier: str | None = None


class Files:
    """Verdicts on files."""

    def __init__(
        self,
        *,
        records: Records,
        evidence: Evidence,
        answers: Answers,
        addresses: Addresses,
        places: Places,
        checkers: Checkers,
        trust: SealTrust,
        clock: Clock,
    ) -> None:
        self._records = records
        self._evidence = evidence
        self._answers = answers
        self._addresses = addresses
        self._places = places
        self._checkers = checkers
        self._trust = trust
        self._clock = clock

    def known(self, data: bytes) -> Verdict | None:
        """The verdict on bytes that we gave out; None for all others, and while that cannot be looked up."""
        found = self._records.by_digest(hashlib.sha256(data).digest())
        if found.record is None:
            return None
        return self._answers.with_record(Presented.PDF, Proof(_YES, _YES), found)

    def unknown(self, data: bytes) -> Verdict:
        """The verdict on a file that is not known, however it was made."""
        now = self._clock.now()
        trust: Trust | None
        try:
            trust = self._trust.current()
        except DatabaseUnavailable:
            trust = self._trust.last()
        finding = self._checkers.check(data, trust or Trust(()), now)
        if trust is None:  # without roots everybody looks like a stranger
            noted = (*finding.problems, problems.DATABASE_UNAVAILABLE)
            finding = replace(finding, trusted=checked.Answer.UNKNOWN, problems=noted)
        return self._judge(finding, hashlib.sha256(data).digest())

    # --- putting together --------------------------------------------------------------------------------------------

    def _judge(self, finding: checked.Finding, sha256: bytes) -> Verdict:
        # Codes alone pass: whoever took over the checker could otherwise write what he likes into our answers.
        noted = tuple(code if code in problems.MEANINGS else problems.CHECKER_FAILED for code in finding.problems)
        code, several = self._code_of(finding.qr_texts)
        if finding.what is What.IMAGE:
            return self._of_picture(code, several, noted)
        file = Proof(Finding(finding.intact), Finding(finding.trusted), None, noted)
        credential = self._credential(finding)
        place = None if code is None else self._place(*code)
        parts = [part for part in (credential, place) if part is not None]
        proof = _together([file, *(part.proof for part in parts)])
        proof = self._as_one(proof, credential, place)
        if file.intact is _YES:
            proof = self._as_sealed(proof, finding, credential, place)
            ours = finding.trusted is not checked.Answer.NO
            if ours and place is not None and self._records.has_another_file(place.found, sha256):
                proof = _worse(proof, problems.NOT_AS_ISSUED, intact=_NO)
        if several:
            proof = _worse(proof, problems.FILE_SEVERAL_CODES, intact=_UNKNOWN)
        elif code is None and finding.what is not What.OTHER:
            proof = _noting(proof, problems.NO_CODE)
        return self._told(proof, credential, place)

    def _of_picture(self, code: tuple[str, str | None] | None, several: bool, noted: tuple[str, ...]) -> Verdict:
        """A photo or scan of paper: what its QR code says, as if its text had been sent, and that it is no more."""
        if several:
            verdict = self._answers.unsaid(problems.FILE_SEVERAL_CODES)
        elif code is None:
            verdict = self._answers.unsaid(problems.NO_CODE)
        else:
            verdict = self._places.verify(*code)
        said = dict.fromkeys((problems.FILE_IMAGE, *noted, *verdict.problems))
        return replace(verdict, problems=tuple(said))

    def _told(self, proof: Proof, credential: _Part | None, place: _Part | None) -> Verdict:
        """Who gives a code may see its record; a credential leads to one when it is good in itself."""
        if place is not None and (place.found.record is not None or credential is None or not credential.proof.holds):
            missing = place.proof.intact is _UNKNOWN and place.proof.trusted is _UNKNOWN
            return self._answers.with_record(Presented.PDF, proof, place.found, missing=missing)
        if credential is not None and credential.proof.holds:
            return self._answers.with_record(Presented.PDF, proof, credential.found)
        return self._answers.verdict(Presented.PDF, proof)

    def _as_one(self, proof: Proof, credential: _Part | None, place: _Part | None) -> Proof:
        """A credential and a QR code of two versions were never in one file of ours."""
        if credential is None or place is None or None in {credential.identifier, place.identifier}:
            return proof
        if credential.identifier == place.identifier:
            return proof
        return _worse(proof, problems.FILE_PARTS_DIFFER, intact=_NO)

    def _as_sealed(
        self, proof: Proof, finding: checked.Finding, credential: _Part | None, place: _Part | None
    ) -> Proof:
        """What a sealed file must have besides: a credential, a code, and the seal of the authority that issued it."""
        if credential is None:
            proof = _worse(proof, problems.FILE_WITHOUT_CREDENTIAL, intact=_UNKNOWN)
        if place is None:  # whether it is a copy, and until when it is good, is told by the code alone
            proof = _worse(proof, problems.NO_CODE, intact=_UNKNOWN)
        elif place.found.record is None and place.found.problem is None:
            proof = _worse(proof, problems.CODE_UNKNOWN, intact=_UNKNOWN)
        if finding.trusted is not checked.Answer.YES:
            return proof
        name = next((part.identifier for part in (credential, place) if part is not None and part.identifier), None)
        if name is not None and identifier.parse(name).authority_code != finding.signer_code:
            proof = _worse(proof, problems.SEAL_OF_ANOTHER, trusted=_NO)
        return proof

    # --- parts ---------------------------------------------------------------------------------------------------

    def _credential(self, finding: checked.Finding) -> _Part | None:
        """The attached credential, judged as any other."""
        text = finding.credential
        if text is None:
            return None
        proof, read = self._evidence.of_credential(text.strip(), self._answers.names())
        if read is None or not proof.holds:
            return _Part(proof, _NOTHING)
        name = read.claims.identifier
        found = self._records.by_identifier(name)
        if found.record is not None and not same_as_issued(text, found.record):
            proof = _worse(proof, problems.NOT_AS_ISSUED, intact=_NO)
        return _Part(proof, found, name)

    def _place(self, code: str, digits: str | None) -> _Part:
        """The record of a QR code; its digits, where it has any, are judged as any other."""
        found = self._records.by_code(code)
        if digits is None:
            proof = Proof(_UNKNOWN, _UNKNOWN)
        else:
            proof = self._evidence.of_digits(code, digits, found.record, found.digits)
        name = found.record.identifier if found.record is not None else None
        if name is None and proof.holds and proof.said is not None:
            name = proof.said.identifier
        return _Part(proof, found, name)

    def _code_of(self, texts: Iterable[str]) -> tuple[tuple[str, str | None] | None, bool]:
        """The one code of ours among the QR texts, with its digits, and whether there are several.

        Others' QR codes say nothing: paper has all sorts of them beside ours.
        """
        found: dict[str, str | None] = {}
        for text in texts:
            with suppress(Malformed, DatabaseUnavailable):
                parts = qr.split(text)
                code = public_code.read_code(parts.code or "")
                if parts.base_url is not None and code is not None and self._addresses.owns(parts.base_url):
                    found[code] = parts.digits or found.get(code)
        return (next(iter(found.items())) if len(found) == 1 else None), len(found) > 1


def _together(proofs: Iterable[Proof]) -> Proof:
    """All of a file: as good as the worst of what was judged. The file's own findings come first.

    A code without digits has no finding of its own, and takes nothing away.
    """
    judged = list(proofs)
    file, parts = judged[0], [part for part in judged[1:] if part != Proof(_UNKNOWN, _UNKNOWN)]
    every = [file, *parts]
    said: Said | None = next((proof.said for proof in parts if proof.said is not None), None)
    noted = tuple(problem for proof in every for problem in proof.problems)
    return Proof(_worst(p.intact for p in every), _worst(p.trusted for p in every), said, noted)


def _worst(findings: Iterable[Finding]) -> Finding:
    seen = set(findings)
    return _NO if _NO in seen else _UNKNOWN if _UNKNOWN in seen else _YES


def _worse(proof: Proof, problem: str, *, intact: Finding = _YES, trusted: Finding = _YES) -> Proof:
    return Proof(
        _worst((proof.intact, intact)), _worst((proof.trusted, trusted)), proof.said, (*proof.problems, problem)
    )


def _noting(proof: Proof, problem: str) -> Proof:
    return proof if problem in proof.problems else replace(proof, problems=(*proof.problems, problem))
