"""The frame around every endpoint, tried with endpoints of its own on a real socket."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import structlog
from pydantic import BaseModel

from hub import logs
from hub.access.assertion import sign_assertion
from hub.api import body, problems
from hub.api import connection as connections
from hub.api.endpoint import ANY_TOKEN, PUBLIC_ACCESS, Answer, Call, Lane, Routes
from hub.app import build
from hub.domain.errors import TITLES, FieldError, Refusal
from hub.initialisation import initialise
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store.database import DatabaseUnavailable, StorageFull
from hub.wire import loads
from signing.errors import KeyMissing
from tests.serving import connected, exchange, head, problem_of, read_reply, served

URL = "https://hub.example"
AUTHORITY = "11350100MB9A10175L"
SECRET = "990102198803121177"
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # one function serves several test routes


class AnyBody(BaseModel):
    text: str | None = None


gate = threading.Event()
running = threading.Semaphore(0)
routes = Routes(prefix="/t", tag="test")


def _wait(call: Call) -> Answer:
    running.release()
    gate.wait(20)
    return Answer({"waited": True})


def _echo(call: Call) -> Answer:
    return Answer({"bytes": len(call.body), "path": dict(call.path), "query": dict(call.query)})


def _who(call: Call) -> Answer:
    return Answer({"client": call.client.client_id, "request": call.client.request})


def _raise(call: Call) -> Answer:
    raise FAULTS[call.path["name"]]


FAULTS = {
    "database": DatabaseUnavailable(SECRET),
    "full": StorageFull(SECRET),
    "key": KeyMissing(SECRET),
    "unknown": ValueError(f"no {SECRET}"),
    "refusal": Refusal("id.checksum", pointer="/holder/id_number"),
    "limited": Refusal("rate.limited", retry_after=123),
    "many": Refusal("schema.invalid", errors=(FieldError("/a", "schema.invalid", "缺", "missing"),)),
}
_ANY = {200: None}
for _path, _method, _lane, _access, _body, _handler in (
    ("/slow-write", "GET", Lane.WRITE, PUBLIC_ACCESS, None, _wait),
    ("/read", "GET", Lane.READ, PUBLIC_ACCESS, None, _echo),
    ("/open/{name}", "GET", Lane.PUBLIC, PUBLIC_ACCESS, None, _echo),
    ("/open/{name}", "PUT", Lane.PUBLIC, PUBLIC_ACCESS, AnyBody, _echo),
    ("/body", "POST", Lane.PUBLIC, PUBLIC_ACCESS, AnyBody, _echo),
    ("/push", "PUT", Lane.WRITE, "cases:write", AnyBody, _echo),
    ("/manage", "GET", Lane.READ, ("certificates:manage", "audit:read"), None, _who),
    ("/who", "GET", Lane.READ, ANY_TOKEN, None, _who),
    ("/fault/{name}", "GET", Lane.READ, PUBLIC_ACCESS, None, _raise),
):
    routes.add(
        _method, _path, scope=_access, lane=_lane, body=_body, query={"q": "anything"}, replies=_ANY, summary="test"
    )(_handler)


@routes.add("GET", "/page", scope=PUBLIC_ACCESS, lane=Lane.PUBLIC, stray_query=True, replies=_ANY, summary="test")
def page(call: Call) -> Answer:
    return Answer("<p>页</p>", media_type="text/html", headers={"Cache-Control": "max-age=60"})


@dataclass
class Hub:
    parts: Parts
    address: str
    key: bytes
    client: httpx.Client

    def token(self, scope: str | None = None) -> dict[str, str]:
        assertion = sign_assertion(self.key, "frame-test", URL, self.parts.clock.now())
        return {"Authorization": "Bearer " + self.parts.access.issue_token(assertion, scope)[0]}

    def outcomes(self) -> list[tuple[str, str, str, str]]:
        rows = self.parts.database.reader.all("SELECT * FROM audit ORDER BY id")
        return [(r["client"], r["action"], r["outcome"], r["request"]) for r in rows]


@pytest.fixture(scope="module")
def log_lines():
    """Every line that is logged, as the form that leaves the process."""
    lines: list[str] = []

    class Sink:
        def msg(self, message: str) -> None:
            lines.append(message)

        debug = info = warning = error = msg

    logs.configure("debug")
    structlog.configure(logger_factory=lambda *_: Sink(), cache_logger_on_first_use=False)
    yield lines
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def hub(tmp_path_factory, log_lines):
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("frame"),
        public_url=URL,
        writes_at_once=2,
        writes_waiting=3,
        max_public_body_bytes=4096,
        max_body_bytes=8 * 1024 * 1024,
        body_timeout_s=0.5,
    )
    initialise(settings)
    with open_parts(settings) as parts:
        parts.registration.load_catalogue(
            {"authorities": [{"code": AUTHORITY, "region": "350100", "name": "福州市市场监督管理局"}]}
        )
        _, key = parts.registration.add_client("frame-test", AUTHORITY, scopes=("cases:write", "audit:read"))
        with served(build(parts, [routes])) as address, httpx.Client(base_url=address, timeout=20) as client:
            yield Hub(parts, address, key, client)


# --- problems -----------------------------------------------------------------------------------------------------------


def test_every_code_has_a_status_as_documented():
    assert list(problems.STATUS) == list(TITLES)
    text = Path("docs/api-errors.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z._]+)` \| (\d+) \|", text, re.MULTILINE))
    assert documented == {code: str(status) for code, status in problems.STATUS.items()}


@pytest.mark.parametrize(
    ("name", "status", "code", "retry"),
    [
        ("database", 503, "database.unavailable", True),
        ("full", 503, "storage.full", True),
        ("key", 503, "sign.unavailable", True),
        ("unknown", 500, "internal", False),
        ("refusal", 422, "id.checksum", False),
        ("limited", 429, "rate.limited", True),
    ],
)
def test_faults_become_problems_and_their_texts_stay_here(hub, log_lines, name, status, code, retry):
    response = hub.client.get(f"/t/fault/{name}")
    content = problem_of(response)
    assert (response.status_code, content["code"]) == (status, code)
    assert ("retry-after" in response.headers) is retry
    assert content["title"] == TITLES[code][0]
    assert response.headers["content-language"] == "zh-CN"
    assert SECRET not in response.text + "".join(log_lines)
    if name == "unknown":
        line = next(json.loads(line) for line in log_lines if '"fault": ["ValueError"]' in line)
        assert line["request_id"] == content["request_id"]
        assert any("test_api_frame.py" in place for place in line["at"])
    if name == "limited":
        assert response.headers["retry-after"] == "123"


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("fr", "zh-CN"),
        ("en;q=x", "zh-CN"),
    ],
)
def test_titles_are_chinese_unless_english_is_preferred(hub, wanted, language):
    response = hub.client.get("/t/fault/many", headers={"Accept-Language": wanted})
    content = problem_of(response)
    assert response.headers["content-language"] == language
    assert content["title"] == TITLES["schema.invalid"][language == "en"]
    assert content["errors"] == [
        {"pointer": "/a", "code": "schema.invalid", "message": "missing" if language == "en" else "缺"}
    ]


def test_unknown_addresses_and_methods_are_problems(hub):
    assert problem_of(hub.client.get("/nothing/990102198803121177"))["code"] == "page.not_found"
    response = hub.client.delete("/t/open/x")
    assert problem_of(response)["code"] == "method.not_allowed"
    assert response.headers["allow"] == "GET, HEAD, PUT"
    assert hub.client.request("OPTIONS", "/t/read").status_code == 405
    assert hub.client.get("/t/open/x/").status_code == 404


# --- heads and headers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/t/read", "/t/page", "/nothing", "/livez", "/docs", "/openapi.json", "/t/fault/unknown"]
)
def test_every_answer_has_the_security_headers(hub, path):
    headers = hub.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert "server" not in headers
    assert headers["cache-control"] == {"/t/page": "max-age=60"}.get(path, headers["cache-control"])
    if path.startswith("/t/read"):
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("sent", "kept"), [("abcd-1234", True), ("a" * 65, False), ("short", False), ("a b c d e", False)]
)
def test_a_request_id_is_kept_when_it_is_plain(hub, sent, kept):
    response = hub.client.get("/t/read", headers={"X-Request-Id": sent})
    assert (response.headers["x-request-id"] == sent) is kept


def test_head_is_get_without_the_body(hub):
    response = hub.client.head("/t/read")
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "query", ["x=1", "q=1&q=2", "q=1&x=2", "q=%FF", "q=%00", "q=" + "a" * 5000, "&".join(["a=1"] * 99)]
)
def test_a_query_string_is_strict(hub, query):
    response = hub.client.get("/t/read?" + query)
    assert response.status_code == 422
    assert problem_of(response)["code"] == "schema.invalid"


def test_declared_parameters_arrive_and_stray_ones_are_ignored_where_that_is_declared(hub):
    assert hub.client.get("/t/read", params={"q": "办件 1"}).json()["query"] == {"q": "办件 1"}
    assert hub.client.get("/t/page?from=singlemessage&from=x").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/t/open/%E6%9D%8E", 200), ("/t/open/%FF", 404), ("/t/open/a%00b", 404), ("/t/open/a%2Fb", 404)],
)
def test_paths_are_decoded_or_not_there(hub, path, status):
    reply = exchange(hub.address, head("GET", path))
    assert reply.status == status
    if status == 200:
        assert json.loads(reply.body)["path"] == {"name": "李"}


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET /t/read HTTP/1.1\r\nHost: hub\r\nBad Header\r\n\r\n",
        b"GET /t/\xff HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"POST /t/body HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /t/body HTTP/1.1\r\nHost: hub\r\nContent-Length: -1\r\n\r\n",
        b"POST /t/body HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    ],
)
def test_what_is_not_http_is_a_problem_too(hub, raw):
    reply = exchange(hub.address, raw)
    assert reply.status in {400, 422}
    assert reply.code == "upload.unreadable"
    assert reply.headers["connection"] == "close"


def test_a_head_has_a_limit(hub):
    reply = exchange(hub.address, head("GET", "/t/read", X_Filler="a" * 40_000))
    assert (reply.status, reply.code) == (431, "upload.too_large")
    with connected(hub.address) as connection:
        connection.sendall(b"GET /t/read HTTP/1.1\r\n")
        for _ in range(40):
            connection.sendall(b"X-Filler: " + b"a" * 1000 + b"\r\n")
        assert read_reply(connection).status == 431


def test_a_head_has_a_deadline(hub, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.3)
    with connected(hub.address) as connection:
        for letter in b"GET /t/read HT":
            connection.sendall(bytes([letter]))
            time.sleep(0.01)
        started = time.monotonic()
        reply = read_reply(connection)
        assert (reply.status, reply.code) == (408, "upload.timeout")
        assert time.monotonic() - started < 2
    with connected(hub.address) as connection:  # a connection on which a second head stays away is not refused
        connection.sendall(head("GET", "/t/read"))
        assert read_reply(connection).status == 200
        time.sleep(0.6)
        connection.sendall(head("GET", "/t/read"))
        assert read_reply(connection).status == 200


# --- bodies -------------------------------------------------------------------------------------------------------------

JSON = {"Content_Type": "application/json"}


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_a_body_arrives_whole(hub, media_type):
    response = hub.client.post("/t/body", content=b"{}" * 2000, headers={"Content-Type": media_type})
    assert response.json()["bytes"] == 4000
    chunked = hub.client.post("/t/body", content=iter([b"a" * 1000] * 4), headers={"Content-Type": media_type})
    assert chunked.json()["bytes"] == 4000


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=gbk"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
    ],
)
def test_a_body_of_another_kind_is_refused(hub, headers):
    response = hub.client.post("/t/body", content=b"{}", headers=headers)
    assert problem_of(response)["code"] == "upload.unreadable"
    assert response.status_code == 422


def test_a_body_where_none_is_declared_is_refused(hub):
    response = hub.client.request("GET", "/t/read", content=b"{}")
    assert problem_of(response)["code"] == "upload.unreadable"


def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read(hub):
    with connected(hub.address) as connection:
        connection.sendall(head("POST", "/t/body", Content_Length="4097", **JSON))
        reply = read_reply(connection)
        assert (reply.status, reply.code) == (413, "upload.too_large")
        assert reply.headers["connection"] == "close"
    with connected(hub.address) as connection:  # nor is one who asks first told to go on
        connection.sendall(head("POST", "/t/body", Content_Length="9999999", Expect="100-continue", **JSON))
        assert read_reply(connection).status == 413


def test_an_undeclared_length_is_refused_at_the_limit(hub):
    with connected(hub.address) as connection:
        connection.sendall(head("POST", "/t/body", Transfer_Encoding="chunked", **JSON))
        for _ in range(5):
            connection.sendall(b"400\r\n" + b"a" * 1024 + b"\r\n")
        assert (read_reply(connection)).code == "upload.too_large"


def test_one_who_sends_11_mb_hears_the_answer(hub):
    response = hub.client.put(
        "/t/push", content=b" " * (11 << 20), headers={**hub.token(), "Content-Type": "application/json"}
    )
    assert problem_of(response)["code"] == "upload.too_large"


def test_an_authenticated_body_may_be_larger(hub):
    headers = {**hub.token(), "Content-Type": "application/json"}
    assert hub.client.put("/t/push", content=b" " * (7 << 20), headers=headers).json()["bytes"] == 7 << 20


def test_a_large_body_is_not_taken_from_strangers(hub):
    with connected(hub.address) as connection:
        connection.sendall(head("PUT", "/t/push", Content_Length=str(7 << 20), Authorization="Bearer nonsense", **JSON))
        assert read_reply(connection).code == "auth.invalid"


@pytest.mark.parametrize("extra", [{"Content_Length": "100"}, {"Transfer_Encoding": "chunked"}])
def test_a_body_that_does_not_arrive_in_time_is_refused(hub, extra):
    with connected(hub.address) as connection:
        connection.sendall(head("POST", "/t/body", **extra, **JSON))
        started = time.monotonic()
        reply = read_reply(connection)
        assert (reply.status, reply.code) == (408, "upload.timeout")
        assert 0.4 < time.monotonic() - started < 3


def test_a_client_that_leaves_in_the_middle_harms_nobody(hub, log_lines):
    with connected(hub.address) as connection:
        connection.sendall(head("POST", "/t/body", Content_Length="100", **JSON) + b"half")
    deadline = time.monotonic() + 5
    while not any('"code": "gone"' in line for line in log_lines) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert any('"code": "gone"' in line for line in log_lines)
    assert hub.client.get("/livez").status_code == 200


def test_what_bodies_take_is_given_back(hub):
    headers = {**hub.token(), "Content-Type": "application/json"}
    for _ in range(20):  # 140 MiB in all, of 128 MiB at once
        assert hub.client.put("/t/push", content=b" " * (7 << 20), headers=headers).status_code == 200


def test_room_for_bodies_is_limited():
    room = body.Room(10)
    with body.Place(room) as place:
        place.take(10)
        with pytest.raises(Refusal):
            place.take(1)
        with pytest.raises(Refusal), body.Place(room) as other:
            other.take(1)
    with body.Place(room) as other:
        other.take(10)


def test_an_offer_of_another_protocol_is_answered_in_this_one(hub):
    """As Java's HttpClient sends its first request over plain HTTP."""
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    with connected(hub.address) as connection:
        for _ in range(3):
            connection.sendall(head("POST", "/t/body", Content_Length="2", **upgrade, **JSON) + b"{}")
            assert json.loads(read_reply(connection).body)["bytes"] == 2


