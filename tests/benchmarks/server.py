"""Real server processes to measure: the hub as run by `hub serve`, and the empty route on the same server."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.ports import free_port

TICKS = os.sysconf("SC_CLK_TCK")
HUB = (sys.executable, "-m", "hub")


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, used by a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def quiet(pid: int, limit_s: float = 60.0) -> None:
    """Wait until the children of a process, including the worker, are idle."""
    children = [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = sum(map(cpu_s, children))
        time.sleep(0.5)
        if sum(map(cpu_s, children)) - before < 0.05:
            return


def rss_mb(pid: int) -> float:
    """Resident memory in MB."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a hub process on a data directory, with limits out of the way."""
    limits = {f"HUB_PEOPLE_A_DAY{suffix}": "10000000" for suffix in ("", "_PER_CLERK", "_PER_CLIENT")}
    limits |= {"HUB_FILES_PER_ADDRESS": "1000", "HUB_FILE_CPU_PER_ADDRESS_S": "1000000"}
    return {**os.environ, **limits, "HUB_DATA_DIR": str(folder), "HUB_LOG_LEVEL": "warning", **(more or {})}


@contextmanager
def hub(folder: Path, more: Mapping[str, str] | None = None, workers: int = 1) -> Iterator[tuple[int, int]]:
    """(port, pid) of `hub serve` on a data directory. more: environment variables."""
    port = free_port()
    command = [*HUB, "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers)] if workers > 1 else []
    with running(command, environment(folder, more), f"http://127.0.0.1:{port}/readyz") as pid:
        yield port, pid


@contextmanager
def empty(workers: int = 1) -> Iterator[tuple[int, int]]:
    """(port, pid) of the empty route under uvicorn with the hub's options."""
    port = free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    options += ["--workers", str(workers)]
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.floors:empty", "--port", str(port), *options]
    with running(command, dict(os.environ), f"http://127.0.0.1:{port}/empty") as pid:
        yield port, pid


@contextmanager
def running(command: list[str], environment: dict[str, str], ready: str | None) -> Iterator[int]:
    """The pid of a process, once the address `ready` answers."""
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while ready is not None:
            try:
                urllib.request.urlopen(ready, timeout=2).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("the server did not become ready") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
