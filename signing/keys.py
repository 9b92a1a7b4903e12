"""P-256 keys: each one signs and verifies for one purpose only; this module enforces that.

Signatures are raw r||s, 64 bytes, ES256 (RFC 7518 §3.4), always with s in the lower half of the group order: plain
ECDSA accepts two values of s, we produce and accept one. They are deterministic (RFC 6979): signing the same data
again, after a crash or a restore, gives the same signature, so that a signed text has one form. Private parts are
encrypted PKCS#8 files, one per key; the caller keeps the public parts, and no verdict relies on one derived from a
private file.
"""

import hashlib
import os
import secrets
import threading
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from signing.encoding import base64url
from signing.errors import KeyMissing, Malformed, WrongPurpose

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, SEC 2 §2.4.2
SIGNATURE_BYTES = 64
KID_BYTES = 8
_ES256 = ec.ECDSA(hashes.SHA256())
_SIGNING = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979


class Purpose(StrEnum):
    """The purpose of a key; the value is part of its file's name."""

    CREDENTIAL = "credential"
    DOCUMENT = "document"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - a name, not a secret
    STATUS = "status"
    LEDGER = "ledger"
    ROOT = "x509_root"
    ISSUING = "x509_issuing"


X509_PURPOSES = frozenset({Purpose.ROOT, Purpose.ISSUING, Purpose.DOCUMENT})


