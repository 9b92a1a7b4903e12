"""Stage 3 of 4, first half: what signed bytes prove on their own and against the version on record.

Pure: every signature is checked here, once, before anything is decided.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hub.domain.version import Version
from hub.verification import problems
from hub.verification.issued import Issued, Records
from hub.verification.presentation import Presentation, PresentedCredential, PresentedDigits, kid_of
from hub.verification.verdict import VerdictAnswer
from signing import credential, qr
from signing.credential import Credential, VisibleClaims
from signing.errors import Malformed
from signing.keys import PublicKey

Keys = Mapping[str, PublicKey | None]

_YES, _NO, _UNKNOWN = VerdictAnswer.YES, VerdictAnswer.NO, VerdictAnswer.UNKNOWN
_NEWER_FORMATS = frozenset({"qr.version", "qr.labels"})
_REMEMBERED = 16_384
_proven: set[bytes] = set()
"""Digests of records whose signature was verified, so that it is not verified again for the same bytes and key id."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The first two answers, and the content of the bytes if both are yes."""

    intact: VerdictAnswer
    trusted: VerdictAnswer
    problems: tuple[str, ...] = ()
    said: qr.Face | Credential | None = None

    @property
    def holds(self) -> bool:
        """Whether the bytes are intact and signed with a key of ours."""
        return self.intact is _YES and self.trusted is _YES


NOTHING = Proof(_UNKNOWN, _UNKNOWN)


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A record, and what it proves on its own."""

    issued: Issued
    own: Proof = NOTHING


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is proven about one presentation; `NOTHING` for a part that it does not have.

    found, named: as in `Records`. digits: next to the presented code, or alone next to the code of the record that they
    name. digits_resigned: they repeat the record's own digits under another signature. credential: by itself.
    credential_differs: from the one on record for its identifier. credential_resembles: it has that one's signature.
    """

    found: OnRecord
    named: OnRecord
    digits: Proof = NOTHING
    digits_resigned: bool = False
    credential: Proof = NOTHING
    credential_differs: bool = False
    credential_resembles: bool = False


def gather(presented: Presentation, records: Records) -> Evidence:
    """Check every signature that was presented or is on record."""
    keys, digits, attached, version = records.keys, records.digits, presented.credential, records.named.version
    found = _on_record(records.found, keys)
    named = found if records.named is records.found else _on_record(records.named, keys)
    return Evidence(
        found,
        named,
        NOTHING if digits is None else _of_scanned(digits, records),
        digits is not None and version is not None and _resigned(digits.text, version.digits),
        NOTHING if attached is None else _of_credential(attached, keys, records.ours),
        attached is not None and version is not None and not _same_as_issued(attached.text, version),
        attached is not None and version is not None and _carries_signature_of(attached.text, version),
    )


def _on_record(issued: Issued, keys: Keys) -> OnRecord:
    return OnRecord(issued) if issued.version is None else OnRecord(issued, _of_record(issued.version, keys))


def _of_scanned(digits: PresentedDigits, records: Records) -> Proof:
    """Digits next to their code; digits alone next to the code of the version that they name."""
    if records.code is not None:
        return _of_digits(records.code, digits, records.found, records.keys)
    version = records.named.version
    return _of_digits(None if version is None else version.code, digits, records.named, records.keys)


def _of_digits(code: str | None, digits: PresentedDigits, issued: Issued, keys: Keys) -> Proof:
    """Check digits with their code, and against the record of that code, if there is one.

    The digits of a copy are not stored: they must name the version of the record.
    """
    read, version = digits.read, issued.version
    if read is None:
        newer = digits.problem in _NEWER_FORMATS and version is None
        return Proof(_UNKNOWN if newer else _NO, _UNKNOWN, (digits.problem,))
    if code is None:
        return Proof(_UNKNOWN, _UNKNOWN, (problems.CODE_MALFORMED,))
    if read.kid not in keys:
        return Proof(_UNKNOWN, _UNKNOWN, (problems.DATABASE_UNAVAILABLE,))
    key = keys[read.kid]
    if key is None:
        damaged = issued.digits is not None and _signature_of(issued.digits) == read.signature
        return Proof(_NO if damaged else _UNKNOWN, _NO, (problems.KEY_UNKNOWN,))
    if not qr.is_signed_by(read, code, key):
        return Proof(_NO, _UNKNOWN, (problems.SIGNATURE_WRONG,))
    if issued.digits is not None:
        differs = digits.text != issued.digits
    else:
        differs = version is not None and read.face.identifier != version.identifier
    return Proof(_NO, _YES, (problems.NOT_AS_ISSUED,)) if differs else Proof(_YES, _YES, said=read.face)


