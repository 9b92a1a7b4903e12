"""The seal, verified by other software: poppler with NSS, qpdf, veraPDF, EU DSS; and what sign() refuses."""

import re
import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.errors import KeyMissing, Malformed, SigningError, WrongPurpose
from signing.keys import Purpose
from signing.pdf.draw import archive
from signing.pdf.draw.rendition import render, render_copy
from tests.judges import missing
from tests.judges.java_judges import judge
from tests.support import pdf_samples as samples

NAMES = sorted(samples.SHEETS)


def copy() -> bytes:
    return render_copy(samples.licence(), samples.note(), samples.printed()[3], samples.seal(), samples.MADE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sealed")
    made = {name: samples.sealed(name) for name in NAMES} | {"copy": copy()}
    made["copy_of_many_units"] = render_copy(
        samples.estate(90), samples.note(), samples.printed()[3], samples.seal(), samples.MADE
    )
    for name, pdf in made.items():
        (folder / f"{name}.pdf").write_bytes(pdf)
    return sorted(folder.glob("*.pdf"))


def test_poppler_and_nss_trust_the_seal(files: list[Path], tmp_path: Path) -> None:
    for tool in ("pdfsig", "certutil"):
        if shutil.which(tool) is None:
            missing(tool)
    store = f"sql:{tmp_path}"
    (tmp_path / "root.der").write_bytes(samples.city().root_der)
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    subprocess.run(
        ["certutil", "-A", "-d", store, "-n", "root", "-t", "CT,C,C", "-i", str(tmp_path / "root.der")], check=True
    )
    for path in files:
        said = subprocess.run(
            ["pdfsig", "-nssdir", store, str(path)], capture_output=True, text=True, check=False
        ).stdout
        assert "Signature is Valid." in said
        assert "Certificate is Trusted." in said
        assert "Total document signed" in said
        assert said.count("Signature #") == 1


def test_qpdf_finds_no_fault(files: list[Path]) -> None:
    if shutil.which("qpdf") is None:
        missing("qpdf")
    for path in files:
        said = subprocess.run(["qpdf", "--check", str(path)], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
        assert "No syntax or stream encoding errors" in said.stdout


def test_verapdf_finds_pdf_a_3b(files: list[Path]) -> None:
    verdicts = judge("archive", *files)
    assert {path.name: verdicts[path.name] for path in files} == {path.name: ["compliant"] for path in files}


def test_eu_dss_passes_with_the_published_root_and_crls_only(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "root.der").write_bytes(samples.city().root_der)
    crls = samples.city().crls(at=samples.datetime.now(samples.UTC))
    for name, der in zip(("root.crl", "issuing.crl"), crls, strict=True):
        (tmp_path / name).write_bytes(der)
    verdicts = judge("seal", tmp_path / "root.der", f"{tmp_path}/root.crl,{tmp_path}/issuing.crl", *files)
    assert {verdicts[path.name][0] for path in files} == {"TOTAL_PASSED"}
    assert {verdicts[path.name][2] for path in files} == {"PAdES-BASELINE-B"}


def test_pdfbox_and_bouncycastle_verify_the_signature(files: list[Path]) -> None:
    verdicts = judge("bare", *files)
    assert {path.name: verdicts[path.name] for path in files} == {path.name: ["verified"] for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_the_credential_is_attached_as_it_is(name: str) -> None:
    root = PdfFileReader(BytesIO(samples.sealed(name)), strict=True).root
    assert len(root["/AF"]) == 1
    specification = root["/AF"][0]
    assert specification["/AFRelationship"] == "/Data"
    assert specification["/UF"] == archive.CREDENTIAL_NAME
    assert specification["/EF"]["/F"].data.decode() == samples.printed()[3]
    assert root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/UF"] == archive.CREDENTIAL_NAME


def test_one_revision_certified_against_every_change() -> None:
    pdf = samples.sealed("licence")
    reader = PdfFileReader(BytesIO(pdf), strict=True)
    assert reader.total_revisions == 1
    (signature,) = reader.embedded_signatures
    assert signature.docmdp_level.value == 1
    assert pdf.count(b"%%EOF") == 1
    assert len(signature.signer_info["unsigned_attrs"]) == 0


def test_metadata_say_the_same_twice() -> None:
    pdf = samples.sealed("licence")
    information = PdfFileReader(BytesIO(pdf), strict=True).trailer["/Info"]
    packet = pdf[pdf.index(b"<?xpacket begin") : pdf.index(b"<?xpacket end")].decode("utf-8")
    assert str(information["/Title"]) in packet
    assert samples.MADE.isoformat(timespec="seconds") in packet
    assert re.sub(r"\D", "", samples.MADE.isoformat())[:14] in information["/CreationDate"]


def test_the_moment_is_the_callers(tmp_path: Path) -> None:
    later = samples.MADE + samples.timedelta(hours=1)
    one, other = (render(samples.proof(), samples.printed()[3], samples.seal(), at) for at in (samples.MADE, later))
    assert one != other
    assert one == samples.sealed("proof")


def test_keys_of_other_purposes_and_other_certificates_are_refused() -> None:
    city, seal, sheet, text = samples.city(), samples.seal(), samples.proof(), samples.printed()[3]
    issuing = replace(seal, key=city.issuing)
    with pytest.raises(WrongPurpose):
        render(sheet, text, issuing, samples.MADE)
    with pytest.raises(Malformed, match=r"x509\.key"):
        render(sheet, text, replace(seal, chain=city.seal().chain), samples.MADE)
    with pytest.raises(Malformed, match=r"x509\.certificate"):
        render(sheet, text, replace(seal, chain=()), samples.MADE)
    with pytest.raises(Malformed, match=r"x509\.certificate"):
        render(sheet, text, replace(seal, chain=(b"\x30\x00",)), samples.MADE)


def test_a_missing_or_exchanged_key_does_not_sign(tmp_path: Path) -> None:
    city = samples.new_city()
    seal = city.seal()
    path = city.folder._path(seal.key.kid, Purpose.DOCUMENT)
    other = city.folder._path(city.seal().key.kid, Purpose.DOCUMENT)
    path.write_bytes(other.read_bytes())
    with pytest.raises(SigningError):
        render(samples.proof(), samples.printed()[3], seal, samples.MADE)
    path.unlink()
    with pytest.raises(KeyMissing):
        render(samples.proof(), samples.printed()[3], seal, samples.MADE)