# --- who may call -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "auth.missing"),
        ("", "auth.missing"),
        ("Basic YTpi", "auth.invalid"),
        ("Bearer", "auth.invalid"),
        ("Bearer a.b.c", "auth.invalid"),
        ("Bearer " + "a" * 9000, "auth.invalid"),
    ],
)
def test_without_a_good_token_nothing_is_answered(hub, value, code):
    response = hub.client.get("/t/who", headers={} if value is None else {"Authorization": value})
    assert (response.status_code, problem_of(response)["code"]) == (401, code)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert ("invalid_token" in response.headers["www-authenticate"]) is (code != "auth.missing")


def test_two_tokens_are_no_token(hub):
    token = hub.token()["Authorization"]
    raw = head("GET", "/t/who", Authorization=token)[:-2] + f"Authorization: {token}\r\n\r\n".encode()
    assert exchange(hub.address, raw).code == "auth.invalid"


def test_the_endpoint_knows_who_calls_and_for_which_request(hub):
    response = hub.client.get("/t/who", headers={**hub.token(), "X-Request-Id": "my-request-1"})
    assert response.json() == {"client": "frame-test", "request": "my-request-1"}


def test_any_of_several_scopes_does_and_a_want_of_scope_is_on_record(hub):
    assert hub.client.get("/t/manage", headers=hub.token("audit:read")).status_code == 200
    before = len(hub.outcomes())
    response = hub.client.get("/t/manage", headers=hub.token("cases:write"))
    content = problem_of(response)
    assert (response.status_code, content["code"]) == (403, "perm.scope")
    assert 'scope="audit:read certificates:manage"' in response.headers["www-authenticate"]
    assert hub.outcomes()[before:] == [("frame-test", "GET /t/manage", "perm.scope", content["request_id"])]
    assert hub.client.get("/t/manage").status_code == 401
    assert len(hub.outcomes()) == before + 1


