"""Stage 3 of 4, second half: judge what was presented by what is proven and on record.

Pure: no clock, no database, no checker; the same arguments always give the same judgement. It ensures rule 3: what
could not be checked is reported neither as invalid nor as valid.
"""

from dataclasses import dataclass, replace
from datetime import date

from hub.domain import certificate as rules
from hub.domain.certificate import Dates, Standing, State
from hub.verification import evidence, problems
from hub.verification.evidence import NOTHING, Evidence, OnRecord, Proof
from hub.verification.issued import Issued, Records
from hub.verification.presentation import CheckedFile, Presentation, PresentedCredential, PresentedText
from hub.verification.verdict import Checks, Presented, VerdictAnswer, VerdictState
from signing import identifier, qr
from signing.credential import Credential
from signing.pdf.check.finding import What

_YES, _NO, _UNKNOWN = VerdictAnswer.YES, VerdictAnswer.NO, VerdictAnswer.UNKNOWN


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict without the public view of the certificate.

    issued: the record to show, if it is reliable; otherwise said: the content of proven bytes. shown_state: the state
    of the certificate as shown.
    """

    presented: Presented
    state: VerdictState
    checks: Checks
    problems: tuple[str, ...]
    issued: Issued | None = None
    said: qr.Face | Credential | None = None
    shown_state: VerdictState | None = None


@dataclass(frozen=True, slots=True)
class _Ruling:
    """What is proven, and the record that may be shown. missing: the record does not exist.

    shows: it shows a code of this record without proving anything itself, so a person has to compare the two.
    """

    proof: Proof
    issued: Issued | None = None
    missing: bool = False
    shows: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A credential or a QR code in a file: what it proves, the record that it leads to, and its version."""

    proof: Proof
    record: OnRecord
    identifier: str | None = None


def judge(presented: Presentation, records: Records, today: date) -> Judgement:
    """The four answers, the resulting state, and the problems in the order found."""
    proven = evidence.gather(presented, records)
    file = presented.file
    if file is not None:
        judge_file = _of_picture if file.is_picture else _of_file
        ruling = judge_file(presented, file, records, proven)
    elif presented.sha256 is not None:  # a file that we issued
        ruling = _with_record(Proof(_YES, _YES), proven.found)
    elif presented.credential is not None:
        ruling = _of_credential(presented.credential, proven)
    else:
        ruling = _of_text(presented.texts[0], records, proven)
    return _conclude(presented.presented, ruling, today)


# --- texts -------------------------------------------------------------------------------------------------------


def _of_text(text: PresentedText, records: Records, proven: Evidence) -> _Ruling:
    """If an address was never ours, nothing else is checked; digits are optional."""
    if text.address is not None and text.address not in records.ours:
        return _without_certificate(problems.DATABASE_UNAVAILABLE)
    if text.address is not None and not records.ours[text.address]:
        return _without_certificate(problems.HOST_FOREIGN, trusted=_NO)
    if text.problem:
        return _Ruling(_worse(NOTHING, text.problem), missing=True)
    return _of_digits_alone(records, proven) if records.code is None else _of_code(proven)


def _of_code(proven: Evidence) -> _Ruling:
    """A public code, with or without digits, whatever contained it."""
    if proven.digits.intact is not _UNKNOWN or proven.digits.trusted is not _UNKNOWN:
        return _with_record(proven.digits, proven.found)
    return _record_alone(proven.found)


def _of_digits_alone(records: Records, proven: Evidence) -> _Ruling:
    """Without the code, the signature cannot be verified; the record that the digits name has the code.

    Digits of an annotated copy have the content of the version's own digits but another code, so they need it.
    """
    digits = records.digits
    if digits is not None and digits.read is None:
        return _Ruling(proven.digits)
    if digits is None or records.named.version is None:
        return _record_alone(proven.named)
    if proven.digits_resigned:
        return _without_certificate(problems.CODE_MALFORMED)
    return _with_record(proven.digits, proven.named) if proven.digits.holds else _Ruling(proven.digits)


def _of_credential(credential: PresentedCredential, proven: Evidence) -> _Ruling:
    """A credential, complete or with disclosures removed.

    Only the one on record for its identifier is good: another one with a valid signature of ours was never issued, so
    it is `tampered`. The record is shown only if the credential itself is good.
    """
    proof = proven.credential
    if credential.read is None or proof.intact is _NO:
        return _Ruling(proof)
    if not proof.holds:
        damaged = proven.credential_resembles and proof.intact is _UNKNOWN and proof.trusted is _NO
        return _Ruling(replace(proof, intact=_NO) if damaged else proof)
    if proven.credential_differs:
        return _Ruling(Proof(_NO, _YES, (problems.NOT_AS_ISSUED,)))
    return _with_record(proof, proven.named)


# --- files -------------------------------------------------------------------------------------------------------


