"""A case as pushed by an approval system: normalised and checked for consistency, without access to the database."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Any

from hub.domain import numbers
from hub.domain.errors import Refusal
from hub.domain.values import Value

MAX_CERTIFICATES = 50
MAX_CASE_NUMBER = 64
_PUNCTUATION = frozenset("-._~()〔〕")


class Decision(StrEnum):
    """What a push does to a case: NOTHING (`accepted`, received after the end), or CHANGE it."""

    NOTHING = "nothing"
    CHANGE = "change"


class CaseStatus(IntEnum):
    """A case's status; every status but ACCEPTED is final."""

    ACCEPTED = 1
    COMPLETED = 2
    REFUSED = 3
    WITHDRAWN = 4

    @property
    def word(self) -> str:
        """The API's name for it."""
        return self.name.lower()


DECISIONS = frozenset({CaseStatus.COMPLETED, CaseStatus.REFUSED})
"""The endings that only the deciding authority may push."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person or organisation: name and normalised identity number; `role` and `relation` only inside a case."""

    name: str
    id_type: str
    id_number: str
    role: str = ""
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class PushedCertificate:
    """One certificate that a completed case grants, as pushed; dates are days in Asia/Shanghai.

    `edition_named`: whether the push names the edition; otherwise it takes the newest one.
    """

    type_code: str
    edition: int
    number: str
    holders: tuple[Person, ...]
    fields: Mapping[str, Value]
    issued_on: date
    valid_from: date
    valid_until: date | None
    supersedes: tuple[str, ...] = ()
    edition_named: bool = True

    def same_content(self, other: "PushedCertificate") -> bool:
        """Whether both would print the same face; an amendment that keeps it creates no new version.

        A push that names no edition means the one that the certificate already has.
        """
        return (
            self.number == other.number
            and self.holders == other.holders
            and dict(self.fields) == dict(other.fields)
            and (self.edition == other.edition or not self.edition_named)
            and (self.issued_on, self.valid_from, self.valid_until)
            == (other.issued_on, other.valid_from, other.valid_until)
        )


@dataclass(frozen=True, slots=True)
class Push:
    """One message about a case, normalised. Instants are UTC; `clerk`: staff number and name."""

    source: str
    case_number: str
    amendment: int
    matter_code: str
    accepted_by: str | None
    status: CaseStatus
    people: tuple[Person, ...]
    accepted_at: datetime
    completed_at: datetime | None
    certificates: tuple[PushedCertificate, ...] = field(default=())
    clerk: tuple[str, str] | None = None


def judge(status: CaseStatus, amendment: int, matter: str, push: Push) -> Decision:
    """What a new push does to an existing case; raises Refusal `case.stale` or `case.conflict`.

    `accepted` after the end changes nothing. An ended case changes only with a higher amendment number.
    """
    if push.matter_code != matter:
        raise Refusal("case.conflict", "办件的事项不能更改", pointer="/matter_code")
    if status is not CaseStatus.ACCEPTED and push.status is CaseStatus.ACCEPTED:
        return Decision.NOTHING
    if push.amendment < amendment:
        raise Refusal("case.stale", pointer="/amendment")
    if status is not CaseStatus.ACCEPTED and push.amendment == amendment:
        raise Refusal("case.conflict", "该办件已推送过不同的结果；如需更正，请提高 amendment", pointer="/amendment")
    return Decision.CHANGE


def reply(
    case_number: str, amendment: int, status: CaseStatus, issuance: str, certificates: Sequence[Mapping[str, object]]
) -> dict[str, Any]:
    """The response to a push or a read of a case; `issuance`: none, pending or done."""
    return {
        "case_number": case_number,
        "amendment": amendment,
        "status": status.word,
        "issuance": issuance,
        "certificates": list(certificates),
    }


def case_number(text: str, *, pointer: str = "/case_number") -> str:
    """1-64 letters (CJK too), digits and `-._~()〔〕`, NFC, without a citizen's number; raises `schema.invalid`."""
    fits = 1 <= len(text) <= MAX_CASE_NUMBER and unicodedata.is_normalized("NFC", text)
    if not fits or not all(c in _PUNCTUATION or "0" <= c <= "9" or unicodedata.category(c)[0] == "L" for c in text):
        raise Refusal("schema.invalid", "办件编号为 1 至 64 个字母、汉字、数字或 -._~()〔〕", pointer=pointer)
    if numbers.contains_citizen_number(text):
        raise Refusal("schema.invalid", "办件编号不能含有公民身份号码", pointer=pointer)
    return text
