"""Where a certificate is: what replies and pages link to."""

from signing import qr


def links(public_url: str, identifier: str, code: str, digits: str) -> dict[str, str]:
    """`verify` is absolute and is the QR text; the others are paths from the root."""
    own = f"/api/v1/certificates/{identifier}"
    return {"self": own, "document": f"{own}/document.pdf", "verify": qr.text(public_url, code, digits)}
