"""The two files that the hub hands out: the rendition of a version, and the annotated copy of one retrieval."""

from datetime import datetime

from signing.pdf import document, face, signature
from signing.pdf.sheet import Sheet
from signing.pdf.signature import SealKey


def render(sheet: Sheet, credential: str, seal: SealKey, made_at: datetime) -> bytes:
    """Return the sealed PDF of a version: PDF/A-3b, one revision, the credential attached.

    credential: the compact SD-JWT with all its disclosures. made_at: aware; equal arguments give equal bytes.
    Raises Malformed for what cannot be drawn, and what signature.sign() raises.
    """
    return signature.sign(document.assemble(sheet, face.draw(sheet), credential, made_at, seal.room), seal)
