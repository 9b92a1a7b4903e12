"""The credential of a certificate's version: an SD-JWT VC (RFC 9901, typ dc+sd-jwt), ES256, encoded and decoded here.

Invariants: JSON is compact UTF-8 without unnecessary escapes, so each text has one form; the number, the holders and
every field of the edition are disclosures; everything else is always visible; there is no exp and no nbf, because an
expired certificate is still intact. This module does not sign: prepare() returns the bytes that the caller signs.
"""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date

from signing import dates, identifier, status
from signing.encoding import base64url, compact_json
from signing.encoding.compact_json import JSON, LARGEST_INTEGER
from signing.errors import Malformed
from signing.keys import SIGNATURE_BYTES, PublicKey, Purpose, kid_bytes

MAX_BYTES = 64 * 1024
MAX_DISCLOSURES = 256
TYP = "dc+sd-jwt"
ORIGINS = frozenset({"issued", "collected"})
_SALT_BYTES = 16  # RFC 9901 §9.3: 128 bits
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}")
_VCT = re.compile(r"urn:hub:type:([0-9A-Z]{21}):([1-9][0-9]{0,8})")
_ISSUER = re.compile(r"https?://[!-~]{1,400}")
_LIST_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_HEADER_MEMBERS = {"alg", "kid", "typ"}


@dataclass(frozen=True, slots=True)
class Holder:
    """One holder in the credential; id_type is a GB/T 36903 code."""

    name: str
    id_type: str
    id_number: str


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a credential. issuer: the public URL without a trailing slash. iat: Unix seconds.

    valid_until: None means for an unlimited time. fields: one entry for each field of the edition that has a value;
    names are lower-case ASCII words; values are JSON without fractions and without integers beyond 2^53 - 1.
    """

    issuer: str
    type_code: str
    edition: int
    iat: int
    identifier: str
    version: int
    authority_code: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    origin: str
    status_list: int
    status_index: int
    number: str
    holders: tuple[Holder, ...]
    fields: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An unsigned credential: the exact bytes to be signed, and the disclosures in order."""

    signing_input: bytes
    disclosures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VisibleClaims:
    """The claims that a credential always discloses, typed."""

    issuer: str
    type_code: str
    edition: int
    iat: int
    identifier: str
    version: int
    authority_code: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    origin: str
    status_uri: str
    status_list: int
    status_index: int


@dataclass(frozen=True, slots=True)
class Credential:
    """A parsed, unverified credential. number, holders: None when they are not disclosed."""

    signing_input: bytes
    signature: bytes
    header: dict[str, JSON]
    payload: dict[str, JSON]
    kid: str
    number: str | None
    holders: tuple[Holder, ...] | None
    fields: dict[str, JSON]
    claims: VisibleClaims


def prepare(claims: Claims, kid: str, *, random: Callable[[int], bytes] = os.urandom) -> Prepared:
    """Build the bytes to be signed, with fresh salts.

    kid: the id of the credential key that will sign. random: replaced only for reproducible test vectors. Raises
    Malformed for claims that read() would refuse.
    """
    _check_fields(claims.fields)
    salts = random(_SALT_BYTES * (2 + len(claims.fields)))
    holders: JSON = [
        {"name": holder.name, "id_type": holder.id_type, "id_number": holder.id_number} for holder in claims.holders
    ]
    named: list[tuple[str, JSON]] = [("number", claims.number), ("holders", holders), *claims.fields.items()]
    _number(claims.number)
    _holders(holders)
    disclosures = tuple(
        _disclosure(salts[_SALT_BYTES * place : _SALT_BYTES * (place + 1)], name, value)
        for place, (name, value) in enumerate(named)
    )
    digests = [_digest(disclosure) for disclosure in disclosures]
    payload: dict[str, JSON] = {
        "iss": claims.issuer,
        "vct": f"urn:hub:type:{claims.type_code}:{claims.edition}",
        "iat": claims.iat,
        "identifier": claims.identifier,
        "version": claims.version,
        "type_code": claims.type_code,
        "authority_code": claims.authority_code,
        "issued_on": claims.issued_on.isoformat(),
        "valid_from": claims.valid_from.isoformat(),
        "valid_until": None if claims.valid_until is None else claims.valid_until.isoformat(),
        "origin": claims.origin,
        "status": {"status_list": {"idx": claims.status_index, "uri": f"{claims.issuer}/status/{claims.status_list}"}},
        # Sorted, so that their order does not reveal which field is which (RFC 9901 §4.2.4.1).
        "_sd": list[JSON](sorted(digests[:2])),
        "fields": {"_sd": list[JSON](sorted(digests[2:]))},
        "_sd_alg": "sha-256",
    }
    _visible(payload)
    kid_bytes(kid)
    header = f'{{"alg":"ES256","kid":"{kid}","typ":"{TYP}"}}'.encode()
    signing_input = f"{base64url.encode(header)}.{base64url.encode(compact_json.encode(payload))}".encode()
    size = len(signing_input) + 2 + 86 + sum(len(disclosure) + 1 for disclosure in disclosures)
    if size > MAX_BYTES or len(disclosures) > MAX_DISCLOSURES:
        raise Malformed("credential.too_large")
    return Prepared(signing_input, disclosures)


