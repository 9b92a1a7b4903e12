"""What signed bytes prove by themselves: read, key found by its id, signature checked. The record comes afterwards."""

import hashlib
import json
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import Any

from hub.db.database import DatabaseUnavailable
from hub.domain import masking
from hub.domain.case import Person
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import Dates
from hub.domain.version import Version
from hub.keys.keyring import Keyring
from hub.verification import problems
from hub.verification.public_urls import Addresses
from hub.verification.verdict import Finding
from signing import credential, qr
from signing.credential import Credential, VisibleClaims
from signing.encoding import base64url
from signing.errors import Malformed
from signing.keys import PublicKey, Purpose

_YES, _NO, _UNKNOWN = Finding.YES, Finding.NO, Finding.UNKNOWN
_NEWER_FORMATS = frozenset({"qr.version", "qr.labels"})
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Said:
    """What signed bytes say of a version, masked; number and holders None where they are not disclosed."""

    identifier: str
    dates: Dates
    number: str | None
    holders: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Proof:
    """The first two findings, and what the bytes say once both are yes."""

    intact: Finding
    trusted: Finding
    said: Said | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether the bytes are what a key of ours signed."""
        return self.intact is _YES and self.trusted is _YES


class Evidence:
    """Judges digits, credentials and records with the keys and addresses on record; nothing is fetched."""

    def __init__(self, keyring: Keyring, addresses: Addresses) -> None:
        self._keyring = keyring
        self._addresses = addresses
        self._proven: set[bytes] = set()

    # --- digits --------------------------------------------------------------------------------------------------

    def of_digits(self, code: str | None, text: str, record: Version | None, issued: str | None) -> Proof:
        """Digits beside a code, and against the record of that code where there is one.

        issued: the only digits that were issued under this code; None for a copy, whose digits are not kept: they must
        name the version of the record.
        """
        try:
            read = qr.read(text)
        except Malformed as error:
            newer = error.problem in _NEWER_FORMATS and record is None
            return Proof(_UNKNOWN if newer else _NO, _UNKNOWN, None, (error.problem,))
        if code is None:
            return Proof(_UNKNOWN, _UNKNOWN, None, (problems.CODE_MALFORMED,))
        try:
            key = self._key(read.kid, record)
        except DatabaseUnavailable:
            return Proof(_UNKNOWN, _UNKNOWN, None, (problems.DATABASE_UNAVAILABLE,))
        if key is None:
            damaged = issued is not None and _signature_of_digits(issued) == read.signature
            return Proof(_NO if damaged else _UNKNOWN, _NO, None, (problems.KEY_UNKNOWN,))
        if not qr.is_signed_by(read, code, key):
            return Proof(_NO, _UNKNOWN, None, (problems.SIGNATURE_WRONG,))
        face = read.face
        other = record is not None and (text != issued if issued is not None else face.identifier != record.identifier)
        if other:
            return Proof(_NO, _YES, None, (problems.NOT_AS_ISSUED,))
        dates = Dates(face.issued_on, face.valid_from, face.valid_until)
        return Proof(_YES, _YES, Said(face.identifier, dates, face.number, face.holders))

    # --- credentials ---------------------------------------------------------------------------------------------

    def of_credential(self, text: str, catalogue: Catalogue) -> tuple[Proof, Credential | None]:
        """A credential by itself; read, where it has our form."""
        try:
            read = credential.read(text)
        except Malformed as error:
            return self._foreign_or_broken(text, error.problem), None
        try:
            key = self._key(read.kid, None)
        except DatabaseUnavailable:
            return Proof(_UNKNOWN, _UNKNOWN, None, (problems.DATABASE_UNAVAILABLE,)), read
        if key is None:
            return Proof(_UNKNOWN, _NO, None, (problems.KEY_UNKNOWN, *self._issuer_problem(read))), read
        if not credential.is_signed_by(read, key):
            return Proof(_NO, _UNKNOWN, None, (problems.SIGNATURE_WRONG,)), read
        if found := self._issuer_problem(read):
            unsure = problems.DATABASE_UNAVAILABLE in found
            return Proof(_YES, _UNKNOWN if unsure else _NO, None, found), read
        return Proof(_YES, _YES, _said(read, catalogue)), read

    def _issuer_problem(self, read: Credential) -> tuple[str, ...]:
        try:
            return () if self._addresses.owns(read.claims.issuer) else (problems.ISSUER_FOREIGN,)
        except DatabaseUnavailable:
            return (problems.DATABASE_UNAVAILABLE,)

    def _foreign_or_broken(self, text: str, problem: str) -> Proof:
        """What our strict reader refuses: somebody else's credential where it names neither our address nor our key."""
        header, payload = _peek(text)
        kid, issuer = header.get("kid"), payload.get("iss")
        try:
            known_key = isinstance(kid, str) and self._key(kid, None) is not None
            known_issuer = isinstance(issuer, str) and self._addresses.owns(issuer)
        except DatabaseUnavailable:
            return Proof(_NO, _UNKNOWN, None, (problem, problems.DATABASE_UNAVAILABLE))
        if header and payload and not known_key and not known_issuer:
            return Proof(_UNKNOWN, _NO, None, (problem, problems.ISSUER_FOREIGN))
        return Proof(_NO, _UNKNOWN, None, (problem,))

    # --- the record ----------------------------------------------------------------------------------------------

    def of_record(self, record: Version) -> Proof:
        """The record by itself: its credential as signed, and its dates and identifier as the credential says.

        What was found good once is not computed again for the same bytes (the last 16,384 are known by their digest).
        """
        mark = _mark(record)
        if mark in self._proven:
            return Proof(_YES, _YES)
        try:
            read = credential.read(record.credential)
            key = self._key(read.kid, record)
        except Malformed:
            return Proof(_NO, _UNKNOWN, None, (problems.RECORD_DAMAGED,))
        except DatabaseUnavailable:
            return Proof(_UNKNOWN, _UNKNOWN, None, (problems.DATABASE_UNAVAILABLE,))
        if key is None:
            return Proof(_UNKNOWN, _NO, None, (problems.KEY_UNKNOWN,))
        if not credential.is_signed_by(read, key):
            return Proof(_NO, _UNKNOWN, None, (problems.RECORD_DAMAGED,))
        if not _agree(read.claims, record):
            return Proof(_NO, _YES, None, (problems.RECORD_DAMAGED,))
        if len(self._proven) >= _REMEMBERED:
            self._proven.clear()
        self._proven.add(mark)
        return Proof(_YES, _YES)

    def _key(self, kid: str, record: Version | None) -> PublicKey | None:
        """A credential key of ours by its id, active or retired; raises DatabaseUnavailable when none can be read."""
        key = self._keyring.public(kid, Purpose.CREDENTIAL)
        if key is None and record is not None and record.kid == kid:
            self._keyring.refresh()  # another process has just begun to sign with it
            key = self._keyring.public(kid, Purpose.CREDENTIAL)
        return key


