"""Real child processes within a millisecond: one warm process that forks a child for every act.

The warm process imports the hub once and opens nothing, so a fork of it is as good as a new process. It reads one JSON
line per order on stdin and answers with one JSON line.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.paths import ROOT

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Ended:
    """How a child ended: the signal that killed it or None, and its result."""

    signal: int | None
    value: dict[str, Any]

    @property
    def killed(self) -> bool:
        return self.signal == signal.SIGKILL


class ForkServer:
    """The test's side: every order is a dictionary for `child.perform`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, *orders: dict[str, Any]) -> list[Ended]:
        """Run all orders, each in its own process: they start simultaneously once all of them are ready."""
        return [Ended(*found) for found in self._ask({"run": orders})]

    def one(self, **order: Any) -> Ended:
        return self.run(order)[0]

    def start(self, **order: Any) -> int:
        """Start one without waiting; returns its process id."""
        return int(self._ask({"start": order}))

    def end(self, pid: int) -> Ended:
        """Wait for a started one."""
        return Ended(*self._ask({"end": pid}))

    def _ask(self, order: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the fork server has ended"
        return json.loads(line)


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.forkserver"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield ForkServer(process)
        assert process.stdin is not None
        process.stdin.close()


# --- the warm process ------------------------------------------------------------------------------------------------


class _Child:
    """A forked child; `barrier` is (descriptor to report that it is ready, descriptor to wait on for the start)."""

    def __init__(self, order: dict[str, Any], barrier: tuple[int, int] | None, close: tuple[int, ...] = ()) -> None:
        self._said, said = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._said)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # reserved for the fork server's own answers
            for handle in close:
                os.close(handle)
            _be(order, said, barrier)
        os.close(said)

    def end(self, deadline: float) -> tuple[int | None, dict[str, Any]]:
        chunks = []
        while select.select([self._said], [], [], max(0.0, deadline - time.monotonic()))[0]:
            chunk = os.read(self._said, 1 << 16)
            if not chunk:
                break
            chunks.append(chunk)
        else:
            os.kill(self.pid, signal.SIGKILL)
            chunks = [b'{"error": "hung"}']
        os.close(self._said)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        text = b"".join(chunks)
        return (-status if status < 0 else None), (json.loads(text) if text else {})


def _be(order: dict[str, Any], said: int, barrier: tuple[int, int] | None) -> None:
    """The child's whole life."""
    from tests.faults import child

    try:
        found = child.perform(order, lambda: _meet(barrier))
        with os.fdopen(said, "w") as out:
            json.dump(found, out)
    finally:
        os._exit(0)


def _meet(barrier: tuple[int, int] | None) -> None:
    if barrier is not None:
        os.write(barrier[0], b".")
        os.read(barrier[1], 1)


def _run(orders: list[dict[str, Any]]) -> list[tuple[int | None, dict[str, Any]]]:
    ready, tell_ready = os.pipe()
    go, start = os.pipe()
    children = [_Child(order, (tell_ready, go), (ready, start)) for order in orders]
    os.close(tell_ready)
    os.close(go)
    deadline = time.monotonic() + PATIENCE_S
    waiting = len(children)
    while waiting and select.select([ready], [], [], max(0.0, deadline - time.monotonic()))[0]:
        came = len(os.read(ready, waiting))
        waiting = waiting - came if came else 0  # EOF: the others ended before they were ready
    os.close(start)
    os.close(ready)
    return [child.end(deadline) for child in children]


def _main() -> None:
    from signing import glyphs
    from tests.faults import child  # noqa: F401 (loaded for every child)

    glyphs.missing("字")  # loads the font, as every process does once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    started: dict[int, _Child] = {}
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any
        if "run" in order:
            answer = _run(order["run"])
        elif "start" in order:
            begun = _Child(order["start"], None)
            started[begun.pid] = begun
            answer = begun.pid
        else:
            answer = started.pop(order["end"]).end(time.monotonic() + PATIENCE_S)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
