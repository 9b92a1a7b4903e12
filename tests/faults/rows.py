"""The rows of faults of the engines: each is tried under clients with a journal, and ends in the same question.

A row is a function of a stage, a folder of its own, a number of seconds, and a counter in which it says how often each
fault was tried; it raises AssertionError where something does not hold. The suite runs the short form of each, `python -m tests.faults`
runs them all and prints the table.
"""

import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import scene as s
from tests.faults import servers as engines
from tests.faults.journal import Journal
from tests.faults.servers import Fault
from tests.faults.stage import Stage
from tests.faults.volume import volume
from tests.faults.web import Web
from tests.test_faults_journal import PUSHERS, Told

PATIENCE_S = 60.0
STILL_S = 1.5
LEAST = 12
PROGRESS_S = 90.0
Tried = Counter[str]
ANSWERS, AGAIN = "answers", "told to come again"


@dataclass
class Troupe:
    """The hub's processes and clients that are processes themselves, and the faults that they meet."""

    theatre: Stage
    data: Path
    more: dict[str, Any] = field(default_factory=dict)
    workers: int = 2
    pushers: int = PUSHERS
    beside: list[dict[str, Any]] = field(default_factory=list)
    tried: Tried = field(default_factory=Counter)
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
        parts += [{"act": "worker", "with": {"stop": stop}}] * self.workers + self.beside
        shared = {"data": str(self.data), "patience_s": PATIENCE_S, **self.more}
        self.orders = [{**shared, **part} for part in parts]
        self.running = {n: self.theatre.start(**order) for n, order in enumerate(self.orders)}

    def trouble(self, faults: dict[str, Fault], seconds: float, *, kills: int = 2) -> None:
        """Each fault once, then any of them until the time is up; between them, processes are killed."""
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
        """One process, and start it again."""
        with suppress(ProcessLookupError):
            os.kill(self.running[n], 9)
        ended = self.theatre.end(self.running[n])
        if ended.killed or "value" not in ended.value:
            assert ended.killed, ended
            self.tried[f"{self.orders[n]['act']} killed"] += 1
        self.running[n] = self.theatre.start(**self.orders[n])

    def finish(self) -> Told:
        """Everybody ends in order; what the clients were told."""
        self.stop.touch()
        for pid in self.running.values():
            ended = self.theatre.end(pid)
            assert ended.signal is None, ended
            assert "value" in ended.value, ended.value
        return self.told()

    def told(self) -> Told:
        return Told(self.books, self.acted)

    def abandon(self) -> None:
        """Nobody is left, whatever happened."""
        self.stop.touch()
        for pid in self.running.values():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def _with_troupe(theatre: Stage, data: Path, tried: Tried, work: Callable[[Troupe], None], **more: Any) -> None:
    troupe = Troupe(theatre, data, tried=tried, **more)
    try:
        work(troupe)
        told = troupe.finish()
    except BaseException:
        troupe.abandon()
        raise
    engines.hold(data, told, clock=_Late())
    tried[ANSWERS] = told.answers


