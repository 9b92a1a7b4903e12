"""The public pages on a real server: small, without scripts, Chinese first, one wording per state."""

import base64
import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from hub.api import pages
from hub.app import create_app
from hub.domain.certificate import State
from hub.verification import Presented, Verdict, VerdictState, verdict_text
from hub.verification.verdict import Checks
from hub.web.negotiation import prefers_json
from signing import public_code
from tests.support.city import City, load_city, open_copy
from tests.support.serving import served
from tests.support.verified import kill, personal, versions

JSON = {"Accept": "application/json"}
PLACE = {"base": "https://hub.example", "root": ""}
GZIPPED = 4096


class Page(HTMLParser):
    """The visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, str]] = []
        self.words: list[tuple[str, str]] = []
        self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in {"meta", "link", "input", "br"}:
            self.open.append((tag, given.get("lang") or (self.open[-1][1] if self.open else "")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] == "style":
            self.style += data
        elif data.strip():
            self.words.append((self.open[-1][1], data.strip()))

    @property
    def text(self) -> str:
        return " ".join(word for _, word in self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("pages")
    load_city(folder / "template")
    with open_copy(folder / "template", folder / "city") as found:
        yield found


@pytest.fixture(scope="module")
def client(city: City) -> Iterator[httpx.Client]:
    with served(create_app(city.parts)) as address, httpx.Client(base_url=address) as found:
        yield found


def looks_right(text: str) -> Page:
    """Checks for every page."""
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "zh-CN"}]
    assert len(page.all("h1")) == len(page.all("title")) == len(page.all("main")) == 1
    assert page.all("meta")[1]["content"] == "width=device-width,initial-scale=1"
    assert not [tag for tag, _ in page.tags if tag in {"script", "img", "iframe", "object", "embed", "font"}]
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name in {"style", "src", "srcset"}], tag
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert "url(" not in page.style
    assert "@import" not in page.style
    assert len(gzip.compress(text.encode())) <= GZIPPED
    for lang, word in page.words:
        assert lang != "en" or not re.search(r"[\u3400-\u9fff]", word), word
    return page


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_every_certificate_has_a_small_page(city, client):
    for version in versions(city):
        reply = client.get(f"/v/{version.code}")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
        page = looks_right(reply.text)
        verdict = city.parts.verification.verify_code(version.code)
        head = verdict_text.headline(verdict)
        for said in (head.title, head.title_en, head.line, head.line_en, "请和手中的证照逐项核对", "四项核验"):
            assert said in page.text
        assert f"{city.parts.verification.addresses.current()}/v/" in page.text
        shown = verdict.certificate
        for item in (shown.number, *shown.holders, shown.type_name, shown.authority_name, str(shown.issued_on)):
            assert item in page.text
        assert (shown.valid_until is None) == ("长期" in page.text)
        assert str(shown.valid_until or "") in page.text
        for holder in version.holders:
            assert holder.id_type == "001" or (holder.id_number not in reply.text and holder.name not in reply.text)
        assert re.search(r"核验时间 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", page.text)


def test_headers_of_a_verdict(city, client):
    reply = client.get(f"/v/{personal(city).code}", headers={"Accept": "text/html"})
    style = base64.b64encode(hashlib.sha256(Page(reply.text).style.encode()).digest()).decode()
    policy = reply.headers["content-security-policy"]
    assert f"style-src 'sha256-{style}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    wanted = {
        "cache-control": "no-store",
        "vary": "Accept, Accept-Encoding",
        "x-robots-tag": "noindex",
        "referrer-policy": "no-referrer",
    }
    assert {name: reply.headers[name] for name in wanted} == wanted
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("accepted", "is_smaller"),
    [
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.2", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("br", False),
        ("", False),
        ("gzip;q=x", False),
    ],
)
def test_pages_are_smaller_for_those_who_accept_it(city, client, accepted, is_smaller):
    for path in ("/", "/v", f"/v/{personal(city).code}", "/openapi.json", "/docs/start.js"):
        with client.stream("GET", path, headers={"Accept-Encoding": accepted}) as reply:
            sent = b"".join(reply.iter_raw())
        assert reply.headers.get("content-encoding") == ("gzip" if is_smaller else None)
        assert "Accept-Encoding" in reply.headers["vary"]
        assert int(reply.headers["content-length"]) == len(sent)
        text = gzip.decompress(sent) if is_smaller else sent
        if not path.startswith("/v/"):  # which says at what second it was asked
            assert text == client.get(path).content


def test_codes_as_people_type_them_and_as_messengers_pass_them_on(city, client):
    code = personal(city).code
    for path in (
        code.lower(),
        public_code.grouped(code),
        public_code.grouped(code).replace("-", "%20"),
        f"{code}?from=timeline&a=1",
    ):
        reply = client.get(f"/v/{path}")
        assert "证照有效" in reply.text
        assert not reply.history


def test_json_on_request(city, client):
    version = personal(city)
    reply = client.get(f"/v/{version.code}", headers=JSON)
    assert reply.headers["content-type"] == "application/json"
    assert {name: reply.headers[name] for name in ("vary", "cache-control")} == {
        "vary": "Accept",
        "cache-control": "no-store",
    }
    told = reply.json()
    posted = client.post("/api/v1/verifications", json={"code": version.code}).json()
    assert {**told, "checked_at": ""} == {**posted, "checked_at": ""}
    assert told["state"] == "valid"


@pytest.mark.parametrize(
    ("accept", "json_wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("application/json, text/plain, */*", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("text/html;q=0.8, application/json;q=0.9", True),
        ("text/html, application/json", False),
        ("application/json;q=0.5, text/html;q=0.8", False),
        ("application/*", True),
        ("application/json;q=0", False),
        ("text/*;q=0.1, application/json;q=0.2", True),
        ("*/*, text/html;q=0", True),
        ("application/json;q=nonsense", False),
        (",;,q=", False),
    ],
)
def test_negotiation(accept, json_wanted):
    assert prefers_json(accept) is json_wanted


def test_unknown_codes_are_indistinguishable(client):
    texts, bodies = set(), set()
    for _ in range(5):
        reply = client.get(f"/v/{public_code.new_code()}")
        assert reply.status_code == 200
        texts.add(re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "", reply.text))
        told = client.get(f"/v/{public_code.new_code()}", headers=JSON).json()
        bodies.add(json.dumps({**told, "checked_at": ""}))
    assert len(texts) == len(bodies) == 1
    page = looks_right(texts.pop())
    assert "未查到此证照" in page.text
    assert "不等于证照是假的" in page.text


@pytest.mark.parametrize("path", ["zu-kurz", "%3Cscript%3E", "990102199901010019", "0" * 300, "'\"<b>"])
def test_what_is_no_code_is_not_repeated(client, path):
    reply = client.get(f"/v/{path}")
    assert reply.status_code == 200
    page = looks_right(reply.text)
    assert "未查到此证照" in page.text
    assert path not in reply.text


def of_state(city: City, state: VerdictState) -> Verdict:
    """One verdict per state; those that no page of an intact hub shows are derived from one that it does."""
    missing = city.parts.verification.verify_code(public_code.new_code())
    if state is VerdictState.NOT_FOUND:
        return missing
    if state in {VerdictState.TAMPERED, VerdictState.UNTRUSTED, VerdictState.UNKNOWN}:
        return Verdict(state, Presented.RECORD, Checks(), missing.checked_at)
    if state is VerdictState.COMPARE:
        return replace(of_state(city, VerdictState.VALID), state=state, presented=Presented.PICTURE)
    return city.parts.verification.verify_code(versions(city, State(state.value))[0].code)


WORDING = {
    VerdictState.TAMPERED: ("bad", "内容与签名不一致", "请不要采信"),
    VerdictState.UNTRUSTED: ("bad", "不是本平台签发", "不属于本平台"),
    VerdictState.NOT_FOUND: ("over", "未查到此证照", "不等于证照是假的"),
    VerdictState.SUPERSEDED: ("over", "已换发新证", "请持证人出示最新的证照"),
    VerdictState.EXPIRED: ("over", "证照已过期", "签名真实，但不能作为有效证照使用"),
    VerdictState.NOT_YET: ("warn", "尚未生效", "起有效"),
    VerdictState.VALID: ("good", "证照有效", "当前有效"),
    VerdictState.UNKNOWN: ("calm", "暂时无法核验", "与证照真伪无关"),
    VerdictState.COMPARE: ("warn", "请逐项核对", "图片不能自证，请与下面逐项核对"),
}


@pytest.mark.parametrize("state", WORDING)
def test_every_state_has_its_wording(city, state):
    tone, title, line = WORDING[state]
    page = looks_right(pages.render(of_state(city, state), PLACE))
    assert page.all("header") == [{"class": tone}]
    assert page.all("h1")
    assert title in page.text
    assert line in page.text
    assert ("证照有效" in page.text) == (state is VerdictState.VALID)


@pytest.mark.parametrize(
    ("state", "kind", "title", "line"),
    [
        ("suspended", "withheld", "证照暂停使用", "原因类别：暂扣"),
        ("suspended", "lost", "证照暂停使用", "原因类别：挂失"),
        ("suspended", "under_change", "证照暂停使用", "原因类别：变更中"),
        ("suspended", "other", "证照暂停使用", "原因类别：其他"),
        ("revoked", "penalty", "证照已吊销", "吊销于"),
        ("revoked", "rescinded", "证照已撤销", "撤销于"),
        ("revoked", "cancelled", "证照已注销", "注销于"),
        ("revoked", "withdrawn", "证照已撤回", "撤回于"),
    ],
)
def test_each_kind_says_its_own_word(city, client, state, kind, title, line):
    for version in versions(city, State(state)):
        verdict = city.parts.verification.verify_code(version.code)
        if verdict.kind == kind:
            page = looks_right(client.get(f"/v/{version.code}").text)
            assert title in page.text
            assert line in page.text
            assert str(verdict.since) in page.text
            return
    raise AssertionError("the sample city has none")


def test_a_certificate_that_ends_soon_says_when(city):
    version = personal(city)
    verdict = city.parts.verification.verify_code(version.code)
    for left, title in ((0, "证照有效（即将到期）"), (30, "证照有效（即将到期）"), (31, "证照有效")):
        moved = replace(
            verdict, certificate=replace(verdict.certificate, valid_until=city.clock.today() + timedelta(left))
        )
        head = verdict_text.headline(moved)
        assert head.title == title
        assert (f"还剩 {left} 天" in head.line) == (left <= 30)


def test_the_heaviest_page_stays_small(city):
    chance = random.Random(7)
    name = lambda count: "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(count))  # noqa: E731
    verdict = city.parts.verification.verify_code(versions(city, State.SUSPENDED)[0].code)
    shown = replace(
        verdict.certificate, type_name=name(40), authority_name=name(40), holders=tuple(name(20) for _ in range(20))
    )
    looks_right(pages.render(replace(verdict, certificate=shown), PLACE))


def test_names_are_escaped(city):
    verdict = city.parts.verification.verify_code(personal(city).code)
    shown = replace(verdict.certificate, holders=("<script>alert(1)</script>",), number='"&<')
    text = pages.render(replace(verdict, certificate=shown), PLACE)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "&#34;&amp;&lt;" in text


# --- the form and the front page -------------------------------------------------------------------------------------


def test_the_form_leads_to_the_verdict(city, client):
    page = looks_right(client.get("/v").text)
    assert page.all("form") == [
        {"action": "/v", "method": "get"},
        {"action": "/v", "method": "post", "enctype": "multipart/form-data"},
    ]
    assert page.all("label") == [{"for": field["id"]} for field in page.all("input")]
    version = personal(city)
    for typed in (
        version.code.lower(),
        public_code.grouped(version.code),
        f"https://hub.example/v/{version.code}#12345",
    ):
        reply = client.get("/v", params={"code": typed})
        assert (reply.status_code, reply.headers["location"]) == (303, f"/v/{version.code}")
    assert "证照有效" in client.get("/v", params={"code": version.code}, follow_redirects=True).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "请输入公开码"),
        ("7F3K-9Q2M", "公开码应为 16 位"),
        ("https://evil.example/v/0000000000000000", "这不是本平台的码"),
        ('"><script>', "公开码应为 16 位"),
        ("x" * 3000, "公开码应为 16 位"),
    ],
)
def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(client, typed, said):
    reply = client.get("/v", params={"code": typed})
    assert reply.status_code == 200
    page = looks_right(reply.text)
    assert said in page.text
    assert page.all("title")
    assert "出错" in page.text
    assert page.all("input")[0]["value"] == typed[:64]
    assert page.all("input")[0]["aria-invalid"] == "true"


def test_the_front_page_leads_only_to_what_exists(client):
    reply = client.get("/")
    page = looks_right(reply.text)
    links = [attrs["href"] for attrs in page.all("a")]
    assert {"/v", "/docs", "/.well-known/jwks.json"} <= set(links)
    for link in links:
        assert client.get(urljoin("/", str(link)), follow_redirects=True).status_code == 200, link


def test_pages_below_a_path_keep_it(city):
    text = pages.render(of_state(city, VerdictState.VALID), {"base": "https://city.example/certs", "root": "/certs"})
    assert {attrs["href"] for attrs in Page(text).all("a")} == {"/certs/v", "/certs/"}
    assert "https://city.example/certs/v/" in text


# --- the API ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '"x"',
        "{}",
        '{"qr":1}',
        '{"qr":"a","code":"b"}',
        '{"qr":null}',
        '{"code":"a","code":"b"}',
        '{"code":"a","more":1}',
        '{"code":NaN}',
        '{"code":""}',
        '{"code":"\\ud800"}',
        '{"code":"' + "0" * 257 + '"}',
    ],
)
def test_malformed_requests_are_refused(client, body):
    reply = client.post("/api/v1/verifications", content=body, headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["code"]) == (422, "schema.invalid")


@pytest.mark.parametrize("body", [{"qr": "hello"}, {"credential": "x"}, {"code": "闽"}, {"qr": "9" * 9000}])
def test_everything_else_gets_a_verdict(client, body):
    reply = client.post("/api/v1/verifications", json=body)
    assert reply.status_code == 200
    assert reply.json()["state"] in {"not_found", "tampered", "untrusted"}


def test_verdicts_need_no_token_and_ignore_one(client):
    reply = client.post("/api/v1/verifications", json={"code": "x"}, headers={"Authorization": "Bearer nonsense"})
    assert reply.status_code == 200


def test_a_dead_database_is_never_called_invalid(city: City, tmp_path: Path) -> None:
    template = city.folder.parent / "template"
    with open_copy(template, tmp_path / "city") as own, served(create_app(own.parts)) as address:
        version = personal(own)
        kill(own)
        own.parts.database.close()
        reply = httpx.get(f"{address}/v/{version.code}")
        assert reply.status_code == 200
        page = looks_right(reply.text)
        assert "暂时无法核验" in page.text
        assert "与证照真伪无关" in page.text
        told: dict[str, Any] = httpx.post(
            f"{address}/api/v1/verifications", json={"credential": version.credential}
        ).json()
        assert (told["state"], told["checks"]["intact"], told["checks"]["trusted"]) == ("unknown", "yes", "yes")
        assert told["problems"] == ["database.unavailable"]
