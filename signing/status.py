"""Status lists: two bits for every version ever issued, in signed lists that anyone may fetch and cache.

A Token Status List JWT (typ statuslist+jwt, ES256). The position of a version is a fixed function of its version key:
list = key >> 17, index = a keyed permutation of the low 17 bits, so nothing is allocated, no position is used twice,
and versions issued one after another are not adjacent in a list. This module does not sign; the key's purpose is
`status`.
"""

import hmac
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from signing.encoding import base64url, compact_json
from signing.errors import Malformed
from signing.keys import SIGNATURE_BYTES, PublicKey, Purpose, kid_bytes

TYP = "statuslist+jwt"
INDEX_BITS = 17
ENTRIES = 1 << INDEX_BITS
LISTS = 1 << 63 - INDEX_BITS
BITS = 2
LIFETIME_S = 86_400
TTL_S = 900
MAX_BYTES = 96 * 1024  # an incompressible list of 32 KiB is 59 KB after two rounds of base64
_ROUNDS = 8
_LOW_BITS = 9  # 17 = 8 + 9
_LABEL = b"hub-status-v1"
_URI = re.compile(r"https?://[!-~]{1,400}/status/(0|[1-9][0-9]{0,14})")


class Value(IntEnum):
    """The value of an entry (Token Status List, "Status Types"; the meaning of 3 is application-specific there)."""

    VALID = 0
    REVOKED = 1
    SUSPENDED = 2
    SUPERSEDED = 3


@dataclass(frozen=True, slots=True)
class StatusToken:
    """A parsed, unverified status list. iat, exp: Unix seconds; ttl: seconds; entries: the unpacked bits."""

    uri: str
    iat: int
    exp: int
    ttl: int
    bits: int
    lst: str
    kid: str
    entries: bytes
    signing_input: bytes
    signature: bytes


def index_of(version_key: int, key: bytes) -> tuple[int, int]:
    """Return (list, index) of a version.

    version_key: 0 to 2^63 - 1, else Malformed. key: the secret of the permutation, which must never change.
    """
    if not 0 <= version_key < 1 << 63:
        raise Malformed("status.version_key")
    number, low = version_key >> INDEX_BITS, version_key & (ENTRIES - 1)
    high, low = low >> _LOW_BITS, low & 0x1FF
    for turn in range(_ROUNDS):
        high, low = _turn(turn, number, high, low, key)
    return number, high << _LOW_BITS | low


def indexes_of(version_keys: Iterable[int], number: int, key: bytes) -> list[int]:
    """Return index_of() for many versions of one list, at the cost of 3,072 digests and then about 1 us each."""
    rounds = [_halves(turn, number, key) for turn in range(_ROUNDS)]
    found = []
    for version_key in version_keys:
        if version_key >> INDEX_BITS != number:
            raise Malformed("status.version_key")
        low = version_key & (ENTRIES - 1)
        high, low = low >> _LOW_BITS, low & 0x1FF
        for turn in range(0, _ROUNDS, 2):
            high ^= rounds[turn][low]
            low ^= rounds[turn + 1][high]
        found.append(high << _LOW_BITS | low)
    return found


def build(values: Mapping[int, int]) -> str:
    """Return `lst` for a list of 2^17 entries; values: the non-zero ones, by index."""
    return pack(values, bits=BITS, entries=ENTRIES)


