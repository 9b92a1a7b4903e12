"""`POST /oauth/token`: exchange a signed assertion for an access token (RFC 6749 §5, RFC 7523)."""

from typing import Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel

from hub.access import ASSERTION_TYPE
from hub.access.dpop import InvalidProof
from hub.domain.errors import TITLES, Refusal
from hub.web.endpoint import PUBLIC_ACCESS, Answer, Call, Lane, Routes
from hub.web.problems import RETRY_AFTER_S, STATUS

FORM = "application/x-www-form-urlencoded"
GRANT_TYPE = "client_credentials"

_MAX_FIELDS = 20
_TITLES = {
    "auth.missing": ("缺少 client_assertion", "Missing client_assertion"),
    "schema.invalid": ("表单不符合要求", "A form field is missing, invalid or repeated"),
}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

routes = Routes(tag="access 访问令牌")


class TokenBody(BaseModel):
    """Form fields. The assertion is a JWT signed with ES256 whose `iss` and `sub` are the client id."""

    grant_type: Literal["client_credentials"]
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    client_assertion: str
    scope: str | None = None
    client_id: str | None = None


class TokenReply(BaseModel):
    """RFC 6749 §5.1. `scope` lists the granted scopes, separated by spaces."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int
    scope: str


class TokenRefusal(BaseModel):
    """RFC 6749 §5.2, with the hub's stable `code` and an explanation in Chinese (`detail`)."""

    error: Literal[
        "invalid_client",
        "invalid_dpop_proof",
        "invalid_request",
        "invalid_scope",
        "unsupported_grant_type",
        "temporarily_unavailable",
    ]
    error_description: str
    code: str
    detail: str


def refused(refusal: Refusal) -> Answer:
    """A refusal in the form of RFC 6749 §5.2, with the hub's stable code and an explanation in Chinese."""
    return _refused(refusal, *_error_of(refusal))


def _error_of(refusal: Refusal) -> tuple[str, int]:
    code = refusal.code
    if isinstance(refusal, InvalidProof):
        return "invalid_dpop_proof", 401
    if code.startswith("auth."):
        return "invalid_client", 401
    if code == "perm.scope":
        return "invalid_scope", 400
    if code in {"schema.invalid", "upload.unreadable"}:
        return "invalid_request", 400
    return ("temporarily_unavailable" if code == "rate.limited" else "invalid_request"), STATUS[code]


def _refused(refusal: Refusal, error: str, status: int) -> Answer:
    title, title_en = _TITLES.get(refusal.code, TITLES[refusal.code])
    headers = dict(_NO_STORE)
    seconds = refusal.retry_after or RETRY_AFTER_S.get(refusal.code)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    detail = refusal.detail or "".join(item.message for item in refusal.errors[:1]) or title
    # error_description is ASCII (RFC 6749 §5.2), so the Chinese text has a member of its own.
    content = {"error": error, "error_description": title_en, "code": refusal.code, "detail": detail}
    return Answer(content, status, headers=headers)


@routes.add(
    "POST",
    "/oauth/token",
    scope=PUBLIC_ACCESS,
    lane=Lane.TOKEN,
    body=TokenBody,
    consumes=(FORM,),
    replies={200: TokenReply, 400: TokenRefusal},
    refusals=(
        "auth.missing",
        "auth.invalid",
        "auth.expired",
        "auth.replayed",
        "auth.clock_skew",
        "perm.scope",
        "rate.limited",
        "sign.unavailable",
    ),
    refuse=refused,
    summary="取得访问令牌 · Get an access token",
)
def issue_token(call: Call) -> Answer:
    """Issue an access token to a client that proves possession of its key (`private_key_jwt`, RFC 7523; ES256 only).

    The assertion: `iss` and `sub` are the client id, `aud` is the hub's public address, `exp` is at most 120 s after
    `iat`, and `jti` is new for every request; the header `kid` is the key's id, as printed by `hub clients add`.
    Without `scope` the token has all scopes of the client. With a proof in the header `DPoP` (RFC 9449), the token is
    bound to the proof's key; a client can be registered so that this is required. Refusals have the form of RFC 6749,
    with the hub's `code`.
    """
    form = _form(call.body)
    if "client_assertion" not in form:
        raise Refusal("auth.missing")
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise _wrong("client_assertion_type", f"client_assertion_type 应为 {ASSERTION_TYPE}")
    if "grant_type" not in form:
        raise _wrong("grant_type", "缺少 grant_type")
    if form["grant_type"] != GRANT_TYPE:
        wrong = _wrong("grant_type", f"grant_type 应为 {GRANT_TYPE}")
        return _refused(wrong, "unsupported_grant_type", 400)
    token, seconds, scopes = call.parts.access.issue_token(
        form["client_assertion"],
        form.get("scope"),
        client_id=form.get("client_id"),
        address=call.sender,
        proof=call.proof,
    )
    content = {
        "access_token": token,
        "token_type": "DPoP" if call.proof else "Bearer",
        "expires_in": seconds,
        "scope": " ".join(sorted(scopes)),
    }
    return Answer(content, headers=_NO_STORE)


def _form(raw: bytes) -> dict[str, str]:
    """The form fields. Empty fields count as absent, unknown ones are ignored, repeated ones are refused (§3.2)."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise _wrong("", "不是合法的表单") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _wrong("", "表单中有重复的字段")
    return {name: value for name, value in fields.items() if value}


def _wrong(field: str, detail: str) -> Refusal:
    return Refusal("schema.invalid", detail, pointer=f"/{field}" if field else "")
