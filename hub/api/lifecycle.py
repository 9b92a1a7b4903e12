"""`/certificates/{identifier}/suspension|restoration|revocation`: status changes by the issuing authority."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from hub.domain.dates import read_day, show_moment
from hub.domain.errors import Refusal
from hub.lifecycle import Transition
from hub.web.endpoint import Answer, Call, Lane, Routes
from hub.wire import Body, parse

routes = Routes(prefix="/api/v1", tag="certificates 证照")
_PRINTABLE = r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"
Text = Annotated[str, Field(min_length=1, max_length=500, pattern=_PRINTABLE)]
Day = Annotated[
    str,
    Field(
        min_length=10,
        max_length=10,
        description="YYYY-MM-DD，不能晚于今天 Not later than today",
        examples=["2026-03-01"],
    ),
]


class _ActBody(Body):
    reason: Text
    legal_basis: Text
    document_number: Annotated[str, Field(min_length=1, max_length=100, pattern=_PRINTABLE)] | None = None
    effective_on: Day | None = None


class SuspensionBody(_ActBody):
    """Temporary suspension. `kind`: withheld (暂扣), lost (挂失), under_change (变更中) or other (其他)."""

    kind: Literal["withheld", "lost", "under_change", "other"]


class RestorationBody(_ActBody):
    """End of a suspension. `kind`, if given, must be the kind of that suspension."""

    kind: Literal["withheld", "lost", "under_change", "other"] | None = None


class RevocationBody(_ActBody):
    """Permanent end. `kind`: penalty (吊销), rescinded (撤销), cancelled (注销) or withdrawn (撤回)."""

    kind: Literal["penalty", "rescinded", "cancelled", "withdrawn"]


class MovedReply(BaseModel):
    """The recorded status change."""

    identifier: str
    state: Literal["revoked", "superseded", "expired", "suspended", "not_yet", "valid"]
    kind: str | None
    effective_on: date
    recorded_at: str


_REFUSALS = (
    "schema.invalid",
    "perm.not_issuer",
    "certificate.not_found",
    "certificate.move",
    "date.future",
    "date.order",
)


def _do(call: Call, model: type[_ActBody], act: Callable[..., Transition]) -> Answer:
    body = parse(model, call.body)
    values: dict[str, Any] = body.model_dump()
    values["effective_on"] = _day(body.effective_on)
    transition = act(call.client, call.path["identifier"], **values)
    return Answer(
        {
            "identifier": transition.identifier,
            "state": transition.state.value,
            "kind": transition.kind,
            "effective_on": transition.effective_on.isoformat(),
            "recorded_at": show_moment(transition.recorded_at),
        }
    )


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else read_day(text)
    except ValueError:
        raise Refusal("schema.invalid", "应为 YYYY-MM-DD 形式的日期", pointer="/effective_on") from None


@routes.add(
    "POST",
    "/certificates/{identifier}/suspension",
    scope="certificates:manage",
    lane=Lane.WRITE,
    body=SuspensionBody,
    replies={200: MovedReply},
    refusals=_REFUSALS,
    summary="暂停效力 · Suspend a certificate",
)
def suspend(call: Call) -> Answer:
    """Suspend a certificate. Idempotent: the same body gets the same answer again."""
    return _do(call, SuspensionBody, call.parts.lifecycle.suspend)


@routes.add(
    "POST",
    "/certificates/{identifier}/restoration",
    scope="certificates:manage",
    lane=Lane.WRITE,
    body=RestorationBody,
    replies={200: MovedReply},
    refusals=_REFUSALS,
    summary="恢复效力 · Restore a certificate",
)
def restore(call: Call) -> Answer:
    """Restore a suspended certificate."""
    return _do(call, RestorationBody, call.parts.lifecycle.restore)


@routes.add(
    "POST",
    "/certificates/{identifier}/revocation",
    scope="certificates:manage",
    lane=Lane.WRITE,
    body=RevocationBody,
    replies={200: MovedReply},
    refusals=_REFUSALS,
    summary="撤销、吊销、注销、撤回 · Revoke a certificate",
)
def revoke(call: Call) -> Answer:
    """Revoke a certificate permanently."""
    return _do(call, RevocationBody, call.parts.lifecycle.revoke)