def assemble(prepared: Prepared, signature: bytes) -> str:
    """Return the credential; signature: raw r||s over prepared.signing_input, 64 bytes."""
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed("credential.signature")
    jwt = f"{prepared.signing_input.decode('ascii')}.{base64url.encode(signature)}"
    return "~".join((jwt, *prepared.disclosures, ""))


def present(credential: str, fields: Collection[str] | None) -> str:
    """Return the credential disclosing only the number, the holders and the named fields; None discloses all.

    Ignores names that the credential does not disclose. Raises Malformed for a text that read() would refuse.
    """
    parts = _split(credential)
    _, payload, _ = _jwt(parts[0])
    _visible(payload)
    disclosed = _disclosures(payload, parts[1:])
    if fields is None:
        return credential
    kept = (entry.text for entry in disclosed if not entry.is_field or entry.name in fields)
    return "~".join((parts[0], *kept, ""))


def read(text: str | bytes) -> Credential:
    """Parse a credential without verifying its signature; it need not disclose everything.

    text: at most MAX_BYTES (64 KiB) of ASCII, ending with `~`. Raises Malformed for anything that prepare(), assemble()
    and present() could not have produced, apart from the order of disclosures and unknown visible claims.
    """
    parts = _split(text)
    header, payload, signature = _jwt(parts[0])
    claims = _visible(payload)
    number: str | None = None
    holders: tuple[Holder, ...] | None = None
    fields: dict[str, JSON] = {}
    for entry in _disclosures(payload, parts[1:]):
        if entry.is_field:
            fields[entry.name] = entry.value
        elif entry.name == "number":
            number = _number(entry.value)
        else:
            holders = _holders(entry.value)
    kid = str(header["kid"])
    signing_input = parts[0].rpartition(".")[0].encode("ascii")
    return Credential(signing_input, signature, header, payload, kid, number, holders, fields, claims)


def is_signed_by(credential: Credential, key: PublicKey) -> bool:
    """Say whether this credential key signed it: the kid matches, the purpose is right, the signature verifies."""
    return credential.kid == key.kid and key.verify(Purpose.CREDENTIAL, credential.signing_input, credential.signature)


@dataclass(frozen=True, slots=True)
class _Disclosed:
    text: str
    name: str
    value: JSON
    is_field: bool


def _disclosure(salt: bytes, name: str, value: JSON) -> str:
    return base64url.encode(compact_json.encode([base64url.encode(salt), name, value]))


def _digest(disclosure: str) -> str:
    return base64url.encode(hashlib.sha256(disclosure.encode("ascii")).digest())


def _split(text: str | bytes) -> list[str]:
    if len(text) > MAX_BYTES:
        raise Malformed("credential.too_large")
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if not text.isascii():
        raise Malformed("credential.base64url")
    parts = text.split("~")
    # A part after the last ~ would be a key binding JWT (RFC 9901 §4.3), which we never request.
    if len(parts) < 2 or parts[-1]:
        raise Malformed("credential.shape")
    if len(parts) - 2 > MAX_DISCLOSURES:
        raise Malformed("credential.disclosures")
    return parts[:-1]


def _jwt(jwt: str) -> tuple[dict[str, JSON], dict[str, JSON], bytes]:
    parts = jwt.split(".")
    if len(parts) != 3:
        raise Malformed("credential.shape")
    header = compact_json.decode_object(base64url.decode(parts[0], "credential.base64url"), "credential.header")
    # An exact set refuses jwk, jku, x5u, x5c and crit, with which a header could bring its own key or rules.
    if header.keys() != _HEADER_MEMBERS or header["alg"] != "ES256" or header["typ"] != TYP:
        raise Malformed("credential.header")
    kid = header["kid"]
    if not isinstance(kid, str) or len(kid) != 11:
        raise Malformed("credential.header")
    base64url.decode(kid, "credential.header")
    payload = compact_json.decode_object(base64url.decode(parts[1], "credential.base64url"), "credential.payload")
    signature = base64url.decode(parts[2], "credential.base64url")
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed("credential.signature")
    return header, payload, signature


