"""Tests of the proxy: each mode, as a client of a real server sees it."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.support.netproxy import Proxy

BIG = 1_000_000
MANY = 30


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """A server that echoes its input; yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_echo, args=(listener.accept()[0],), daemon=True).start()


def _echo(client: socket.socket) -> None:
    with client, suppress(OSError):
        while data := client.recv(65536):
            client.sendall(data)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    before = threading.active_count()
    with Proxy(echo) as found:
        yield found
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def read(client: socket.socket, size: int) -> bytes:
    """Read this many bytes, or fewer if the reply ends."""
    got = b""
    while len(got) < size and (data := client.recv(65536)):
        got += data
    return got


def say(client: socket.socket, words: bytes = b"hello") -> bytes:
    client.sendall(words)
    return read(client, len(words))


def test_pass_forwards_every_byte_both_ways_and_a_half_close(proxy):
    sent = bytes(range(256)) * (BIG // 256)
    with connect(proxy) as client, ThreadPoolExecutor() as pool:
        answer = pool.submit(read, client, BIG + 1)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert answer.result() == sent  # then EOF
    assert proxy.accepted == 1


def test_delay_applies_per_direction_and_not_per_chunk(proxy):
    with connect(proxy) as client, ThreadPoolExecutor() as pool:
        proxy.delay(0.5)
        started = time.monotonic()
        answer = pool.submit(read, client, BIG)
        client.sendall(b"x" * BIG)
        assert len(answer.result()) == BIG
        pieces = BIG / 65536  # at least so many in each direction
        assert 1.0 <= time.monotonic() - started < 0.5 * pieces
        proxy.delay(60)
        proxy.pass_()
        assert say(client) == b"hello"  # within the 5 s of `connect`


def test_black_hole_accepts_but_forwards_nothing_until_it_passes(proxy):
    with connect(proxy) as standing:
        assert say(standing) == b"hello"
        proxy.blackhole()
        with connect(proxy) as new:
            for client in (standing, new):
                client.sendall(b"later")
                client.settimeout(0.15)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(5)
            proxy.pass_()
            assert [read(client, 5) for client in (standing, new)] == [b"later", b"later"]


def test_refuse_resets_connections_and_rejects_new_ones_until_pass_reopens_the_port(proxy):
    with connect(proxy) as standing:
        assert say(standing) == b"hello"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            read(standing, 1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.pass_()
    with connect(proxy) as client:
        assert say(client) == b"hello"


@pytest.mark.parametrize("end", [Proxy.cut, Proxy.refuse])
def test_cut_resets_all_at_once_even_in_a_black_hole(proxy, end):
    clients = [connect(proxy) for _ in range(MANY)]
    assert [say(client) for client in clients] == [b"hello"] * MANY
    proxy.blackhole()
    for client in clients[1:]:
        client.sendall(b"lost")
    end(proxy)
    for client in clients:
        with pytest.raises(ConnectionResetError):
            read(client, 1)
        client.close()
    proxy.pass_()
    with connect(proxy) as client:
        assert say(client) == b"hello"


def test_cut_in_the_middle_of_a_reply(proxy):
    with connect(proxy) as client, connect(proxy) as other:
        assert say(client) + say(other) == b"hellohello"
        proxy.cut(after=7)
        assert say(client) == b"hello"
        with pytest.raises(ConnectionResetError):
            say(client, b"hello again")
        with pytest.raises(ConnectionResetError):
            read(other, 1)
    with connect(proxy) as client:
        assert say(client, b"x" * 1000) == b"x" * 1000


def test_cut_every_connection_until_the_mode_changes(proxy):
    proxy.cut(after=5, every=True)
    for _ in range(2):
        with connect(proxy) as client, pytest.raises(ConnectionResetError):
            say(client, b"hello again")
    proxy.pass_()
    with connect(proxy) as client:
        assert say(client, b"hello again") == b"hello again"


def test_an_unreachable_target_resets_the_client(echo):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with Proxy(nobody.getsockname()[1]) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
            read(client, 1)  # the reset may also arrive before connect() returns


def test_close_leaves_no_thread(echo):
    before = threading.active_count()
    with Proxy(echo) as proxy:
        clients = [connect(proxy) for _ in range(5)]
        assert [say(client) for client in clients] == [b"hello"] * 5
        assert threading.active_count() > before
    deadline = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for client in clients:
        client.close()
