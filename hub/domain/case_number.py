"""Case numbers (办件编号) and sources: what may stand in an address, and never anything personal."""

import unicodedata

from hub.domain import numbers
from hub.domain.errors import Refusal

MAX_LENGTH = 64
_PUNCTUATION = frozenset("-._~()〔〕")


def case_number(text: str, *, pointer: str = "/case_number") -> str:
    """1-64 letters (CJK too), digits and `-._~()〔〕`, NFC, without a citizen's number; raises `schema.invalid`."""
    fits = 1 <= len(text) <= MAX_LENGTH and unicodedata.is_normalized("NFC", text)
    if not fits or not all(c in _PUNCTUATION or "0" <= c <= "9" or unicodedata.category(c)[0] == "L" for c in text):
        raise Refusal("schema.invalid", "办件编号为 1 至 64 个字母、汉字、数字或 -._~()〔〕", pointer=pointer)
    if numbers.contains_citizen_number(text):
        raise Refusal("schema.invalid", "办件编号不能含有公民身份号码", pointer=pointer)
    return text
