"""Identity numbers: normalised before any check or hash (GB/T 36903 codes; GB 11643, GB 32100).

`normalise` is pure and versioned: each hash is stored with the version of the rules that made it, so that a later
change of rules can find the affected hashes.
"""

import re
import unicodedata
from datetime import date

from hub.domain.errors import Refusal

VERSION = 1
"""Incremented whenever `normalise` returns a different result for any input."""

CITIZEN = "111"
ORGANISATION = "001"
HONG_KONG_MACAO = "516"
ID_TYPES = {
    "001": "统一社会信用代码",
    "099": "其他法人或其他组织有效证件代码",
    "111": "公民身份号码",
    "114": "解放军军官证编号",
    "115": "武警警官证编号",
    "118": "解放军士兵证编号",
    "119": "武警士兵证编号",
    "120": "解放军文职人员证编号",
    "122": "武警文职人员证编号",
    "411": "外交护照号",
    "412": "公务护照号",
    "413": "公务普通护照号",
    "414": "普通护照号",
    "511": "台湾居民来往大陆通行证号码",
    "516": "港澳居民来往内地通行证号码",
    "999": "其他自然人有效证件代码",
}
ORGANISATION_TYPES = frozenset({"001", "099"})

_WEIGHTS_ID = tuple(2 ** (17 - i) % 11 for i in range(17))
_WEIGHTS_USCC = tuple(3**i % 31 for i in range(17))
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ID18 = re.compile(r"[0-9]{17}[0-9X]")
_ID15 = re.compile(r"[0-9]{15}")
_DASHES = dict.fromkeys(map(ord, "-‐‑‒–—―−﹣-－"), None)
_PLAIN = re.compile(r"[0-9A-Z()]{1,40}")
_CJK_NUMBER = re.compile(r"[0-9A-Z()\u3400-\u9fff〇]{1,40}")
_GROUP = re.compile(r"[0-9]+|X")
_STRETCH = re.compile(r"[0-9]+(?:[^0-9A-Z]*(?:[0-9]+|X))*")
_LONG_RUN = range(1900, 2020)


def clean(number: str) -> str:
    """NFKC, upper case, without white space and dashes of any kind: makes typed input comparable."""
    text = unicodedata.normalize("NFKC", number).upper().translate(_DASHES)
    return unicodedata.normalize("NFKC", "".join(text.split()))  # combining marks may follow other letters now


def citizen_check_character(digits17: str) -> str:
    """The eighteenth character of GB 11643-1999 (ISO/IEC 7064 MOD 11-2)."""
    return "10X98765432"[sum(int(d) * w for d, w in zip(digits17, _WEIGHTS_ID, strict=True)) % 11]


def is_citizen_number(text: str) -> bool:
    """18 characters, a real birth date and the right check character; any region code (81, 82, 83, 9… included)."""
    if not _ID18.fullmatch(text) or not text.isascii():
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    return citizen_check_character(text[:17]) == text[17]


def uscc_check_character(chars17: str) -> str:
    """The eighteenth character of GB 32100-2015."""
    total = sum(_USCC_ALPHABET.index(c) * w for c, w in zip(chars17, _WEIGHTS_USCC, strict=True))
    return _USCC_ALPHABET[-total % 31]


def is_uscc(text: str) -> bool:
    """Whether this is an 18-character unified social credit code with the right check character."""
    if len(text) != 18 or any(c not in _USCC_ALPHABET for c in text):
        return False
    return uscc_check_character(text[:17]) == text[17]


def contains_citizen_number(text: str) -> bool:
    """Whether the text contains a citizen's number, however it is spaced; case numbers may not contain one.

    Inside a longer run of digits, only numbers of people born before 2020 are detected: region, date and serial number
    of a case, concatenated, look like a child's number one time in eleven.
    """
    plain = unicodedata.normalize("NFKC", text).upper()
    stretches = [found for found in _STRETCH.findall(plain) if len(found) >= 18]
    return any(_spaced(stretch) or _run_together(stretch) for stretch in stretches)


def _spaced(stretch: str) -> bool:
    """Whether adjacent groups of digits form a number, whatever characters separate them."""
    groups = _GROUP.findall(stretch)
    for first in range(len(groups)):
        joined = ""
        for group in groups[first:]:
            joined += group
            if len(joined) >= 18:
                break
        if len(joined) == 18 and is_citizen_number(joined):
            return True
    return False


def _run_together(stretch: str) -> bool:
    windows = (stretch[at : at + 18] for at in range(len(stretch) - 17))
    return any(is_citizen_number(window) and int(window[6:10]) in _LONG_RUN for window in windows)


def normalise(id_type: str, number: str, *, pointer: str = "") -> tuple[str, str]:
    """(identity type, normal form): the form that is checked, sealed and hashed.

    A 15-digit `111` is extended to 18; every 18-character MOD 11-2 number becomes `111` even if it was given as `999`.
    Raises Refusal `schema.invalid` (unknown type), `id.length`, `id.checksum` or `uscc.checksum`.
    """
    if id_type not in ID_TYPES:
        raise Refusal("schema.invalid", "未知的证件类型代码", pointer=f"{pointer}/id_type")
    at = f"{pointer}/id_number"
    text = clean(number)
    if id_type == "999" and is_citizen_number(text):
        id_type = CITIZEN
    if id_type == CITIZEN:
        return CITIZEN, _citizen(text, at)
    if id_type == ORGANISATION:
        if len(text) != 18:
            raise Refusal("id.length", f"统一社会信用代码应为 18 位，现在是 {len(text)} 位", pointer=at)
        if not is_uscc(text):
            raise Refusal("uscc.checksum", pointer=at)
        return id_type, text
    if not _CJK_NUMBER.fullmatch(text):
        raise Refusal("id.length", "证件号码应为 1 至 40 位字母、数字或汉字", pointer=at)
    if id_type == HONG_KONG_MACAO and not re.fullmatch(r"[HM][0-9]{8}([0-9]{2})?", text):
        raise Refusal("id.length", "港澳居民来往内地通行证号码为 H 或 M 加 8 位或 10 位数字", pointer=at)
    return id_type, text


def _citizen(text: str, at: str) -> str:
    if _ID15.fullmatch(text) and text.isascii():
        digits = f"{text[:6]}19{text[6:]}"
        text = digits + citizen_check_character(digits)
    if len(text) != 18:
        raise Refusal("id.length", f"公民身份号码应为 18 位，现在是 {len(text)} 位", pointer=at)
    if not is_citizen_number(text):
        raise Refusal("id.checksum", pointer=at)
    return text


def hashed_part(id_type: str, normal: str) -> str:
    """What identifies a person for life in a normal form: a renewed `516` differs only after the ninth character."""
    return normal[:9] if id_type == HONG_KONG_MACAO else normal


def party_text(id_type: str, normal: str) -> str:
    """The text whose blind index value finds a party; see `VERSION`."""
    return f"v{VERSION}|{id_type}|{hashed_part(id_type, normal)}"


def number_text(authority: str, type_code: str, number: str) -> str:
    """The text whose blind index value makes a printed number unique within authority and type."""
    return f"v{VERSION}|{authority}|{type_code}|{clean(number)}"
