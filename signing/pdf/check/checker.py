"""The checker: a program that receives an untrusted file and replies with a finding in JSON.

checking.py starts it with an empty environment: no keys, no settings, no database. Its argument is the deadline of a
question in seconds. It forks a child for each question, with all modules loaded and isolated from other questions.
Before a child parses a file, it limits itself: CPU seconds, memory, no writing to files, few file descriptors, and no
network if the kernel allows that. Any violation ends the child.
"""

import contextlib
import ctypes
import gc
import json
import os
import pathlib
import resource
import select
import signal
import sys
import time
from datetime import datetime
from typing import BinaryIO

from signing.pdf.check.finding import MAX_ANSWER, Ended, trust_of
from signing.pdf.check.inspection import inspect

CPU_SECONDS = 8
MEMORY = 1024 * 1024 * 1024
OPEN_FILES = 32
NICENESS = 19
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET


def limit() -> None:
    """Apply the limits to this process, irreversibly."""
    for kind, bound in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (bound, bound))
    ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK)  # not permitted on some systems; the other limits still apply


def step_back() -> None:
    """Yield to the processes that answer requests: lowest priority, also of the session.

    Linux distributes CPU among sessions first. A real-time policy is not inherited: under it niceness means nothing,
    and each turn of a checker would take 100 ms (sched_rr_timeslice_ms) from every other process.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")  # sched(7)


def answer(question: bytes) -> bytes:
    """Return the finding as JSON; raises ValueError for a malformed question."""
    line, _, data = question.partition(b"\n")
    head = json.loads(line)
    if len(data) != head["length"]:
        raise ValueError("the file is not as long as announced")
    return inspect(data, trust_of(head), datetime.fromisoformat(head["at"])).to_json().encode("ascii")


def serve(questions: BinaryIO, answers: BinaryIO, deadline_s: float) -> None:
    """Answer questions, each prefixed with its length in 8 bytes, until EOF; answers: status, 4 bytes length, JSON."""
    gc.freeze()
    while len(prefix := questions.read(8)) == 8:
        question = questions.read(int.from_bytes(prefix, "big"))
        ended, text = _in_a_child(question, deadline_s)
        answers.write(ended.value + len(text).to_bytes(4, "big") + text)
        answers.flush()


def _in_a_child(question: bytes, deadline_s: float) -> tuple[Ended, bytes]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _child(question, reading, writing)
    os.close(writing)
    try:
        text = _read_until(reading, time.monotonic() + deadline_s)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # it has answered or timed out: do not let it finish
        os.waitpid(child, 0)
    if text is None:
        return Ended.LATE, b""
    return (Ended.ANSWERED, text) if text and len(text) <= MAX_ANSWER else (Ended.FAILED, b"")


def _child(question: bytes, reading: int, writing: int) -> None:
    """Answer and exit without Python's shutdown handlers, which belong to the parent."""
    status = 1
    try:
        for descriptor in (reading, 0, 1):
            os.close(descriptor)
        limit()
        text = answer(question)
        while text:
            text = text[os.write(writing, text) :]
        status = 0
    finally:
        os._exit(status)


def _read_until(reading: int, deadline: float) -> bytes | None:
    """Read until EOF; None if that does not come by the deadline."""
    parts, size = [], 0
    while size <= MAX_ANSWER:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(reading, 65536)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


if __name__ == "__main__":
    step_back()
    serve(sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[1]))
