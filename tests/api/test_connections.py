"""What one connection may hold: pipelined requests, refusals between answers, idle time, and unread answers."""

import socket
import threading
import time
from contextlib import suppress

import pytest

from hub.web import connection as connections
from tests.support import framed
from tests.support.serving import connected, exchange, head, read_reply

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate Operation ID")  # one function serves several test routes

READ = head("GET", "/t/read")
LAST = head("GET", "/t/read", Connection="close")
SLOW = head("GET", "/t/slow-write")
LARGE = 4096 + 1
"""A body over the limit of the public endpoints."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with framed.framed(tmp_path_factory.mktemp("frame")) as found:
        yield found


@pytest.fixture
def gate():
    """Requests to /t/slow-write wait until it is set."""
    framed.gate.clear()
    yield framed.gate
    framed.gate.set()


def statuses(connection):
    """The status of each answer until the hub closes the connection; fails if it is reset."""
    found = []
    with connection.makefile("rb") as file:
        while line := file.readline():
            found.append(int(line.split()[1]))
            length = 0
            while (line := file.readline()) not in {b"\r\n", b""}:
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert len(file.read(length)) == length
    return found


def sent(hub, *parts):
    """The statuses of what is sent in these parts, some time apart."""
    with connected(hub.address) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        return statuses(connection)


def closed(connection):
    """Read until the hub closes the connection."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


# --- pipelined requests -------------------------------------------------------------------------------------------------


def test_sixteen_requests_may_wait_for_their_answers(hub, gate):
    with connected(hub.address) as connection:
        connection.sendall(SLOW + READ * 15)
        framed.running.acquire(timeout=20)
        gate.set()
        time.sleep(0.3)
        connection.sendall(READ * 3 + LAST)  # and then more
        assert statuses(connection) == [200] * 20


def test_more_are_refused_after_the_answers_to_the_others(hub, gate):
    with connected(hub.address) as connection:
        connection.sendall(SLOW + READ * 200)
        framed.running.acquire(timeout=20)
        time.sleep(0.1)
        connection.sendall(READ * 2000)
        gate.set()
        assert statuses(connection) == [200] * 16 + [429]


def test_a_flood_of_requests_costs_no_memory(hub):
    """Each answer lets the hub read more."""
    before = framed.resident_mb()
    with connected(hub.address) as connection:
        reader = threading.Thread(target=closed, args=(connection,))
        reader.start()
        with suppress(OSError):  # refused while we send
            for _ in range(400):
                connection.sendall(READ * 2000)
        reader.join(20)
    assert framed.resident_mb() - before < 20


# --- refusals between answers ---------------------------------------------------------------------------------------------

CHUNKED = head("POST", "/t/body", Content_Type="application/json", Transfer_Encoding="chunked")
REFUSED = {
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "no host": (b"GET /t/read HTTP/1.1\r\n\r\n", 400),
    "a large head": (head("GET", "/t/read", X_Filler="a" * 40_000), 431),
    "many headers": (head("GET", "/t/read", **{f"X_{n}": "1" for n in range(101)}), 431),
    "a large body": (head("POST", "/t/body", Content_Type="application/json", Content_Length=str(LARGE)), 413),
    "a bad chunk": (CHUNKED + b"2\r\n{}\r\nzz\r\n", 400),
    "a large trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nx: " + b"y" * 400_000, 431),
}


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("together", [True, False], ids=["at once", "one by one"])
def test_a_refusal_follows_the_answers_to_earlier_requests(hub, gate, request_, status, together):
    parts = [SLOW + READ + request_ + READ * 20] if together else [SLOW, READ, request_, READ * 20]
    found = []
    with connected(hub.address) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        framed.running.acquire(timeout=20)
        gate.set()
        found = statuses(connection)
    assert found == [200, 200, status]


@pytest.mark.parametrize("request_", REFUSED.values(), ids=list(REFUSED))
def test_a_refusal_arrives_although_more_is_being_sent(hub, request_):
    with connected(hub.address) as connection:
        found = []
        reader = threading.Thread(target=lambda: found.extend(statuses(connection)))
        connection.sendall(READ + request_[0])
        reader.start()
        with suppress(OSError):
            for _ in range(20):
                connection.sendall(b"x" * 10_000)
                time.sleep(0.01)
        reader.join(20)
    assert found == [200, request_[1]]


