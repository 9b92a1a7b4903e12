"""Sealing a file: PAdES baseline B-B (ETSI EN 319 142-1), P-256, with the document key of one authority.

pyHanko builds the CMS object around a signature by the cached key of our key folder; we do not use its SimpleSigner
because it parses the private key again for every file. ECDSA nonces follow RFC 6979, so the same sheet, credential, key
and signing time give the same bytes.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from signing.errors import Malformed, SigningError, WrongPurpose
from signing.keys import ORDER, KeyFolder, PublicKey, Purpose, spki_of

if TYPE_CHECKING:
    from signing.pdf.draw.document import Unsigned

_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_BESIDES_CERTIFICATES = 900  # rest of the CMS object: attributes, algorithm names, signature


@dataclass(frozen=True, slots=True)
class SealKey:
    """An authority's key for sealing. key: the recorded public key, of Purpose.DOCUMENT; chain: its X.509 certificate
    in DER, then the issuing CA's, then the root's.
    """

    folder: KeyFolder
    key: PublicKey
    chain: tuple[bytes, ...]

    @property
    def room(self) -> int:
        """Bytes to reserve for the CMS object."""
        return sum(map(len, self.chain)) + _BESIDES_CERTIFICATES


class _FolderSigner(Signer):
    """A pyHanko signer for a key that is loaded once; verifies each signature with the recorded public key."""

    def __init__(self, seal: SealKey) -> None:
        certificates = [asn1.Certificate.load(der) for der in seal.chain]
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple(certificates[1:])
        super().__init__(signing_cert=certificates[0], cert_registry=store)
        self._seal = seal

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: ARG002
        key = self._seal.key
        signature: bytes = self._seal.folder.private_key(key.kid, Purpose.DOCUMENT).sign(data, _ECDSA)
        try:
            key.key.verify(signature, data, _ECDSA)
        except InvalidSignature as error:
            raise SigningError("the private key is not that of the key on record") from error
        r, s = decode_dss_signature(signature)
        return encode_dss_signature(r, min(s, ORDER - s))  # the one accepted form of two: see exact.py


def sign(unsigned: "Unsigned", seal: SealKey) -> bytes:
    """Return the signed file.

    Raises WrongPurpose for a key of another purpose, Malformed `x509.key` if the first X.509 certificate is not that of
    the key, KeyMissing if the key cannot be used.
    """
    _check(seal)
    before, after = unsigned.pdf[: unsigned.hole], unsigned.pdf[unsigned.hole + 2 * unsigned.room + 2 :]
    digest = hashlib.sha256(before)
    digest.update(after)
    signer = _FolderSigner(seal)
    cms = asyncio.run(signer.async_sign(digest.digest(), "sha256", use_pades=True)).dump()
    if len(cms) > unsigned.room:
        raise SigningError("the signature does not fit the room kept for it")
    return b"".join((before, b"<", cms.hex().encode("ascii").ljust(2 * unsigned.room, b"0"), b">", after))


def _check(seal: SealKey) -> None:
    if seal.key.purpose is not Purpose.DOCUMENT:
        raise WrongPurpose(f"key {seal.key.kid} is not for documents")
    try:
        public = x509.load_der_x509_certificate(seal.chain[0]).public_key()
    except (ValueError, IndexError) as error:
        raise Malformed("x509.certificate") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or spki_of(public) != seal.key.spki:
        raise Malformed("x509.key")
