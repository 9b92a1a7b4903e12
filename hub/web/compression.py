"""Pages and scripts compressed with gzip, for clients that accept it (RFC 9110 §8.4.1).

Never use it for a response that contains both a secret and input from an attacker: the compressed length leaks
information (BREACH). The public pages contain no secrets.
"""

import gzip
from dataclasses import replace

from hub.web.endpoint import Answer, Call
from hub.web.negotiation import accepts_gzip

_LEVEL = 6


def compress(text: bytes) -> bytes:
    """Compress with gzip, deterministically."""
    return gzip.compress(text, _LEVEL, mtime=0)


def compressed(answer: Answer, call: Call, ready: bytes | None = None) -> Answer:
    """The answer (text or bytes), compressed if the client accepts it, with the `Vary` header.

    ready: the compressed content, if already available.
    """
    vary = ", ".join(filter(None, (answer.headers.get("Vary"), "Accept-Encoding")))
    headers = {**answer.headers, "Vary": vary}
    if not accepts_gzip(call.accept_encoding):
        return replace(answer, headers=headers)
    if ready is None:
        ready = compress(answer.content if isinstance(answer.content, bytes) else answer.content.encode())
    return replace(answer, content=ready, headers={**headers, "Content-Encoding": "gzip"})
