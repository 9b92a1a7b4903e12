"""Refusals as RFC 9457 problems; the only place that maps codes to HTTP statuses."""

from collections.abc import Iterable
from typing import Any

from hub.access.dpop import InvalidProof
from hub.access.jwt import ALGORITHM
from hub.db.database import DatabaseUnavailable, StorageFull
from hub.domain.errors import TITLES, FieldError, Refusal
from hub.web.endpoint import Endpoint
from hub.web.exchange import Exchange
from hub.web.response import Reply, problem, render
from hub.wire import MAX_ERRORS
from signing.errors import KeyMissing

MEDIA_TYPE = "application/problem+json"

STATUS: dict[str, int] = {
    "auth.missing": 401,
    "auth.invalid": 401,
    "auth.expired": 401,
    "auth.replayed": 401,
    "auth.clock_skew": 401,
    "perm.scope": 403,
    "perm.clerk": 403,
    "perm.case_required": 403,
    "perm.case_not_open": 403,
    "perm.intake": 403,
    "perm.holder_not_in_case": 403,
    "perm.type_not_in_matter": 403,
    "perm.not_issuer": 403,
    "case.not_found": 404,
    "certificate.not_found": 404,
    "page.not_found": 404,
    "method.not_allowed": 405,
    "case.conflict": 409,
    "case.stale": 409,
    "number.taken": 409,
    "certificate.move": 409,
    "certificate.not_active": 409,
    "upload.too_large": 413,
    "upload.timeout": 408,
    "schema.invalid": 422,
    "id.length": 422,
    "id.checksum": 422,
    "uscc.checksum": 422,
    "matter.unknown": 422,
    "type.unknown": 422,
    "type.not_in_matter": 422,
    "date.order": 422,
    "date.future": 422,
    "glyph.missing": 422,
    "upload.unreadable": 422,
    "rate.limited": 429,
    "internal": 500,
    "index.unavailable": 503,
    "sign.unavailable": 503,
    "database.unavailable": 503,
    "storage.full": 503,
}

RETRY_AFTER_S = {"upload.timeout": 1, "rate.limited": 60, "storage.full": 60}
_RETRY_SOON_S = 2

Fault = DatabaseUnavailable | KeyMissing
FAULTS = (DatabaseUnavailable, KeyMissing)
"""Raised by the parts when a dependency is unavailable."""


def refusal_of(fault: Fault) -> Refusal:
    """The refusal for a fault; the text of the fault is not sent to the client."""
    if isinstance(fault, StorageFull):
        return Refusal("storage.full")
    if isinstance(fault, DatabaseUnavailable):
        return Refusal("database.unavailable")
    return Refusal("sign.unavailable")


def reply(refusal: Refusal, exchange: Exchange, endpoint: Endpoint | None = None) -> Reply:
    """The refusal as a response; its code is noted in the exchange."""
    exchange.code = refusal.code
    status = STATUS[refusal.code]
    if endpoint is not None and endpoint.refuse is not None and status < 500:
        return render(endpoint.refuse(refusal))
    headers = {"Content-Language": "en" if exchange.english else "zh-CN"}
    seconds = refusal.retry_after
    if seconds is None and (status == 503 or refusal.code in RETRY_AFTER_S):
        seconds = RETRY_AFTER_S.get(refusal.code, _RETRY_SOON_S)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    challenge = _challenge(refusal, exchange, endpoint)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    return problem(status, _content(refusal, exchange, status), headers)


def _content(refusal: Refusal, exchange: Exchange, status: int) -> dict[str, Any]:
    title, title_en = TITLES[refusal.code]
    content: dict[str, Any] = {
        "type": "about:blank",
        "status": status,
        "title": title_en if exchange.english else title,
        "code": refusal.code,
        "request_id": exchange.request_id,
        "errors": list(_errors(refusal.errors[:MAX_ERRORS], exchange.english)),
    }
    if refusal.detail and not exchange.english:
        content["detail"] = refusal.detail
    return content


def _errors(errors: tuple[FieldError, ...], english: bool) -> Iterable[dict[str, str]]:
    for error in errors:
        message = error.message
        if english:
            message = error.message_en or TITLES.get(error.code, ("", ""))[1] or error.message
        yield {"pointer": error.pointer, "code": error.code, "message": message}


def _challenge(refusal: Refusal, exchange: Exchange, endpoint: Endpoint | None) -> str:
    """WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1) for the scheme that was used, or both if none was; without an error
    code if no token was sent.
    """
    bound = exchange.header(b"authorization").lower().startswith("dpop ")
    scheme = f'DPoP algs="{ALGORITHM}"' if bound else 'Bearer realm="hub"'
    if refusal.code == "auth.missing":
        return f'Bearer realm="hub", DPoP algs="{ALGORITHM}"'
    if refusal.code.startswith("auth."):
        error = "invalid_dpop_proof" if isinstance(refusal, InvalidProof) else "invalid_token"
        return f'{scheme}, error="{error}"'
    if refusal.code == "perm.scope" and endpoint is not None:
        return f'{scheme}, error="insufficient_scope", scope="{" ".join(sorted(endpoint.scopes))}"'
    return ""
