"""Annotated copies: recognised in every form, after their date, revoked, and with their own digits."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.verification import Presented, VerdictState, problems
from signing import qr
from signing.keys import Purpose
from tests.support import drawings, pdf_files
from tests.support.city import URL, City, open_copy
from tests.support.pdf_files import forget_documents, revoke, taken, verify
from tests.support.verified import NO, UNKNOWN, YES, findings, personal


@pytest.fixture
def own(template: Path, tmp_path: Path) -> Iterator[City]:
    with open_copy(template, tmp_path / "city") as found:
        yield found


def test_copies_say_so_in_every_form(own: City) -> None:
    receipt, version = taken(own)
    pdf = own.parts.rendition.of_copy(receipt)
    told = verify(own, pdf).as_json()
    assert told["copy"] == {
        "receipt_number": receipt.number,
        "authority_name": "福州市鼓楼区教育局",
        "matter_name": "义务教育阶段入学报名",
        "retrieved_at": told["copy"]["retrieved_at"],
        "state_then": "valid",
        "expires_at": receipt.expires_on.isoformat(),
    }
    assert (told["state"], told["subject"], told["presented"]) == ("valid", "copy", "pdf")
    assert told["certificate"]["identifier"] == version.identifier
    verification = own.parts.verification
    for verdict in (
        verification.verify_code(receipt.code),
        verification.verify_qr(f"{URL}/v/{receipt.code}"),
        verification.verify_qr(_text_on(pdf)),
    ):
        assert (verdict.state, verdict.subject, verdict.presented) == (VerdictState.VALID, "copy", Presented.RECORD)
        assert verdict.as_json()["copy"] == told["copy"]
    forget_documents(own)
    lost = verify(own, pdf)
    assert (lost.state, lost.subject, lost.presented, lost.problems) == (VerdictState.VALID, "copy", Presented.PDF, ())
    for form in ("JPEG", "outlines", "words"):
        picture = verify(own, drawings.overpainted(pdf, form))
        assert (picture.state, picture.subject, picture.presented) == (VerdictState.COMPARE, "copy", Presented.PICTURE)
        assert findings(picture) == (UNKNOWN, UNKNOWN, YES, YES)
        assert picture.as_json()["copy"] == told["copy"]


def _text_on(pdf: bytes) -> str:
    from signing.pdf.check import pictures

    seen = pictures.on_pages(pdf)
    assert seen is not None
    return seen.texts[0]


def test_copies_expire_and_the_certificate_does_not(own: City) -> None:
    receipt, version = taken(own)
    pdf = own.parts.rendition.of_copy(receipt)
    forms = (
        lambda: verify(own, pdf),
        lambda: own.parts.verification.verify_unknown_file(pdf_files.sealed_copy(own, version, receipt.code)),
        lambda: own.parts.verification.verify_code(receipt.code),
    )
    own.clock.ahead = receipt.expires_on - own.clock.today()
    assert own.parts.verification.verify_code(receipt.code).state is VerdictState.VALID
    own.clock.ahead += timedelta(days=1)
    for form in forms[::2]:
        verdict = form()
        assert verdict.state is VerdictState.CODE_EXPIRED
        assert findings(verdict) == (YES, YES, YES, YES)
        assert verdict.certificate is not None
        assert verdict.certificate.state is VerdictState.VALID
    forget_documents(own)
    assert forms[1]().state is VerdictState.CODE_EXPIRED
    for form in ("scan", "outlines", "words"):
        assert verify(own, drawings.overpainted(pdf, form)).state is VerdictState.CODE_EXPIRED
    revoke(own, version)
    for form in forms:
        verdict = form()
        assert verdict.state is VerdictState.CODE_EXPIRED
        assert verdict.certificate is not None
        assert verdict.certificate.state is VerdictState.REVOKED
        assert findings(verdict) == (YES, YES, NO, YES)


def test_a_revoked_certificate_revokes_its_copies(own: City) -> None:
    receipt, version = taken(own)
    pdf = own.parts.rendition.of_copy(receipt)
    revoke(own, version)
    verdict = verify(own, pdf)
    assert (verdict.state, verdict.subject) == (VerdictState.REVOKED, "copy")
    assert verdict.copy is not None
    assert verdict.copy.state_then is VerdictState.VALID


def test_digits_of_a_copy_belong_to_its_code(own: City) -> None:
    receipt, version = taken(own)
    text = _text_on(own.parts.rendition.of_copy(receipt))
    digits = text.partition("#")[2]
    verification = own.parts.verification
    other = personal(own)
    assert digits
    for wrong in (
        qr.text(URL, version.code, digits),
        qr.text(URL, receipt.code, version.digits),
        qr.text(URL, receipt.code, other.digits),
    ):
        assert verification.verify_qr(wrong).state is VerdictState.TAMPERED
    alone = verification.verify_qr(digits)
    assert (alone.state, alone.problems) == (VerdictState.UNKNOWN, (problems.CODE_MALFORMED,))
    sign, kid = own.parts.keyring.sign, own.parts.keyring.active(Purpose.CREDENTIAL).kid
    prepared = qr.prepare(qr.read(other.digits).face, receipt.code, kid)
    moved = qr.assemble(prepared, sign(kid, Purpose.CREDENTIAL, prepared.to_be_signed))
    verdict = verification.verify_qr(qr.text(URL, receipt.code, moved))
    assert (verdict.state, verdict.problems) == (VerdictState.TAMPERED, (problems.NOT_AS_ISSUED,))
