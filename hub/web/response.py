"""Serialised responses: status, headers, body. All responses pass through here, so none lacks a standard header."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from hub.web.endpoint import JSON, Answer

_Headers = list[tuple[bytes, bytes]]

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(slots=True)
class Reply:
    """A response without Content-Length and X-Request-Id, which `hub.web.frame.send_reply` adds."""

    status: int
    headers: _Headers
    body: bytes
    close: bool = False


def render(answer: Answer) -> Reply:
    """Serialise an answer and add the standard headers; headers of the answer take precedence."""
    media_type = answer.media_type
    if isinstance(answer.content, bytes):
        body = answer.content
    elif isinstance(answer.content, str) and media_type != JSON:
        body = answer.content.encode()
    else:
        body = to_json(answer.content)
    headers = _standard(media_type)
    if answer.headers:
        own = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in answer.headers.items()}
        headers = [(name, value) for name, value in headers if name not in own] + list(own.items())
    return Reply(answer.status, headers, body)


@lru_cache(maxsize=64)
def _standard(media_type: str) -> _Headers:
    is_page = media_type.startswith("text/html")
    charset = "; charset=utf-8" if media_type.startswith("text/") and ";" not in media_type else ""
    return [
        (b"content-type", (media_type + charset).encode("latin-1")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", (PAGE_POLICY if is_page else DATA_POLICY).encode()),
    ]


def problem(status: int, content: dict[str, Any], headers: dict[str, str]) -> Reply:
    """A refusal in the format of RFC 9457."""
    return render(Answer(content, status, "application/problem+json", headers))
