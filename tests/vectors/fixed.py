"""What the vectors are built from: keys that anyone can derive, deterministic signatures, fixed salts."""

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signing.encoding import base64url, compact_json
from signing.keys import ORDER, PublicKey, Purpose, kid_of, raw_signature, spki_of

ISSUER = "https://hub.example.test"
TYPE = "11100000000013338W011"
AUTHORITY = "11430000006122244L"


class Key:
    """A test key: its secret is SHA-256 of `certificate hub test key: {label}` modulo the order."""

    def __init__(self, label: str, purpose: Purpose) -> None:
        seed = hashlib.sha256(f"certificate hub test key: {label}".encode()).digest()
        self.label = label
        self.secret = int.from_bytes(seed, "big") % ORDER
        self._private = ec.derive_private_key(self.secret, ec.SECP256R1())
        public = self._private.public_key()
        self.public = PublicKey(kid=kid_of(public), purpose=purpose, spki=spki_of(public))
        self.kid = self.public.kid

    def sign(self, data: bytes) -> bytes:
        """Sign deterministically (RFC 6979), s in the lower half."""
        return raw_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))

    def record(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "purpose": self.public.purpose.value,
            "secret": f"{self.secret:064x}",
            "spki": self.public.spki.hex(),
            "jwk": self.public.jwk(),
        }


CREDENTIAL = Key("credential", Purpose.CREDENTIAL)
OTHER = Key("other credential", Purpose.CREDENTIAL)
STATUS = Key("status", Purpose.STATUS)
KEYS = (CREDENTIAL, OTHER, STATUS)


def salts(label: str) -> Any:
    """Return a stand-in for os.urandom: SHA-256 of the label and a counter, in sequence."""

    def random(count: int) -> bytes:
        blocks = (count + 31) // 32
        return b"".join(hashlib.sha256(f"{label}/{block}".encode()).digest() for block in range(blocks))[:count]

    return random


def jwt(header: Any, payload: Any, key: Key = CREDENTIAL) -> str:
    """Sign any header and payload, given as objects or, to break the rules of JSON, as bytes."""
    parts = [part if isinstance(part, bytes) else compact_json.encode(part) for part in (header, payload)]
    signed = ".".join(base64url.encode(part) for part in parts)
    return f"{signed}.{base64url.encode(key.sign(signed.encode()))}"


def high_s(signature: bytes) -> bytes:
    """Return the other signature that plain ECDSA accepts."""
    return signature[:32] + (ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


def flipped(data: bytes, byte: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def loads(data: bytes) -> Any:
    return json.loads(data)
