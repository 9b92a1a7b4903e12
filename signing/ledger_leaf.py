"""Ledger leaves: the append-only log's record of one change of one certificate, without personal data.

A leaf is a deterministic CBOR map. Identifier and credential are included only as salted digests, so a leaf reveals
nothing without the certificate, and nothing to anyone once the salt is destroyed.
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from signing import dates
from signing.encoding import cbor
from signing.errors import Malformed

FORMAT_VERSION = 1
SALT_BYTES = 16
_LABELS = {1, 2, 3, 4, 5, 6, 7}


class Kind(IntEnum):
    """The kind of change; a number never changes its meaning."""

    ISSUED = 1
    CORRECTED = 2
    RENEWED = 3
    SUSPENDED = 4
    RESTORED = 5
    REVOKED = 6
    SUPERSEDED = 7


@dataclass(frozen=True, slots=True)
class Leaf:
    """A parsed leaf; recorded_at_us: µs since 1970 UTC; revision counts the changes of the certificate."""

    kind: Kind
    identifier_digest: bytes
    credential_digest: bytes
    effective_on: date
    recorded_at_us: int
    revision: int


def leaf(
    kind: Kind | int,
    identifier: str,
    credential: str | bytes,
    salt: bytes,
    effective_on: date,
    recorded_at_us: int,
    revision: int,
) -> bytes:
    """Return the bytes of a leaf.

    credential: the whole credential as issued, with all disclosures. salt: 16 random bytes, one salt per version,
    stored with the credential. Raises Malformed for a salt of another length, an unknown kind or negative numbers.
    """
    if len(salt) != SALT_BYTES or kind not in {member.value for member in Kind}:
        raise Malformed("leaf.input")
    if recorded_at_us < 0 or revision < 0:
        raise Malformed("leaf.input")
    return cbor.encode(
        {
            1: FORMAT_VERSION,
            2: int(kind),
            3: salted(salt, identifier),
            4: salted(salt, credential),
            5: dates.to_number(effective_on),
            6: recorded_at_us,
            7: revision,
        }
    )


def salted(salt: bytes, content: str | bytes) -> bytes:
    """Return SHA-256 of the salt followed by the content (text as UTF-8): labels 3 and 4 of a leaf."""
    return hashlib.sha256(salt + (content.encode("utf-8") if isinstance(content, str) else content)).digest()


def read(leaf_bytes: bytes) -> Leaf:
    """Parse a leaf; raises Malformed for anything that leaf() could not have produced."""
    claims = cbor.decode(leaf_bytes, "leaf.cbor")
    if not isinstance(claims, dict) or claims.keys() != _LABELS or claims[1] != FORMAT_VERSION:
        raise Malformed("leaf.labels")
    kind, identifier, credential, recorded, revision = (claims[label] for label in (2, 3, 4, 6, 7))
    if not (isinstance(kind, int) and isinstance(recorded, int) and isinstance(revision, int)):
        raise Malformed("leaf.claims")
    if not (isinstance(identifier, bytes) and isinstance(credential, bytes)):
        raise Malformed("leaf.claims")
    if len(identifier) != 32 or len(credential) != 32 or recorded < 0 or revision < 0:
        raise Malformed("leaf.claims")
    if kind not in {member.value for member in Kind}:
        raise Malformed("leaf.kind")
    return Leaf(Kind(kind), identifier, credential, dates.from_number(claims[5], "leaf.claims"), recorded, revision)