def _of_picture(presented: Presentation, file: CheckedFile, records: Records, proven: Evidence) -> _Ruling:
    """A file without a seal: what it shows is unsigned, so it is never intact or trusted, whatever its code says.

    A genuine code leads to the record that it has to be compared with. A no of its code or credential stands.
    """
    coded, attached = _of_code_in(presented, records, proven), _attached(presented, proven)
    own = (problems.FILE_IMAGE, *file.problems) if file.what is What.IMAGE else file.problems
    parts = [coded.proof] if attached is None else [attached.proof, coded.proof]
    proof = _combined([Proof(_UNKNOWN, _UNKNOWN, own), *parts])
    if attached is None or not attached.proof.holds:
        return _Ruling(proof, coded.issued, coded.missing, shows=coded.issued is not None)
    printed = _printed(records, proven)
    if printed is not None and printed.identifier not in {None, attached.identifier}:
        proof = _worse(proof, problems.FILE_PARTS_DIFFER, intact=_NO)
    if coded.issued is None:  # the credential alone leads to a record
        return _with_record(proof, attached.record)
    return _Ruling(proof, coded.issued, shows=True)


def _of_code_in(presented: Presentation, records: Records, proven: Evidence) -> _Ruling:
    """The one code in a picture. One on a foreign host is judged like its text; next to ours, it is a second code."""
    ours = records.ours
    foreign = [text for text in presented.texts if text.address is not None and ours.get(text.address) is False]
    if records.several or (records.code is not None and any(text.code is not None for text in foreign)):
        return _without_certificate(problems.FILE_SEVERAL_CODES)
    if records.code is not None:
        return _of_code(proven)
    if any(text.address not in ours for text in presented.texts):
        return _without_certificate(problems.DATABASE_UNAVAILABLE)
    return _without_certificate(problems.HOST_FOREIGN, _NO) if foreign else _without_certificate(problems.NO_CODE)


def _of_file(presented: Presentation, file: CheckedFile, records: Records, proven: Evidence) -> _Ruling:
    """Seal, credential and QR code must be of one version, and the file on record for it must be this one."""
    attached, printed = _attached(presented, proven), _printed(records, proven)
    parts = [part for part in (attached, printed) if part is not None]
    proof = _combined([Proof(file.intact, file.trusted, file.problems), *(part.proof for part in parts)])
    if len({part.identifier for part in parts} - {None}) > 1:
        proof = _worse(proof, problems.FILE_PARTS_DIFFER, intact=_NO)
    if file.intact is _YES:
        proof = _as_sealed(proof, file, attached, printed)
        if records.file is not None and records.file != presented.sha256:
            proof = _worse(proof, problems.NOT_AS_ISSUED, intact=_NO)
    if records.several:
        proof = _worse(proof, problems.FILE_SEVERAL_CODES, intact=_UNKNOWN)
    elif printed is None and file.what is not What.OTHER and problems.NO_CODE not in proof.problems:
        proof = _worse(proof, problems.NO_CODE)
    holds = attached is not None and attached.proof.holds
    if printed is not None and (
        printed.record.issued.version is not None or not holds
    ):  # its holder may see the record
        missing = printed.proof.intact is _UNKNOWN and printed.proof.trusted is _UNKNOWN
        return _with_record(proof, printed.record, missing=missing)
    return _with_record(proof, attached.record) if attached is not None and holds else _Ruling(proof)


def _attached(presented: Presentation, proven: Evidence) -> _Part | None:
    """The attached credential, judged like any other."""
    credential, proof = presented.credential, proven.credential
    if credential is None:
        return None
    if credential.read is None or not proof.holds:
        return _Part(proof, OnRecord(Issued()))
    if proven.credential_differs:
        proof = _worse(proof, problems.NOT_AS_ISSUED, intact=_NO)
    return _Part(proof, proven.named, credential.read.claims.identifier)


def _printed(records: Records, proven: Evidence) -> _Part | None:
    """The QR code; its digits, if any, are judged like any others."""
    if records.code is None:
        return None
    version, said = records.found.version, proven.digits.said
    signed = said.identifier if isinstance(said, qr.Face) else None
    return _Part(proven.digits, proven.found, signed if version is None else version.identifier)


def _as_sealed(proof: Proof, file: CheckedFile, attached: _Part | None, printed: _Part | None) -> Proof:
    """What else a sealed file needs: a credential, a code, and the seal of the authority that issued it."""
    if attached is None:
        proof = _worse(proof, problems.FILE_WITHOUT_CREDENTIAL, intact=_UNKNOWN)
    if printed is None:  # only the code tells whether it is a copy, and until when it is good
        proof = _worse(proof, problems.NO_CODE, intact=_UNKNOWN)
    elif printed.record.issued.version is None and not printed.record.issued.problem:
        proof = _worse(proof, problems.CODE_UNKNOWN, intact=_UNKNOWN)
    name = next((part.identifier for part in (attached, printed) if part is not None and part.identifier), None)
    if file.trusted is _YES and name is not None and identifier.parse(name).authority_code != file.signer_code:
        proof = _worse(proof, problems.SEAL_OF_ANOTHER, trusted=_NO)
    return proof


