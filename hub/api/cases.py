"""`/cases`: push a case, read a case. Composes intake and issuance."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from hub.db.database import Raced
from hub.domain.caller import Caller
from hub.domain.case import CaseStatus, Decision, reply
from hub.domain.case_number import case_number as checked_case_number
from hub.domain.errors import Refusal
from hub.intake.body import PushBody
from hub.issuance import Reserved
from hub.parts import Parts
from hub.store import cases as case_store
from hub.store import pushes
from hub.store.audit import Record
from hub.store.pushes import Received, SeenPush
from hub.store.retry import attempt
from hub.web.endpoint import Answer, Call, Lane, Routes
from signing.errors import KeyMissing

RETRY_S = 10
routes = Routes(prefix="/api/v1", tag="cases 办件")
_SOURCE = {"source": "办件来源;默认为本账号的来源。 The case's source; by default the client's own."}


class Links(BaseModel):
    """Where a certificate is; `verify` is absolute and is the text of its QR code, the others are paths."""

    self: str
    document: str
    verify: str


class Granted(BaseModel):
    """One certificate that the push has caused."""

    identifier: str
    number: str
    type_code: str
    version: int
    links: Links


class LiveGranted(Granted):
    """One certificate of a case as it is today."""

    state: Literal["revoked", "superseded", "expired", "suspended", "not_yet", "valid"]


class PushReply(BaseModel):
    """What the push caused; the same for ever."""

    case_number: str
    amendment: int
    status: Literal["accepted", "completed", "refused", "withdrawn"]
    issuance: Literal["none", "pending", "done"]
    certificates: list[Granted]


class CaseReply(PushReply):
    """The case as it stands."""

    certificates: list[LiveGranted]  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push is answered with: 201 for a new case, 202 while the signer is away, else 200."""

    reply: dict[str, Any]
    status: int


def push(parts: Parts, caller: Caller, case_number: str, raw: bytes, source: str | None = None) -> Pushed:
    """Take a push in and issue what it grants; raises the refusals of both steps.

    When it returns, everything is on disk: the push, its reply, and for 200 and 201 every certificate.
    """
    record = Record("case.push", caller.client_id, request=caller.request)
    with parts.audit.of(record):
        number = checked_case_number(case_number)
        named = caller.source if source is None else checked_case_number(source, pointer="/source")
        record.source, record.case_number = named, number
        try:
            return attempt(parts.vault, lambda: _push(parts, caller, number, raw, named, record))
        except KeyMissing:
            raise Refusal("sign.unavailable", retry_after=RETRY_S) from None


def _push(parts: Parts, caller: Caller, number: str, raw: bytes, source: str, record: Record) -> Pushed:
    received = parts.intake.receive(caller, number, raw, source)
    if isinstance(received, SeenPush):
        return _seen(parts, number, source, received)
    if (
        received.before is not None
        and received.decision is Decision.CHANGE
        and parts.issuance.is_pending(source, number)
    ):
        if not parts.issuance.finish(source, number):
            raise Refusal("sign.unavailable", "该办件上一次的证照尚未签发完成", retry_after=RETRY_S)
        raise Raced
    first = 201 if received.before is None else 200
    if not received.push.certificates:
        return Pushed(parts.intake.settle(received, record), first)
    reserved = parts.issuance.reserve(received, record)
    return _finish(parts, received, reserved, first)


def _finish(parts: Parts, received: Received, reserved: Reserved, first: int) -> Pushed:
    source, number = received.push.source, received.push.case_number
    done = parts.issuance.finish(source, number, reserved)
    if done is not None and done.reply is not None and done.push_key == received.key:
        return Pushed(done.reply, first)
    if done is not None:  # somebody else was faster
        found = pushes.find(parts.database.reader, parts.vault, source, number, received.digest)
        if found is not None and found.reply is not None:
            return Pushed(found.reply, first)
    return Pushed(reply(number, received.push.amendment, received.push.status, "pending", []), 202)


def _seen(parts: Parts, number: str, source: str, found: SeenPush) -> Pushed:
    if found.reply is not None:
        return Pushed(found.reply, 200)
    if parts.issuance.finish(source, number):
        raise Raced  # the reply is on record now: read it
    return Pushed(reply(number, found.amendment, found.status, "pending", []), 202)


def live(parts: Parts, caller: Caller, case_number: str, source: str | None = None) -> dict[str, Any]:
    """The case as it stands, for clients of its authorities or its source; raises `case.not_found` for all others."""
    record = Record("case.read", caller.client_id, request=caller.request)
    with parts.audit.of(record):
        number = checked_case_number(case_number)
        named = caller.source if source is None else checked_case_number(source, pointer="/source")
        record.source, record.case_number = named, number
        return attempt(parts.vault, lambda: _live(parts, caller, number, named))


def _live(parts: Parts, caller: Caller, number: str, source: str) -> dict[str, Any]:
    with parts.database.snapshot() as reader:
        case = case_store.find(reader, parts.vault, source, number)
        if case is None or not (caller.stands_for(case.authority, case.accepted_by) or caller.source == source):
            raise Refusal("case.not_found")
        pending = parts.issuance.is_pending(source, number)
        granted = parts.issuance.certificates_of(case)
    issuance = "pending" if pending else "done" if granted else "none"
    return reply(number, case.amendment, CaseStatus(case.status), issuance, granted)


@routes.add(
    "PUT",
    "/cases/{case_number}",
    scope="cases:write",
    lane=Lane.WRITE,
    body=PushBody,
    query=_SOURCE,
    replies={200: PushReply, 201: PushReply, 202: PushReply},
    refusals=(
        "schema.invalid",
        "perm.case_required",
        "perm.not_issuer",
        "certificate.not_found",
        "case.conflict",
        "case.stale",
        "number.taken",
        "certificate.move",
        "id.length",
        "id.checksum",
        "uscc.checksum",
        "matter.unknown",
        "type.unknown",
        "type.not_in_matter",
        "date.order",
        "date.future",
        "glyph.missing",
        "rate.limited",
        "sign.unavailable",
    ),
    summary="推送办件 Push a case",
)
def put_case(call: Call) -> Answer:
    """Tell about a case (审批结果推送). Any body seen before gets the answer of the first time."""
    pushed = push(call.parts, call.client, call.path["case_number"], call.body, call.query.get("source"))
    return Answer(pushed.reply, pushed.status)


@routes.add(
    "GET",
    "/cases/{case_number}",
    scope=("cases:write", "certificates:lookup"),
    lane=Lane.WRITE,
    query=_SOURCE,
    replies={200: CaseReply},
    refusals=("schema.invalid", "case.not_found"),
    summary="查询办件 Read a case",
)
def get_case(call: Call) -> Answer:
    """The case as it stands, each certificate with its state of today."""
    return Answer(live(call.parts, call.client, call.path["case_number"], call.query.get("source")))
