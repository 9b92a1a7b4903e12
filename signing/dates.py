"""Calendar dates in the formats: YYYY-MM-DD in JSON, the integer yyyymmdd in CBOR."""

import re
from datetime import date

from signing.errors import Malformed

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def from_iso(text: object, problem: str) -> date:
    """Parse YYYY-MM-DD and nothing else; raises Malformed(problem)."""
    if not isinstance(text, str) or not _ISO.fullmatch(text):
        raise Malformed(problem)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Malformed(problem) from error


def to_number(day: date) -> int:
    """Return 20260131 for 31 January 2026."""
    return day.year * 10000 + day.month * 100 + day.day


def from_number(number: object, problem: str) -> date:
    """Parse an integer yyyymmdd; raises Malformed(problem)."""
    if not isinstance(number, int) or not 0 < number < 100_000_000:
        raise Malformed(problem)
    try:
        return date(number // 10000, number // 100 % 100, number % 100)
    except ValueError as error:
        raise Malformed(problem) from error
