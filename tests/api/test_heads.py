"""Heads and headers of requests and responses, on a real socket."""

import json
import re
import time
from contextlib import suppress

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
        b"CONNECT [ HTTP/1.1\r\nHost: hub\r\n\r\n",
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


def chunked(**headers):
    return head("POST", "/t/body", Content_Type="application/json", Transfer_Encoding="chunked", **headers)


def flood(hub, start, piece, pieces):
    """The status of a request whose body is never complete, sent piece by piece, and how much the process grew (MB)."""
    before = framed.resident_mb()
    with connected(hub.address) as connection:
        connection.sendall(start)
        with suppress(OSError):  # refused while we send
            for _ in range(pieces):
                connection.sendall(piece)
        with suppress(OSError, EOFError):
            return read_reply(connection).status, framed.resident_mb() - before
    return None, framed.resident_mb() - before


@pytest.mark.parametrize(
    ("after", "piece"),
    [
        (b"2\r\n{}\r\n0\r\n", b"x-1: y\r\n" * 8_000),
        (b"2\r\n{}\r\n0\r\nx-1: ", b"y" * 64_000),
        (b"2;", b"e" * 64_000),
        (b"2;", b"e=f;" * 16_000),
        (b"", b"000000000000000" * 4_000),
    ],
    ids=["trailers", "a long trailer", "a chunk extension", "chunk extensions", "a chunk size"],
)
def test_the_framing_of_a_body_has_a_limit(hub, after, piece):
    status, grown = flood(hub, chunked() + after, piece, 300)
    assert status in {400, 431, None}  # None: the reset overtook the answer
    assert grown < 10


def test_chunks_of_one_byte_and_trailers_are_accepted(hub):
    body = b'"' + b"a" * 4_000 + b'"'
    raw = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nx-checksum: 1\r\n\r\n"
    assert exchange(hub.address, chunked() + raw).status == 200


def test_content_is_not_counted_as_framing_when_requests_follow_each_other(hub):
    """The end of one body, the next head and the start of its body arrive together."""
    first = head("PUT", "/t/push", **hub.token(), Content_Type="application/json", Content_Length=str(400_000))
    second = head("PUT", "/t/push", **hub.token(), Content_Type="application/json", Content_Length="2")
    with connected(hub.address) as connection:
        connection.sendall(first + b" " * 300_000)
        time.sleep(0.2)
        connection.sendall(b" " * 100_000 + second + b"{")
        time.sleep(0.2)
        connection.sendall(b"}")
        assert [read_reply(connection).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /t/read HTTP/1.1\r\n\r\n", 400),
        (b"GET /t/read HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /t/read HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET /t/read HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /t/read HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET /t/read HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_a_request_names_one_host(hub, raw, status):
    assert exchange(hub.address, raw).status == status


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
