"""base64url without padding (RFC 4648 §5, RFC 7515 §2), one text for every byte string."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from signing.errors import Malformed

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


def encode(data: bytes) -> str:
    """Return the unpadded text of these bytes."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str, problem: str) -> bytes:
    """Return the bytes of an unpadded text; raises Malformed(problem) for any text that encode() would not produce."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise Malformed(problem)
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # Otherwise, unused low bits of the last character would allow several encodings of one signature.
    if len(text) % 4 and encode(data[len(data) // 3 * 3 :]) != text[len(text) // 4 * 4 :]:
        raise Malformed(problem)
    return data