# --- lanes --------------------------------------------------------------------------------------------------------------


def test_a_queue_of_writers_delays_no_reader_and_a_full_lane_says_so_at_once(hub):
    gate.clear()
    with ThreadPoolExecutor(8) as pool:
        try:
            waiting = [pool.submit(httpx.get, hub.address + "/t/slow-write", timeout=20) for _ in range(5)]
            assert running.acquire(timeout=5)
            assert running.acquire(timeout=5)
            _wait_for(lambda: 'hub_lane_requests{lane="write"} 5.0' in hub.client.get("/metrics").text)
            started = time.monotonic()
            refused = hub.client.get("/t/slow-write")
            assert time.monotonic() - started < 1
            assert (refused.status_code, problem_of(refused)["code"]) == (503, "database.unavailable")
            assert refused.headers["retry-after"] == "1"
            started = time.monotonic()
            for path in ["/t/read", "/t/open/x", "/livez", "/readyz", "/t/who"] * 5:
                assert hub.client.get(path, headers=hub.token()).status_code == 200
            assert time.monotonic() - started < 3
        finally:
            gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 5
    assert 'hub_lane_requests{lane="write"} 0.0' in hub.client.get("/metrics").text


def _wait_for(happens) -> None:
    deadline = time.monotonic() + 5
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- logs, metrics, document ----------------------------------------------------------------------------------------------


