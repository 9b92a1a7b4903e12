"""Worker and client processes that are killed and restarted while other things fail."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import scene as s
from tests.faults import servers as engines
from tests.faults.forkserver import ForkServer
from tests.faults.servers import Fault
from tests.faults.test_journal import PUSHERS, Acknowledged
from tests.faults.trial import Trial

PATIENCE_S = 60.0


@dataclass
class ProcessGroup:
    """Worker and client processes, and the faults that they are exposed to."""

    forkserver: ForkServer
    data: Path
    more: dict[str, Any] = field(default_factory=dict)
    workers: int = 2
    pushers: int = PUSHERS
    extra: list[dict[str, Any]] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    orders: list[dict[str, Any]] = field(default_factory=list)
    running: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.data.parent
        self.stop, self.acted = folder / "stop", folder / "journal-acts"
        self.books = [str(folder / f"journal-{index}") for index in range(self.pushers)]
        stop = str(self.stop)
        parts: list[dict[str, Any]] = [
            {"act": "pusher", "with": {"journal": book, "index": index, "stop": stop}}
            for index, book in enumerate(self.books)
        ]
        parts.append({"act": "revoker", "with": {"journal": str(self.acted), "books": self.books, "stop": stop}})
        parts += [{"act": "worker", "with": {"stop": stop}}] * self.workers + self.extra
        shared = {"data": str(self.data), "patience_s": PATIENCE_S, **self.more}
        self.orders = [{**shared, **part} for part in parts]
        self.running = {n: self.forkserver.start(**order) for n, order in enumerate(self.orders)}

    def trouble(self, faults: dict[str, Fault], seconds: float, *, kills: int = 2) -> None:
        """Each fault once, then random ones until the time is up; between them, processes are killed."""
        until = time.monotonic() + seconds
        turn = list(faults.items())
        while time.monotonic() < until or turn:
            name, fault = turn.pop(0) if turn else random.choice(list(faults.items()))
            fault()
            self.tried[name] += 1
            for _ in range(random.randint(0, kills)):
                self.kill(random.choice(list(self.running)))
            time.sleep(random.uniform(0.2, 1.0))

    def kill(self, n: int) -> None:
        """Kill one process, and restart it."""
        with suppress(ProcessLookupError):
            os.kill(self.running[n], 9)
        ended = self.forkserver.end(self.running[n])
        if ended.killed or "value" not in ended.value:
            assert ended.killed, ended
            self.tried[f"{self.orders[n]['act']} killed"] += 1
        self.running[n] = self.forkserver.start(**self.orders[n])

    def finish(self) -> Acknowledged:
        """Shut down all processes; returns what was acknowledged to the clients."""
        self.stop.touch()
        for pid in self.running.values():
            ended = self.forkserver.end(pid)
            assert ended.signal is None, ended
            assert "value" in ended.value, ended.value
        return self.acknowledged()

    def acknowledged(self) -> Acknowledged:
        return Acknowledged(self.books, self.acted)

    def abandon(self) -> None:
        """End all processes, in any case."""
        self.stop.touch()
        for pid in self.running.values():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def with_processes(trial: Trial, data: Path, work: Callable[[ProcessGroup], None], **more: Any) -> None:
    processes = ProcessGroup(trial.forkserver, data, tried=trial.tried, **more)
    try:
        work(processes)
        acknowledged = processes.finish()
    except BaseException:
        processes.abandon()
        raise
    engines.hold(data, acknowledged, clock=_Late() if "clock" in processes.more else None)
    trial.answers = acknowledged.answers


class _Late(s.Later):
    """So far ahead that work postponed under a wrong clock is due."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead *= 30
