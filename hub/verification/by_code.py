"""A public code, with digits or without: the record that it leads to, and what the two say together."""

from hub.verification import problems
from hub.verification.evidence import Evidence
from hub.verification.issued import Found, Records
from hub.verification.verdict import Finding, Presented, Verdict
from hub.verification.verdict_builder import Answers


class Places:
    """Verdicts on what a QR code says, wherever it was read."""

    def __init__(self, *, records: Records, evidence: Evidence, answers: Answers) -> None:
        self._records = records
        self._evidence = evidence
        self._answers = answers

    def verify(self, code: str, digits: str | None) -> Verdict:
        """The verdict on a code; no digits is no fault."""
        found = self._records.by_code(code)
        if digits is not None:
            proof = self._evidence.of_digits(code, digits, found.record, found.digits)
            if proof.intact is not Finding.UNKNOWN or proof.trusted is not Finding.UNKNOWN:
                return self._answers.with_record(Presented.RECORD, proof, found)
        return self.record_alone(found)

    def record_alone(self, found: Found) -> Verdict:
        """The verdict on a record to which something led that says nothing itself."""
        if found.record is None:
            if found.problem:
                return self._answers.unsaid(found.problem)
            return self._answers.missing(problems.CODE_UNKNOWN)
        proof = self._evidence.of_record(found.record)
        return self._answers.with_record(Presented.RECORD, proof, found, own=proof)
