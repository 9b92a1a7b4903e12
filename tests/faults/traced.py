"""strace on running processes: delays their system calls, makes them fail, or records them."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

READY_S = 10.0


@contextmanager
def traced(pids: Sequence[int], *arguments: str) -> Iterator[None]:
    """Trace these processes and all their future forks; skips the test if this user may not trace."""
    attached = [word for pid in pids for word in ("-p", str(pid))]
    try:
        tracer = subprocess.Popen(["strace", "-f", "-qq", *attached, *arguments], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("needs strace")
    with tracer:
        deadline = time.monotonic() + READY_S
        while not all(_is_traced(pid) for pid in pids):
            if tracer.poll() is not None or time.monotonic() > deadline:
                tracer.kill()
                pytest.skip("this user may not trace")
            time.sleep(0.001)
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(READY_S)


def _is_traced(pid: int) -> bool:
    """Whether it is traced, or has already ended."""
    try:
        found = re.search(r"TracerPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return True
    return found is not None and found.group(1) != "0"
