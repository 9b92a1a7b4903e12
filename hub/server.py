"""The HTTP server of one process: uvicorn with uvloop and httptools on a socket that is already bound."""

import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from hub.app import create_app
from hub.parts import Parts
from hub.runtime import logs
from hub.web.connection import Connection

BACKLOG = 1024
DRAIN_S = 20
READY_AFTER_S = 3.0
"""Modules for drawing PDFs are loaded before the first request needs them, but not during startup."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = logs.get("server")


class Server(uvicorn.Server):
    """`run` returns after a signal: the signal was handled, so it is not raised again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down gracefully at the first signal; at the second, stop waiting for requests."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def configuration(app: FastAPI) -> uvicorn.Config:
    """How uvicorn runs our applications: no logging of its own, no trust in forwarded addresses, no WebSockets."""
    return uvicorn.Config(
        app,
        http=Connection,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_S,
    )


def run(parts: Parts, sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; requests in progress are completed, within DRAIN_S."""
    _raise_file_limit()
    app = create_app(parts)
    loading = threading.Timer(READY_AFTER_S, parts.rendition.get_ready)
    loading.daemon = True
    loading.start()
    host, port = sock.getsockname()[:2]
    _log.info("serving", host=host, port=port)
    try:
        Server(configuration(app)).run([sock])
    finally:
        loading.cancel()
        parts.checkers.close()  # a check may take much longer than DRAIN_S
        for lane in app.state.lanes.values():
            lane.close()
    _log.info("stopped")


def _raise_file_limit() -> None:
    """Every connection is a file descriptor; the usual soft limit of 1,024 would be reached before our own limits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 65_536
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, 65_536), hard))