# --- putting together --------------------------------------------------------------------------------------------


def _record_alone(record: OnRecord) -> _Ruling:
    """A record, found by something that proves nothing itself."""
    return _with_record(record.own, record, missing=True)


def _with_record(proof: Proof, record: OnRecord, *, missing: bool = False) -> _Ruling:
    """What was presented, with its record if that is reliable.

    missing: what was presented only identifies a record, so without one the result is not_found.
    """
    issued = record.issued
    if issued.version is None:
        absent = issued.problem or (problems.RECORD_MISSING if proof.holds else problems.CODE_UNKNOWN)
        return _Ruling(_worse(proof, absent), missing=missing and not issued.problem)
    if not record.own.holds:
        return _Ruling(replace(proof, problems=(*proof.problems, *record.own.problems)))
    return _Ruling(proof, issued)


def _without_certificate(problem: str, trusted: VerdictAnswer = _UNKNOWN) -> _Ruling:
    """A problem, without a certificate to show."""
    return _Ruling(Proof(_UNKNOWN, trusted, (problem,)))


def _combined(proofs: list[Proof]) -> Proof:
    """Combine a file and its parts: as good as the worst of them; the file's own problems come first.

    A code without digits has no answers, and does not affect the result.
    """
    judged = [proofs[0], *(proof for proof in proofs[1:] if proof != NOTHING)]
    return Proof(
        _worst(*(proof.intact for proof in judged)),
        _worst(*(proof.trusted for proof in judged)),
        tuple(problem for proof in judged for problem in proof.problems),
        next((proof.said for proof in judged if proof.said is not None), None),
    )


def _worst(*answers: VerdictAnswer) -> VerdictAnswer:
    return _NO if _NO in answers else _UNKNOWN if _UNKNOWN in answers else _YES


def _worse(proof: Proof, problem: str, *, intact: VerdictAnswer = _YES, trusted: VerdictAnswer = _YES) -> Proof:
    """The proof with one more problem, which may worsen its answers."""
    noted = (*proof.problems, problem)
    return Proof(_worst(proof.intact, intact), _worst(proof.trusted, trusted), noted, proof.said)


# --- the state -----------------------------------------------------------------------------------------------------


def _conclude(presented: Presented, ruling: _Ruling, today: date) -> Judgement:
    """All four answers and the resulting state; `unknown` only if no check failed."""
    proof, issued = ruling.proof, ruling.issued
    noted, checks = proof.problems, Checks(proof.intact, proof.trusted)
    shown: VerdictState | None = None
    over = False
    if issued is not None and (version := issued.version) is not None:
        if issued.why is None:  # the database failed between two reads; what was read stays valid
            noted = (*noted, problems.DATABASE_UNAVAILABLE)
        shown = VerdictState.of(version.state(today))
        in_force = VerdictAnswer.of(holds=_in_force(version.standing, version.dates, today))
        checks = replace(checks, in_force=in_force, within_dates=_within_dates(version.dates, today))
        over = issued.receipt is not None and today > issued.receipt.expires_on
    elif (said := proof.said) is not None:
        signed = said if isinstance(said, qr.Face) else said.claims
        dates = Dates(signed.issued_on, signed.valid_from, signed.valid_until)
        by_dates = rules.state(Standing.ACTIVE, dates, today)  # expired or not yet; never valid without a record
        shown = VerdictState.UNKNOWN if by_dates is State.VALID else VerdictState.of(by_dates)
        checks = replace(checks, within_dates=_within_dates(dates, today))
    state = _state(checks, shown, ruling, over=over)
    return Judgement(presented, state, checks, tuple(dict.fromkeys(noted)), issued, proof.said, shown)


def _state(checks: Checks, shown: VerdictState | None, ruling: _Ruling, *, over: bool) -> VerdictState:
    """The state, in the contract's order of precedence."""
    if checks.intact is _NO:
        return VerdictState.TAMPERED
    if checks.trusted is _NO:
        return VerdictState.UNTRUSTED
    if ruling.missing:
        return VerdictState.NOT_FOUND
    if over:
        return VerdictState.CODE_EXPIRED
    if shown is VerdictState.VALID and _UNKNOWN in {checks.intact, checks.trusted}:
        return VerdictState.COMPARE if ruling.shows else VerdictState.UNKNOWN
    return shown or VerdictState.UNKNOWN


def _in_force(standing: Standing, dates: Dates, today: date) -> bool:
    """Whether it would be valid without its date limits."""
    return rules.state(standing, replace(dates, valid_from=today, valid_until=None), today) is State.VALID


def _within_dates(dates: Dates, today: date) -> VerdictAnswer:
    """Whether it would be valid if it were active and not superseded."""
    return VerdictAnswer.of(
        holds=rules.state(Standing.ACTIVE, replace(dates, superseded_on=None), today) is State.VALID
    )
