"""Heads and headers of requests and responses, on a real socket."""

import json
import re
import time

import pytest

from hub.web import connection as connections
from tests.support import framed
from tests.support.serving import connected, exchange, head, problem_of, read_reply

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # one function serves several test routes


@pytest.fixture(scope="module")
def log_lines():
    with framed.logged() as lines:
        yield lines


@pytest.fixture(scope="module")
def hub(tmp_path_factory, log_lines):
    with framed.framed(tmp_path_factory.mktemp("frame")) as found:
        yield found


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
        connection.sendall((b"X-Filler: " + b"a" * 1000 + b"\r\n") * 33)
        assert read_reply(connection).status == 431


def test_a_head_has_a_deadline(hub, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.3)
    with connected(hub.address) as connection:
        for letter in b"GET /t/read HT":
            connection.sendall(bytes([letter]))
            time.sleep(0.01)
        reply = read_reply(connection)
        assert (reply.status, reply.code) == (408, "upload.timeout")
    with connected(hub.address) as connection:  # a connection on which a second head stays away is not refused
        connection.sendall(head("GET", "/t/read"))
        assert read_reply(connection).status == 200
        time.sleep(0.6)
        connection.sendall(head("GET", "/t/read"))
        assert read_reply(connection).status == 200
