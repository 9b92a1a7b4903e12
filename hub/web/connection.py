"""One TCP connection: uvicorn's protocol, extended with limits on everything around a request's body.

A head must be complete within HEAD_TIMEOUT_S and MAX_HEAD_BYTES, and a process accepts at most MAX_CONNECTIONS, which
stops slow-header attacks. The framing of a chunked body (sizes, extensions, trailers) has its own limit, because the
limit of the body does not count it. A request that cannot be parsed is answered with a problem, like any other refusal.
"""

import asyncio
import json
import re
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hub.domain.errors import TITLES

HEAD_TIMEOUT_S = 10.0
MAX_HEAD_BYTES = 32 * 1024
MAX_CONNECTIONS = 4096
FRAMING_PER_BYTE = 8
"""Chunks of one byte, which some clients send, need five bytes of framing each."""
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    """A connection from a client or from the reverse proxy."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._too_large = False
        self._framing_bytes = 0
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or close the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of an incomplete head, and those of a body that are not content."""
        if self._in_head:
            self._head_bytes += len(data)
            data = _without_upgrade(data)
        else:
            self._framing_bytes += len(data)  # `on_body` takes the content off
        super().data_received(data)
        too_large = self._head_bytes > MAX_HEAD_BYTES if self._in_head else self._has_too_much_framing()
        if too_large and not self.transport.is_closing():
            self._refuse(431, "upload.too_large")

    def _has_too_much_framing(self) -> bool:
        return self._framing_bytes > MAX_HEAD_BYTES + FRAMING_PER_BYTE * self._body_bytes

    def on_message_begin(self) -> None:
        """A new head starts."""
        super().on_message_begin()
        self._framing_bytes = self._body_bytes = 0
        self._start_timer()

    def on_headers_complete(self) -> None:
        """The head is complete; the frame handles the rest. Raises ValueError, through the parser, to refuse it."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._too_large = True
            raise ValueError
        if sum(name == b"host" for name, _ in self.headers) != 1 and self.parser.get_http_version() == "1.1":
            raise ValueError  # RFC 9112 §3.2
        self._in_head = False
        self._head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers, which come after the head, are dropped (RFC 9110 §6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next bytes belong to another head."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the parser's message may quote the request)
        """Refuse a request that is not HTTP or exceeds the limits."""
        if self._too_large:
            self._refuse(431, "upload.too_large")
        else:
            self._refuse(400, "upload.unreadable")

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(408, "upload.timeout")

    def _refuse(self, status: int, code: str) -> None:
        """Write a complete problem by hand, unless a response to this or an earlier request is under way."""
        request_id = secrets.token_hex(16)
        title = TITLES[code][0]
        content = {"type": "about:blank", "status": status, "title": title, "code": code, "request_id": request_id}
        body = json.dumps({**content, "errors": []}, ensure_ascii=False).encode()
        head = (
            "content-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            f"x-request-id: {request_id}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._stop_timer()
        cycle = self.cycle  # of this request where its head is complete, otherwise of the one before
        unanswered = not (self._in_head or self.pipeline or (cycle is not None and cycle.response_started))
        if cycle is None or cycle.response_complete or unanswered:
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """Remove an `Upgrade` header, which a server may ignore (RFC 9110 §7.8).

    Java's HttpClient offers h2c over plain HTTP, and the parser would mistake the body for the start of that protocol.
    """
    end = data.find(b"\r\n\r\n")
    found = _UPGRADE.search(data, 0, end if end >= 0 else len(data))
    return data if found is None else data[: found.start()] + b"\r\nx-not-taken:" + data[found.end() :]
