"""Files over HTTP: strict parsing of the form, the verdict as JSON and as a page, nothing stored, no other request delayed."""

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from hub.app import create_app
from hub.domain.certificate import State
from hub.domain.errors import Refusal
from hub.web import multipart
from hub.web.allowances import Allowances
from tests.support import city as c
from tests.support import drawings, pdf_bombs, pdf_files
from tests.support.city import City, load_city, open_copy
from tests.support.framed import logged
from tests.support.serving import problem_of, served
from tests.support.verified import personal, versions

BOUNDARY = "x-7f3k"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
HEAD = 'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\nContent-Type: application/pdf'


@dataclass
class Hub:
    city: City
    client: httpx.Client

    def upload(self, data: bytes, path: str = "/api/v1/verifications", name: str = "a.pdf") -> httpx.Response:
        return self.client.post(path, files={"file": (name, data, "application/pdf")})


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("upload")
    load_city(folder / "template")
    with (
        open_copy(folder / "template", folder / "city", files_at_once=1, files_waiting=0) as city,
        served(create_app(city.parts)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield Hub(city, client)


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY, end: str = "--\r\n") -> bytes:
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
    return body + f"--{boundary}{end}".encode()


# --- the form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "head"),
    [
        (TYPE, HEAD),
        (TYPE, 'content-disposition: FORM-DATA; NAME="file"'),
        (TYPE, "Content-Disposition: form-data; name=file; filename=a.pdf"),
        (TYPE, 'Content-Disposition: form-data; filename="a; name=\\"x\\".pdf"; name="file"'),
        (TYPE, 'Content-Disposition: form-data; name="file"; filename="证.pdf"; filename*=UTF-8\'\'%E8%AF%81.pdf'),
        (TYPE, HEAD + "\r\nContent-Transfer-Encoding: binary"),
        (f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"', HEAD),
    ],
)
def test_every_way_to_write_the_form(content_type: str, head: str) -> None:
    for data in (b"x", b"\r\n", b"a\r\n--x-7f3\r\n", b"\r\n\r\n--", bytes(range(256)) * 99):
        assert multipart.file_in(content_type, form((head, data))) == data
        assert multipart.file_in(content_type, form((head, data), end="--")) == data


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("multipart/form-data", form((HEAD, b"x")), "upload.unreadable"),
        ("multipart/form-data; boundary=", form((HEAD, b"x")), "upload.unreadable"),
        (f"multipart/form-data; boundary={'b' * 71}", form((HEAD, b"x"), boundary="b" * 71), "upload.unreadable"),
        ("multipart/form-data; boundary=other", form((HEAD, b"x")), "upload.unreadable"),
        (TYPE, b"", "upload.unreadable"),
        (TYPE, form(), "upload.unreadable"),
        (TYPE, b"preamble\r\n" + form((HEAD, b"x")), "upload.unreadable"),
        (TYPE, form((HEAD, b"x"))[:-8], "upload.unreadable"),
        (TYPE, form((HEAD, b"")), "upload.unreadable"),
        (TYPE, form((HEAD + "\r\nX: " + "y" * 9000, b"x")), "upload.unreadable"),
        (TYPE, form((HEAD + "\r\nno header", b"x")), "upload.unreadable"),
        (TYPE, form((HEAD + "\r\nContent-Transfer-Encoding: base64", b"eA==")), "upload.unreadable"),
        (TYPE, form((HEAD, b"x"), (HEAD, b"y")), "schema.invalid"),
        (TYPE, form((HEAD, b"x"), ('Content-Disposition: form-data; name="b"', b"y")), "schema.invalid"),
        (TYPE, form((HEAD, b"x")) + b"epilogue", "schema.invalid"),
        (TYPE, form((HEAD, b"x\r\n--x-7f3k--\r\n")), "schema.invalid"),
        (TYPE, form((HEAD.replace("file", "pdf", 1), b"x")), "schema.invalid"),
        (TYPE, form((HEAD.replace("form-data", "attachment"), b"x")), "schema.invalid"),
        (TYPE, form((HEAD + "\r\n" + HEAD, b"x")), "schema.invalid"),
        (TYPE, form(("Content-Type: application/pdf", b"x")), "schema.invalid"),
        (TYPE, form(('Content-Disposition: form-data; name="file"; name="file"', b"x")), "schema.invalid"),
        (TYPE, form(('Content-Disposition: form-data; name="file"; filename="a', b"x")), "schema.invalid"),
    ],
)
def test_everything_else_is_refused(content_type: str, body: bytes, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        multipart.file_in(content_type, body)
    assert caught.value.code == code


def test_the_parser_is_quick_with_what_was_made_to_be_slow() -> None:
    started = time.thread_time()  # of this thread alone, however busy the machine is
    for head in (
        "a" * 8000,
        'Content-Disposition: form-data; x="' + "\\" * 7000,
        "Content-Disposition: form-data" + "; " * 3000,
    ):
        with pytest.raises(Refusal):
            multipart.file_in(TYPE, form((head, b"x")))
    assert multipart.file_in(TYPE, form((HEAD, b"\r\n--x-7f3" * 900_000)))
    assert time.thread_time() - started < 1


def test_refusals_are_problems(hub: Hub) -> None:
    post = hub.client.post
    path = "/api/v1/verifications"
    body = form((HEAD, b"x"), (HEAD, b"y"))
    refused = problem_of(post(path, content=body, headers={"Content-Type": TYPE}))
    assert (refused["status"], refused["code"], refused["errors"][0]["pointer"]) == (422, "schema.invalid", "/file")
    assert problem_of(post(path, files={"pdf": b"x"}))["code"] == "schema.invalid"
    assert problem_of(post(path, data={"file": "x"}))["code"] == "upload.unreadable"
    assert problem_of(post(path, files={"file": b""}))["code"] == "upload.unreadable"
    too_large = post(path, files={"file": bytes(10 * 1024 * 1024 + 1)})
    assert (too_large.status_code, problem_of(too_large)["code"]) == (413, "upload.too_large")
    too_large = post(path, files={"file": bytes(11 * 1024 * 1024)})
    assert (too_large.status_code, problem_of(too_large)["code"]) == (413, "upload.too_large")
    assert problem_of(post(path, content=b"{}", headers={"Content-Type": "text/plain"}))["code"] == "upload.unreadable"


def test_routes_that_take_no_file_do_not(hub: Hub) -> None:
    answer = hub.client.post("/oauth/token", files={"file": b"x"})
    assert answer.status_code == 400


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_file_is_answered_as_the_step_answers(hub: Hub) -> None:
    version = personal(hub.city)
    pdf = hub.city.parts.rendition.of_version(version)
    forged = [drawings.overpainted(pdf, form) for form in drawings.FORMS]
    for data in (pdf, pdf + b"\n", *forged, b"hello", bytes(10 * 1024 * 1024)):
        answer = hub.upload(data)
        expected = hub.city.parts.verification.verify_file(data).as_json()
        assert answer.status_code == 200
        assert {**answer.json(), "checked_at": ""} == {**expected, "checked_at": ""}


def test_the_page_takes_a_file_without_script(hub: Hub) -> None:
    version = personal(hub.city)
    pdf = hub.city.parts.rendition.of_version(version)
    for data, title in (
        (pdf, "证照有效"),
        (pdf + b"\n", "内容与签名不一致"),
        (pdf_files.scanned(pdf, "JPEG"), "请逐项核对"),
        (b"hello", "文件未能核验"),
        (hub.city.parts.rendition.of_version(versions(hub.city, State.REVOKED)[0]), "证照已"),
    ):
        page = hub.upload(data, "/v")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert title in page.text
        assert "<script" not in page.text
        assert page.headers["cache-control"] == "no-store"
    assert version.identifier in hub.upload(pdf, "/v").text
    page = hub.upload(drawings.overpainted(pdf, "JPEG"), "/v").text
    for said in ("图片不能自证，请与下面逐项核对", "有一项不一致，就不要采信", version.identifier, "<svg"):
        assert said in page
    assert "证照有效" not in page


def test_the_page_says_what_is_wrong_with_the_form(hub: Hub) -> None:
    for answer, status in (
        (hub.client.post("/v"), 422),
        (hub.upload(b"", "/v"), 422),
        (hub.upload(bytes(11 * 1024 * 1024), "/v"), 413),
        (hub.client.post("/v", data={"code": "x"}), 422),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert 'class="fault"' in answer.text
        assert 'action="./v"' in answer.text


def test_a_copy_says_for_what_it_is(hub: Hub) -> None:
    from hub.store import retrievals

    city = hub.city
    found = city.retrieve("gulou-education-counter", "GLJY-2026-RX-0415", "GLJY0033", city.identifier(c.BIRTH, c.CHILD))
    receipt = retrievals.by_number(city.parts.database.reader, city.parts.vault, found.receipt_number)
    assert receipt is not None
    pdf = city.parts.rendition.of_copy(receipt)
    assert hub.upload(pdf).json()["copy"]["receipt_number"] == receipt.number
    for page in (hub.upload(pdf, "/v").text, hub.client.get(f"/v/{receipt.code}").text):
        for said in (
            "证照有效（加注件）",
            "福州市鼓楼区教育局",
            "义务教育阶段入学报名",
            receipt.number,
            str(receipt.expires_on),
        ):
            assert said in page
    picture = hub.upload(drawings.overpainted(pdf, "JPEG"), "/v").text
    for said in ("请逐项核对（加注件）", "福州市鼓楼区教育局", receipt.number):
        assert said in picture
    told = hub.client.get(f"/v/{receipt.code}", headers={"Accept": "application/json"}).json()
    assert (told["subject"], told["copy"]["receipt_number"]) == ("copy", receipt.number)


# --- privacy ---------------------------------------------------------------------------------------------------------


def test_nothing_of_a_file_is_kept_or_logged(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    version = personal(hub.city)
    pdf = pdf_files.sealed(hub.city, version)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", _never)
    monkeypatch.setattr(tempfile, "mkstemp", _never)
    before = {path for path in hub.city.folder.rglob("*") if path.is_file()}
    with logged() as lines:
        for path in ("/api/v1/verifications", "/v"):
            for data in (pdf, pdf[:-9], b"%PDF-1.7 " + version.number.encode(), pdf_files.scanned(pdf, "PNG")):
                assert hub.upload(data, path, f"{version.holders[0].name}-{version.number}.pdf").status_code == 200
            hub.client.post(path, files={f"{version.number}": pdf})
    assert {path for path in hub.city.folder.rglob("*") if path.is_file()} == before
    assert len(lines) >= 10
    told = "\n".join(lines)
    secrets = (version.number, version.identifier, version.code, version.holders[0].name, version.holders[0].id_number)
    for secret in secrets:
        assert secret not in told
        assert json.dumps(secret)[1:-1] not in told


def _never(*_: object, **__: object) -> None:
    raise AssertionError("a file is written")


# --- crowds ----------------------------------------------------------------------------------------------------------


def test_beyond_the_lane_only_unknown_files_are_refused(hub: Hub) -> None:
    version = personal(hub.city)
    known, unknown = hub.city.parts.rendition.of_version(version), pdf_files.sealed(hub.city, version)
    assert hub.upload(unknown).status_code == 200
    (program,) = [found for found in hub.city.parts.checkers._idle.queue if found is not None]
    os.kill(program._process.pid, signal.SIGSTOP)
    try:
        first = threading.Thread(target=hub.upload, args=(unknown,))
        first.start()
        deadline = time.monotonic() + 10
        while hub.city.parts.checkers._idle.queue and time.monotonic() < deadline:
            time.sleep(0.02)
        turned_away = hub.upload(unknown)
        assert (turned_away.status_code, turned_away.headers["retry-after"]) == (503, "1")
        assert problem_of(turned_away)["code"] == "database.unavailable"
        assert hub.upload(known).json()["state"] == "valid"
        assert hub.client.get(f"/v/{version.code}").status_code == 200
        assert hub.client.post("/api/v1/verifications", json={"code": version.code}).json()["state"] == "valid"
    finally:
        os.kill(program._process.pid, signal.SIGCONT)
        first.join()
    assert hub.upload(unknown).status_code == 200


def asked_by(hub: Hub, address: str, data: bytes, path: str = "/api/v1/verifications") -> httpx.Response:
    headers = {"X-Real-IP": address}
    return hub.client.post(path, files={"file": ("a.pdf", data, "application/pdf")}, headers=headers)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Behind a proxy, and with little CPU time for each address."""
    folder = tmp_path_factory.mktemp("limited")
    load_city(folder / "template")
    settings = {"file_cpu_per_address_s": 0.5, "proxy_addresses": "127.0.0.1"}
    with (
        open_copy(folder / "template", folder / "city", **settings) as city,
        served(create_app(city.parts)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield Hub(city, client)


def test_bombs_use_up_only_their_senders_allowance(limited: Hub) -> None:
    version = personal(limited.city)
    known, unknown = limited.city.parts.rendition.of_version(version), pdf_files.sealed(limited.city, version)
    bomb = asked_by(limited, "203.0.113.9", pdf_bombs.form_in_itself())
    assert (bomb.status_code, bomb.json()["state"], bomb.json()["problems"][0]) == (200, "unknown", "pdf.deadline")
    refused = asked_by(limited, "203.0.113.9", unknown)
    assert (refused.status_code, problem_of(refused)["code"]) == (429, "rate.limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    page = asked_by(limited, "203.0.113.9", unknown, "/v")
    assert (page.status_code, page.headers["retry-after"].isdigit()) == (429, True)
    assert "频繁" in page.text
    assert asked_by(limited, "203.0.113.9", known).json()["state"] == "valid"
    assert limited.client.get(f"/v/{version.code}").status_code == 200
    assert asked_by(limited, "203.0.113.10", unknown).status_code == 200


def test_without_a_configured_proxy_a_forged_address_does_not_help(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = Allowances.place
    monkeypatch.setattr(Allowances, "place", lambda self, address: (asked.append(address), real(self, address))[1])
    for number in range(3):
        assert asked_by(hub, f"203.0.113.{number}", b"hello").status_code == 200
    assert asked == ["127.0.0.1"] * 3
