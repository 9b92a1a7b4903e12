"""One TCP connection: uvicorn's protocol, extended with limits on everything around a request's body.

A head must be complete within HEAD_TIMEOUT_S, MAX_HEAD_BYTES and MAX_HEADERS, and a process accepts at most
MAX_CONNECTIONS, which stops slow-header attacks. The framing of a chunked body (sizes, extensions, trailers) has its
own limits, because the limit of the body does not count it. A client may send MAX_UNANSWERED requests without waiting
for the answers. A request that cannot be parsed or exceeds a limit is answered with a problem, like any other refusal:
after the answers to the requests before it, and as the last answer of the connection.

A connection ends when it is idle for IDLE_S, and when its client has read nothing for STALL_S.
"""

import asyncio
import json
import re
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from hub.domain.errors import TITLES

HEAD_TIMEOUT_S = 10.0
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_UNANSWERED = 16
MAX_CONNECTIONS = 4096
FRAMING_PER_BYTE = 8
"""Chunks of one byte, which some clients send, need five bytes of framing each."""
IDLE_S = 30
STALL_S = 30.0
LINGER_S = 5.0
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)
_UNREADABLE = (400, "upload.unreadable")
_TOO_LARGE = (431, "upload.too_large")


class _Transport:
    """The transport as an answer sees it: the connection decides how it is closed."""

    def __init__(self, connection: "Connection") -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.close


