"""The finding of a check, and the trust anchors for it; both cross a process boundary as JSON.

A finding reports facts and does not judge: a file cannot tell whether its certificate is in force.
"""

import base64
import json
import struct
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import IO, NamedTuple, Self

from signing.errors import Malformed

MAX_BYTES = 10 * 1024 * 1024
MAX_ANSWER = 512 * 1024


class Answer(StrEnum):
    """Yes, no, or could not be checked; the third is never treated as one of the others."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class What(StrEnum):
    """The kind of file: a PDF of one to three pages that contain nothing but pictures counts as an image, a scan."""

    PDF = "pdf"
    IMAGE = "image"
    OTHER = "other"


_IMAGE_MARKS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def kind_of(data: bytes) -> What:
    """Guess the kind from the first bytes; the file may still be unreadable."""
    if data.startswith(_IMAGE_MARKS):
        return What.IMAGE
    return What.PDF if b"%PDF-" in data[:1024] else What.OTHER


class Ended(Enum):
    """How a question to the checker ended."""

    ANSWERED = b"A"
    LATE = b"L"
    FAILED = b"F"
    BUSY = b"B"


_REPLY = struct.Struct(">cdI")


class Reply(NamedTuple):
    """A reply of the checker to a question: how it ended, the CPU time that it took, and the last finding in JSON.

    A question that did not end well may have a finding from before its end.
    """

    ended: Ended
    cpu_s: float
    text: bytes

    def write(self, replies: IO[bytes]) -> None:
        """Write it as `read` expects it."""
        replies.write(_REPLY.pack(self.ended.value, self.cpu_s, len(self.text)) + self.text)

    @classmethod
    def read(cls, replies: IO[bytes]) -> Self | None:
        """The next reply; None after an incomplete one. Raises ValueError for another kind of end."""
        head = replies.read(_REPLY.size)
        if len(head) < _REPLY.size:
            return None
        ended, cpu_s, size = _REPLY.unpack(head)
        text = replies.read(size) if size <= MAX_ANSWER else b""
        return cls(Ended(ended), cpu_s, text) if len(text) == size else None


@dataclass(frozen=True, slots=True)
class Trust:
    """Published root and issuing X.509 certificates and CRLs, all in DER."""

    roots: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """The result of checking a file.

    intact: the whole file is as one signature left it; unknown if there is none or it cannot be read. trusted: that
    signature's certificate chain ends at one of our roots, and it was not revoked; unknown if the signature is invalid,
    because it then says nothing about the signer that it names. signer_code: organisation identifier of the signer,
    signer: fingerprint of its X.509 certificate, SHA-256 in hex; they are meaningful only if trusted is yes. signed_at:
    the signing time claimed by the signer, RFC 3339. credential: the attached text, not verified here. qr_texts: read
    from the first pages. problems: stable codes, `pdf.…` or `upload.…`.
    """

    what: What
    intact: Answer = Answer.UNKNOWN
    trusted: Answer = Answer.UNKNOWN
    signer_code: str | None = None
    signer: str | None = None
    signed_at: str | None = None
    credential: str | None = None
    qr_texts: tuple[str, ...] = ()
    pages: int | None = None
    problems: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """Return the finding as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=True)


def finding_from_json(text: str) -> CheckFinding:
    """Parse the output of to_json(); raises Malformed for anything else, because the child may be compromised."""
    try:
        members = json.loads(text)
        return CheckFinding(
            what=What(members["what"]),
            intact=Answer(members["intact"]),
            trusted=Answer(members["trusted"]),
            signer_code=_text(members["signer_code"]),
            signer=_text(members["signer"]),
            signed_at=_text(members["signed_at"]),
            credential=_text(members["credential"]),
            qr_texts=tuple(str(text) for text in members["qr_texts"]),
            pages=None if members["pages"] is None else int(members["pages"]),
            problems=tuple(str(code) for code in members["problems"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Malformed("pdf.finding") from error


def question(pdf: bytes, trust: Trust, at: datetime) -> bytes:
    """Return the checker's input: one line of JSON, then the file."""
    head = {
        "roots": _coded(trust.roots),
        "intermediates": _coded(trust.intermediates),
        "crls": _coded(trust.crls),
        "at": at.isoformat(),
        "length": len(pdf),
    }
    return json.dumps(head).encode("ascii") + b"\n" + pdf


def trust_of(head: dict[str, list[str]]) -> Trust:
    """Parse the trust anchors from a question's first line."""
    roots, intermediates, crls = (
        tuple(base64.b64decode(text) for text in head[name]) for name in ("roots", "intermediates", "crls")
    )
    return Trust(roots, intermediates, crls)


def _coded(items: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(item).decode("ascii") for item in items]


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("a text was expected")
    return value
