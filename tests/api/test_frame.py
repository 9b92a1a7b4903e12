"""Request handling around every endpoint: who may call, in which lane, and how refusals and errors are reported."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from hub.domain.errors import TITLES
from hub.web import problems
from tests.support import framed
from tests.support.framed import SECRET, gate, running
from tests.support.serving import exchange, head, problem_of

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # one function serves several test routes


@pytest.fixture(scope="module")
def log_lines():
    with framed.logged() as lines:
        yield lines


@pytest.fixture(scope="module")
def hub(tmp_path_factory, log_lines):
    with framed.framed(tmp_path_factory.mktemp("frame")) as found:
        yield found


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
        line = next(json.loads(line) for line in log_lines if '"fault":["ValueError"]' in line)
        assert line["request_id"] == content["request_id"]
        assert any("framed.py" in place for place in line["at"])
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
            refused = hub.client.get("/t/slow-write")  # is answered; waiting requests only after the gate opens
            assert (refused.status_code, problem_of(refused)["code"]) == (503, "database.unavailable")
            assert refused.headers["retry-after"] == "1"
            for path in ["/t/read", "/t/open/x", "/livez", "/readyz", "/t/who"] * 5:
                assert hub.client.get(path, headers=hub.token()).status_code == 200
            assert not any(future.done() for future in waiting)
        finally:
            gate.set()
        assert [future.result().status_code for future in waiting] == [200] * 5
    assert 'hub_lane_requests{lane="write"} 0.0' in hub.client.get("/metrics").text


def _wait_for(happens) -> None:
    deadline = time.monotonic() + 5
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)
