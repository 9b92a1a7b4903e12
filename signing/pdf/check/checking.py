"""The parent's side of the checker: passes it a file, enforces the limit on elapsed time, and validates the reply."""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Self

from signing.errors import Malformed
from signing.pdf.check.finding import (
    MAX_BYTES,
    Answer,
    CheckFinding,
    Ended,
    Reply,
    Trust,
    What,
    finding_from_json,
    kind_of,
    question,
)

_PROGRAM = (sys.executable, "-I", "-m", "signing.pdf.check.checker")
_GRACE_S = 60.0  # for starting and forking on a busy machine; later, the program itself is killed


class Checkers:
    """A pool of checker programs, each answering one question at a time; thread-safe.

    A program is started when first needed, and restarted if it does not answer. It forks a child for every question,
    with the checker's limits.
    """

    def __init__(self, programs: int, deadline_s: float, wall_clock_s: float = 120.0) -> None:
        """deadline_s: the CPU time for a file of MAX_BYTES. wall_clock_s: of each of the two waits in `check`."""
        self._deadline_s = deadline_s
        self._wall_clock_s = wall_clock_s
        self._lock = threading.Lock()
        self._programs: set[_Program] = set()
        self._closed = False
        self._idle: queue.LifoQueue[_Program | None] = queue.LifoQueue()
        for _ in range(programs):
            self._idle.put(None)

    def __enter__(self) -> Self:
        """Return itself; the programs end with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(
        self, data: bytes, trust: Trust, at: datetime, spend: Callable[[float], None] = lambda _: None
    ) -> CheckFinding:
        """Return the finding for an untrusted file; the finding also says if the file could not be checked.

        Waits for a free program. spend: called with the CPU seconds that the check took. Its own problems:
        `upload.too_large`; `pdf.checker_busy` if no program was free in time, `pdf.deadline` if it took too long,
        `pdf.checker_failed` if it ended without an answer.
        """
        if len(data) > MAX_BYTES:
            return CheckFinding(What.OTHER, problems=("upload.too_large",))
        try:
            program = self._idle.get(timeout=self._wall_clock_s)
        except queue.Empty:
            return _unfinished(data, Ended.BUSY)
        reply: Reply | None = None
        try:
            program = program or self._start()
            reply = program.ask(question(data, trust, at))
        except (OSError, ValueError):
            reply = None
        if reply is None and program is not None:  # it failed; discard it
            self._discard(program)
            program = None
        self._idle.put(program)
        # What a program that gave no answer used is unknown; assume that it used everything.
        spend(self._deadline_s if reply is None else reply.cpu_s)
        return _unfinished(data, Ended.FAILED) if reply is None else _read(data, reply)

    def close(self) -> None:
        """Stop all programs: checks that are running end as `pdf.checker_failed`, and so does any later one."""
        with self._lock:
            self._closed = True
            programs = list(self._programs)
        for program in programs:
            program.kill()  # the thread that waits for it discards it
        idle = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for place in idle:
            if place is not None:
                self._discard(place)
            self._idle.put(None)

    def _start(self) -> "_Program":
        """Start a program; raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError("closed")
            program = _Program(self._deadline_s, self._wall_clock_s)
            self._programs.add(program)
        return program

    def _discard(self, program: "_Program") -> None:
        with self._lock:
            self._programs.discard(program)
        program.close()


class _Program:
    """A running checker, without environment or file descriptors but its pipes."""

    def __init__(self, deadline_s: float, wall_clock_s: float) -> None:
        self._patience_s = wall_clock_s + _GRACE_S
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            (*_PROGRAM, str(deadline_s), str(wall_clock_s)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )

    def ask(self, asked: bytes) -> Reply | None:
        """Return the reply; None if the program failed or was killed for not answering."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return None
        watchdog = threading.Timer(self._patience_s, self._process.kill)
        watchdog.start()
        try:
            stdin.write(len(asked).to_bytes(8, "big") + asked)
            stdin.flush()
            return Reply.read(stdout)
        finally:
            watchdog.cancel()

    def kill(self) -> None:
        """End it; from any thread."""
        self._process.kill()

    def close(self) -> None:
        """End it, once no thread waits for it, and free what it holds."""
        self.kill()
        with contextlib.suppress(OSError):
            self._process.communicate()


def _read(data: bytes, reply: Reply) -> CheckFinding:
    """The finding of a reply. Without a proper end, only a `no` stands: nothing that the file still has can undo it."""
    try:
        found = finding_from_json(reply.text.decode("ascii"))
    except (Malformed, UnicodeDecodeError):
        return _unfinished(data, Ended.FAILED if reply.ended is Ended.ANSWERED else reply.ended)
    if reply.ended is Ended.ANSWERED:
        return found
    return _unfinished(data, reply.ended, found if Answer.NO in {found.intact, found.trusted} else None)


def _unfinished(data: bytes, ended: Ended, found: CheckFinding | None = None) -> CheckFinding:
    problem = {Ended.LATE: "pdf.deadline", Ended.BUSY: "pdf.checker_busy"}.get(ended, "pdf.checker_failed")
    found = found or CheckFinding(kind_of(data))
    return replace(found, problems=(*found.problems, problem))
