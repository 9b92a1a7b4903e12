"""The limits of requests in the running deployment, through the proxy and without it."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import yaml

from tests.ops.test_deploy_proxy import Deployment, deployed
from tests.ops.test_serve import children
from tests.support import town as t
from tests.support.deployed import HOST


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as found:
        yield found


def plainly(deployment: Deployment, raw: bytes, port: str = "plain") -> bytes:
    """The answer to raw bytes without TLS."""
    with socket.create_connection(("127.0.0.1", deployment.site.ports[port]), timeout=30) as connection:
        connection.sendall(raw)
        with connection.makefile("rb") as file:
            return file.read()


def over_tls(deployment: Deployment, raw: bytes) -> bytes:
    with deployment.connected() as connection:
        connection.sendall(raw)
        with suppress(OSError), connection.makefile("rb") as file:
            return file.read()
    return b""


CLOSE = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "start",
    [
        b"GET /v/ABC HTTP/1.1\r\nHost: evil.example\r\n",
        b"GET /v/ABC HTTP/1.1\r\nHost: evil.example:8080\r\n",
        b"GET http://evil.example/v/ABC HTTP/1.1\r\nHost: evil.example\r\n",
        b"GET http://evil.example/v/ABC HTTP/1.1\r\nHost: hub.city.example\r\n",
        b"GET /v/ABC HTTP/1.0\r\n",
        b"GET /v/ABC HTTP/1.0\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n",
    ],
)
def test_a_redirect_leads_to_the_configured_name(deployment: Deployment, start: bytes) -> None:
    top = plainly(deployment, start + CLOSE).partition(b"\r\n\r\n")[0]
    assert b" 308 " in top
    assert f"\r\nLocation: https://{HOST}/v/ABC\r\n".encode() in top + b"\r\n"


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET /v HTTP/1.1\r\n", 400),
        (b"GET /v HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET /v HTTP/1.1\r\nHost: a\r\nhost: a\r\n", 400),
        (b"GET /v HTTP/1.1\r\nHost: hub.city.example\r\n", 200),
        (b"GET /v HTTP/1.0\r\n", 200),
        (b"GET /v HTTP/1.1\r\nHost: a\r\n" + b"X-1: y\r\n" * 200, 431),
        (b"GET /v HTTP/1.1\r\nHost: a\r\nX-1: " + b"y" * 70_000 + b"\r\n", 431),
    ],
    ids=["no host", "two", "the same twice", "one", "HTTP/1.0", "many headers", "a large header"],
)
def test_heads_have_the_same_limits_behind_the_proxy(deployment: Deployment, start: bytes, status: int) -> None:
    for answer in (over_tls(deployment, start + CLOSE), plainly(deployment, start + CLOSE, "api")):
        assert answer.split(b" ")[1] == str(status).encode(), answer[:500]
        if status != 200:
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == status


def processes_of(deployment: Deployment, service: str) -> list[int]:
    return children(deployment.processes[service].pid)


def peak_mb(pid: int) -> float:
    (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(line) / 1024


TRAILERS = b"x-1: y\r\n" * 2_500
FLOODS = {
    "trailers": (b"2\r\n{}\r\n0\r\n", TRAILERS),
    "a trailer": (b"2\r\n{}\r\n0\r\nx: ", b"y" * 20_000),
    "a chunk extension": (b"2;", b"e" * 20_000),
    "small chunks": (b"", b"1\r\n \r\n" * 3_500),
}


@pytest.mark.parametrize("way", ["proxy", "api"])
@pytest.mark.parametrize(("start", "piece"), FLOODS.values(), ids=list(FLOODS))
def test_a_flood_on_eight_connections_costs_no_memory(
    deployment: Deployment, way: str, start: bytes, piece: bytes
) -> None:
    """20 MB each, which are no content, or content in the smallest chunks; through the proxy and without it."""
    head = f"POST /api/v1/verifications HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    raw = (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + start

    def flood() -> None:
        with ExitStack() as stack:
            address = ("127.0.0.1", deployment.site.ports["api"])
            connection = stack.enter_context(
                deployment.connected() if way == "proxy" else socket.create_connection(address, timeout=30)
            )
            with suppress(OSError):  # refused while we send
                connection.sendall(raw)
                for _ in range(20_000_000 // len(piece)):
                    connection.sendall(piece)

    pids = processes_of(deployment, "api") + processes_of(deployment, "proxy")
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak is what it holds now
    before = [peak_mb(pid) for pid in pids]
    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    grown = [peak_mb(pid) - was for pid, was in zip(pids, before, strict=True)]
    assert max(grown) < 60, grown
    assert deployment.ask("GET", "/v").status_code == 200


def test_a_disabled_client_is_out_of_all_processes_within_a_second(deployment: Deployment) -> None:
    catalogue = deployment.site.folder / "hub-tmp" / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(t.CATALOGUE, allow_unicode=True))
    deployment.run("catalogue", "load", str(catalogue))
    key = str(deployment.site.folder / "hub-tmp" / "brief.pem")
    deployment.run("clients", "add", "brief", "--authority", t.TRADE, "--scope", "cases:write", "--generate", key)
    bearer = {"Authorization": "Bearer " + deployment.run("token", "--client", "brief", "--key", key)}

    def statuses() -> set[int]:
        return {deployment.ask("GET", "/api/v1/types", headers=bearer).status_code for _ in range(40)}

    assert statuses() == {200}
    deployment.run("clients", "disable", "brief")
    time.sleep(1)
    assert statuses() == {401}