def test_one_line_a_request_with_the_template_and_nothing_that_was_sent(hub, log_lines):
    del log_lines[:]
    hub.client.get(f"/t/open/{SECRET}", params={"q": SECRET})
    hub.client.get("/t/who", headers=hub.token())
    hub.client.get(f"/{SECRET}?x={SECRET}")
    hub.client.put(f"/t/open/{SECRET}", json={"text": SECRET})
    lines = [json.loads(line) for line in log_lines]
    assert [(line["method"], line["route"], line["status"], line["client"]) for line in lines] == [
        ("GET", "/t/open/{name}", 200, None),
        ("GET", "/t/who", 200, "frame-test"),
        ("GET", "-", 404, None),
        ("PUT", "/t/open/{name}", 200, None),
    ]
    assert all(line["ms"] >= 0 and len(line["request_id"]) == 32 and line["timestamp"] for line in lines)
    assert SECRET not in "".join(log_lines)


def test_metrics_count_by_template_and_status(hub):
    hub.client.get(f"/t/open/{SECRET}")
    hub.client.request("BREW", "/t/read")
    text = hub.client.get("/metrics").text
    assert re.search(r'hub_requests_total\{method="GET",route="/t/open/\{name\}",status="200"\} [1-9]', text)
    assert "BREW" not in text
    assert SECRET not in text
    for name in (
        "hub_request_seconds_bucket",
        "hub_intents_waiting",
        "hub_intents_oldest_seconds",
        "hub_outbox_entries",
    ):
        assert name in text


