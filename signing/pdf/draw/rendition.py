"""The two kinds of file that the hub gives out: the rendition of a version, and the annotated copy of one retrieval."""

from datetime import datetime

from signing.pdf.draw import document, face, signature
from signing.pdf.draw.sheet import Annotation, Sheet
from signing.pdf.draw.signature import SealKey


def render(sheet: Sheet, credential: str, seal: SealKey, made_at: datetime) -> bytes:
    """Return the sealed PDF of a version: PDF/A-3b, one revision, the credential attached.

    credential: the compact SD-JWT with all its disclosures. made_at: aware; equal arguments give equal bytes. Raises
    Malformed for content that cannot be drawn, and as signature.sign().
    """
    return signature.sign(document.assemble(sheet, face.draw(sheet), credential, made_at, seal.room), seal)


def render_copy(sheet: Sheet, note: Annotation, credential: str, seal: SealKey, made_at: datetime) -> bytes:
    """Return the sealed PDF of an annotated copy: a band and a watermark say for whom, for what and until when.

    sheet: as for render(), but with the copy's own code and QR text and only the fields that may be shown; credential:
    discloses only those. Raises as render() does.
    """
    return signature.sign(document.assemble(sheet, face.draw(sheet, note), credential, made_at, seal.room), seal)
