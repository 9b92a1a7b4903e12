"""A case, from push to reply: composes intake and issuance, and reads a case back.

The nine steps of a push, which docs/issuance.md describes: receive, plan, draft, reserve, open, sign, prepare, publish,
answer.
"""

from dataclasses import dataclass
from typing import Any

from hub.case_records import CaseDetail, CaseRecords
from hub.db.database import Conflict, Database
from hub.domain.caller import Caller
from hub.domain.case import CaseStatus, Decision, reply
from hub.domain.case import case_number as checked_case_number
from hub.domain.case_record import Case, SeenPush
from hub.domain.errors import Refusal
from hub.intake import Intake
from hub.issuance import Issuance
from hub.store import cases, intents, pushes
from hub.store.audit import Audit, AuditEntry
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing.errors import KeyMissing

RETRY_S = 10


@dataclass(frozen=True, slots=True)
class Pushed:
    """The reply to a push and its status: 201 for a new case, 202 while the signer is unavailable, otherwise 200."""

    reply: dict[str, Any]
    status: int


@dataclass(frozen=True, slots=True)
class LiveCase:
    """A case as it is now, with its certificates' states in `reply`; `detail` only for clients of its authorities."""

    case: Case
    detail: CaseDetail | None
    reply: dict[str, Any]


class Cases:
    """Accepts pushes and reads cases; every answer and refusal is on record before it leaves."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: Audit,
        intake: Intake,
        issuance: Issuance,
        records: CaseRecords,
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._intake = intake
        self._issuance = issuance
        self._records = records

    def push(self, caller: Caller, case_number: str, raw: bytes, source: str | None = None) -> Pushed:
        """Accept a push and issue the certificates that it grants; raises the refusals of both steps.

        When it returns, everything is on disk: the push, its reply and, for 200 and 201, every certificate.
        """
        record = AuditEntry("case.push", caller.client_id, request=caller.request)
        with self._audit.of(record):
            number, named = _place(caller, case_number, source, record)
            try:
                pushed = retry_on_conflict(self._vault, lambda: self._push(caller, number, raw, named, record))
                return Pushed(pushed.reply | {"case_number": number}, pushed.status)
            except KeyMissing:
                raise Refusal("sign.unavailable", retry_after=RETRY_S) from None

    def _push(self, caller: Caller, number: str, raw: bytes, source: str, record: AuditEntry) -> Pushed:
        # 1. Receive.
        received = self._intake.receive(caller, number, raw, source)
        if isinstance(received, SeenPush):
            return self._seen(received)
        before, reader = received.before, self._database.reader
        source, number = received.push.source, received.push.case_number  # from here on, the case's first number
        if before is not None and received.decision is Decision.CHANGE and intents.is_open(reader, source, number):
            if not self._issuance.finish(source, number):
                raise Refusal("sign.unavailable", "这个办件上一次的证照还没有签发完，请稍后重推", retry_after=RETRY_S)
            raise Conflict
        status = 201 if before is None else 200
        if not received.push.certificates:
            return Pushed(self._intake.settle(received, record), status)

        # 2. Plan, 3. draft, 4. reserve; 5. open, 6. sign, 7. prepare, 8. publish.
        reserved = self._issuance.reserve(received, record)
        done = self._issuance.finish(source, number, reserved)

        # 9. Answer.
        if done is not None and done.reply is not None and done.push_key == received.key:
            return Pushed(done.reply, status)
        if done is not None:  # another call finished this intent first
            found = pushes.find(reader, self._vault, source, number, received.digest)
            if found is not None and found.reply is not None:
                return Pushed(found.reply, status)
        return Pushed(reply(number, received.push.amendment, received.push.status, "pending", []), 202)

    def _seen(self, found: SeenPush) -> Pushed:
        if found.reply is not None:
            return Pushed(found.reply, 200)
        if self._issuance.finish(found.source, found.case_number):
            raise Conflict  # the reply is on record now; receive the push again to read it
        return Pushed(reply(found.case_number, found.amendment, found.status, "pending", []), 202)

    def live(self, caller: Caller, case_number: str, source: str | None = None) -> LiveCase:
        """The case, for clients of its authorities or its source; `case.not_found` for all others.

        Only clients of its two authorities see who is named in it and what was taken for it.
        """
        record = AuditEntry("case.read", caller.client_id, request=caller.request)
        with self._audit.of(record):
            number, named = _place(caller, case_number, source, record)
            return retry_on_conflict(self._vault, lambda: self._live(caller, number, named))

    def _live(self, caller: Caller, number: str, source: str) -> LiveCase:
        with self._database.snapshot() as reader:
            case = cases.find(reader, self._vault, source, number)
            if case is None:
                raise Refusal("case.not_found")
            concerned = caller.within(case.matter, source).stands_for(case.authority, case.accepted_by)
            # Clients of one source read all its cases, except those that act for others only within limits.
            if not concerned and (caller.source != source or caller.limited):
                raise Refusal("case.not_found")
            pending = intents.is_open(reader, case.source, case.case_number)
            granted = self._issuance.certificates_of(case)
            detail = self._records.detail(reader, case) if concerned else None
        issuance = "pending" if pending else "done" if granted else "none"
        return LiveCase(case, detail, reply(number, case.amendment, CaseStatus(case.status), issuance, granted))


def _place(caller: Caller, case_number: str, source: str | None, record: AuditEntry) -> tuple[str, str]:
    """The validated case number and source of a call, also set in its audit entry."""
    number = checked_case_number(case_number)
    named = caller.source if source is None else checked_case_number(source, pointer="/source")
    record.source, record.case_number = named, number
    return number, named
