"""PDF files over HTTP: who gets them, their file names, and the errors without a key, disk space or file."""

import re
import resource
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.app import create_app
from tests.documents.test_rendition import ENROLMENT, away
from tests.lifecycle.test_records import Web
from tests.support import city as c
from tests.support.city import open_copy
from tests.support.serving import served

pytestmark = pytest.mark.sqlite

POLICE = "fz-public-security"


@pytest.fixture
def web(template: Path, tmp_path: Path) -> Iterator[Web]:
    with (
        open_copy(template, tmp_path / "data") as city,
        served(create_app(city.parts)) as address,
        httpx.Client(base_url=address, trust_env=False) as http,
    ):
        yield Web(city, http)


def document(web: Web, identifier: str) -> str:
    """The URL of the PDF in the reply."""
    reply = web.http.get(f"/api/v1/certificates/{identifier}", headers=web.token(POLICE))
    return str(reply.json()["links"]["document"])


def test_the_issuer_downloads_the_same_file_every_time(web: Web) -> None:
    identifier = web.city.identifier(c.ID_CARD, c.LIN)
    path, headers = document(web, identifier), web.token(POLICE)
    first = web.http.get(path, headers=headers)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/pdf")
    assert first.headers["content-disposition"] == f'attachment; filename="{identifier}.pdf"'
    assert first.headers["cache-control"] == "no-store"
    assert first.content.startswith(b"%PDF-1.7")
    assert web.http.get(path, headers=headers).content == first.content
    assert web.http.head(path, headers=headers).headers["content-length"] == str(len(first.content))
    record = web.city.audit()[-1]
    assert (record["action"], record["outcome"]) == ("certificate.document", "ok")
    assert record["party"] in web.city.version(identifier).parties


def test_the_name_of_the_file_tells_no_number(web: Web) -> None:
    identifier = web.city.identifier(c.ID_CARD, c.LIN)
    name = web.http.get(document(web, identifier), headers=web.token(POLICE)).headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[0-9A-Z.]+\.pdf"', name)
    assert c.LIN[1] not in name


def test_a_copy_is_where_the_retrieval_says(web: Web) -> None:
    client, case, clerk = ENROLMENT
    headers = web.token(client)
    body = {**web.city.body(case, clerk), "identifier": web.city.identifier(c.BIRTH, c.CHILD)}
    reply = web.http.post("/api/v1/retrievals", json=body, headers=headers).json()
    assert reply["copy"]["url"] == f"/api/v1/retrievals/{reply['receipt_number']}/copy.pdf"
    answer = web.http.get(reply["copy"]["url"], headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["content-disposition"] == f'attachment; filename="copy-{reply["receipt_number"]}.pdf"'
    assert web.http.get(reply["copy"]["url"], headers=headers).content == answer.content
    refused = web.http.get(reply["copy"]["url"], headers=web.token("fz-tobacco-counter"))
    assert (refused.status_code, refused.json()["code"]) == (404, "certificate.not_found")


def test_without_the_authoritys_key_it_comes_later(web: Web) -> None:
    identifier = web.city.identifier(c.ID_CARD, c.LIN)
    path, headers = document(web, identifier), web.token(POLICE)
    with away(web.city, web.city.version(identifier).authority):
        answer = web.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "sign.unavailable")
        assert answer.headers["retry-after"]
    assert web.http.get(path, headers=headers).status_code == 200


def test_without_room_nothing_is_half_done(web: Web) -> None:
    path, headers = document(web, web.city.identifier(c.ID_CARD, c.LIN)), web.token(POLICE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        answer = web.http.get(path, headers=headers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert answer.status_code == 503
    assert answer.json()["code"] in {"storage.full", "database.unavailable"}
    assert web.city.parts.database.reader.all("SELECT 1 FROM documents") == []
    assert web.http.get(path, headers=headers).status_code == 200


def test_a_damaged_file_is_an_error_and_not_a_new_file(web: Web) -> None:
    path, headers = document(web, web.city.identifier(c.ID_CARD, c.LIN)), web.token(POLICE)
    assert web.http.get(path, headers=headers).status_code == 200
    (file,) = (web.city.folder / "documents").glob("*/*")
    file.write_bytes(b"damaged")
    answer = web.http.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
