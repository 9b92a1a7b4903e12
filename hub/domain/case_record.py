"""Cases and pushes as recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from hub.domain.case import CaseStatus, Decision, Person, Push
from hub.domain.dates import month_of
from hub.domain.errors import Refusal


class PushKey(NamedTuple):
    """Which push: the primary key of its row."""

    month: int
    source: str
    case_number: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """A recorded case. `people` have roles; `parties` are their keys in the same order.

    `certificates` are (home, certificate, version) in pushed order, as of the last completed amendment. `former`: the
    parties that the case named before and no longer names. `opened_by` and `clerk` (`authority|staff number`): the
    client and the person that took it in. `decided`: whether the deciding authority ended it; `objected_at`: when that
    authority objected to the case.
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
    former: tuple[int, ...] = ()
    opened_by: str | None = None
    clerk: str | None = None
    decided: bool = False
    objected_at: datetime | None = None
    objection: Mapping[str, str] = field(default_factory=dict)

    def roles_of(self, party: int) -> frozenset[str]:
        """The roles in which the case names a party; empty if it does not."""
        return frozenset(p.role for p, key in zip(self.people, self.parties, strict=True) if key == party)


def with_certificates(case: Case, certificates: tuple[tuple[int, int, int], ...]) -> Case:
    """The next revision of a case, with these certificates."""
    return replace(case, certificates=certificates, revision=case.revision + 1)


@dataclass(frozen=True, slots=True)
class SeenPush:
    """A recorded push of a case; `reply` is None until its certificates are issued."""

    source: str
    case_number: str
    month: int
    client: str
    amendment: int
    status: CaseStatus
    reply: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Received:
    """A new push that passed all checks, with the case that it was checked against; `before` is None for a new case.

    `authority` decides the case, `accepted_by` took it in through `clerk`, if one is named (`authority|staff number`);
    `decides`: whether an ending in this push is the decision; `max_people`: how many people the case may name in its
    life; `taken_over`: the (source, case number) under which the push names the case from now on, too. The transaction
    that writes it must find the case unchanged.
    """

    push: Push
    decision: Decision
    authority: str
    accepted_by: str
    before: Case | None
    client: str
    client_authority: str
    raw: bytes
    digest: bytes
    at: datetime
    max_people: int
    decides: bool
    clerk: str | None = None
    taken_over: tuple[str, str] | None = None

    @property
    def key(self) -> PushKey:
        """The primary key of the push."""
        return PushKey(month_of(self.at), self.push.source, self.push.case_number, self.digest)

    def case(self, parties: tuple[int, ...]) -> Case:
        """The case after this push, without new certificates; `parties` are in the order of the push's people.

        Raises Refusal `schema.invalid` if the case names more people in its life than it may.
        """
        push, before = self.push, self.before
        former = () if before is None else tuple(sorted({*before.parties, *before.former}.difference(parties)))
        if len({*former, *parties}) > self.max_people:
            raise Refusal("schema.invalid", f"一个办件先后最多 {self.max_people} 人", pointer="/applicants")
        ends = push.status is not CaseStatus.ACCEPTED and self.decides
        return Case(
            source=push.source,
            case_number=push.case_number,
            authority=self.authority,
            accepted_by=self.accepted_by,
            status=push.status,
            amendment=push.amendment,
            matter=push.matter_code,
            accepted_at=push.accepted_at if before is None else before.accepted_at,
            completed_at=push.completed_at,
            revision=1 if before is None else before.revision + 1,
            people=push.people,
            parties=parties,
            certificates=() if before is None else before.certificates,
            former=former,
            opened_by=self.client if before is None else before.opened_by,
            clerk=self.clerk if before is None else before.clerk,
            decided=ends or (before is not None and before.decided),
            objected_at=None if before is None else before.objected_at,
            objection={} if before is None else before.objection,
        )
