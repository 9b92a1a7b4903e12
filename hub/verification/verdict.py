"""The result of a verification: four separate answers, one resulting state, and the problems found."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from hub.domain.certificate import State
from hub.domain.dates import show_moment


class VerdictState(StrEnum):
    """All states of a verdict: those of a certificate and those of verdicts only."""

    TAMPERED = "tampered"
    UNTRUSTED = "untrusted"
    NOT_FOUND = "not_found"
    CODE_EXPIRED = "code_expired"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    NOT_YET = "not_yet"
    VALID = "valid"
    COMPARE = "compare"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, state: State) -> "VerdictState":
        """A certificate's state as a verdict's."""
        return cls(state.value)


class VerdictAnswer(StrEnum):
    """One answer. UNKNOWN: it could not be checked, which implies nothing about the certificate."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, *, holds: bool) -> "VerdictAnswer":
        """YES or NO."""
        return cls.YES if holds else cls.NO


class Presented(StrEnum):
    """What was presented: the address of a record (a code or a QR text), a credential, a PDF, or a picture.

    Every file without a seal is a picture: it shows something, and proves nothing itself.
    """

    RECORD = "record"
    CREDENTIAL = "credential"
    PDF = "pdf"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Checks:
    """intact: exactly what was issued; trusted: signed by a key of ours; in_force: neither suspended nor ended."""

    intact: VerdictAnswer = VerdictAnswer.UNKNOWN
    trusted: VerdictAnswer = VerdictAnswer.UNKNOWN
    in_force: VerdictAnswer = VerdictAnswer.UNKNOWN
    within_dates: VerdictAnswer = VerdictAnswer.UNKNOWN


@dataclass(frozen=True, slots=True)
class PublicCertificate:
    """The public view of a version; number and holders are masked, None if unknown."""

    identifier: str
    type_code: str
    type_name: str
    type_name_en: str
    number: str | None
    holders: tuple[str, ...] | None
    authority_code: str
    authority_name: str
    authority_name_en: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    version: int
    state: VerdictState
    kind: str | None = None
    since: date | None = None

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON; unknown values are omitted, `valid_until` null means 长期."""
        found: dict[str, Any] = {
            "identifier": self.identifier,
            "type_code": self.type_code,
            "type_name": self.type_name,
            "number": self.number,
            "holders": None if self.holders is None else list(self.holders),
            "authority_code": self.authority_code,
            "authority_name": self.authority_name,
            "issued_on": self.issued_on.isoformat(),
            "valid_from": self.valid_from.isoformat(),
            "version": self.version,
            "state": self.state.value,
            "kind": self.kind,
            "since": None if self.since is None else self.since.isoformat(),
        }
        found = {name: value for name, value in found.items() if value is not None}
        return found | {"valid_until": None if self.valid_until is None else self.valid_until.isoformat()}


@dataclass(frozen=True, slots=True)
class PublicCopy:
    """The public view of an annotated copy: its recipient and purpose, and until when it is valid."""

    receipt_number: str
    authority_name: str
    matter_name: str
    retrieved_at: datetime
    state_then: VerdictState
    expires_on: date

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON; `expires_at` is the last day, as printed on the copy."""
        return {
            "receipt_number": self.receipt_number,
            "authority_name": self.authority_name,
            "matter_name": self.matter_name,
            "retrieved_at": show_moment(self.retrieved_at),
            "state_then": self.state_then.value,
            "expires_at": self.expires_on.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one verification; `problems` are stable codes (docs/verification.md), in the order found.

    copy: set if the subject is an annotated copy; certificate and checks still refer to the certificate.
    """

    state: VerdictState
    presented: Presented
    checks: Checks
    checked_at: datetime
    certificate: PublicCertificate | None = None
    problems: tuple[str, ...] = ()
    copy: PublicCopy | None = None

    @property
    def subject(self) -> str:
        """The subject: `certificate` or `copy`."""
        return "certificate" if self.copy is None else "copy"

    @property
    def kind(self) -> str | None:
        """The kind of suspension or revocation, if that is the verdict."""
        return self.certificate.kind if self.certificate and self.certificate.state is self.state else None

    @property
    def since(self) -> date | None:
        """The day since which the state applies, if an act determines it."""
        return self.certificate.since if self.certificate and self.certificate.state is self.state else None

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        found: dict[str, Any] = {"state": self.state.value}
        if self.kind is not None:
            found["kind"] = self.kind
        if self.since is not None:
            found["since"] = self.since.isoformat()
        found |= {
            "subject": self.subject,
            "presented": self.presented.value,
            "checks": {name: getattr(self.checks, name).value for name in Checks.__slots__},
        }
        if self.certificate is not None:
            found["certificate"] = self.certificate.as_json()
        if self.copy is not None:
            found["copy"] = self.copy.as_json()
        return found | {"problems": list(self.problems), "checked_at": show_moment(self.checked_at)}