def _of_credential(presented: PresentedCredential, keys: Keys, ours: Mapping[str, bool]) -> Proof:
    """Check a credential without its record."""
    read = presented.read
    if read is None:
        return _of_foreign_or_broken(presented, keys, ours)
    if read.kid not in keys:
        return Proof(_UNKNOWN, _UNKNOWN, (problems.DATABASE_UNAVAILABLE,))
    key, is_ours = keys[read.kid], ours.get(read.claims.issuer)
    foreign = () if is_ours else (problems.DATABASE_UNAVAILABLE if is_ours is None else problems.ISSUER_FOREIGN,)
    if key is None:
        return Proof(_UNKNOWN, _NO, (problems.KEY_UNKNOWN, *foreign))
    if not credential.is_signed_by(read, key):
        return Proof(_NO, _UNKNOWN, (problems.SIGNATURE_WRONG,))
    if foreign:
        return Proof(_YES, _UNKNOWN if is_ours is None else _NO, foreign)
    return Proof(_YES, _YES, said=read)


def _of_foreign_or_broken(presented: PresentedCredential, keys: Keys, ours: Mapping[str, bool]) -> Proof:
    """A credential that our strict reader rejects is foreign if it names neither our address nor a key of ours."""
    kid, issuer, problem = presented.kid, presented.issuer, presented.problem
    if (kid is not None and kid not in keys) or (issuer is not None and issuer not in ours):
        return Proof(_NO, _UNKNOWN, (problem, problems.DATABASE_UNAVAILABLE))
    known_key = kid is not None and keys[kid] is not None
    known_issuer = issuer is not None and ours[issuer]
    if presented.is_jwt and not known_key and not known_issuer:
        return Proof(_UNKNOWN, _NO, (problem, problems.ISSUER_FOREIGN))
    return Proof(_NO, _UNKNOWN, (problem,))


def _of_record(version: Version, keys: Keys) -> Proof:
    """Check a record: its credential's signature, and whether its dates and identifier match the credential."""
    mark = _mark(version)
    if mark in _proven and keys.get(kid_of(version.credential) or "") is not None:
        return Proof(_YES, _YES)
    try:
        read = credential.read(version.credential)
    except Malformed:
        return Proof(_NO, _UNKNOWN, (problems.RECORD_DAMAGED,))
    if read.kid not in keys:
        return Proof(_UNKNOWN, _UNKNOWN, (problems.DATABASE_UNAVAILABLE,))
    key = keys[read.kid]
    if key is None:
        return Proof(_UNKNOWN, _NO, (problems.KEY_UNKNOWN,))
    if not credential.is_signed_by(read, key):
        return Proof(_NO, _UNKNOWN, (problems.RECORD_DAMAGED,))
    if not _agree(read.claims, version):
        return Proof(_NO, _YES, (problems.RECORD_DAMAGED,))
    if len(_proven) >= _REMEMBERED:
        _proven.clear()
    _proven.add(mark)
    return Proof(_YES, _YES)


def _resigned(digits: str, others: str) -> bool:
    """Whether different digits have the same content: those of an annotated copy have another code and signature."""
    try:
        return digits != others and qr.read(digits).payload == qr.read(others).payload
    except Malformed:
        return False


def _same_as_issued(text: str, version: Version) -> bool:
    """Whether a credential's signed part is the one on record; disclosures may be missing."""
    return text.partition("~")[0] == version.credential.partition("~")[0]


def _carries_signature_of(text: str, version: Version) -> bool:
    """Whether a credential has the signature of the one on record, apart from its content."""
    return text.partition("~")[0].rpartition(".")[2] == version.credential.partition("~")[0].rpartition(".")[2]


def _mark(version: Version) -> bytes:
    """One digest of the signed bytes and of everything outside them that `_agree` compares."""
    dates = version.dates
    outside = f"{version.identifier} {dates.issued_on} {dates.valid_from} {dates.valid_until} {version.edition} "
    return hashlib.sha256((outside + version.credential).encode()).digest()


def _agree(claims: VisibleClaims, version: Version) -> bool:
    dates = version.dates
    said = (claims.identifier, claims.issued_on, claims.valid_from, claims.valid_until, claims.edition)
    return said == (version.identifier, dates.issued_on, dates.valid_from, dates.valid_until, version.edition)


def _signature_of(digits: str) -> bytes | None:
    try:
        return qr.read(digits).signature
    except Malformed:
        return None
