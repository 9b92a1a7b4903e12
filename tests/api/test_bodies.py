"""Request bodies: size, time, media type, and shared memory."""

import asyncio
import json
import time
import tracemalloc

import pytest

from hub.domain.errors import Refusal
from hub.web import request_body
from tests.support import framed
from tests.support.serving import connected, head, problem_of, read_reply

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # one function serves several test routes


@pytest.fixture(scope="module")
def log_lines():
    with framed.logged() as lines:
        yield lines


@pytest.fixture(scope="module")
def hub(tmp_path_factory, log_lines):
    with framed.framed(tmp_path_factory.mktemp("frame")) as found:
        yield found


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
    with connected(hub.address) as connection:  # nor does one that asks first get 100 Continue
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


def test_a_large_body_needs_a_token(hub):
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
        assert time.monotonic() - started > 0.4


def test_a_client_that_disconnects_does_no_harm(hub, log_lines):
    with connected(hub.address) as connection:
        connection.sendall(head("POST", "/t/body", Content_Length="100", **JSON) + b"half")
    deadline = time.monotonic() + 30
    while not any('"code":"gone"' in line for line in log_lines) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert any('"code":"gone"' in line for line in log_lines)
    assert hub.client.get("/livez").status_code == 200


def test_what_bodies_take_is_given_back(hub):
    headers = {**hub.token(), "Content-Type": "application/json"}
    for _ in range(20):  # 140 MiB in all, of 128 MiB at once
        assert hub.client.put("/t/push", content=b" " * (7 << 20), headers=headers).status_code == 200


def test_room_for_bodies_is_limited():
    room = request_body.Room(10)
    with request_body.BodyBuffer(room) as place:
        place.take(10)
        with pytest.raises(Refusal):
            place.take(1)
        with pytest.raises(Refusal), request_body.BodyBuffer(room) as other:
            other.take(1)
    with request_body.BodyBuffer(room) as other:
        other.take(10)


def test_an_offer_of_another_protocol_is_answered_in_this_one(hub):
    """Java's HttpClient sends its first request over plain HTTP like this."""
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    with connected(hub.address) as connection:
        for _ in range(3):
            connection.sendall(head("POST", "/t/body", Content_Length="2", **upgrade, **JSON) + b"{}")
            assert json.loads(read_reply(connection).body)["bytes"] == 2


def test_a_refusal_lists_fifty_errors_at_most(hub):
    assert len(problem_of(hub.client.get("/t/fault/thousands"))["errors"]) == 50


def test_a_body_in_many_small_pieces_costs_no_more_memory():
    """A list of them would take thirty times as much."""
    pieces = iter(range(200_000, 0, -1))

    async def receive():
        left = next(pieces)
        return {"type": "http.request", "body": bytes([left % 256, 1]), "more_body": left > 1}

    tracemalloc.start()
    body = asyncio.run(
        request_body.read_body(receive, request_body.BodyBuffer(request_body.Room(400_000)), 400_000, 60)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(body) == 400_000
    assert peak < 8 * len(body)