def test_readyz_says_why_not(hub):
    ready = hub.client.get("/readyz")
    assert ready.status_code == 200
    assert {check["name"]: check["state"] for check in ready.json()["checks"]} == dict.fromkeys(
        ("database", "schema", "storage", "keys", "worker"), "ok"
    )
    keys = hub.parts.settings.data_dir / "keys"
    away = keys.with_name("keys-away")
    keys.rename(away)
    try:
        response = hub.client.get("/readyz")
        reasons = {check["name"]: check["reason"] for check in response.json()["checks"]}
        assert response.status_code == 503
        assert reasons["keys"] == "the private part of the active credential key is not there"
        assert reasons["database"] is None
        assert hub.client.get("/livez").json() == {"alive": True}
    finally:
        away.rename(keys)
    assert hub.client.get("/readyz").status_code == 200


def test_the_document_knows_every_status_and_who_may_call(hub):
    document = hub.client.get("/openapi.json").json()
    push = document["paths"]["/t/push"]["put"]
    assert set(push["responses"]) == {"200", "401", "403", "408", "413", "422", "429", "500", "503"}
    assert push["security"] == [{"access_token": ["cases:write"]}]
    assert push["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/AnyBody"}
    assert document["paths"]["/t/manage"]["get"]["security"] == [
        {"access_token": ["audit:read"]},
        {"access_token": ["certificates:manage"]},
    ]
    opened = document["paths"]["/t/open/{name}"]["get"]
    assert opened["security"] == []
    assert {(p["name"], p["in"], p["required"]) for p in opened["parameters"]} == {
        ("name", "path", True),
        ("q", "query", False),
    }
    assert set(opened["responses"]) == {"200", "404", "422", "500", "503"}
    assert {"AnyBody", "Problem"} <= set(document["components"]["schemas"])
    for reference in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]


def test_docs_need_nothing_from_elsewhere(hub):
    response = hub.client.get("/docs")
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "//" not in re.sub(r"<!doctype html>", "", response.text)
    for path in re.findall(r'(?:src|href)="([^"]+)"', response.text):
        found = hub.client.get(path)
        assert found.status_code == 200, path
        assert found.headers["content-type"].startswith(("text/javascript", "text/css", "application/json"))
    assert hub.client.get("/docs/..%2Findex.html").status_code == 404
    assert loads(hub.client.get("/openapi.json").content)["openapi"].startswith("3.1")
