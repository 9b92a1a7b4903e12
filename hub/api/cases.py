"""`/cases`: push a case and read a case."""

from typing import Literal

from pydantic import BaseModel

from hub.intake.body import PushBody
from hub.web.endpoint import Answer, Call, Lane, Routes

routes = Routes(prefix="/api/v1", tag="cases 办件")
_SOURCE = {"source": "办件来源；不填就用本账号的来源。 The case's source; default: the client's own."}


class Links(BaseModel):
    """Links to a certificate. `verify` is an absolute URL and the text of the QR code; the others are paths."""

    self: str
    document: str
    verify: str


class Granted(BaseModel):
    """A certificate issued because of the push."""

    identifier: str
    number: str
    type_code: str
    version: int
    links: Links


class LiveGranted(Granted):
    """A certificate of the case with its state today."""

    state: Literal["revoked", "superseded", "expired", "suspended", "not_yet", "valid"]


class PushReply(BaseModel):
    """The result of the push. Pushing the same body again always returns the same result."""

    case_number: str
    amendment: int
    status: Literal["accepted", "completed", "refused", "withdrawn"]
    issuance: Literal["none", "pending", "done"]
    certificates: list[Granted]


class CaseReply(PushReply):
    """The current state of the case."""

    certificates: list[LiveGranted]  # type: ignore[assignment]


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
        "perm.intake",
        "perm.clerk",
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
    summary="推送办件 · Push a case",
)
def put_case(call: Call) -> Answer:
    """Push a case (审批结果推送). Idempotent: a body that was pushed before gets the same answer as the first time."""
    pushed = call.parts.cases.push(call.client, call.path["case_number"], call.body, call.query.get("source"))
    return Answer(pushed.reply, pushed.status)


@routes.add(
    "GET",
    "/cases/{case_number}",
    scope=("cases:write", "certificates:lookup"),
    lane=Lane.WRITE,
    query=_SOURCE,
    replies={200: CaseReply},
    refusals=("schema.invalid", "case.not_found"),
    summary="查询办件 · Read a case",
)
def get_case(call: Call) -> Answer:
    """Read the current state of a case; each certificate has its state as of today."""
    return Answer(call.parts.cases.live(call.client, call.path["case_number"], call.query.get("source")))