def test_an_answer_that_ends_the_connection_comes_before_a_refusal(hub, gate):
    too_large = head("POST", "/t/body", Content_Type="application/json", Content_Length=str(LARGE)) + b" " * LARGE
    with connected(hub.address) as connection:
        connection.sendall(SLOW + too_large + READ + b"nonsense\r\n\r\n")
        framed.running.acquire(timeout=20)
        time.sleep(0.2)
        gate.set()
        assert statuses(connection) == [200, 413]


def test_nothing_after_a_refusal_is_served(hub):
    pushed = head("PUT", "/t/push", **hub.token(), Content_Type="application/json", Content_Length="2") + b"{}"
    assert sent(hub, READ, b"nonsense\r\n\r\n", pushed, pushed) == [200, 400]


# --- headers and trailers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "status"), [(98, 200), (99, 200), (100, 431), (2000, 431)])
def test_a_head_has_a_hundred_headers(hub, count, status):
    """With its Host header."""
    reply = exchange(hub.address, head("GET", "/t/read", **{f"X_{n}": "1" for n in range(count)}))
    assert reply.status == status
    if status != 200:
        assert reply.code == "upload.too_large"


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 431)])
def test_a_body_has_a_hundred_trailers(hub, count, status):
    raw = CHUNKED + b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * count + b"\r\n"
    assert exchange(hub.address, raw).status == status


def test_a_trailer_is_no_header(hub):
    """Not even of the next request."""
    token = hub.token()["Authorization"]
    trailers = f"authorization: {token}\r\nhost: other\r\nexpect: 100-continue\r\n\r\n".encode()
    raw = CHUNKED + b"2\r\n{}\r\n0\r\n" + trailers + head("GET", "/t/who", Connection="close")
    assert sent(hub, raw) == [200, 401]
    push = head("PUT", "/t/push", Content_Type="application/json", Transfer_Encoding="chunked", Connection="close")
    assert sent(hub, push + b"2\r\n{}\r\n0\r\n" + trailers) == [401]


# --- idle and stalled connections -------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """Short limits of time."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.3)
    monkeypatch.setattr(connections, "STALL_S", 0.3)
    monkeypatch.setattr(connections, "IDLE_S", 0.3)


def test_an_idle_connection_is_closed(hub, short):
    with connected(hub.address) as connection:
        connection.sendall(READ)
        assert read_reply(connection).status == 200
        assert closed(connection)


@pytest.mark.parametrize("more", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_empty_lines_do_not_keep_it_open(hub, short, more):
    """RFC 9112 §2.2 has a server ignore them."""
    with connected(hub.address) as connection:
        connection.sendall(READ)
        assert read_reply(connection).status == 200
        connection.sendall(more)
        assert closed(connection)


def test_empty_lines_between_requests_are_ignored(hub):
    with connected(hub.address) as connection:
        for _ in range(3):
            connection.sendall(READ + b"\r\n")
            assert read_reply(connection).status == 200
            connection.sendall(b"\r\n")


def test_a_body_that_was_refused_does_not_keep_it_open(hub, short):
    start = head("PUT", "/t/push", Content_Type="application/json", Content_Length="1000")
    with connected(hub.address) as connection:
        connection.sendall(start + b"{")
        assert read_reply(connection).status == 401
        connection.sendall(b'"')
        assert closed(connection)


def test_the_rest_of_a_refused_body_is_skipped(hub):
    start = head("PUT", "/t/push", Content_Type="application/json", Content_Length="1000")
    with connected(hub.address) as connection:
        connection.sendall(start + b" " * 500)
        assert read_reply(connection).status == 401
        connection.sendall(b" " * 500 + READ)
        assert read_reply(connection).status == 200


def test_a_client_that_reads_nothing_is_cut_off(hub, short):
    with connected(hub.address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        page = head("GET", "/docs/swagger-ui-bundle.js")
        with suppress(OSError):
            for _ in range(8):
                connection.sendall(page)
        before = time.monotonic()
        while time.monotonic() - before < 20:
            try:
                connection.send(page)
            except ConnectionError:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the connection is still open")


def test_a_head_that_waits_behind_slow_answers_is_not_late(hub, gate, short):
    """The hub does not read while requests wait, so the client cannot complete the head."""
    with connected(hub.address) as connection:
        connection.sendall(SLOW + READ + LAST[:10])
        framed.running.acquire(timeout=20)
        time.sleep(1)
        gate.set()
        connection.sendall(LAST[10:])
        assert statuses(connection) == [200] * 3
