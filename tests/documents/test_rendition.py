"""Every certificate of the sample city as PDF: rendered once, read back, verified and scanned."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zxingcpp

from hub.documents import sheets
from hub.documents.render_queue import CONSUMER, Rendering
from hub.documents.rendition import Rendition
from hub.domain.errors import Refusal
from hub.domain.version import Version
from hub.store import certificates, documents, ledger, retrievals
from hub.worker import Worker
from signing import credential, qr, x509
from signing.errors import KeyMissing
from signing.keys import Purpose
from signing.pdf.attached import credential_in
from tests.judges import missing
from tests.judges.java_judges import judge
from tests.signing.test_pdf_sheet import pages, read, solid, texts
from tests.support import city as c
from tests.support.city import City, open_copy, refused

pytestmark = pytest.mark.sqlite

ENROLMENT = ("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033")


@pytest.fixture(scope="module")
def drawn(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Drawn"]:
    """A city with every version rendered, and its files."""
    folder = tmp_path_factory.mktemp("drawn")
    with open_copy(template, folder / "data") as city:
        assert render_all(city) > 80
        yield Drawn(city, folder)


class Drawn:
    def __init__(self, city: City, folder: Path) -> None:
        self.city = city
        self.paths: dict[str, Path] = {}
        for version in all_versions(city):
            path = folder / f"{version.type_code}-{version.certificate}-{version.version}.pdf"
            path.write_bytes(city.parts.rendition.of_version(version))
            self.paths[version.identifier] = path
        self.versions = all_versions(city)

    def one_of_each_type(self) -> list[Path]:
        return list({version.type_code: self.paths[version.identifier] for version in self.versions}.values())


def all_versions(city: City) -> list[Version]:
    reader, vault = city.parts.database.reader, city.parts.vault
    keys = certificates.walk(reader, (-1, -1), 1000)
    return [version for key in keys for version in certificates.versions_of(reader, vault, *key)]


def render_all(city: City) -> int:
    """The worker's rendering, without its process; returns the number of documents."""
    while city.parts.directory.sequence():
        pass
    while city.parts.rendering.step():
        pass
    return len(city.parts.database.reader.all("SELECT 1 FROM documents WHERE kind = 1"))


def sheet_of(city: City, version: Version) -> Any:
    template = city.parts.rendition._template(version)
    return sheets.sheet(version, template, version.code, "https://hub.example/v/x")


# --- what is on them ----------------------------------------------------------------------------------------------------


def test_every_version_has_one_file_and_nothing_is_left(drawn: Drawn) -> None:
    city = drawn.city
    assert len(drawn.paths) == len(city.parts.database.reader.all("SELECT 1 FROM documents"))
    assert all(path.stat().st_size <= 90 * 1024 for path in drawn.paths.values())
    assert len({path.read_bytes() for path in drawn.paths.values()}) == len(drawn.paths)


def test_poppler_reads_every_text_of_every_certificate(drawn: Drawn, tmp_path: Path) -> None:
    for version in drawn.versions:
        page = read(drawn.paths[version.identifier].read_bytes(), tmp_path)
        expected = texts(sheet_of(drawn.city, version))
        assert [value for value in expected if value not in page] == [], version.type_code


def test_labels_codes_and_days_are_the_editions(drawn: Drawn, tmp_path: Path) -> None:
    city = drawn.city
    title = city.version(city.identifier(c.TITLE, c.LIN))
    page = read(drawn.paths[title.identifier].read_bytes(), tmp_path)
    for text in (
        "不动产权证书",
        "共有情况",
        "共同共有",
        "Formofownership",
        "公民身份号码",
        c.LIN[1],
        c.CHEN[1],
        "2020年6月19日",
    ):
        assert text in page
    licence = next(v for v in drawn.versions if v.type_code == c.LICENCE)
    page = read(drawn.paths[licence.identifier].read_bytes(), tmp_path)
    for text in ("统一社会信用代码", "法定代表人(经营者、负责人)", "长期"):
        assert text in page
    assert "证明编号" in read(drawn.paths[city.identifier(c.BIRTH, c.CHILD)].read_bytes(), tmp_path)