def say_the_same(digits: str, others: str) -> bool:
    """Whether two texts of digits have the same content, whatever code and signature they have."""
    try:
        return qr.read(digits).payload == qr.read(others).payload
    except Malformed:
        return False


def same_as_issued(text: str, record: Version) -> bool:
    """Whether a credential's signed part is the one on record; disclosures may have been left out."""
    return text.partition("~")[0] == record.credential.partition("~")[0]


def carries_signature_of(text: str, record: Version) -> bool:
    """Whether a credential has the signature of the one on record, whatever else it says."""
    return text.partition("~")[0].rpartition(".")[2] == record.credential.partition("~")[0].rpartition(".")[2]


def _mark(record: Version) -> bytes:
    """One digest of the signed bytes and of everything beside them that `_agree` compares."""
    dates = record.dates
    beside = f"{record.identifier} {dates.issued_on} {dates.valid_from} {dates.valid_until} {record.edition} "
    return hashlib.sha256((beside + record.credential).encode()).digest()


def _agree(claims: VisibleClaims, record: Version) -> bool:
    dates = record.dates
    said = (claims.identifier, claims.issued_on, claims.valid_from, claims.valid_until, claims.edition)
    return said == (record.identifier, dates.issued_on, dates.valid_from, dates.valid_until, record.edition)


def _said(read: Credential, catalogue: Catalogue) -> Said:
    claims = read.claims
    people = [Person(h.name, h.id_type, h.id_number) for h in read.holders or ()]
    number = read.number
    if number is not None:
        kind = catalogue.types.get(claims.type_code)
        personal = kind is None or kind.number_personal or not people  # not knowing better, show less
        number = masking.face_number(number, people, personal=personal)
    names = tuple(masking.holder_name(person.name, person.id_type) for person in people)
    dates = Dates(claims.issued_on, claims.valid_from, claims.valid_until)
    return Said(claims.identifier, dates, number, None if read.holders is None else names)


def _signature_of_digits(text: str) -> bytes | None:
    try:
        return qr.read(text).signature
    except Malformed:
        return None


def _peek(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of anything like a JWT, without trust and without strictness; empty where there are none."""
    parts = text[: credential.MAX_BYTES].strip().partition("~")[0].split(".")
    found: list[dict[str, Any]] = []
    for part in (*parts[:2], "", "")[:2]:
        try:
            value = json.loads(base64url.decode(part.rstrip("="), "peek"))
        except (Malformed, Base64Error, ValueError, RecursionError):
            value = None
        found.append(value if isinstance(value, dict) else {})
    return found[0], found[1]
