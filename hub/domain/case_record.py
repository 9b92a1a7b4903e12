"""Cases and pushes as recorded."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from hub.domain.case import CaseStatus, Decision, Person, Push
from hub.domain.dates import month_of


class PushKey(NamedTuple):
    """Which push: the primary key of its row."""

    month: int
    source: str
    case_number: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """A recorded case. `people` have roles; `parties` are their keys in the same order.

    `certificates` are (home, certificate, version) in pushed order, as of the last completed amendment.
    """

    source: str
    case_number: str
    authority: str
    accepted_by: str
    status: CaseStatus
    amendment: int
    matter: str
    accepted_at: datetime
    completed_at: datetime | None
    revision: int
    people: tuple[Person, ...]
    parties: tuple[int, ...]
    certificates: tuple[tuple[int, int, int], ...] = ()

    def roles_of(self, party: int) -> frozenset[str]:
        """The roles in which the case names a party; empty if it does not."""
        return frozenset(p.role for p, key in zip(self.people, self.parties, strict=True) if key == party)


def with_certificates(case: Case, certificates: tuple[tuple[int, int, int], ...]) -> Case:
    """The next revision of a case, with these certificates."""
    return replace(case, certificates=certificates, revision=case.revision + 1)


@dataclass(frozen=True, slots=True)
class SeenPush:
    """A recorded push; `reply` is None until its certificates are issued."""

    month: int
    client: str
    amendment: int
    status: CaseStatus
    reply: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Received:
    """A new push that passed all checks, with the case that it was checked against; `before` is None for a new case.

    `authority` decides the case, `accepted_by` took it in. The transaction that writes it must find the case unchanged.
    """

    push: Push
    decision: Decision
    authority: str
    accepted_by: str
    before: Case | None
    client: str
    raw: bytes
    digest: bytes
    at: datetime

    @property
    def key(self) -> PushKey:
        """The primary key of the push."""
        return PushKey(month_of(self.at), self.push.source, self.push.case_number, self.digest)

    def case(self, parties: tuple[int, ...]) -> Case:
        """The case after this push, without new certificates; `parties` are in the order of the push's people."""
        push, before = self.push, self.before
        return Case(
            source=push.source,
            case_number=push.case_number,
            authority=self.authority,
            accepted_by=self.accepted_by,
            status=push.status,
            amendment=push.amendment,
            matter=push.matter_code,
            accepted_at=push.accepted_at,
            completed_at=push.completed_at,
            revision=1 if before is None else before.revision + 1,
            people=push.people,
            parties=parties,
            certificates=() if before is None else before.certificates,
        )
