"""`/cases`: push a case, read a case."""

from typing import Literal

from pydantic import BaseModel

from hub.intake.body import PushBody
from hub.web.endpoint import Answer, Call, Lane, Routes

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
    summary="查询办件 Read a case",
)
def get_case(call: Call) -> Answer:
    """The case as it stands, each certificate with its state of today."""
    return Answer(call.parts.cases.live(call.client, call.path["case_number"], call.query.get("source")))
