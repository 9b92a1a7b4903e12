"""Pages and scripts in gzip, for those who accept it (RFC 9110 §8.4.1).

Never for an answer with a secret in it beside something that a stranger chose: the length of what was compressed gives
hints at both (BREACH). The public's pages have no secret.
"""

import gzip
from dataclasses import replace

from hub.web.endpoint import Answer, Call
from hub.web.negotiation import accepts_gzip

_LEVEL = 6


def compress(text: bytes) -> bytes:
    """In gzip; equal texts give equal bytes."""
    return gzip.compress(text, _LEVEL, mtime=0)


def compressed(answer: Answer, call: Call, ready: bytes | None = None) -> Answer:
    """The answer, of text or bytes, in the coding that the caller accepts; caches are told that it depends on that.

    ready: its content in gzip, where that is kept.
    """
    vary = ", ".join(filter(None, (answer.headers.get("Vary"), "Accept-Encoding")))
    headers = {**answer.headers, "Vary": vary}
    if not accepts_gzip(call.accept_encoding):
        return replace(answer, headers=headers)
    if ready is None:
        ready = compress(answer.content if isinstance(answer.content, bytes) else answer.content.encode())
    return replace(answer, content=ready, headers={**headers, "Content-Encoding": "gzip"})
