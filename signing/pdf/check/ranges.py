"""What the bare bytes say of a signed file that no strict reader can open: was it cut, lengthened or changed?

A signature names the bytes that it covers (ISO 32000-1 §12.8.1) in text that is never compressed. A file that has no
such text is not signed, however broken; one that has and is not as long as it says, or has another digest, is not what
was signed. Nothing else is concluded here.
"""

import hashlib
import re

from asn1crypto import cms

_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s*\]")


def names_signature(data: bytes) -> bool:
    """Say whether there is any signature in the bytes."""
    return b"/ByteRange" in data


def flaw(data: bytes) -> str | None:
    """Return the code of what happened to a signed file since, or None when its bytes do not tell."""
    found = _RANGE.findall(data)
    if not found:
        return None
    start, length, resumed, rest = (int(number) for number in found[-1])
    end = resumed + rest
    if start != 0 or not length < resumed <= end:
        return None
    if end < len(data):
        return "pdf.appended"
    if end > len(data):
        return "pdf.truncated"
    digest = hashlib.sha256(data[:length])
    digest.update(data[resumed:])
    signed = _digest(data[length:resumed])
    return None if signed is None or signed == digest.digest() else "pdf.changed"


def _digest(text: bytes) -> bytes | None:
    """Return the SHA-256 that a CMS object signs; None when it cannot be read or has another digest."""
    try:
        content = cms.ContentInfo.load(bytes.fromhex(text.strip(b"<>").decode("ascii")))
        (signer,) = content["content"]["signer_infos"]
        if signer["digest_algorithm"]["algorithm"].native != "sha256":
            return None
        for attribute in signer["signed_attrs"]:
            if attribute["type"].native == "message_digest":
                value: bytes = attribute["values"][0].native
                return value
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return None
