"""`/cases`: push a case and read a case."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from hub.case_records import CaseDetail, CaseQuery
from hub.domain.case import CaseStatus, Person
from hub.domain.dates import read_day, show_moment
from hub.domain.errors import Refusal
from hub.intake.body import PushBody
from hub.store.cases import ListedCase
from hub.web.endpoint import Answer, Call, Lane, Routes
from hub.wire import Body, ClerkBody, parse

routes = Routes(prefix="/api/v1", tag="cases 办件")
_LONGEST_CURSOR = 500
_FIRST_DAY = date(1900, 1, 1)
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


class CasePersonReply(BaseModel):
    """A person or organisation that the case names, masked."""

    role: Literal["applicant", "agent", "related"]
    relation: str | None = None
    name: str
    id_type: str
    id_number: str


class CaseReceiptReply(BaseModel):
    """What was taken for the case: by whom, when, and until when the copy is valid."""

    receipt_number: str
    retrieved_at: str
    authority_code: str
    clerk_id: str
    copy_expires_on: date


class CaseReply(PushReply):
    """The current state of the case. The last four members are for clients of its two authorities only."""

    certificates: list[LiveGranted]  # type: ignore[assignment]
    accepted_by: str | None = None
    objected_at: str | None = None
    people: list[CasePersonReply] | None = None
    receipts: list[CaseReceiptReply] | None = None


class ListedCaseReply(BaseModel):
    """A case of one of the client's authorities. `lookups` and `retrievals`: how often counters used it."""

    source: str
    case_number: str
    matter_code: str
    accepted_by: str
    accepted_at: str
    status: Literal["accepted", "completed", "refused", "withdrawn"]
    lookups: int
    retrievals: int


class CasesReply(BaseModel):
    """One page of cases, in the order in which they were taken in; `next` is absent on the last page."""

    cases: list[ListedCaseReply]
    next: str | None = None


class ObjectionReply(BaseModel):
    """The case, which is closed for lookups from now on."""

    case_number: str
    status: Literal["accepted", "completed", "refused", "withdrawn"]
    objected_at: str


class ObjectionBody(Body):
    """Why the case should not exist, and who objects to it."""

    officer: Annotated[ClerkBody, Field(description="决定机构的工作人员 An officer of the deciding authority")]
    reason: Annotated[str, Field(min_length=1, max_length=500, description="理由 Reason")]


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
    found = call.parts.cases.live(call.client, call.path["case_number"], call.query.get("source"))
    if found.detail is None:
        return Answer(found.reply)
    case = found.case
    objected = {} if case.objected_at is None else {"objected_at": show_moment(case.objected_at)}
    return Answer(found.reply | {"accepted_by": case.accepted_by} | objected | _detail(found.detail))


def _detail(detail: CaseDetail) -> dict[str, Any]:
    return {
        "people": [_person(person) for person in detail.people],
        "receipts": [
            {
                "receipt_number": receipt.number,
                "retrieved_at": show_moment(receipt.at),
                "authority_code": receipt.taking.clerk_authority,
                "clerk_id": receipt.taking.clerk,
                "copy_expires_on": receipt.expires_on.isoformat(),
            }
            for receipt in detail.receipts
        ],
    }


def _person(person: Person) -> dict[str, str]:
    found = {"role": person.role, "name": person.name, "id_type": person.id_type, "id_number": person.id_number}
    return found if person.relation is None else found | {"relation": person.relation}


@routes.add(
    "GET",
    "/cases",
    scope="cases:write",
    lane=Lane.WRITE,
    query={
        "role": "deciding：本机构决定的；accepting：本机构收的。 Cases that the authority decides, or that it took in",
        "status": "只看这个状态 Only this status",
        "from": "收件日期不早于，YYYY-MM-DD Taken in on this day or later",
        "cursor": "上一页的 next `next` of the previous page",
    },
    replies={200: CasesReply},
    refusals=("schema.invalid",),
    summary="办件清单 · List cases",
)
def list_cases(call: Call) -> Answer:
    """List the cases that the client's authorities decide, or took in, with how often counters used them."""
    page = call.parts.case_records.listed(call.client, _query(call.query))
    found: dict[str, Any] = {"cases": [_listed(case) for case in page.cases]}
    return Answer(found if page.next is None else found | {"next": page.next})


def _query(query: Mapping[str, str]) -> CaseQuery:
    role, status, since = query.get("role", ""), query.get("status"), query.get("from")
    if role not in ("deciding", "accepting"):
        raise Refusal("schema.invalid", "role 应为 deciding 或 accepting", pointer="/role")
    if status is not None and status not in {one.word for one in CaseStatus}:
        raise Refusal("schema.invalid", "没有这个状态", pointer="/status")
    try:
        day = _FIRST_DAY if since is None else read_day(since)
    except ValueError:
        raise Refusal("schema.invalid", "应为 YYYY-MM-DD 形式的日期", pointer="/from") from None
    cursor = query.get("cursor", "")
    if len(cursor) > _LONGEST_CURSOR:
        raise Refusal("schema.invalid", "cursor 不是上一页给出的", pointer="/cursor")
    return CaseQuery(role == "deciding", None if status is None else CaseStatus[status.upper()], day, cursor)


def _listed(case: ListedCase) -> dict[str, Any]:
    return {
        "source": case.source,
        "case_number": case.case_number,
        "matter_code": case.matter,
        "accepted_by": case.accepted_by,
        "accepted_at": show_moment(case.accepted_at),
        "status": case.status.word,
        "lookups": case.lookups,
        "retrievals": case.retrievals,
    }


@routes.add(
    "POST",
    "/cases/{case_number}/objection",
    scope="cases:write",
    lane=Lane.WRITE,
    body=ObjectionBody,
    query=_SOURCE,
    replies={200: ObjectionReply},
    refusals=("schema.invalid", "perm.case_required", "perm.clerk", "case.conflict"),
    summary="提出异议 · Object to a case",
)
def object_to_case(call: Call) -> Answer:
    """Object to a case that another authority took in. It stays readable; lookups for it are refused."""
    body = parse(ObjectionBody, call.body)
    source = call.query.get("source")
    officer = (body.officer.id, body.officer.name)
    number = call.path["case_number"]
    objected = call.parts.case_records.object_to(call.client, number, source, officer, body.reason)
    return Answer({"case_number": number, "status": objected.status.word, "objected_at": show_moment(objected.at)})
