"""A case as an approval system tells it, normalised and checked against itself; nothing here knows the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum

MAX_PEOPLE = 20
MAX_CERTIFICATES = 50
RELATIONS = (
    "legal_representative",
    "spouse",
    "parent",
    "child",
    "owner",
    "employee",
    "former_id",
    "other",
)


class CaseStatus(IntEnum):
    """Where a case stands; everything but ACCEPTED is an end."""

    ACCEPTED = 1
    COMPLETED = 2
    REFUSED = 3
    WITHDRAWN = 4

    @property
    def word(self) -> str:
        """The contract's word for it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Person:
    """A person or body by name and normalised identity number; `role` and `relation` only inside a case."""

    name: str
    id_type: str
    id_number: str
    role: str = ""
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class PushedCertificate:
    """One certificate that a completed case grants, as pushed; dates are days in Asia/Shanghai."""

    type_code: str
    edition: int
    number: str
    holders: tuple[Person, ...]
    fields: Mapping[str, str | int]
    issued_on: date
    valid_from: date
    valid_until: date | None
    supersedes: tuple[str, ...] = ()

    def same_content(self, other: "PushedCertificate") -> bool:
        """Whether both would print the same face; what a later push must keep for a version to stay as it is."""
        return (
            self.holders == other.holders
            and dict(self.fields) == dict(other.fields)
            and (self.edition, self.issued_on, self.valid_from, self.valid_until)
            == (other.edition, other.issued_on, other.valid_from, other.valid_until)
        )


@dataclass(frozen=True, slots=True)
class Push:
    """One message about a case, normalised. `moments` are UTC."""

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
