"""What is on record about cases, for the authority that decides them and the one that took them in; objections.

Both see the people, receipts and copies of a case; either can notice a case that should not exist. Every answer and
refusal is recorded before it returns.
"""

import base64
from dataclasses import dataclass, replace
from datetime import date, datetime

import cbor2

from hub.db.database import Conflict, Database, Reader
from hub.domain import masking, permission
from hub.domain.caller import Caller
from hub.domain.case import CaseStatus, Person
from hub.domain.case import case_number as checked_case_number
from hub.domain.case_record import Case
from hub.domain.dates import SHANGHAI
from hub.domain.errors import Refusal
from hub.runtime.clock import Clock
from hub.store import cases, clients, retrievals
from hub.store.audit import Audit, AuditEntry
from hub.store.cases import ListedCase, Place
from hub.store.retrievals import Receipt
from hub.store.retry import retry_on_conflict
from hub.vault import Vault

PAGE = 100
RECEIPTS = 200


@dataclass(frozen=True, slots=True)
class CaseQuery:
    """Which cases to list: of authorities that decide them or (deciding false) took them in.

    since: the first day of intake, in Asia/Shanghai. cursor: `next` of the previous page, or empty.
    """

    deciding: bool
    status: CaseStatus | None
    since: date
    cursor: str


@dataclass(frozen=True, slots=True)
class CasePage:
    """One page of a list; `next` is the cursor of the next page, None on the last one."""

    cases: list[ListedCase]
    next: str | None


@dataclass(frozen=True, slots=True)
class CaseDetail:
    """What both authorities of a case see besides its state: its people, masked, and its receipts, oldest first."""

    people: tuple[Person, ...]
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Objected:
    """A case after an objection: its status, and since when it is closed for lookups."""

    status: CaseStatus
    at: datetime


class CaseRecords:
    """Lists cases, shows their people and receipts, and records objections."""

    def __init__(self, *, database: Database, vault: Vault, clock: Clock, audit: Audit) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._audit = audit

    def listed(self, caller: Caller, query: CaseQuery) -> CasePage:
        """One page of the cases of the caller's authorities; raises `schema.invalid` for a foreign cursor."""
        record = AuditEntry("case.list", caller.client_id, request=caller.request)
        with self._audit.of(record):
            found = cases.listed(
                self._database.reader,
                deciding=query.deciding,
                authorities=sorted(caller.authorities),
                status=query.status,
                since=datetime.combine(query.since, datetime.min.time(), SHANGHAI),
                after=_place(query.cursor),
                limit=PAGE + 1,
            )
        return CasePage(found[:PAGE], _cursor(found[PAGE - 1]) if len(found) > PAGE else None)

    def detail(self, reader: Reader, case: Case) -> CaseDetail:
        """The people and receipts of a case; the caller of this method records the answer."""
        people = tuple(
            replace(
                person,
                name=masking.holder_name(person.name, person.id_type),
                id_number=masking.id_number(person.id_number),
            )
            for person in case.people
        )
        receipts = retrievals.of_case(reader, self._vault, case.source, case.case_number, RECEIPTS)
        return CaseDetail(people, tuple(receipts))

    def object_to(
        self, caller: Caller, case_number: str, source: str | None, officer: tuple[str, str], reason: str
    ) -> Objected:
        """Record the deciding authority's objection, which closes the case for lookups; a second one changes nothing.

        officer: staff number and name. Raises `perm.case_required` for an absent or foreign case and for a client that
        is not of the deciding authority, `perm.clerk`, and `case.conflict` if the case has ended.
        """
        record = AuditEntry("case.objection", caller.client_id, request=caller.request)
        with self._audit.of(record):
            number = checked_case_number(case_number)
            named = caller.source if source is None else checked_case_number(source, pointer="/source")
            record.source, record.case_number = named, number
            return retry_on_conflict(
                self._vault, lambda: self._object_to(caller, (named, number), officer, reason, record)
            )

    def _object_to(
        self, caller: Caller, key: tuple[str, str], officer: tuple[str, str], reason: str, record: AuditEntry
    ) -> Objected:
        reader = self._database.reader
        case = cases.find(reader, self._vault, *key)
        if case is None or not caller.within(case.matter, key[0]).stands_for(case.authority):
            raise Refusal("perm.case_required")
        known = clients.find_clerk(reader, self._vault, case.authority, officer[0])
        clerk = permission.require_clerk((case.authority,), [] if known is None else [known], *officer)
        record.clerk = clerk.key
        if case.objected_at is None and case.status is not CaseStatus.ACCEPTED:
            raise Refusal("case.conflict", "办件已经办结，不用再提异议")
        now = self._clock.now()
        objection = {"officer": record.clerk, "reason": reason}
        objected = replace(case, objected_at=now, objection=objection, revision=case.revision + 1)
        row = cases.row_of(self._vault, objected, now)
        with self._database.write() as writer:
            if case.objected_at is None and not cases.put(writer, row):
                raise Conflict
            self._audit.write(writer, record, "ok")
        return Objected(case.status, case.objected_at or now)


def _cursor(last: ListedCase) -> str:
    place = Place.of(last)
    return base64.urlsafe_b64encode(cbor2.dumps(list(place))).decode().rstrip("=")


def _place(cursor: str) -> Place | None:
    if not cursor:
        return None
    try:
        accepted_at, source, case_number = cbor2.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if type(accepted_at) is int and abs(accepted_at) < 1 << 63:
            return Place(accepted_at, checked_case_number(source), checked_case_number(case_number))
    except (ValueError, TypeError, Refusal, cbor2.CBORDecodeError):
        pass
    raise Refusal("schema.invalid", "cursor 不是上一页给出的", pointer="/cursor")
