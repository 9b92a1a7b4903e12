"""Supervises the children of `hub serve` (the worker or further API processes): start, restart, stop.

The child reads a pipe whose other end only the parent holds, so it ends with the parent however that ends. It has its
own process group: Ctrl-C in a terminal reaches only the parent, which stops the child after the last request.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from hub.runtime import logs

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
STEADY_S = 30.0
"""After this uptime the back-off starts again at FIRST_PAUSE_S."""
STOP_S = 15.0


class Supervisor:
    """Keeps one child running from `start` to the end of the block."""

    def __init__(
        self, words: Sequence[str] = ("work", "--until-eof"), *, files: Sequence[int] = (), stop_s: float = STOP_S
    ) -> None:
        """words: arguments of `hub`. files: file descriptors to inherit. stop_s: grace period when stopping."""
        self._command = [sys.executable, "-m", "hub", *words]
        self._files = files
        self._stop_s = stop_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the child; it has stop_s to finish its current work."""
        child = self.ask_to_stop()
        if child is not None and child.poll() is None:
            try:
                child.wait(self._stop_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._thread.is_alive():
            self._thread.join(self._stop_s)

    def ask_to_stop(self) -> "subprocess.Popen[bytes] | None":
        """Send SIGTERM without waiting, so that several children can stop at the same time."""
        with self._lock:
            if not self._stopping.is_set():
                self._stopping.set()
                if self._child is not None and self._child.poll() is None:
                    self._child.terminate()
            return self._child

    def start(self) -> None:
        """Start the child and supervise it from a thread."""
        self._thread.start()

    def _keep(self) -> None:
        log = logs.get("supervisor")
        pause = FIRST_PAUSE_S
        while (child := self._spawn()) is not None:
            started = time.monotonic()
            status = child.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > STEADY_S:
                pause = FIRST_PAUSE_S
            log.warning("child ended", command=self._command[3], status=status, pause_s=pause)
            self._stopping.wait(pause)
            pause = min(MAX_PAUSE_S, pause * 2)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            self._child = subprocess.Popen(  # noqa: S603 (our own command)
                self._command, stdin=subprocess.PIPE, process_group=0, pass_fds=self._files
            )
            return self._child
