"""The identifier of a certificate's version (电子证照标识, GB/T 36904).

`1.2.156.3005.2.{type}.{authority}.{serial}.{version}.{check}`; the check character is ISO/IEC 7064 MOD 37,36 over the
four parts after the root, without their dots. Our own serials are 20 random characters, so an identifier reveals
nothing about a person or the order of issue.
"""

import os
import re
from dataclasses import dataclass
from functools import lru_cache

from stdnum.iso7064 import mod_37_36

from signing.errors import Malformed
from signing.public_code import ALPHABET

ROOT = "1.2.156.3005.2."
MAX_LENGTH = 128
SERIAL_LENGTH = 20
_CHECK_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PARTS = re.compile(r"([0-9A-Z]{21})\.([0-9A-Z]{18}|[0-9]{6})\.([0-9A-Z]{1,32})\.([0-9]{3})")


@dataclass(frozen=True, slots=True)
class Identifier:
    """The parts of an identifier; version counts from 1 and is at most 999."""

    type_code: str
    authority_code: str
    serial: str
    version: int
    check: str

    def __str__(self) -> str:
        return f"{ROOT}{self.type_code}.{self.authority_code}.{self.serial}.{self.version:03d}.{self.check}"


def build(type_code: str, authority_code: str, serial: str, version: int) -> str:
    """Return the identifier of these parts with its check character; raises Malformed for invalid parts."""
    tail = f"{type_code}.{authority_code}.{serial}.{version:03d}"
    if version < 1 or not _PARTS.fullmatch(tail):
        raise Malformed("identifier.shape")
    return f"{ROOT}{tail}.{check_character(tail)}"


def parse(text: str) -> Identifier:
    """Parse an identifier.

    Accepts authorities of 18 characters or six digits (older systems use a region code) and serials of 1 to 32
    characters. Raises Malformed `identifier.shape` or `identifier.check`.
    """
    if len(text) > MAX_LENGTH or not text.startswith(ROOT):
        raise Malformed("identifier.shape")
    tail, _, check = text[len(ROOT) :].rpartition(".")
    match = _PARTS.fullmatch(tail)
    if match is None or match[4] == "000":
        raise Malformed("identifier.shape")
    if check != check_character(tail):
        raise Malformed("identifier.check")
    return Identifier(match[1], match[2], match[3], int(match[4]), check)


def new_serial() -> str:
    """Return 20 random characters of the code alphabet, 100 bits."""
    return "".join(ALPHABET[byte & 31] for byte in os.urandom(SERIAL_LENGTH))


@lru_cache(maxsize=1024)  # each new identifier is parsed again in the credential and the QR code
def check_character(tail: str) -> str:
    """Return the MOD 37,36 character over digits and capital letters, ignoring dots; raises Malformed for others."""
    try:
        return str(mod_37_36.calc_check_digit(tail.replace(".", ""), _CHECK_ALPHABET))
    except ValueError as error:
        raise Malformed("identifier.shape") from error
