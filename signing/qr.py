"""The digits of a QR code: a COSE_Sign1 (RFC 9052 §4.2) bound to the public code printed next to it.

QR text = `{public_url}/v/{code}#{digits}`; digits = decimal of the integer 0x01 || COSE_Sign1, big-endian, where 0x01
is the format version. Everything is deterministic CBOR, and the code is the external_aad, so digits copied next to
another code do not verify. The caller masks names and numbers. This module does not sign.
"""

import re
from dataclasses import dataclass
from datetime import date

from signing import dates, public_code, status
from signing import identifier as identifiers
from signing.encoding import base64url, cbor
from signing.errors import Malformed
from signing.keys import KID_BYTES, SIGNATURE_BYTES, PublicKey, Purpose, kid_bytes

FORMAT_VERSION = 1
MAX_DIGITS = 2000
MAX_TEXT = 4096
_ALG, _KID, _ES256 = 1, 4, -7  # RFC 9052 §3.1, RFC 9053 §2.1
_LABELS = {1, 2, 3, 4, 5, 6, 7}
_DIGITS = re.compile(r"[1-9][0-9]*")
_BASE = re.compile(r"https?://[!-~]{1,400}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Face:
    """The content of the digits. number and holders are masked exactly as on the public page; dates are days."""

    identifier: str
    number: str
    holders: tuple[str, ...]
    issued_on: date
    valid_from: date
    valid_until: date | None
    status_list: int
    status_index: int


@dataclass(frozen=True, slots=True)
class PreparedDigits:
    """Unsigned digits: the Sig_structure to be signed, and the two parts that go into the COSE_Sign1."""

    to_be_signed: bytes
    protected: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Digits:
    """Parsed, unverified digits."""

    face: Face
    kid: str
    protected: bytes
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class QrText:
    """The parts of a scanned text; code and digits are raw text. base_url has no trailing slash."""

    base_url: str | None
    code: str | None
    digits: str | None


def prepare(face: Face, code: str, kid: str) -> PreparedDigits:
    """Build the bytes to be signed with the credential key `kid` for the QR code of `code`.

    Raises Malformed: `qr.too_long` if the digits would exceed MAX_DIGITS (shorten the holders' names), `qr.code` if
    code is not in its normal form, others for a face that read() would refuse.
    """
    payload = cbor.encode(
        {
            1: face.identifier.removeprefix(identifiers.ROOT),
            2: face.number,
            3: list(face.holders),
            4: dates.to_number(face.issued_on),
            5: dates.to_number(face.valid_from),
            6: None if face.valid_until is None else dates.to_number(face.valid_until),
            7: [face.status_list, face.status_index],
        }
    )
    if _face(payload) != face:
        raise Malformed("qr.face")
    protected = cbor.encode({_ALG: _ES256, _KID: kid_bytes(kid)})
    prepared = PreparedDigits(_to_be_signed(protected, code, payload), protected, payload)
    if len(assemble(prepared, b"\xff" * SIGNATURE_BYTES)) > MAX_DIGITS:
        raise Malformed("qr.too_long")
    return prepared


def assemble(prepared: PreparedDigits, signature: bytes) -> str:
    """Return the digits; signature: raw r||s over prepared.to_be_signed, 64 bytes."""
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed("qr.signature")
    token = cbor.encode([prepared.protected, {}, prepared.payload, signature])
    if len(token) > MAX_DIGITS // 2:
        raise Malformed("qr.too_long")
    return str(int.from_bytes(bytes([FORMAT_VERSION]) + token, "big"))


def read(digits: str) -> Digits:
    """Parse digits without verifying their signature; raises Malformed.

    digits: 1 to MAX_DIGITS (2,000) ASCII digits without a leading zero. The CBOR, including the payload, must be the
    deterministic encoding of its content; labels unknown to this version are refused.
    """
    if len(digits) > MAX_DIGITS or not _DIGITS.fullmatch(digits):
        raise Malformed("qr.digits")
    value = int(digits)
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    if data[0] != FORMAT_VERSION:
        raise Malformed("qr.version")
    message = cbor.decode(data[1:], "qr.cbor")
    if not isinstance(message, list) or len(message) != 4:
        raise Malformed("qr.cose")
    protected, unprotected, payload, signature = message
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise Malformed("qr.cose")
    if unprotected != {} or len(signature) != SIGNATURE_BYTES:
        raise Malformed("qr.cose")
    header = cbor.decode(protected, "qr.cbor")
    if not isinstance(header, dict) or header.keys() != {_ALG, _KID} or header[_ALG] != _ES256:
        raise Malformed("qr.header")
    kid = header[_KID]
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise Malformed("qr.header")
    return Digits(_face(payload), base64url.encode(kid), protected, payload, signature)


def is_signed_by(digits: Digits, code: str, key: PublicKey) -> bool:
    """Say whether this credential key signed the digits for this code (in its normal form)."""
    if digits.kid != key.kid or not public_code.is_code(code):
        return False
    return key.verify(Purpose.CREDENTIAL, _to_be_signed(digits.protected, code, digits.payload), digits.signature)


def text(public_url: str, code: str, digits: str) -> str:
    """Return the QR text, without a trailing slash of public_url, and without `#` if there are no digits."""
    address = f"{public_url.rstrip('/')}/v/{code}"
    return f"{address}#{digits}" if digits else address


def split(scanned: str) -> QrText:
    """Split the input of a scanner or a person: a QR text, a code with or without digits, or digits alone.

    scanned: at most MAX_TEXT (4,096) characters. Drops a query added by an app; an empty fragment counts as none.
    Raises Malformed for longer texts, control characters and addresses of another form than ours.
    """
    if len(scanned) > MAX_TEXT:
        raise Malformed("qr.text")
    scanned = scanned.strip()
    if not scanned or _CONTROL.search(scanned):
        raise Malformed("qr.text")
    address, _, fragment = scanned.partition("#")
    if "/" not in address:
        if not fragment and len(address) > public_code.LONGEST_TYPED and _DIGITS.fullmatch(address):
            return QrText(None, None, address)
        return QrText(None, address or None, fragment or None)
    base_url, found, code = address.partition("?")[0].rpartition("/v/")
    if not found or not code or "/" in code or not _BASE.fullmatch(base_url):
        raise Malformed("qr.text")
    return QrText(base_url.rstrip("/"), code, fragment or None)


def _to_be_signed(protected: bytes, code: str, payload: bytes) -> bytes:
    """Return the Sig_structure of RFC 9052 §4.4, context Signature1."""
    if not public_code.is_code(code):
        raise Malformed("qr.code")
    return cbor.encode(["Signature1", protected, code.encode("ascii"), payload])


def _face(payload: bytes) -> Face:
    claims = cbor.decode(payload, "qr.cbor")
    if not isinstance(claims, dict) or claims.keys() != _LABELS:
        raise Malformed("qr.labels")
    tail, number, holders, place = claims[1], claims[2], claims[3], claims[7]
    if not isinstance(tail, str) or not isinstance(number, str) or not isinstance(holders, list) or not holders:
        raise Malformed("qr.claims")
    names = tuple(name for name in holders if isinstance(name, str))
    if len(names) != len(holders) or not isinstance(place, list) or len(place) != 2:
        raise Malformed("qr.claims")
    status_list, status_index = place
    if not (isinstance(status_list, int) and isinstance(status_index, int)):
        raise Malformed("qr.claims")
    if not (0 <= status_list < status.LISTS and 0 <= status_index < status.ENTRIES):
        raise Malformed("qr.claims")
    identifier = identifiers.ROOT + tail
    identifiers.parse(identifier)
    return Face(
        identifier=identifier,
        number=number,
        holders=names,
        issued_on=dates.from_number(claims[4], "qr.claims"),
        valid_from=dates.from_number(claims[5], "qr.claims"),
        valid_until=None if claims[6] is None else dates.from_number(claims[6], "qr.claims"),
        status_list=status_list,
        status_index=status_index,
    )
