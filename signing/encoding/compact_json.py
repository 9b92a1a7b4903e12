"""Compact JSON: UTF-8, members in the given order, no white space, no unnecessary escapes, no fractions.

The decoder accepts only what the encoder writes, so one value in one order has one text.
"""

import json
from typing import TypeAlias

from signing.errors import Malformed

JSON: TypeAlias = "bool | int | str | list[JSON] | dict[str, JSON] | None"
LARGEST_INTEGER = 2**53 - 1  # RFC 8259 §6: exact in every implementation
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(value: JSON) -> bytes:
    """Return the compact text of a value; raises Malformed for lone surrogates and deep nesting."""
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (UnicodeEncodeError, RecursionError, ValueError, TypeError) as error:
        raise Malformed("json.value") from error


def decode(data: bytes, problem: str) -> JSON:
    """Decode a text that encode() could have written; raises Malformed(problem).

    Rejected: repeated members, NaN, fractions and exponents, integers beyond 2^53 - 1, unnecessary spaces and escapes.
    """
    try:
        value: JSON = _DECODER.decode(data.decode("utf-8"))
        if _ENCODER.encode(value).encode("utf-8") != data:
            raise Malformed(problem)
    except (ValueError, RecursionError) as error:
        raise Malformed(problem) from error
    return value


def decode_object(data: bytes, problem: str) -> dict[str, JSON]:
    """Decode a JSON object as decode() does."""
    value = decode(data, problem)
    if not isinstance(value, dict):
        raise Malformed(problem)
    return value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise ValueError("integer out of range")
    return int(digits)


def _refuse(_text: str) -> object:
    raise ValueError("not a number of this format")


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
