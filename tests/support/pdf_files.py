"""Files that a verifier may receive for certificates of the sample city: sealed PDF files, copies, scans and photos."""

from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import pypdfium2
from PIL import Image, ImageFilter

from hub.domain.certificate import State
from hub.domain.version import Version
from hub.store import keys as key_store
from hub.store import retrievals
from hub.store.retrievals import Receipt
from hub.verification import Verdict
from signing import qr
from signing.keys import Purpose
from signing.pdf.draw.rendition import render, render_copy
from signing.pdf.draw.sheet import Annotation, Field, Kind, Sheet, SheetHolder
from signing.pdf.draw.signature import SealKey
from tests.support import city as c
from tests.support import engines
from tests.support.city import URL, City
from tests.support.verified import versions


def seal_of(city: City, authority: str) -> SealKey:
    """The authority's own seal key, with its chain."""
    reader = city.parts.database.reader
    key = city.parts.keyring.active(Purpose.DOCUMENT, authority)
    by_kid = {record.kid: record.der for record in key_store.x509_certificates(reader)}
    chain = [key.kid, *(city.parts.keyring.active(purpose).kid for purpose in (Purpose.ISSUING, Purpose.ROOT))]
    return SealKey(city.parts.keyring.folder, key, tuple(by_kid[kid] for kid in chain))


def sheet_of(version: Version, **changes: Any) -> Sheet:
    """The version's sheet, in simple wording."""
    made = Sheet(
        kind=Kind.PROOF,
        type_code=version.type_code,
        title="证照",
        title_en="Certificate",
        authority="颁发机构",
        authority_en="Issuing authority",
        identifier=version.identifier,
        code=version.code,
        qr_text=qr.text(URL, version.code, version.digits),
        number=version.number,
        holders=tuple(SheetHolder(holder.name, "公民身份号码", holder.id_number) for holder in version.holders),
        fields=tuple(Field(name, name, str(value)) for name, value in list(version.fields.items())[:4]),
        issued_on=version.dates.issued_on,
        valid_from=version.dates.valid_from,
        valid_until=version.dates.valid_until,
        seal="颁发机构",
    )
    return replace(made, **changes)


def sealed(
    city: City,
    version: Version,
    *,
    seal: SealKey | None = None,
    credential: str | None = None,
    at: datetime | None = None,
    **changes: Any,
) -> bytes:
    """The version as a PDF sealed by its authority; or by another, or with another credential, code or face."""
    seal = seal or seal_of(city, version.authority)
    return render(sheet_of(version, **changes), credential or version.credential, seal, at or datetime.now(UTC))


def note() -> Annotation:
    return Annotation(
        receipt_number="202611-AAAAAAAAAAAA",
        authority="福州市鼓楼区教育局",
        clerk="王小谷",
        case_number="C-1",
        matter="入学",
        purpose="核验",
        made_at=datetime.now(UTC),
        expires_on=date(2026, 12, 24),
    )


def sealed_copy(city: City, version: Version, code: str) -> bytes:
    """An annotated copy with its own code."""
    sheet = sheet_of(version, code=code, qr_text=qr.text(URL, code, ""))
    return render_copy(sheet, note(), version.credential, seal_of(city, version.authority), datetime.now(UTC))


def scanned(pdf: bytes, form: str, *, angle: float = 1.5, blur: float = 0.7, dpi: int = 200) -> bytes:
    """The first page printed, and scanned or photographed at an angle: JPEG, PNG or PDF."""
    page = pypdfium2.PdfDocument(pdf)[0].render(scale=dpi / 72).to_pil().convert("RGB")
    seen = page.rotate(angle, expand=True, fillcolor="white").filter(ImageFilter.GaussianBlur(blur))
    return saved(seen, form)


def saved(image: Image.Image, form: str) -> bytes:
    out = BytesIO()
    image.save(out, form, **({"resolution": 200} if form == "PDF" else {}))
    return out.getvalue()


ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")


def verify(city: City, data: bytes) -> Verdict:
    return city.parts.verification.verify_file(data)


def forget_documents(city: City) -> None:
    with engines.tampering(city.parts) as writer:
        writer.run("DELETE FROM documents")


def taken(city: City) -> tuple[Receipt, Version]:
    """A copy that a counter has retrieved."""
    found = city.retrieve(*ENROLMENT, city.identifier(c.BIRTH, c.CHILD))
    receipt = retrievals.by_number(city.parts.database.reader, city.parts.vault, found.receipt_number)
    assert receipt is not None
    return receipt, found.version


def elsewhere(city: City, version: Version) -> Version:
    """A certificate of another authority."""
    return next(v for v in versions(city, State.VALID) if v.authority != version.authority)


def managing(authority: str) -> str:
    named = (a for a in c.ACCOUNTS["clients"] if a["authority"] == authority and "certificates:manage" in a["scopes"])
    return str(next(named)["name"])


def revoke(city: City, version: Version) -> None:
    client = city.caller(managing(version.authority))
    city.parts.lifecycle.revoke(client, version.identifier, kind="cancelled", reason="注销", legal_basis="第一条")