def _visible(payload: dict[str, JSON]) -> VisibleClaims:
    problem = "credential.claims"
    issuer, vct, iat, origin = (payload.get(name) for name in ("iss", "vct", "iat", "origin"))
    if not isinstance(issuer, str) or not _ISSUER.fullmatch(issuer) or issuer.endswith("/"):
        raise Malformed(problem)
    kind = _VCT.fullmatch(vct) if isinstance(vct, str) else None
    if kind is None or type(iat) is not int or iat < 0 or not isinstance(origin, str) or origin not in ORIGINS:
        raise Malformed(problem)
    _check_value([value for name, value in payload.items() if name not in {"_sd", "fields"}])
    text = payload.get("identifier")
    if not isinstance(text, str):
        raise Malformed(problem)
    parts = identifier.parse(text)
    said = (payload.get("type_code"), payload.get("authority_code"), payload.get("version"))
    if said != (parts.type_code, parts.authority_code, parts.version) or said[0] != kind[1] or said[2] is True:
        raise Malformed(problem)
    until = payload.get("valid_until", "")
    status_list, status_index, uri = _place(payload.get("status"), issuer)
    return VisibleClaims(
        issuer=issuer,
        type_code=parts.type_code,
        edition=int(kind[2]),
        iat=iat,
        identifier=text,
        version=parts.version,
        authority_code=parts.authority_code,
        issued_on=dates.from_iso(payload.get("issued_on"), problem),
        valid_from=dates.from_iso(payload.get("valid_from"), problem),
        valid_until=None if until is None else dates.from_iso(until, problem),
        origin=origin,
        status_uri=uri,
        status_list=status_list,
        status_index=status_index,
    )


def _place(claim: JSON, issuer: str) -> tuple[int, int, str]:
    entry = claim.get("status_list") if isinstance(claim, dict) and len(claim) == 1 else None
    if not isinstance(entry, dict) or entry.keys() != {"idx", "uri"}:
        raise Malformed("credential.status")
    index, uri = entry["idx"], entry["uri"]
    if type(index) is not int or not 0 <= index < status.ENTRIES or not isinstance(uri, str):
        raise Malformed("credential.status")
    folder, _, number = uri.rpartition("/")
    if folder != f"{issuer}/status" or not _LIST_NUMBER.fullmatch(number) or int(number) >= status.LISTS:
        raise Malformed("credential.status")
    return int(number), index, uri


def _promised(container: JSON, problem: str) -> set[str]:
    digests = container.get("_sd") if isinstance(container, dict) else None
    if not isinstance(digests, list) or len(digests) > MAX_DISCLOSURES:
        raise Malformed(problem)
    promised = {digest for digest in digests if isinstance(digest, str) and _DIGEST.fullmatch(digest)}
    if len(promised) != len(digests):
        raise Malformed(problem)
    return promised


def _disclosures(payload: dict[str, JSON], texts: list[str]) -> list[_Disclosed]:
    problem = "credential.disclosures"
    container = payload.get("fields")
    if payload.get("_sd_alg") != "sha-256" or not isinstance(container, dict) or container.keys() != {"_sd"}:
        raise Malformed(problem)
    people, fields = _promised(payload, problem), _promised(container, problem)
    if len(people) != 2 or people & fields:
        raise Malformed(problem)
    seen: set[tuple[bool, str]] = set()
    disclosed: list[_Disclosed] = []
    for text in texts:
        digest = _digest(text)
        is_field = digest in fields
        if not is_field and digest not in people:
            raise Malformed("credential.disclosure_unknown")
        entry = compact_json.decode(base64url.decode(text, "credential.base64url"), problem)
        if not isinstance(entry, list) or len(entry) != 3:
            raise Malformed(problem)
        salt, name, value = entry
        if not isinstance(salt, str) or not isinstance(name, str) or (is_field, name) in seen:
            raise Malformed(problem)
        if not _FIELD_NAME.fullmatch(name) or (not is_field and name not in _PEOPLE):
            raise Malformed(problem)
        _check_value(value)
        if not is_field:
            _PEOPLE[name](value)
        seen.add((is_field, name))
        disclosed.append(_Disclosed(text, name, value, is_field))
    return disclosed


def _check_value(value: JSON) -> None:
    """Reject numbers that compact JSON does not allow, and digests inside values.

    RFC 9901 §4.2.6 allows the latter: we never create them, and a reader that treated them as data would be wrong.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "_sd" in item or "..." in item:
                raise Malformed("credential.disclosures")
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, int):
            if abs(item) > LARGEST_INTEGER:
                raise Malformed("credential.value")
        elif not (item is None or isinstance(item, str)):
            raise Malformed("credential.value")


def _number(value: JSON) -> str:
    if not isinstance(value, str) or not value:
        raise Malformed("credential.number")
    return value


def _holders(value: JSON) -> tuple[Holder, ...]:
    if not isinstance(value, list) or not value:
        raise Malformed("credential.holders")
    holders = []
    for entry in value:
        if not isinstance(entry, dict) or entry.keys() != {"name", "id_type", "id_number"}:
            raise Malformed("credential.holders")
        name, id_type, id_number = entry["name"], entry["id_type"], entry["id_number"]
        if not (isinstance(name, str) and isinstance(id_type, str) and isinstance(id_number, str)):
            raise Malformed("credential.holders")
        holders.append(Holder(name, id_type, id_number))
    return tuple(holders)


def _check_fields(fields: Mapping[str, JSON]) -> None:
    for name, value in fields.items():
        if not _FIELD_NAME.fullmatch(name):
            raise Malformed("credential.disclosures")
        _check_value(value)


_PEOPLE: dict[str, Callable[[JSON], object]] = {"number": _number, "holders": _holders}
