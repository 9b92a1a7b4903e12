"""`POST /verifications`: anybody asks whether a QR text, a credential or a code is genuine and in force."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from hub.api.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Routes
from hub.domain.errors import Refusal
from hub.wire import Body, parse

routes = Routes(prefix="/api/v1", tag="verifications 核验")

Check = Literal["yes", "no", "unknown"]
State = Literal["revoked", "superseded", "expired", "suspended", "not_yet", "valid", "unknown"]
VerdictOnly = Literal["tampered", "untrusted", "not_found"]


class VerificationBody(Body):
    """Exactly one of the three."""

    qr: Annotated[str, Field(min_length=1, max_length=16_384, description="二维码全文,或公开码,或数字串")] | None = None
    credential: Annotated[str, Field(min_length=1, max_length=131_072, description="SD-JWT VC 凭证")] | None = None
    code: Annotated[str, Field(min_length=1, max_length=256, description="16 位公开码,可含空格和短横")] | None = None


class CheckReply(BaseModel):
    """Separate answers; `unknown` means that it could not be checked, which is neither yes nor no."""

    intact: Check
    trusted: Check
    in_force: Check
    within_dates: Check


class PublicCertificateReply(BaseModel):
    """What the public may see: number and holders are masked. `kind` and `since` explain some states."""

    identifier: str
    type_code: str
    type_name: str
    number: str | None = None
    holders: list[str] | None = None
    authority_code: str
    authority_name: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    version: int
    state: State
    kind: str | None = None
    since: date | None = None


class VerdictReply(BaseModel):
    """The verdict. `certificate` is absent where nothing may or can be said of one."""

    state: State | VerdictOnly
    kind: str | None = None
    since: date | None = None
    subject: Literal["certificate"]
    presented: Literal["record", "credential"]
    checks: CheckReply
    certificate: PublicCertificateReply | None = None
    problems: list[str]
    checked_at: str


@routes.add(
    "POST",
    "/verifications",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    body=VerificationBody,
    replies={200: VerdictReply},
    refusals=("schema.invalid",),
    summary="核验二维码、凭证或公开码 · Verify a QR text, a credential or a code",
)
def verify(call: Call) -> Answer:
    """Answer 200 with a verdict, also for what is false, foreign, unknown or cannot be checked now."""
    body = parse(VerificationBody, call.body)
    given = {name: text for name, text in body.model_dump().items() if text is not None}
    if len(given) != 1:
        raise Refusal("schema.invalid", "qr、credential、code 须恰有一个", pointer="")
    verification = call.parts.verification
    if body.qr is not None:
        verdict = verification.verify_qr(body.qr)
    elif body.credential is not None:
        verdict = verification.verify_credential(body.credential)
    else:
        verdict = verification.verify_code(body.code or "")
    return Answer(verdict.as_json())
