"""`POST /lookups` and `POST /retrievals` for the open case of a counter, and the annotated copy of a retrieval."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

from hub.api.certificate_reply import PDF, FaceReply, StateWord, day, explained, face, pdf
from hub.counter import Entry, LookupBody, LookupResult, RetrievalBody, Taken
from hub.web.endpoint import Answer, Call, Lane, Routes
from hub.wire import parse

routes = Routes(prefix="/api/v1", tag="counter 窗口")
_NUMBERS = ("id.length", "id.checksum", "uscc.checksum")
_GATE = (
    "perm.case_required",
    "perm.clerk",
    "perm.case_not_open",
    "perm.intake",
    "perm.holder_not_in_case",
    "perm.type_not_in_matter",
)


class EntryReply(BaseModel):
    """A certificate held by the person. Names and number are masked as on the public page."""

    identifier: str
    type_code: str
    type_name: str
    number: str
    holder_names: list[str]
    authority_name: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    state: StateWord
    kind: str | None = None
    since: date | None = None


class UnavailableReply(BaseModel):
    """A type without a usable certificate. `reason`: `not_found`, or the state of the newest certificate."""

    type_code: str
    reason: Literal["not_found", "revoked", "superseded", "expired", "suspended", "not_yet", "valid"]


class LookupReply(BaseModel):
    """The person's certificates of the types that the matter requires from this person.

    `complete`: whether the answer includes every recent change.
    """

    lookup_id: str
    entries: list[EntryReply]
    unavailable: list[UnavailableReply]
    complete: bool


class CopyReply(BaseModel):
    """The annotated copy (加注件). `expires_at`: the last day printed on it; it can still be downloaded afterwards."""

    url: str
    expires_at: date


class RetrievalReply(BaseModel):
    """One certificate for one case. Fields, credential and copy contain only what the matter may see."""

    receipt_number: str
    state: StateWord
    certificate: FaceReply
    credential: str
    copy_: CopyReply = Field(alias="copy")


@routes.add(
    "POST",
    "/lookups",
    scope="certificates:lookup",
    lane=Lane.WRITE,
    body=LookupBody,
    replies={200: LookupReply},
    refusals=("schema.invalid", *_NUMBERS, *_GATE, "rate.limited"),
    summary="检索证照 · Look up a person's certificates",
)
def post_lookup(call: Call) -> Answer:
    """Look up the certificates of a person named in an open case (检索). Every answer and refusal is recorded."""
    return Answer(_found(call.parts.lookup.look_up(call.client, parse(LookupBody, call.body))))


@routes.add(
    "POST",
    "/retrievals",
    scope="certificates:retrieve",
    lane=Lane.WRITE,
    body=RetrievalBody,
    replies={201: RetrievalReply, 200: RetrievalReply},
    refusals=("schema.invalid", *_GATE, "certificate.not_found", "certificate.not_active", "rate.limited"),
    summary="调取证照 · Retrieve a certificate",
)
def post_retrieval(call: Call) -> Answer:
    """Retrieve one certificate for one case (调取).

    Returns 200 with the existing receipt until that expires. An unknown identifier is refused with
    `perm.holder_not_in_case` as well.
    """
    taken = call.parts.retrieval.retrieve(call.client, parse(RetrievalBody, call.body))
    return Answer(_taken(taken), 201 if taken.created else 200)


@routes.add(
    "GET",
    "/retrievals/{receipt_number}/copy.pdf",
    scope="certificates:retrieve",
    lane=Lane.WRITE,
    replies={200: None},
    produces=(PDF,),
    refusals=("certificate.not_found", "sign.unavailable"),
    summary="下载加注件 · Download the annotated copy",
)
def get_copy(call: Call) -> Answer:
    """Download the annotated copy of a retrieval (加注件); always the same bytes, and only for the client that made it.

    Every access is recorded. The copy can be downloaded after it has expired; its QR code shows its current state.
    """
    number = call.path["receipt_number"]
    return pdf(call.parts.retrieval.copy(call.client, number), f"copy-{number}.pdf")


def _found(found: LookupResult) -> dict[str, Any]:
    return {
        "lookup_id": found.lookup_id,
        "entries": [_entry(entry) for entry in found.entries],
        "unavailable": [{"type_code": item.type_code, "reason": item.reason} for item in found.unavailable],
        "complete": found.complete,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "identifier": entry.identifier,
        "type_code": entry.type_code,
        "type_name": entry.type_name,
        "number": entry.number,
        "holder_names": list(entry.holder_names),
        "authority_name": entry.authority_name,
        "issued_on": entry.issued_on.isoformat(),
        "valid_from": entry.valid_from.isoformat(),
        "valid_until": day(entry.valid_until),
        "state": entry.state.value,
        **explained(entry.kind, entry.since),
    }


def _taken(taken: Taken) -> dict[str, Any]:
    return {
        "receipt_number": taken.receipt_number,
        "state": taken.state.value,
        "certificate": face(taken.version, taken.catalogue, taken.state, taken.why, taken.fields),
        "credential": taken.credential,
        "copy": {
            "url": f"{routes.prefix}/retrievals/{taken.receipt_number}/copy.pdf",
            "expires_at": taken.expires_on.isoformat(),
        },
    }
