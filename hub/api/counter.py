"""`POST /lookups` and `POST /retrievals`: what a counter may ask for an open case; and the copy of a retrieval."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

from hub.api.certificate_reply import PDF, FaceReply, StateWord, day, explained, face, pdf
from hub.counter import Entry, LookupBody, LookupResult, RetrievalBody, Taken
from hub.web.endpoint import Answer, Call, Lane, Routes
from hub.wire import parse

routes = Routes(prefix="/api/v1", tag="counter 窗口")
_NUMBERS = ("id.length", "id.checksum", "uscc.checksum")
_GATE = ("perm.case_required", "perm.clerk", "perm.case_not_open", "perm.holder_not_in_case", "perm.type_not_in_matter")


class EntryReply(BaseModel):
    """A certificate that the person holds; names and number are masked as on the public page."""

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
    """A type of which nothing can be used, and why: nothing there, or the state of the newest one."""

    type_code: str
    reason: Literal["not_found", "revoked", "superseded", "expired", "suspended", "not_yet", "valid"]


class LookupReply(BaseModel):
    """What a person of the case holds, of the types that the matter needs of this person."""

    lookup_id: str
    entries: list[EntryReply]
    unavailable: list[UnavailableReply]
    complete: bool


class CopyReply(BaseModel):
    """Where the annotated copy (加注件) is. `expires_at`: the last day on its face; the file stays there after it."""

    url: str
    expires_at: date


class RetrievalReply(BaseModel):
    """One certificate for one case. `certificate.fields`, `credential` and the copy show what the matter may see."""

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
    summary="检索证照 Look a person up",
)
def post_lookup(call: Call) -> Answer:
    """Which certificates a person of an open case holds (检索). Each answer and each refusal is on record."""
    return Answer(_found(call.parts.lookup.look_up(call.client, parse(LookupBody, call.body))))


@routes.add(
    "POST",
    "/retrievals",
    scope="certificates:retrieve",
    lane=Lane.WRITE,
    body=RetrievalBody,
    replies={201: RetrievalReply, 200: RetrievalReply},
    refusals=("schema.invalid", *_GATE, "certificate.not_found", "certificate.not_active", "rate.limited"),
    summary="调取证照 Take a certificate",
)
def post_retrieval(call: Call) -> Answer:
    """Take one certificate for one case (调取). 200 with the former receipt while that is in date.

    `perm.holder_not_in_case` is also the answer for an identifier that does not exist.
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
    summary="下载加注件 Get the annotated copy",
)
def get_copy(call: Call) -> Answer:
    """The annotated copy of a retrieval (加注件), the same bytes every time, for the client that retrieved.

    Each reading is on record. It stays here after the date on its face; what it is worth then, its QR code tells.
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
