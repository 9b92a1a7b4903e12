"""Children of `hub serve`, the background worker or more API processes: started, started again when they die, stopped
with their parent.

The child reads the other end of a pipe that only the parent holds, so it ends with the parent, whatever ends that. It
has a process group of its own: Ctrl-C in a terminal reaches the parent, which stops it after the last request.
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
"""A worker that lived this long starts the pauses anew."""
STOP_S = 15.0


class Supervisor:
    """Keeps one child alive from `start` to the end of the block."""

    def __init__(
        self, words: Sequence[str] = ("work", "--until-eof"), *, files: Sequence[int] = (), stop_s: float = STOP_S
    ) -> None:
        """words: of the `hub` command. files: descriptors that the child inherits. stop_s: how long it may end."""
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
        """Stop the child; it finishes what is in hand, for stop_s at most."""
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
        """Tell the child to end, without waiting for it: of several, all then end at once."""
        with self._lock:
            if not self._stopping.is_set():
                self._stopping.set()
                if self._child is not None and self._child.poll() is None:
                    self._child.terminate()
            return self._child

    def start(self) -> None:
        """Start the child and watch it from a thread."""
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
            self._child = subprocess.Popen(  # noqa: S603 (our own)
                self._command, stdin=subprocess.PIPE, process_group=0, pass_fds=self._files
            )
            return self._child
