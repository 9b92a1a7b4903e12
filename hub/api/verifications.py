"""`POST /verifications`: public verification of a QR text, a credential, a code or a file."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from hub.domain.errors import Refusal
from hub.verification import Verdict
from hub.web.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Later, Routes
from hub.wire import Body, parse

routes = Routes(prefix="/api/v1", tag="verifications 核验")

Check = Literal["yes", "no", "unknown"]
State = Literal["revoked", "superseded", "expired", "suspended", "not_yet", "valid", "unknown"]
VerdictOnly = Literal["tampered", "untrusted", "not_found", "code_expired", "compare"]


class VerificationBody(Body):
    """Exactly one of the three members."""

    qr: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=16_384,
                description="二维码全文、公开码或数字串 QR text, public code, or digits",
            ),
        ]
        | None
    ) = None
    credential: (
        Annotated[str, Field(min_length=1, max_length=131_072, description="SD-JWT VC 签名数据 Credential")] | None
    ) = None
    code: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=256,
                description="16 位公开码，可以有空格和短横 Public code; spaces and hyphens allowed",
            ),
        ]
        | None
    ) = None


class CheckReply(BaseModel):
    """Four separate answers. `unknown` means that the check could not be made."""

    intact: Check
    trusted: Check
    in_force: Check
    within_dates: Check


class PublicCertificateReply(BaseModel):
    """The public view of a certificate; number and holders are masked. `kind` and `since` explain some states."""

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


class CopyReply(BaseModel):
    """The recipient and purpose of an annotated copy, and the last day on which it may be used."""

    receipt_number: str
    authority_name: str
    matter_name: str
    retrieved_at: str
    state_then: State
    expires_at: date


class VerdictReply(BaseModel):
    """The verdict. `certificate` is absent if there is none to show; `copy` is present only for annotated copies.

    `compare` (请逐项核对) is a file without a seal (`presented: picture`) with a genuine code. It proves nothing
    itself; compare it with `certificate`, line by line.
    """

    state: State | VerdictOnly
    kind: str | None = None
    since: date | None = None
    subject: Literal["certificate", "copy"]
    presented: Literal["record", "credential", "pdf", "picture"]
    checks: CheckReply
    certificate: PublicCertificateReply | None = None
    copy_: CopyReply | None = Field(None, alias="copy")
    problems: list[str]
    checked_at: str


def of_file(call: Call, file: bytes, reply: Callable[[Verdict], Answer]) -> Answer | Later:
    """Answer at once for a file that the hub issued; the checker reads any other file in its own lane."""
    verification, spend = call.parts.verification, call.spend
    known = verification.verify_known_file(file)
    if known is not None:
        return reply(known)
    return Later(Lane.FILE, lambda: reply(verification.verify_unknown_file(file, spend)))


@routes.add(
    "POST",
    "/verifications",
    scope=PUBLIC_ACCESS,
    lane=Lane.PUBLIC,
    body=VerificationBody,
    takes_file=True,
    replies={200: VerdictReply},
    refusals=("schema.invalid",),
    summary="核验二维码、签名数据、公开码或文件 · Verify a QR text, a credential, a code or a file",
)
def verify(call: Call) -> Answer | Later:
    """Return a verdict, always with status 200, even if the input is forged, foreign, unknown or cannot be checked now.

    图片不能自证：照片、扫描件和没有签章的 PDF 永远不会是 `valid`；其中的二维码为真且证照有效时，结论是 `compare`，
    要和 `certificate` 逐项核对。

    To verify a file, send a form (`multipart/form-data`) with one part `file` of up to 10 MB: a PDF, or a photo or scan
    of one (JPEG, PNG). A picture, or any file without a seal, is never `valid`: if its code is genuine and the
    certificate is in force, the state is `compare`.
    """
    if call.file is not None:
        return of_file(call, call.file, lambda verdict: Answer(verdict.as_json()))
    body = parse(VerificationBody, call.body)
    given = {name: text for name, text in body.model_dump().items() if text is not None}
    if len(given) != 1:
        raise Refusal("schema.invalid", "qr、credential、code 要填且只能填一个", pointer="")
    verification = call.parts.verification
    if body.qr is not None:
        verdict = verification.verify_qr(body.qr)
    elif body.credential is not None:
        verdict = verification.verify_credential(body.credential)
    else:
        verdict = verification.verify_code(body.code or "")
    return Answer(verdict.as_json())