class Connection(HttpToolsProtocol):
    """A connection from a client or from the reverse proxy."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = IDLE_S
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._fields = 0
        self._framing_bytes = 0
        self._body_bytes = 0
        self._run_bytes = 0
        self._fault = _UNREADABLE
        self._refusal = b""
        self._is_last = False
        self._reads = True
        self._is_over = False

    # --- the connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or close the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._start_timer(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, and tell the request that is being answered."""
        self._stop_timer()
        self._stop_stall_timer()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self._drop(self._answering)
        super().connection_lost(exc)

    def close(self) -> None:
        """End the connection after the answers that were written.

        What the client is still sending is discarded for a while: a reset would overtake the answers.
        """
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self._is_last and self._in_head and not self._refusal:
            self.transport.close()  # the client sends nothing more
        elif not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()
        self.pipeline.clear()
        self._reads = False
        self._is_over = True
        self._start_stall_timer(LINGER_S, float("inf"))

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._start_stall_timer(STALL_S, float("inf"))

    # --- what arrives -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Count the bytes of an incomplete head, and those of a body that are not content."""
        if not self._reads or (self._is_between_requests() and data[:1] in b"\r\n" and not data.strip(b"\r\n")):
            return  # empty lines are ignored between requests (RFC 9112 §2.2)
        content = self._body_bytes
        if self._in_head:
            self._head_bytes += len(data)
            data = _without_upgrade(data)
        else:
            self._framing_bytes += len(data)  # `on_body` takes the content off
        super().data_received(data)
        self._run_bytes = 0 if self._in_head or self._body_bytes != content else self._run_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES if self._in_head else self._has_too_much_framing():
            self._refuse(*_TOO_LARGE)
        elif self._is_between_requests() and not self._unanswered() and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(IDLE_S, self.timeout_keep_alive_handler)

    def _is_between_requests(self) -> bool:
        return self._in_head and self._timer is None

    def _has_too_much_framing(self) -> bool:
        """Altogether, or since the last content: a chunk extension or trailers."""
        all_bytes = self._framing_bytes > MAX_HEAD_BYTES + FRAMING_PER_BYTE * self._body_bytes
        return all_bytes or self._run_bytes > MAX_HEAD_BYTES

    def on_message_begin(self) -> None:
        """A new head starts."""
        super().on_message_begin()
        self._framing_bytes = self._body_bytes = self._run_bytes = self._fields = 0
        self._start_timer(HEAD_TIMEOUT_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers, which come after the head, are counted and dropped (RFC 9110 §6.5.1).

        Raises ValueError, through the parser, for too many.
        """
        self._fields += 1
        if self._fields > MAX_HEADERS:
            self._fail(*_TOO_LARGE)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete; the frame handles the rest. Raises ValueError, through the parser, to refuse it."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._fail(*_TOO_LARGE)
        if sum(name == b"host" for name, _ in self.headers) != 1 and self.parser.get_http_version() == "1.1":
            self._fail(*_UNREADABLE)  # RFC 9112 §3.2
        if self._unanswered() >= MAX_UNANSWERED:
            self._fail(429, "rate.limited")
        self._in_head = False
        self._head_bytes = self._fields = 0
        self._stop_timer()
        super().on_headers_complete()
        self.cycle.transport = _Transport(self)  # type: ignore[assignment]
        self._is_last = not self.cycle.keep_alive

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next bytes belong to another head."""
        super().on_message_complete()
        self._in_head = True
        self._stop_timer()

    # --- answers ------------------------------------------------------------------------------------------------------

    def _unanswered(self) -> int:
        current = self._answering
        return len(self.pipeline) + (current is not None and not current.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Start the next request, or write the refusal that ends the connection."""
        if self._is_over:
            return
        super().on_response_complete()
        if self._refusal:
            self._write_refusal()
        elif not self._in_head and not self._unanswered():
            self._start_timer(IDLE_S)  # for the rest of a body that is not read

    def pause_writing(self) -> None:
        """The client reads more slowly than the hub answers."""
        super().pause_writing()
        self._start_stall_timer(STALL_S, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._reads:
            self._stop_stall_timer()

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _fail(self, status: int, code: str) -> None:
        """Have the parser give up; it calls `send_400_response`."""
        self._fault = (status, code)
        raise ValueError

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the parser's message may quote the request)
        """Refuse a request that is not HTTP or exceeds the limits."""
        self._refuse(*self._fault)

    def _refuse(self, status: int, code: str) -> None:
        """Answer this request with a problem, after those before it, and read no other."""
        if not self._reads or self.transport.is_closing():
            return
        self._reads = False
        self._stop_timer()
        self._refusal = _problem(status, code)
        if not self._in_head and self.pipeline:  # its head is complete, so it waits at the end
            self.pipeline.popleft()
        elif not self._in_head:
            self._drop(self._answering)
            if self._answering is not None and self._answering.response_started:
                self.close()
                return
            self._answering = None
        self._write_refusal()

    def _write_refusal(self) -> None:
        """Write it when everything before it is answered."""
        if not self._unanswered() and not self.transport.is_closing():
            self.transport.write(self._refusal)
            self.close()

    @staticmethod
    def _drop(cycle: RequestResponseCycle | None) -> None:
        """The client no longer waits for this answer."""
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    # --- timers -------------------------------------------------------------------------------------------------------

    def _start_timer(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.flow.read_paused:  # until requests before it are answered: not the client's delay
            self._start_timer(HEAD_TIMEOUT_S)
        elif self._in_head:
            self._refuse(408, "upload.timeout")
        else:
            self.close()

    def _start_stall_timer(self, seconds: float, unread: float) -> None:
        self._stop_stall_timer()
        self._stall_timer = self.loop.call_later(seconds, self._require_progress, unread)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _require_progress(self, unread_before: float) -> None:
        """Cut the connection unless the client has read some of what is left."""
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < unread_before:
            self._start_stall_timer(STALL_S, unread)
        else:
            self.transport.abort()


def _problem(status: int, code: str) -> bytes:
    """A complete answer."""
    request_id = secrets.token_hex(16)
    title = TITLES[code][0]
    content = {"type": "about:blank", "status": status, "title": title, "code": code, "request_id": request_id}
    body = json.dumps({**content, "errors": []}, ensure_ascii=False).encode()
    head = (
        "content-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
        f"x-request-id: {request_id}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return STATUS_LINE[status] + head.encode() + body


def _without_upgrade(data: bytes) -> bytes:
    """Remove an `Upgrade` header, which a server may ignore (RFC 9110 §7.8).

    Java's HttpClient offers h2c over plain HTTP, and the parser would mistake the body for the start of that protocol.
    """
    end = data.find(b"\r\n\r\n")
    found = _UPGRADE.search(data, 0, end if end >= 0 else len(data))
    return data if found is None else data[: found.start()] + b"\r\nx-not-taken:" + data[found.end() :]
