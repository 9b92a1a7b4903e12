"""Public codes: part of the address in a QR code, and printed below it for typing.

16 characters of Crockford's base32, 80 random bits, so that codes can be neither guessed nor enumerated.
"""

import os
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 16
LONGEST_TYPED = 64
_SPACES = " \t\r\n\u00a0\u2002\u2003\u2009\u202f\u3000\ufeff\u200b"
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d_\uff3f\u30fc\u00ad"


def _reading() -> dict[int, str]:
    table = {ord(character): "" for character in _SPACES + _DASHES}
    table |= {ord(character): character for character in ALPHABET}
    table |= {ord(wrong): right for wrong, right in {"O": "0", "I": "1", "L": "1"}.items()}
    table |= {ord(chr(point).lower()): right for point, right in list(table.items()) if chr(point).isascii() and right}
    # Chinese input methods type full-width letters and digits, U+FF01 + n for ASCII 0x21 + n.
    table |= {point + 0xFEE0: right for point, right in list(table.items()) if point < 0x7F and right}
    return table


_READING = _reading()


def new_code(random: Callable[[int], bytes] = os.urandom) -> str:
    """Return a fresh code from 10 random bytes."""
    bits = int.from_bytes(random(10), "big")
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(75, -1, -5))


def read_code(text: str) -> str | None:
    """Normalise a code that a person typed, or return None.

    Any case, half or full width; ignores spaces and dashes; O counts as 0, I and L as 1. At most 64 characters.
    """
    if len(text) > LONGEST_TYPED:
        return None
    try:
        code = "".join(_READING[ord(character)] for character in text)
    except KeyError:
        return None
    return code if len(code) == LENGTH else None


def is_code(text: str) -> bool:
    """Say whether a text is a code in its normal form."""
    return len(text) == LENGTH and all(character in ALPHABET for character in text)


def grouped(code: str) -> str:
    """Return a code as printed: four groups of four, joined by dashes."""
    return "-".join(code[start : start + 4] for start in range(0, LENGTH, 4))