def pack(values: Mapping[int, int], *, bits: int, entries: int) -> str:
    """Pack entries of `bits` bits, lowest bits of a byte first, compress them (zlib, level 9), encode in base64url.

    Raises Malformed for an index or a value out of range.
    """
    per_byte = 8 // bits
    packed = bytearray(entries // per_byte)
    for index, value in values.items():
        if not (0 <= index < entries and 0 <= value < 1 << bits):
            raise Malformed("status.index")
        packed[index // per_byte] |= value << index % per_byte * bits
    return base64url.encode(zlib.compress(bytes(packed), 9))


def unpack(lst: str, *, max_bytes: int) -> bytes:
    """Return the packed bytes behind `lst`, at most max_bytes; raises Malformed."""
    inflater = zlib.decompressobj()
    try:
        entries = inflater.decompress(base64url.decode(lst, "status.lst"), max_bytes + 1)
    except zlib.error as error:
        raise Malformed("status.lst") from error
    if not inflater.eof or inflater.unused_data or len(entries) > max_bytes:
        raise Malformed("status.lst")
    return entries


def value_in(entries: bytes, index: int, *, bits: int) -> int:
    """Return one entry of packed bytes; raises Malformed for an index out of range."""
    per_byte = 8 // bits
    if not 0 <= index < len(entries) * per_byte:
        raise Malformed("status.index")
    return entries[index // per_byte] >> index % per_byte * bits & (1 << bits) - 1


def signing_input(uri: str, lst: str, iat: int, kid: str) -> bytes:
    """Return the bytes to be signed with the status key `kid`: valid for 24 hours, to be refreshed every 15 minutes.

    uri: {public_url}/status/{list}. iat: Unix seconds. Raises Malformed for input that read() would refuse.
    """
    kid_bytes(kid)
    header = f'{{"alg":"ES256","kid":"{kid}","typ":"{TYP}"}}'.encode()
    payload: dict[str, compact_json.JSON] = {
        "sub": uri,
        "iat": iat,
        "exp": iat + LIFETIME_S,
        "ttl": TTL_S,
        "status_list": {"bits": BITS, "lst": lst},
    }
    _claims(payload)
    return f"{base64url.encode(header)}.{base64url.encode(compact_json.encode(payload))}".encode()


def assemble(prepared: bytes, signature: bytes) -> str:
    """Return the token; prepared: from signing_input(); signature: raw r||s over it, 64 bytes."""
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed("status.signature")
    return f"{prepared.decode('ascii')}.{base64url.encode(signature)}"


def read(token: str | bytes) -> StatusToken:
    """Parse a status list token without verifying it, at most MAX_BYTES; checking its freshness is up to the caller.

    Raises Malformed for anything that signing_input() and assemble() could not have produced.
    """
    if len(token) > MAX_BYTES:
        raise Malformed("status.too_large")
    if isinstance(token, bytes):
        token = token.decode("latin-1")
    parts = token.split(".")
    if len(parts) != 3:
        raise Malformed("status.shape")
    header = compact_json.decode_object(base64url.decode(parts[0], "status.base64url"), "status.header")
    kid = header.get("kid")
    if header.keys() != {"alg", "kid", "typ"} or header["alg"] != "ES256" or header["typ"] != TYP:
        raise Malformed("status.header")
    if not isinstance(kid, str) or len(kid) != 11:
        raise Malformed("status.header")
    payload = compact_json.decode_object(base64url.decode(parts[1], "status.base64url"), "status.payload")
    signature = base64url.decode(parts[2], "status.base64url")
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed("status.signature")
    uri, iat, exp, ttl, lst = _claims(payload)
    entries = unpack(lst, max_bytes=ENTRIES * BITS // 8)
    if len(entries) != ENTRIES * BITS // 8:
        raise Malformed("status.lst")
    signed = token.rpartition(".")[0].encode("ascii")
    return StatusToken(uri, iat, exp, ttl, BITS, lst, kid, entries, signed, signature)


def value(token: StatusToken, index: int) -> Value:
    """Return the value at one index; raises Malformed `status.index` if it is out of range."""
    return Value(value_in(token.entries, index, bits=token.bits))


def is_signed_by(token: StatusToken, key: PublicKey) -> bool:
    """Say whether this status key signed the list."""
    return token.kid == key.kid and key.verify(Purpose.STATUS, token.signing_input, token.signature)


def _turn(turn: int, number: int, high: int, low: int, key: bytes) -> tuple[int, int]:
    """One Feistel round, its own inverse: even rounds change the high 8 bits, odd ones the low 9."""
    half = high if turn & 1 else low
    message = _LABEL + number.to_bytes(8, "big") + bytes([turn]) + half.to_bytes(2, "big")
    mixed = int.from_bytes(hmac.digest(key, message, "sha256")[:2], "big")
    return (high, low ^ mixed & 0x1FF) if turn & 1 else (high ^ mixed & 0xFF, low)


def _halves(turn: int, number: int, key: bytes) -> list[int]:
    """What one round adds, for every possible input half: 256 in odd rounds, 512 in even ones."""
    if turn & 1:
        return [_turn(turn, number, half, 0, key)[1] for half in range(1 << INDEX_BITS - _LOW_BITS)]
    return [_turn(turn, number, 0, half, key)[0] for half in range(1 << _LOW_BITS)]


def _claims(payload: dict[str, compact_json.JSON]) -> tuple[str, int, int, int, str]:
    problem = "status.claims"
    if payload.keys() != {"sub", "iat", "exp", "ttl", "status_list"}:
        raise Malformed(problem)
    uri, iat, exp, ttl, held = (payload[name] for name in ("sub", "iat", "exp", "ttl", "status_list"))
    if type(iat) is not int or type(exp) is not int or type(ttl) is not int or not 0 <= iat < exp or ttl <= 0:
        raise Malformed(problem)
    if not isinstance(uri, str) or not _URI.fullmatch(uri):
        raise Malformed(problem)
    if not isinstance(held, dict) or held.keys() != {"bits", "lst"} or held["bits"] is True or held["bits"] != BITS:
        raise Malformed(problem)
    lst = held["lst"]
    if not isinstance(lst, str):
        raise Malformed(problem)
    return uri, iat, exp, ttl, lst
