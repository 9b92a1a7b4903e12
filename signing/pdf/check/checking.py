"""The parent's side of the checker: passes it a file, enforces the deadline, and validates the reply."""

import contextlib
import queue
import subprocess
import sys
import threading
from datetime import datetime
from typing import Self

from signing.errors import Malformed
from signing.pdf.check.finding import (
    MAX_ANSWER,
    MAX_BYTES,
    CheckFinding,
    Ended,
    Trust,
    What,
    finding_from_json,
    kind_of,
    question,
)

_PROGRAM = (sys.executable, "-I", "-m", "signing.pdf.check.checker")
_GRACE_S = 5.0  # for starting and forking; after deadline and grace, the program itself is killed


class Checkers:
    """A pool of checker programs, each answering one question at a time; thread-safe.

    A program is started when first needed, and restarted if it does not answer. It forks a child for every question,
    with the checker's limits and the deadline.
    """

    def __init__(self, programs: int, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._idle: queue.LifoQueue[_Program | None] = queue.LifoQueue()
        for _ in range(programs):
            self._idle.put(None)

    def __enter__(self) -> Self:
        """Return itself; the programs end with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, data: bytes, trust: Trust, at: datetime) -> CheckFinding:
        """Return the finding for an untrusted file; the finding also says if the file could not be checked.

        Waits for a free program. Its own problems: `upload.too_large`; `pdf.checker_busy` if no program was free by
        the deadline, `pdf.deadline` if it took too long, `pdf.checker_failed` if it ended without an answer.
        """
        if len(data) > MAX_BYTES:
            return CheckFinding(What.OTHER, problems=("upload.too_large",))
        try:
            program = self._idle.get(timeout=self._deadline_s)
        except queue.Empty:
            return _without_answer(data, Ended.BUSY)
        reply: tuple[Ended, bytes] | None = None
        try:
            program = program or _Program(self._deadline_s)
            reply = program.ask(question(data, trust, at))
        except (OSError, ValueError):
            reply = None
        if reply is None and program is not None:  # it failed; discard it
            program.close()
            program = None
        self._idle.put(program)
        return _read(data, *(reply or (Ended.FAILED, b"")))

    def close(self) -> None:
        """Stop the idle programs."""
        with contextlib.suppress(queue.Empty):
            while True:
                program = self._idle.get_nowait()
                if program is not None:
                    program.close()


class _Program:
    """A running checker, without environment or file descriptors but its pipes."""

    def __init__(self, deadline_s: float) -> None:
        self._patience_s = deadline_s + _GRACE_S
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            (*_PROGRAM, str(deadline_s)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )

    def ask(self, asked: bytes) -> tuple[Ended, bytes] | None:
        """Return how the question ended, and the answer; None if the program failed or was killed for not answering."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return None
        watchdog = threading.Timer(self._patience_s, self._process.kill)
        watchdog.start()
        try:
            stdin.write(len(asked).to_bytes(8, "big") + asked)
            stdin.flush()
            head = stdout.read(5)
            size = int.from_bytes(head[1:], "big")
            if len(head) < 5 or size > MAX_ANSWER:
                return None
            return Ended(head[:1]), stdout.read(size)
        finally:
            watchdog.cancel()

    def close(self) -> None:
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.communicate()


def _read(data: bytes, ended: Ended, text: bytes) -> CheckFinding:
    if ended is not Ended.ANSWERED or len(text) > MAX_ANSWER:
        return _without_answer(data, ended if ended is not Ended.ANSWERED else Ended.FAILED)
    try:
        return finding_from_json(text.decode("ascii"))
    except (Malformed, UnicodeDecodeError):
        return _without_answer(data, Ended.FAILED)


def _without_answer(data: bytes, ended: Ended) -> CheckFinding:
    problem = {Ended.LATE: "pdf.deadline", Ended.BUSY: "pdf.checker_busy"}.get(ended, "pdf.checker_failed")
    return CheckFinding(kind_of(data), problems=(problem,))
