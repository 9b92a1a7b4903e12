"""Stage 1 of 4: read what is presented.

Pure parsing: nothing is trusted or looked up. The result is a `Presentation`: the addresses, codes, digits and
credentials that the bytes claim, or the reason why they are malformed.
"""

import hashlib
import json
from binascii import Error as Base64Error
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hub.verification import problems
from hub.verification.verdict import Presented, VerdictAnswer
from signing import credential, public_code, qr
from signing.credential import Credential
from signing.encoding import base64url
from signing.errors import Malformed
from signing.pdf.check.finding import CheckFinding, What


@dataclass(frozen=True, slots=True)
class PresentedDigits:
    """The digits of a QR code. If they are malformed, `read` is None and `problem` says why."""

    text: str
    read: qr.Digits | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PresentedText:
    """A typed code or a scanned text: an address, a public code in its normal form, digits; each may be absent.

    problem: why there is neither a code nor digits. For an address in an unknown form, only the host can be compared.
    """

    address: str | None = None
    code: str | None = None
    digits: PresentedDigits | None = None
    problem: str = ""
    host_only: bool = False


@dataclass(frozen=True, slots=True)
class PresentedCredential:
    """A credential. If our strict reader rejects it, `read` is None and `problem` says why.

    kid and issuer: as claimed, or None; is_jwt: whether it has a JWT's header and payload.
    """

    text: str
    read: Credential | None
    kid: str | None
    issuer: str | None
    problem: str = ""
    is_jwt: bool = True


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """The checker's report on a file and its seal; signer_code is meaningful only if `trusted` is yes."""

    what: What
    intact: VerdictAnswer
    trusted: VerdictAnswer
    signer_code: str | None
    problems: tuple[str, ...]

    @property
    def is_picture(self) -> bool:
        """Whether it has no seal: a photo, a scan, a drawing, or a PDF with unsigned text."""
        return self.what is What.IMAGE or problems.UNSIGNED in self.problems


@dataclass(frozen=True, slots=True)
class Presentation:
    """What was presented: one text, one credential, or a file with any number of texts and possibly a credential.

    sha256: of a file. Without `file`, the checker has not read it: only its digest is known.
    """

    presented: Presented
    texts: tuple[PresentedText, ...] = ()
    credential: PresentedCredential | None = None
    file: CheckedFile | None = None
    sha256: bytes | None = None


def read_code(text: str) -> Presentation:
    """A public code as people type it: any case, with spaces or dashes."""
    code = public_code.read_code(text)
    return Presentation(Presented.RECORD, (PresentedText(code=code, problem="" if code else problems.CODE_MALFORMED),))


def read_qr(text: str) -> Presentation:
    """A scanned text: an address with a code and possibly digits, a code, or digits."""
    text = text.strip()
    try:
        parts = qr.split(text[: qr.MAX_TEXT])
    except Malformed as error:
        address = text if "://" in text else None
        return Presentation(Presented.RECORD, (PresentedText(address, problem=error.problem, host_only=True),))
    if parts.code is None:
        return Presentation(Presented.RECORD, (PresentedText(digits=_digits(parts.digits or "")),))
    return Presentation(Presented.RECORD, (_text(parts),))


def read_credential(text: str) -> Presentation:
    """A credential, complete or with disclosures removed."""
    text = text.strip()
    return Presentation(Presented.CREDENTIAL, credential=_credential(text, text))


def read_file(data: bytes) -> Presentation:
    """A file by its digest only: it may be one that we issued."""
    return Presentation(Presented.PDF, sha256=hashlib.sha256(data).digest())


def read_finding(finding: CheckFinding, data: bytes, *, has_roots: bool) -> Presentation:
    """A file as the checker reports it; without roots to check against, every seal would look foreign.

    Only fixed codes are accepted as problems: a forger who controls the checker could otherwise write into our answers.
    QR codes without an address are ignored: paper may have others next to ours. So are addresses without a public code,
    unless the file has no seal: it may name a foreign host, and that is then all that it says.
    """
    noted = tuple(code if code in problems.MEANINGS else problems.CHECKER_FAILED for code in finding.problems)
    trusted = VerdictAnswer(finding.trusted)
    if not has_roots:
        trusted, noted = VerdictAnswer.UNKNOWN, (*noted, problems.DATABASE_UNAVAILABLE)
    file = CheckedFile(finding.what, VerdictAnswer(finding.intact), trusted, finding.signer_code, noted)
    scanned = (text for found in finding.qr_texts for text in read_qr(found).texts if text.address is not None)
    attached = finding.credential
    return Presentation(
        Presented.PICTURE if file.is_picture else Presented.PDF,
        tuple(text for text in scanned if text.code is not None or file.is_picture),
        None if attached is None else _credential(attached, attached.strip()),
        file,
        hashlib.sha256(data).digest(),
    )


def _text(parts: qr.QrText) -> PresentedText:
    code = public_code.read_code(parts.code or "")
    digits = None if parts.digits is None else _digits(parts.digits)
    return PresentedText(parts.base_url, code, digits, "" if code else problems.CODE_MALFORMED)


def _digits(text: str) -> PresentedDigits:
    try:
        return PresentedDigits(text, qr.read(text))
    except Malformed as error:
        return PresentedDigits(text, None, error.problem)


def _credential(text: str, stripped: str) -> PresentedCredential:
    try:
        read = credential.read(stripped)
    except Malformed as error:
        header, payload = (_json(part) for part in (*_jwt(stripped), "", "")[:2])
        kid, issuer = header.get("kid"), payload.get("iss")
        return PresentedCredential(
            text,
            None,
            kid if isinstance(kid, str) else None,
            issuer if isinstance(issuer, str) else None,
            error.problem,
            bool(header and payload),
        )
    return PresentedCredential(text, read, read.kid, read.claims.issuer)


def kid_of(text: str) -> str | None:
    """The key id that a credential claims, or None."""
    return _kid(text.partition(".")[0])


@lru_cache(maxsize=256)  # one header for each signing key
def _kid(header: str) -> str | None:
    kid = _json(header).get("kid")
    return kid if isinstance(kid, str) else None


def _jwt(text: str) -> list[str]:
    return text[: credential.MAX_BYTES].strip().partition("~")[0].split(".")


def _json(part: str) -> dict[str, Any]:
    """A part of a JWT, neither trusted nor strictly parsed; empty if it is not an object."""
    try:
        value = json.loads(base64url.decode(part.rstrip("="), "peek"))
    except (Malformed, Base64Error, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