class _Late(s.Later):
    """So far ahead that what was put off under a wrong clock is due."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead *= 30


# --- rows -------------------------------------------------------------------------------------------------------------


def both_servers(theatre: Stage, folder: Path, seconds: float, tried: Tried) -> None:
    """Database and directory fail in every way, and clients and two workers are killed."""
    with engines.servers(folder) as found:
        data = folder / "data"
        found.hub(data)
        faults = engines.database_faults(found) | engines.directory_faults(found)
        _with_troupe(theatre, data, tried, lambda troupe: troupe.trouble(faults, seconds))


def api_processes(theatre: Stage, folder: Path, seconds: float, tried: Tried) -> None:
    """`hub serve --workers 2` and two `hub work` are killed under clients that speak HTTP; the servers fail too."""
    with engines.servers(folder) as found:
        data = folder / "data"
        found.hub(data)
        web = Web(found, data)
        try:
            web.trouble(seconds, tried)
            told = web.finish()
        finally:
            web.close()
        engines.hold(data, told)
        web.hold()
        tried.update(web.answers())


def derived_and_keys(theatre: Stage, folder: Path, seconds: float, tried: Tried) -> None:
    """Killed while it rebuilds the directory and while it replaces data keys, on both servers, under clients."""
    with engines.servers(folder) as found:
        data = folder / "data"
        found.hub(data)
        beside = [
            {"act": "rebuild"},
            {"act": "rotate", "with": {"purpose": "seal"}},
            {"act": "rotate", "with": {"purpose": "blind"}},
        ]

        def work(troupe: Troupe) -> None:
            began = time.monotonic()
            last = list(troupe.running)[-len(beside) :]
            while time.monotonic() < began + seconds or _told(data) < LEAST:
                assert time.monotonic() < began + seconds + PROGRESS_S, "the clients are not answered"
                time.sleep(random.uniform(0.05, 0.6))
                troupe.kill(random.choice([*last, *last, random.choice(list(troupe.running))]))

        _with_troupe(theatre, data, tried, work, beside=beside, pushers=2, workers=1)


def three_nodes(theatre: Stage, folder: Path, seconds: float, tried: Tried) -> None:
    """Of three nodes the master, a data node and the majority are lost, under clients and workers that are killed."""
    with engines.servers(folder, nodes=3) as found:
        data = folder / "data"
        found.hub(data)
        _with_troupe(
            theatre, data, tried, lambda troupe: troupe.trouble(engines.cluster_faults(found), seconds), pushers=2
        )


def full_disk(theatre: Stage, folder: Path, seconds: float, tried: Tried) -> None:
    """The file system of the database server is full again and again."""
    size = 160 * 1024 * 1024
    with (
        tempfile.TemporaryDirectory(prefix="hub-small-") as place,
        volume(_for_everybody(place) / "small", size) as small,
        engines.servers(folder, within=small.path, max_wal_size="32MB", wal_recycle="off", wal_keep_size="0") as found,
    ):
        data = folder / "data"
        found.hub(data)

        def full() -> None:
            with suppress(OSError):  # the server has taken the last bytes meanwhile: all the better
                small.fill(random.choice((0, 4096, 65536, 1 << 20)))
            before, since = _told(data), time.monotonic()
            while time.monotonic() - since < STILL_S:
                time.sleep(0.05)
                if (now := _told(data)) != before:
                    before, since = now, time.monotonic()
            small.free()
            if found.database.has_ended():
                tried["database server ended for want of room"] += 1
                found.database.start()

        _with_troupe(
            theatre,
            data,
            tried,
            lambda troupe: troupe.trouble({"database's disk full": full}, seconds),
            pushers=2,
            workers=1,
        )


def _for_everybody(place: str) -> Path:
    """A folder into which the server's user may go."""
    Path(place).chmod(0o755)
    return Path(place)


def _told(data: Path) -> int:
    """How much the clients have written down so far: while it stands still, nobody is answered."""
    return sum(len(Journal(book).lines()) for book in data.parent.glob("journal-*"))


def wrong_clock(theatre: Stage, folder: Path, seconds: float, tried: Tried) -> None:
    """The clock of every process is put forward and back while it works."""
    with engines.servers(folder) as found:
        data, file = folder / "data", folder / "clock"
        file.write_text("0")
        found.hub(data)

        def step(by: float) -> Fault:
            def fault() -> None:
                _put(file, by)
                time.sleep(random.uniform(0.5, 1.5))

            return fault

        steps = {f"clock stepped by {by:+} s": step(by) for by in (1, -1, 3600, -3600, 30, -30, 0)}
        _with_troupe(
            theatre,
            data,
            tried,
            lambda troupe: troupe.trouble(steps, seconds, kills=1),
            pushers=2,
            more={"clock": str(file)},
        )


def _put(file: Path, by: float) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(str(by))
    fresh.replace(file)


@dataclass(frozen=True)
class Row:
    """One row: what is done, for how many seconds in the suite (0: not there) and by the command."""

    name: str
    work: Callable[[Stage, Path, float, Tried], None]
    short_s: float
    usual_s: float = 20.0
    long_s: float = 300.0


ROWS = (
    Row("both servers and every process", both_servers, 15.0),
    Row("API processes under HTTP clients", api_processes, 12.0),
    Row("rebuild and key rotation killed", derived_and_keys, 6.0),
    Row("the database's disk full", full_disk, 0.0),
    Row("clock stepped", wrong_clock, 0.0),
    Row("three nodes", three_nodes, 0.0),
)
