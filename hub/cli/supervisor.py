"""The background worker as a child of `hub serve`: started, started again when it dies, stopped with its parent.

The child reads the other end of a pipe that only the parent holds, so it ends with the parent, whatever ends that. It
has a process group of its own: Ctrl-C in a terminal reaches the parent, which stops it after the last request.
"""

import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

from hub import logs

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
STEADY_S = 30.0
"""A worker that lived this long starts the pauses anew."""
STOP_S = 15.0


class Supervisor:
    """Keeps one worker alive from `start` to the end of the block."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the worker; it finishes the chore in hand, for STOP_S at most."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def start(self) -> None:
        """Start the worker and watch it from a thread."""
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
            log.warning("worker ended", status=status, pause_s=pause)
            self._stopping.wait(pause)
            pause = min(MAX_PAUSE_S, pause * 2)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            command = [sys.executable, "-m", "hub", "work", "--until-eof"]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)  # noqa: S603 (our own)
            return self._child
