"""One request and its response: the relevant headers, and what is logged and counted."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

KEY = "hub.exchange"
"""The key of the exchange in the ASGI scope."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")
_READ = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"dpop",
        b"host",
        b"if-none-match",
        b"transfer-encoding",
        b"x-request-id",
    }
)


_LISTS = frozenset({b"accept", b"accept-encoding", b"accept-language", b"if-none-match"})
"""Repeated headers of these names form one list (RFC 9110 §5.3); the others must not be repeated."""


@dataclass(slots=True)
class Exchange:
    """What is known about a request so far. `route` is the template, never the path; `client` a client id or None."""

    method: str
    request_id: str
    english: bool
    headers: dict[bytes, bytes] = field(default_factory=dict)
    repeated: bool = False
    route: str = "-"
    client: str | None = None
    code: str | None = None
    status: int = 0

    def header(self, name: bytes) -> str:
        """A header as text, or "" if absent."""
        return self.headers.get(name, b"").decode("latin-1")


def read(method: str, headers: Iterable[tuple[bytes, bytes]]) -> Exchange:
    """The exchange of a new request; a well-formed request id from the client is kept, otherwise one is generated."""
    found: dict[bytes, bytes] = {}
    repeated = False
    for name, value in headers:
        if name in _READ:
            if name not in found:
                found[name] = value
            elif name in _LISTS:
                found[name] += b", " + value
            else:
                repeated = True
    given = found.get(b"x-request-id", b"")
    request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    return Exchange(
        method=method,
        request_id=request_id,
        english=_prefers_english(found.get(b"accept-language", b"")),
        headers=found,
        repeated=repeated,
    )


@lru_cache(maxsize=256)
def _prefers_english(accept_language: bytes) -> bool:
    """Whether English ranks above Chinese in an Accept-Language header; the default is Chinese."""
    best = {"zh": 0.0, "en": 0.0}
    for item in accept_language.decode("latin-1").lower().split(","):
        tag, _, parameter = item.strip().partition(";")
        language = tag.strip().partition("-")[0]
        if language in best:
            best[language] = max(best[language], _quality(parameter))
    return best["en"] > best["zh"]


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
