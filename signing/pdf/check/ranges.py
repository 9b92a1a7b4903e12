"""Judge a signed file that no strict parser can open by its raw bytes: was it truncated, extended or modified?

A signature states its byte range (ISO 32000-1 §12.8.1) in text that is never compressed. A file without such text is
not signed, however broken; one whose length or digest does not match its signature has been changed. This module
concludes nothing else.
"""

import hashlib
import re

from asn1crypto import cms

_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s*\]")


def names_signature(data: bytes) -> bool:
    """Say whether the bytes contain any signature."""
    return b"/ByteRange" in data


def flaw(data: bytes) -> str | None:
    """Return the code of the change made to a signed file, or None if its bytes do not tell."""
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
    """Return the SHA-256 that a CMS object signs; None if it cannot be parsed or uses another digest."""
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