def test_the_credential_inside_is_the_versions(drawn: Drawn) -> None:
    for version in drawn.versions:
        assert credential_in(drawn.paths[version.identifier].read_bytes()) == version.credential


def test_the_code_on_one_of_each_type_verifies_as_what_it_is(drawn: Drawn) -> None:
    city = drawn.city
    for version in {version.type_code: version for version in drawn.versions}.values():
        (symbol,) = zxingcpp.read_barcodes(pages(drawn.paths[version.identifier].read_bytes())[0])
        assert symbol.text == qr.text(c.URL, version.code, version.digits)
        verdict = city.parts.verification.verify_qr(symbol.text)
        assert verdict.state.value == version.state(city.clock.today()).value
        assert (verdict.checks.intact.value, verdict.checks.trusted.value) == ("yes", "yes")


# --- judged from outside ------------------------------------------------------------------------------------------------


def test_poppler_and_qpdf_accept_every_one(drawn: Drawn, tmp_path: Path) -> None:
    for tool in ("pdfsig", "qpdf", "certutil"):
        if shutil.which(tool) is None:
            missing(tool)
    store = f"sql:{tmp_path}"
    trust = drawn.city.parts.x509.trust()
    (tmp_path / "root.pem").write_text(trust.roots[0])
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    root = ["certutil", "-A", "-d", store, "-n", "root", "-t", "CT,C,C", "-a", "-i", str(tmp_path / "root.pem")]
    subprocess.run(root, check=True)
    for path in drawn.paths.values():
        said = subprocess.run(["qpdf", "--check", str(path)], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
    for path in drawn.one_of_each_type():
        said = subprocess.run(["pdfsig", "-nssdir", store, str(path)], capture_output=True, text=True, check=False)
        for words in ("Signature is Valid.", "Certificate is Trusted.", "Total document signed"):
            assert words in said.stdout, (path.name, said.stdout)


def test_the_java_judges_accept_one_of_each_type_and_a_copy(drawn: Drawn, tmp_path: Path) -> None:
    city = drawn.city
    copy = tmp_path / "copy.pdf"
    copy.write_bytes(take(city)[1])
    files = [*drawn.one_of_each_type(), copy]
    assert len(files) > 30
    names = [path.name for path in files]
    archived, bare = judge("archive", *files), judge("bare", *files)
    assert [name for name in names if (archived[name], bare[name]) != (["compliant"], ["verified"])] == []
    trust = city.parts.x509.trust()
    (tmp_path / "root.pem").write_text(trust.roots[0])
    for place, url in enumerate(trust.crls):
        (tmp_path / f"{place}.crl").write_bytes(city.parts.x509.crl(url.rpartition("/")[2].removesuffix(".crl")) or b"")
    lists = ",".join(str(tmp_path / f"{place}.crl") for place in range(len(trust.crls)))
    verdicts = judge("seal", tmp_path / "root.pem", lists, *files)
    assert {(verdicts[name][0], verdicts[name][2]) for name in names} == {("TOTAL_PASSED", "PAdES-BASELINE-B")}


def test_the_seal_is_the_authoritys_own(drawn: Drawn) -> None:
    city = drawn.city
    for version in drawn.versions:
        (row,) = [r for r in city.parts.rotation.x509_certificates() if r.authority == version.authority]
        assert x509.summary(row.der).organisation_code == version.authority
        assert row.der.hex() in drawn.paths[version.identifier].read_bytes().decode("latin-1")


# --- once, and never again ----------------------------------------------------------------------------------------------


def test_readers_and_the_worker_get_the_same_file(city: City) -> None:
    version = all_versions(city)[0]
    others = [Rendition(
        database=city.parts.database,
        vault=city.parts.vault,
        clock=city.parts.clock,
        keyring=city.parts.keyring,
        catalogue=city.parts.catalogue,
        documents=city.parts.documents,
    ) for _ in range(3)]  # fmt: skip
    barrier = threading.Barrier(6)

    def get(rendition: Rendition) -> bytes:
        barrier.wait()
        return rendition.of_version(version)

    with ThreadPoolExecutor(6) as pool:
        given = set(pool.map(get, [city.parts.rendition] * 3 + others))
    assert len(given) == 1
    assert len(list((city.folder / "documents").glob("*/*"))) == 1


def test_a_changed_template_or_name_touches_nothing_that_was_made(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = all_versions(city)[:2]
    before = city.parts.rendition.of_version(one)
    kind = city.parts.catalogue().types[two.type_code]
    real = sheets.sheet
    monkeypatch.setattr(sheets, "sheet", lambda *args: replace(real(*args), title=f"新{kind.name}"))
    assert city.parts.rendition.of_version(one) == before
    assert city.parts.rendition.of_version(two) != before


def test_a_version_keeps_its_file_when_it_is_corrected_suspended_and_revoked(city: City) -> None:
    wanted = city.identifier(c.ID_CARD, c.LIN)
    before = city.parts.rendition.of_version(city.version(wanted))
    caller = c.caller("fz-public-security")
    city.parts.lifecycle.suspend(caller, wanted, kind="lost", reason="挂失", legal_basis="第一条")
    assert city.parts.rendition.of_version(city.version(wanted)) == before
    city.parts.lifecycle.revoke(caller, wanted, kind="cancelled", reason="注销", legal_basis="第一条")
    render_all(city)
    assert city.parts.rendition.of_version(city.version(wanted)) == before


def test_a_new_document_key_seals_from_then_on(city: City) -> None:
    one, two = [v for v in all_versions(city) if v.authority == c.caller("fz-public-security").authority][:2]
    before = city.parts.rendition.of_version(one)
    made = city.parts.rotation.replace(Purpose.DOCUMENT, one.authority)
    new = next(r for r in city.parts.rotation.x509_certificates() if r.kid == made.kid)
    assert city.parts.rendition.of_version(one) == before
    assert new.der.hex() in city.parts.rendition.of_version(two).decode("latin-1")


# --- the key is missing ----------------------------------------------------------------------------------------------------


@contextmanager
def away(city: City, authority: str) -> Iterator[None]:
    kid = city.parts.keyring.active(Purpose.DOCUMENT, authority).kid
    path = city.folder / "keys" / f"document-{kid}.pem"
    path.rename(path.with_suffix(".away"))
    yield
    path.with_suffix(".away").rename(path)


def test_a_reader_gets_an_error_and_what_is_stored_is_still_served(city: City) -> None:
    one, two = [v for v in all_versions(city) if v.authority == c.caller("fz-public-security").authority][:2]
    before = city.parts.rendition.of_version(one)
    with away(city, one.authority):
        assert city.parts.rendition.of_version(one) == before
        with pytest.raises(KeyMissing):
            city.parts.rendition.of_version(two)
    assert city.parts.rendition.of_version(two)


def test_nothing_is_sealed_with_an_x509_certificate_that_has_ended(city: City) -> None:
    version = all_versions(city)[0]
    city.clock.ahead = timedelta(days=3651)
    with pytest.raises(KeyMissing, match="has ended"):
        city.parts.rendition.of_version(version)
    city.parts.rotation.replace(Purpose.DOCUMENT, version.authority)
    assert city.parts.rendition.of_version(version)


def test_the_worker_continues_with_the_others_and_retries(city: City) -> None:
    police = c.caller("fz-public-security").authority
    theirs = [v for v in all_versions(city) if v.authority == police]
    with away(city, police):
        made = render_all(city)
        assert made == len(all_versions(city)) - len(theirs)
        assert city.parts.rendering.waiting == len({(v.home, v.certificate) for v in theirs})
        noted = ledger.cursor(city.parts.database.reader, CONSUMER)
        assert noted < ledger.head(city.parts.database.reader)
    again = Rendering(  # a restart finds them by the place in the feed
        database=city.parts.database, vault=city.parts.vault, rendition=city.parts.rendition
    )
    while again.step():
        pass
    assert len(city.parts.database.reader.all("SELECT 1 FROM documents")) == len(all_versions(city))
    assert ledger.cursor(city.parts.database.reader, CONSUMER) == ledger.head(city.parts.database.reader)
    deadline = time.monotonic() + 10
    while city.parts.rendering.waiting and time.monotonic() < deadline:  # and so does the one that waited
        city.parts.rendering.step()
        time.sleep(0.02)
    assert city.parts.rendering.waiting == 0


def test_an_unreadable_record_does_not_block_others(city: City) -> None:
    broken = all_versions(city)[3]
    with city.parts.database.write() as writer:
        writer.run(
            "UPDATE versions SET sealed = :none WHERE home = :home AND certificate = :certificate",
            {"none": b"\x01" * 60, "home": broken.home, "certificate": broken.certificate},
        )
    while city.parts.directory.sequence():
        pass
    while city.parts.rendering.step():
        pass
    assert city.parts.rendering.waiting == 0
    assert ledger.cursor(city.parts.database.reader, CONSUMER) == ledger.head(city.parts.database.reader)


def test_it_is_there_soon_after_its_issuance(city: City) -> None:
    """The worker, running next to the service."""
    stop = threading.Event()
    worker = threading.Thread(target=Worker(city.parts, stop).run)
    worker.start()
    reader = city.parts.database.reader
    try:
        deadline = time.monotonic() + 60
        while len(reader.all("SELECT 1 FROM documents")) < len(all_versions(city)) and time.monotonic() < deadline:
            time.sleep(0.1)
        took = []
        for number in range(20):
            issued = city.push("fz-public-security", f"FZGA-2026-R-{number:04}", finished(number))
            began = time.monotonic()
            version = city.version(issued["certificates"][0]["identifier"])
            key = documents.DocumentKey(version.home, version.certificate, 1)
            while documents.find(reader, key) is None:
                assert time.monotonic() < began + 30
                time.sleep(0.005)
            took.append(time.monotonic() - began)
    finally:
        stop.set()
        worker.join()
    print(f"drawn after {sorted(took)[10]:.2f} s (median of 20), {sorted(took)[18]:.2f} s (19th)")


def finished(number: int) -> dict[str, Any]:
    holder = c.person(c.QIU)
    fields = {"period_from": "2001-07-07", "period_to": "2025-06-03", "purpose": "从业", "conclusion": "无犯罪记录。"}
    return {
        "matter_code": "FZGA-WFZZM",
        "status": "completed",
        "applicants": [holder],
        "accepted_at": "2025-06-02T09:00:00+08:00",
        "completed_at": "2025-06-03T10:30:00+08:00",
        "certificates": [
            {
                "type_code": c.CLEAN_RECORD,
                "number": f"榕公无犯证字〔2026〕第9{number:04}号",
                "holders": [holder],
                "fields": fields,
                "issued_on": "2025-06-03",
                "valid_until": None,
            }
        ],
    }


# --- the annotated copy -------------------------------------------------------------------------------------------------


def take(city: City, type_code: str = c.BIRTH) -> tuple[str, bytes]:
    taken = city.retrieve(*ENROLMENT, city.identifier(type_code, c.CHILD))
    return taken.receipt_number, city.parts.retrieval.copy(c.caller(ENROLMENT[0]), taken.receipt_number)


def test_the_copy_says_for_whom_for_what_and_until_when(city: City, tmp_path: Path) -> None:
    number, pdf = take(city)
    page = read(pdf, tmp_path)
    day = city.clock.today() + timedelta(days=city.parts.settings.copy_days)
    until = f"{day.year}年{day.month}月{day.day}日"
    for text in (
        "加注件", "福州市鼓楼区教育局", "佘知微", "GLJY0033", ENROLMENT[1], "义务教育阶段入学报名", "出生医学证明", until, number,
    ):  # fmt: skip
        assert solid(text) in page, text
    assert len(pdf) <= 90 * 1024


def test_the_copy_shows_and_carries_what_the_matter_may_see_alone(city: City, tmp_path: Path) -> None:
    _, pdf = take(city)
    version = city.version(city.identifier(c.BIRTH, c.CHILD))
    page = read(pdf, tmp_path)
    inside = credential.read(credential_in(pdf) or "")
    assert set(inside.fields) == {"sex", "born_at", "mother_name", "father_name"}
    hidden = set(version.fields) - set(inside.fields)
    assert hidden
    assert [
        version.fields[name] for name in inside.fields if name != "sex" and solid(version.fields[name]) not in page
    ] == []
    assert [
        name for name in hidden if len(str(version.fields[name])) > 4 and solid(str(version.fields[name])) in page
    ] == []
    assert "本件只载明本次事项可以查看的内容" in page


def test_the_copy_has_a_code_of_its_own_with_the_versions_face(city: City, tmp_path: Path) -> None:
    number, pdf = take(city)
    version = city.version(city.identifier(c.BIRTH, c.CHILD))
    receipt = retrievals.by_number(city.parts.database.reader, city.parts.vault, number)
    assert receipt is not None
    assert receipt.code != version.code
    (symbol,) = zxingcpp.read_barcodes(pages(pdf)[0])
    seen = qr.split(symbol.text)
    assert (seen.base_url, seen.code) == (c.URL, receipt.code)
    digits = qr.read(seen.digits or "")
    assert digits.payload == qr.read(version.digits).payload
    public = city.parts.keyring.public(digits.kid, Purpose.CREDENTIAL)
    assert public is not None
    assert qr.is_signed_by(digits, receipt.code, public)
    assert not qr.is_signed_by(digits, version.code, public)
    assert retrievals.by_code(city.parts.database.reader, city.parts.vault, receipt.code) == receipt
    assert retrievals.by_code(city.parts.database.reader, city.parts.vault, version.code) is None
    verdict = city.parts.verification.verify_qr(symbol.text)
    assert (verdict.state.value, verdict.checks.intact.value) == ("valid", "yes")
    assert solid("-".join(re.findall("....", receipt.code))) in read(pdf, tmp_path)


def test_a_copys_code_is_taken_before_its_file_is_made(city: City) -> None:
    taken = city.retrieve(*ENROLMENT, city.identifier(c.BIRTH, c.CHILD))
    reader = city.parts.database.reader
    assert reader.all("SELECT 1 FROM documents") == []
    (row,) = reader.all("SELECT * FROM handles WHERE kind = 3")
    assert row["receipt"] == taken.receipt_number
    assert city.parts.verification.verify_code(row["value"]).state.value == "valid"


def test_the_same_receipt_always_has_the_same_copy(city: City) -> None:
    number, before = take(city)
    assert take(city) == (number, before)
    client = c.caller(ENROLMENT[0])
    city.clock.ahead = timedelta(days=400)
    assert city.parts.retrieval.copy(client, number) == before
    assert take_again(city) == "perm.case_not_open"


def take_again(city: City) -> str:
    return refused(city.retrieve, *ENROLMENT, city.identifier(c.BIRTH, c.CHILD))


def test_copies_are_for_the_client_that_took_them_and_on_record(city: City) -> None:
    number, _ = take(city)
    city.forget()
    other = c.caller("fz-tobacco-counter")
    for wanted in (
        number,
        number[:-1] + "Z",
        "202611-",
        "",
        "x" * 19,
        "２０２６１１-AAAAAAAAAAAA",
        "999999-AAAAAAAAAAAA",
    ):
        with pytest.raises(Refusal, match=r"certificate\.not_found"):
            city.parts.retrieval.copy(other, wanted)
    assert city.parts.retrieval.copy(c.caller(ENROLMENT[0]), number)
    rows = [(row["action"], row["client"], row["outcome"]) for row in city.audit()]
    assert rows == [("retrieval.copy", other.client_id, "certificate.not_found")] * 7 + [
        ("retrieval.copy", ENROLMENT[0], "ok")
    ]
    assert city.audit()[-1]["clerk"].endswith("|GLJY0033")


def test_a_character_that_the_font_lacks_is_reported_by_its_number() -> None:
    assert sheets._drawable("榕〔2026〕\U00031350号") == "榕〔2026〕[U+31350]号"
