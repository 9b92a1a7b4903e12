"""The connection to Elasticsearch if the other end breaks, stalls or is another service: the error, and how soon."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from indexer.elastic.client import Access, Client
from indexer.errors import DirectoryUnavailable, WrongServer

Peer = Callable[[socket.socket], None]
SILENT_S = 60.0
SOON_S = 20.0
"""What is given up after half a second takes longer on a busy machine, but not as long as the peer."""


@contextmanager
def peer(behave: Peer) -> Iterator[int]:
    """A server that treats every connection like this."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listening.accept()
                    threading.Thread(target=treat, args=(caller,), daemon=True).start()

        def treat(caller: socket.socket) -> None:
            with caller, suppress(OSError):
                behave(caller)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def hang_up(caller: socket.socket) -> None:
    """Closes the connection without a response."""


def reset(caller: socket.socket) -> None:
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.recv(10)


def stay_silent(caller: socket.socket) -> None:
    time.sleep(SILENT_S)


def trickle(caller: socket.socket) -> None:
    """An answer that takes much longer than the time limit, though it never pauses for long."""
    caller.recv(65_536)
    kind = b"application/vnd.elasticsearch+json;compatible-with=8"
    caller.sendall(b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: 1000\r\n")
    caller.sendall(b"Content-Type: " + kind + b"\r\n\r\n")
    for _ in range(round(SILENT_S / 0.1)):
        caller.sendall(b" ")
        time.sleep(0.1)


def ask(port: int, scheme: str = "http", client: Client | None = None) -> tuple[DirectoryUnavailable, float]:
    """The result of a query, and after how many seconds."""
    begun = time.monotonic()
    asked = client or Client(Access((f"{scheme}://127.0.0.1:{port}",), timeout_s=0.5))
    with pytest.raises(DirectoryUnavailable) as fault, asked.querying() as server:
        server.cluster.health()
    return fault.value, time.monotonic() - begun


@pytest.mark.parametrize("behave", [hang_up, reset, stay_silent, trickle])
def test_a_connection_that_breaks_or_stalls_is_no_wrong_server_and_delays_no_caller(behave: Peer) -> None:
    with peer(behave) as port:
        fault, seconds = ask(port)
        assert not isinstance(fault, WrongServer)
        assert seconds < SOON_S


@pytest.mark.parametrize("behave", [hang_up, reset, stay_silent])
def test_so_it_is_while_the_connection_is_made_secure(behave: Peer) -> None:
    with peer(behave) as port:
        fault, seconds = ask(port, "https")
        assert not isinstance(fault, WrongServer)
        assert seconds < SOON_S


def test_an_untrusted_certificate_needs_an_operator(tmp_path: Path) -> None:
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.load_cert_chain(certificate(tmp_path))

    def secure(caller: socket.socket) -> None:
        trusted.wrap_socket(caller, server_side=True)

    with peer(secure) as port:
        fault, _ = ask(port, "https")
    assert isinstance(fault, WrongServer)
    assert "HUB_INDEX_CA_FILE" in str(fault)


def test_a_server_without_tls_at_a_secure_address_is_for_an_operator() -> None:
    def plain(caller: socket.socket) -> None:
        caller.recv(10)
        caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with peer(plain) as port:
        fault, _ = ask(port, "https")
    assert isinstance(fault, WrongServer)
    assert "does not use TLS" in str(fault)


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_many_that_fail_together_are_one_failure() -> None:
    asked: list[socket.socket] = []

    def behave(caller: socket.socket) -> None:
        asked.append(caller)
        stay_silent(caller)

    with peer(behave) as port:
        client = Client(Access((f"http://127.0.0.1:{port}",), timeout_s=0.5))
        threads = [threading.Thread(target=ask, args=(port, "http", client)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client._circuit._pause_s == 3.0
        before = len(asked)
        client._circuit._until = time.monotonic() + 60
        ask(port, client=client)
        assert len(asked) == before, "no request is sent for a while"
        client._circuit._until = 0.0  # the time is over: the next one tries
        _, seconds = ask(port, client=client)
        assert 0.4 < seconds < SOON_S
        assert client._circuit._pause_s == 6.0
