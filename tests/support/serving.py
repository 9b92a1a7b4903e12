"""Serve an application on a real socket, in a thread of the test's process, and send raw requests to it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from hub.server import Server, configuration


@dataclass
class Reply:
    """A raw reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve until the block ends; yields the address."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = Server(configuration(app))
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        for lane in app.state.lanes.values():
            lane.close()


@contextmanager
def connected(address: str, timeout: float = 20.0) -> Iterator[socket.socket]:
    host, port = httpx.URL(address).host, httpx.URL(address).port
    with socket.create_connection((host, port), timeout=timeout) as connection:
        yield connection


def head(method: str, path: str, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: hub"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_reply(connection: socket.socket) -> Reply:
    """Read one reply with a Content-Length."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _more(connection)
    top, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _more(connection)
    return Reply(int(status_line.split()[1]), headers, body)


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise EOFError("the connection was closed")
    return data


def exchange(address: str, raw: bytes) -> Reply:
    with connected(address) as connection:
        connection.sendall(raw)
        return read_reply(connection)


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document in a reply, after checking its form."""
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    assert content["status"] == response.status_code
    assert content["request_id"] == response.headers["x-request-id"]
    assert content["type"] == "about:blank"
    assert isinstance(content["errors"], list)
    return content
