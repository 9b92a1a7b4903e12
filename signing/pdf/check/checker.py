"""The checker: a program that receives an untrusted file and replies with a finding in JSON.

checking.py starts it with an empty environment: no keys, no settings, no database. Its arguments are the limits of a
question: seconds of CPU time for the largest file, and seconds of elapsed time. It forks a child for each question,
with all modules loaded and isolated from other questions. Before a child parses a file, it limits itself: CPU time,
memory, no writing to files, few file descriptors, and no network if the kernel allows that. Any violation ends the
child.

CPU time is the deadline because the checker yields to every other process: how long a check takes by the clock says how
busy the machine is, not what the file costs. The limit on elapsed time only ends children that get no CPU.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import pathlib
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO, NamedTuple

from signing.pdf.check.finding import MAX_ANSWER, MAX_BYTES, CheckFinding, Ended, Reply, trust_of
from signing.pdf.check.inspection import inspect

ANY_FILE = 0.4
"""The share of the deadline that any file gets; the rest depends on its size.

A photo of 10 MB takes a second to decode; of a file of 600 bytes, nothing good takes as long.
"""
MEMORY = 1024 * 1024 * 1024
OPEN_FILES = 32
NICENESS = 19
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET


class Limits(NamedTuple):
    """What a question may take. cpu_s: of a file of MAX_BYTES; `cpu_of` says how much of it a smaller file gets."""

    cpu_s: float
    wall_clock_s: float

    def cpu_of(self, size: int) -> float:
        """CPU seconds for a file of this size."""
        return self.cpu_s * (ANY_FILE + (1 - ANY_FILE) * min(1.0, size / MAX_BYTES))


def limit(cpu_s: float) -> None:
    """Apply the limits to this process, irreversibly.

    The timer ends it after `cpu_s`. RLIMIT_CPU, in whole seconds, does where a hostile file has taken over the process
    and disarmed the timer.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    whole_s = math.ceil(cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole_s, whole_s + 1))
    for kind, bound in (
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


def answer(question: bytes, early: Callable[[CheckFinding], None] = lambda _: None) -> CheckFinding:
    """Return the finding; raises ValueError for a malformed question. early: see `inspect`."""
    line, _, data = question.partition(b"\n")
    head = json.loads(line)
    if len(data) != head["length"]:
        raise ValueError("the file is not as long as announced")
    return inspect(data, trust_of(head), datetime.fromisoformat(head["at"]), early)


def serve(questions: BinaryIO, replies: BinaryIO, limits: Limits) -> None:
    """Answer questions, each prefixed with its length in 8 bytes, until EOF."""
    gc.freeze()
    while len(prefix := questions.read(8)) == 8:
        question = questions.read(int.from_bytes(prefix, "big"))
        _in_a_child(question, limits).write(replies)
        replies.flush()


def _in_a_child(question: bytes, limits: Limits) -> Reply:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _child(question, reading, writing, limits.cpu_of(len(question)))
    os.close(writing)
    try:
        lines, in_time = _read_until(reading, time.monotonic() + limits.wall_clock_s)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # it has answered or timed out: do not let it finish
        _, status, used = os.wait4(child, 0)
    out_of_cpu = os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGPROF, signal.SIGXCPU}
    ended = Ended.LATE if out_of_cpu or not in_time else Ended.ANSWERED if status == 0 else Ended.FAILED
    return Reply(ended, used.ru_utime + used.ru_stime, lines[-1] if lines else b"")


def _child(question: bytes, reading: int, writing: int, cpu_s: float) -> None:
    """Write each finding as a line and exit without Python's shutdown handlers, which belong to the parent."""

    def write(finding: CheckFinding) -> None:
        text = finding.to_json().encode("ascii") + b"\n"
        while text:
            text = text[os.write(writing, text) :]

    status = 1
    try:
        for descriptor in (reading, 0, 1):
            os.close(descriptor)
        limit(cpu_s)
        write(answer(question, write))
        status = 0
    finally:
        os._exit(status)


def _read_until(reading: int, deadline: float) -> tuple[list[bytes], bool]:
    """The complete lines, of MAX_ANSWER bytes at most, and whether the end came by the deadline."""
    data, in_time = b"", True
    while len(data) <= MAX_ANSWER:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(reading, 65536) if ready else b""
        if not part:
            in_time = bool(ready)
            break
        data += part
    return data[:MAX_ANSWER].split(b"\n")[:-1], in_time


if __name__ == "__main__":
    step_back()
    serve(sys.stdin.buffer, sys.stdout.buffer, Limits(*map(float, sys.argv[1:])))