def spki_of(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo of a key (RFC 5280 §4.1.2.7, uncompressed point)."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def kid_of(public: ec.EllipticCurvePublicKey) -> str:
    """Return the key id: base64url of the first 8 bytes of SHA-256 over the DER SubjectPublicKeyInfo, 11 characters."""
    return _kid_of_spki(spki_of(public))


def kid_bytes(kid: str) -> bytes:
    """Return the 8 raw bytes of a key id, as COSE carries them; raises Malformed."""
    raw = base64url.decode(kid, "key.kid")
    if len(raw) != KID_BYTES:
        raise Malformed("key.kid")
    return raw


def raw_signature(der: bytes) -> bytes:
    """Turn a DER ECDSA signature into raw r||s with s in the lower half of the order."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public part of a key as recorded by the caller.

    spki: DER SubjectPublicKeyInfo, P-256 only. authority: the code of the authority that a document key seals for.
    Raises Malformed if kid does not match spki or spki is not a P-256 key.
    """

    kid: str
    purpose: Purpose
    spki: bytes
    authority: str | None = None

    def __post_init__(self) -> None:
        if self.kid != kid_of(_load_public(self.spki)):
            raise Malformed("key.kid")

    @property
    def key(self) -> ec.EllipticCurvePublicKey:
        """The parsed key, cached after the first use."""
        return _load_public(self.spki)

    def verify(self, purpose: Purpose, data: bytes, signature: bytes) -> bool:
        """Say whether this key, if it is for `purpose`, made this raw r||s signature over SHA-256 of data."""
        if purpose is not self.purpose or len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if not (0 < r < ORDER and 0 < s <= ORDER // 2):
            return False
        try:
            self.key.verify(encode_dss_signature(r, s), data, _ES256)
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517): kty, crv, x, y, kid, use, alg."""
        point = self.key.public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url.encode(point.x.to_bytes(32, "big")),
            "y": base64url.encode(point.y.to_bytes(32, "big")),
            "kid": self.kid,
            "use": "sig",
            "alg": "ES256",
        }


class KeyFolder:
    """The private keys of one machine: a folder of files `{purpose}-{kid}.pem`, 0600, encrypted with one passphrase.

    A key is parsed at its first use and cached; every signature checks the file again (two system calls), so a key
    whose file was removed, replaced or made unreadable stops signing at once. Thread-safe, and safe after a fork.
    """

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        """folder: need not exist before the first generate(). passphrase: at least 1 byte."""
        if not passphrase:
            raise ValueError("a key folder needs a passphrase")
        self._folder = folder
        self._passphrase = passphrase
        self._loaded: dict[Path, tuple[tuple[int, ...], ec.EllipticCurvePrivateKey]] = {}
        self._lock = threading.Lock()

    def generate(self, purpose: Purpose, authority: str | None = None) -> PublicKey:
        """Generate a key, write its private part durably, and return the public part for the caller to record."""
        private = ec.generate_private_key(ec.SECP256R1())
        spki = spki_of(private.public_key())
        public = PublicKey(kid=_kid_of_spki(spki), purpose=purpose, spki=spki, authority=authority)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_durably(self._path(public.kid, purpose), pem)
        return public

    def sign(self, kid: str, purpose: Purpose, data: bytes) -> bytes:
        """Return the raw r||s ES256 signature of data, 64 bytes, s in the lower half; deterministic.

        Raises WrongPurpose if the key in this folder has another purpose, KeyMissing if it cannot be used.
        """
        return raw_signature(self._private(kid, purpose).sign(data, _SIGNING))

    def private_key(self, kid: str, purpose: Purpose) -> ec.EllipticCurvePrivateKey:
        """Return a private key for building X.509 certificates, CRLs or CMS; raises WrongPurpose for other purposes."""
        if purpose not in X509_PURPOSES:
            raise WrongPurpose(f"the private part of a key for {purpose} does not leave its folder")
        return self._private(kid, purpose)

    def has(self, kid: str, purpose: Purpose) -> bool:
        """Say whether this folder has a readable file for this key, without decrypting it."""
        return os.access(self._path(kid, purpose), os.R_OK)

    def file(self, kid: str, purpose: Purpose) -> bytes:
        """Return the private key's encrypted file, for a backup; raises KeyMissing unless it can be opened."""
        self._private(kid, purpose)
        try:
            return self._path(kid, purpose).read_bytes()
        except OSError as error:
            raise KeyMissing(kid, "unreadable") from error

    def retire(self, kid: str, purpose: Purpose) -> None:
        """Delete the private part permanently; idempotent."""
        path = self._path(kid, purpose)
        path.unlink(missing_ok=True)
        with self._lock:
            self._loaded.pop(path, None)
        if self._folder.is_dir():
            _sync_folder(self._folder)

    def _path(self, kid: str, purpose: Purpose) -> Path:
        kid_bytes(kid)  # a kid comes from records and headers and must not be a path
        return self._folder / f"{purpose.value}-{kid}.pem"

    def _private(self, kid: str, purpose: Purpose) -> ec.EllipticCurvePrivateKey:
        path = self._path(kid, purpose)
        try:
            if not os.access(path, os.R_OK):
                raise PermissionError if path.exists() else FileNotFoundError
            stat = path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            held = self._loaded.get(path)
            if held is not None and held[0] == seen:
                return held[1]
            return self._load(path, kid, seen)
        except OSError as error:
            with self._lock:
                self._loaded.pop(path, None)
            absent = isinstance(error, FileNotFoundError)
            if absent and any(self.has(kid, other) for other in Purpose if other is not purpose):
                raise WrongPurpose(f"key {kid} is not for {purpose}") from error
            raise KeyMissing(kid, "absent" if absent else "unreadable") from error

    def _load(self, path: Path, kid: str, seen: tuple[int, ...]) -> ec.EllipticCurvePrivateKey:
        with self._lock:
            held = self._loaded.get(path)
            if held is not None and held[0] == seen:
                return held[1]
            try:
                private = load_pem_private_key(path.read_bytes(), self._passphrase)
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                raise KeyMissing(kid, "not readable with this passphrase") from error
            if not isinstance(private, ec.EllipticCurvePrivateKey) or kid_of(private.public_key()) != kid:
                raise KeyMissing(kid, "the file holds another key")
            self._loaded[path] = (seen, private)
            return private


def _kid_of_spki(spki: bytes) -> str:
    return base64url.encode(hashlib.sha256(spki).digest()[:KID_BYTES])


@lru_cache(maxsize=4096)
def _load_public(spki: bytes) -> ec.EllipticCurvePublicKey:
    try:
        public = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("key.spki") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Malformed("key.spki")
    return public


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
