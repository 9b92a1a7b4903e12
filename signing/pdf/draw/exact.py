"""The part of a signed file that no signature covers: it has one form, and any other means that bytes changed.

A PDF signature covers everything but its own hexadecimal text. There, the padding, the case of letters, added
attributes, extra X.509 certificates and the other of the two ECDSA values could be changed without invalidating it. For
files whose chain ends at our roots, the CMS object (RFC 5652 §5) is therefore rebuilt from the verified data, and must
match byte for byte.
"""

from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from signing.keys import ORDER

_SHA256 = bytes.fromhex("300d06096086480165030402010500")  # parameters NULL, as pyHanko writes them
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 §3.2
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DETACHED = bytes.fromhex("300b06092a864886f70d010701")
_VERSION_1 = b"\x02\x01\x01"


def is_exact(data: bytes, signature: EmbeddedPdfSignature, path: frozenset[bytes]) -> bool:
    """Say whether the unsigned part has the form that sign() produces; path: the signer's chain, root included."""
    start, length, resumed, _ = (int(number) for number in signature.byte_range)
    expected = _rebuilt(signature.signer_info, signature.signer_cert.issuer.dump(), path)
    room = resumed - start - length - 2
    return data[start + length : resumed] == b"<" + expected.hex().encode("ascii").ljust(room, b"0") + b">"


def _rebuilt(signer: cms.SignerInfo, issuer: bytes, path: frozenset[bytes]) -> bytes:
    """Return the CMS object with one signer; the attributes are copied, because the signature covers them."""
    r, s = decode_dss_signature(signer["signature"].native)
    serial: bytes = signer["sid"].chosen["serial_number"].dump()
    information = _tlv(
        0x30,
        _VERSION_1,
        _tlv(0x30, issuer, serial),
        _SHA256,
        _tlv(0xA0, signer["signed_attrs"].contents),
        _ECDSA_SHA256,
        _tlv(0x04, encode_dss_signature(r, min(s, ORDER - s))),
    )
    certificates = _tlv(0xA0, *sorted(path))
    signed = _tlv(0x30, _VERSION_1, _tlv(0x31, _SHA256), _DETACHED, certificates, _tlv(0x31, information))
    return _tlv(0x30, _SIGNED_DATA, _tlv(0xA0, signed))


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Encode a DER value (X.690 §8.1, §10.1)."""
    contents = b"".join(parts)
    size = len(contents)
    if size < 128:
        return bytes((tag, size)) + contents
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + contents
