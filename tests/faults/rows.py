"""The rows of engine faults: each runs under clients with a journal, and ends with the same assertions.

A row is a function of a trial, in which it counts how often each fault occurred; it raises AssertionError if an
assertion fails. The suite runs the short form of some rows, `python -m tests.faults` runs all and prints the table.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults import servers as engines
from tests.faults import steps, whole
from tests.faults.journal import Journal
from tests.faults.processes import ProcessGroup, with_processes
from tests.faults.servers import Fault
from tests.faults.traced import traced
from tests.faults.trial import Trial
from tests.faults.volume import volume
from tests.faults.web import OFTEN, Web

STILL_S = 1.5
LEAST = 12
PROGRESS_S = 90.0


def both_servers(trial: Trial) -> None:
    """Database and directory fail in every way, and clients and two workers are killed."""
    with trial.servers() as found:
        data = trial.folder / "data"
        found.hub(data)
        faults = engines.database_faults(found) | engines.directory_faults(found)
        with_processes(trial, data, lambda processes: processes.trouble(faults, trial.seconds))


def api_processes(trial: Trial) -> None:
    """`hub serve --workers 2` and two `hub work` are killed under HTTP clients; the servers fail too."""
    with trial.servers() as found:
        data = trial.folder / "data"
        found.hub(data)
        _with_web(trial, Web(found, data), data, often=OFTEN)


def derived_and_keys(trial: Trial) -> None:
    """Killed during a rebuild of the directory and during a rotation of data keys, on both servers, under clients."""
    with trial.servers() as found:
        data = trial.folder / "data"
        found.hub(data)
        extra = [
            {"act": "rebuild"},
            {"act": "rotate", "with": {"purpose": "seal"}},
            {"act": "rotate", "with": {"purpose": "blind"}},
        ]

        def work(processes: ProcessGroup) -> None:
            began = time.monotonic()
            last = list(processes.running)[-len(extra) :]
            while time.monotonic() < began + trial.seconds or _told(data) < LEAST:
                assert time.monotonic() < began + trial.seconds + PROGRESS_S, "the clients are not answered"
                time.sleep(random.uniform(0.05, 0.6))
                processes.kill(random.choice([*last, *last, random.choice(list(processes.running))]))

        with_processes(trial, data, work, extra=extra, pushers=2, workers=1)


def three_nodes(trial: Trial) -> None:
    """Of three nodes, the master, a data node and the majority are lost, under clients and workers that are killed."""
    with engines.servers(trial.folder, nodes=3) as found:
        data = trial.folder / "data"
        found.hub(data)
        with_processes(
            trial, data, lambda processes: processes.trouble(engines.cluster_faults(found), trial.seconds), pushers=2
        )


def full_disk(trial: Trial) -> None:
    """The database server's file system fills up repeatedly."""
    size = 160 * 1024 * 1024
    with (
        tempfile.TemporaryDirectory(prefix="hub-small-") as place,
        volume(_world_accessible(place) / "small", size) as small,
        trial.servers() as others,
        engines.with_database(
            others.nodes, within=small.path, max_wal_size="32MB", wal_recycle="off", wal_keep_size="0"
        ) as found,
    ):
        data = trial.folder / "data"
        found.hub(data)

        def full() -> None:
            with suppress(OSError):  # the server has used the last bytes in the meantime, which serves as well
                small.fill(random.choice((0, 4096, 65536, 1 << 20)))
            before, since = _told(data), time.monotonic()
            while time.monotonic() - since < STILL_S:
                time.sleep(0.05)
                if (now := _told(data)) != before:
                    before, since = now, time.monotonic()
            small.free()
            if found.database.has_ended():
                trial.tried["database server ended for want of room"] += 1
                found.database.start()

        with_processes(
            trial,
            data,
            lambda processes: processes.trouble({"database's disk full": full}, trial.seconds),
            pushers=2,
            workers=1,
        )


def slow_disk(trial: Trial) -> None:
    """Every flush of the database's log is slow, or slower than all timeouts: clients get 503 and retry."""
    with trial.servers() as found:
        data = trial.folder / "data"
        found.hub(data)

        def slow(flush_s: float) -> Fault:
            def fault() -> None:
                delay = f"inject=fdatasync:delay_enter={round(flush_s * 1e6)}"
                with traced(found.database.processes(), "-e", "trace=fdatasync", "-e", delay):
                    time.sleep(max(2.0, 3 * flush_s))

            return fault

        faults = {f"a flush takes {time_s} s": slow(time_s) for time_s in (0.3, 2.5)}
        _with_web(trial, Web(found, data), data, faults)


def failing_flush(trial: Trial) -> None:
    """An fsync of the database's log fails: the server aborts all sessions, and recovers from the flushed log."""
    with trial.servers() as found:
        data, server = trial.folder / "data", found.database
        found.hub(data)

        def fail() -> None:
            _answered(data, 4)
            panics = server.panics()
            error = f"inject=fdatasync:error=EIO:when={random.randint(1, 4)}"
            with traced(server.processes(), "-e", "trace=fdatasync", "-e", error):
                deadline = time.monotonic() + PROGRESS_S
                while server.panics() == panics:
                    assert time.monotonic() < deadline, "no process flushes"
                    time.sleep(0.01)
                time.sleep(random.uniform(0.0, 0.3))
            if server.has_ended():
                trial.tried["a flush of the recovery failed too"] += 1
                server.start()

        with_processes(
            trial,
            data,
            lambda processes: processes.trouble({"a flush failed": fail}, trial.seconds, kills=1),
            pushers=2,
        )


def _with_web(
    trial: Trial, web: Web, data: Path, faults: dict[str, Fault] | None = None, often: Sequence[str] = ()
) -> None:
    """HTTP clients under faults, by default those of `Web.faults`; what was acknowledged to them must hold."""
    try:
        web.trouble(trial.seconds, trial.tried, web.faults() if faults is None else faults, often)
        told = web.finish()
    finally:
        web.close()
    engines.hold(data, told)
    web.hold()
    trial.answers, trial.again = web.answers()


def _world_accessible(place: str) -> Path:
    """A folder that the server's user may enter."""
    Path(place).chmod(0o755)
    return Path(place)


def _told(data: Path) -> int:
    """How many answers the clients have written down so far: while it does not change, clients get none."""
    return sum(len(Journal(book).lines()) for book in data.parent.glob("journal-*"))


def _answered(data: Path, more: int) -> None:
    """Wait until the clients have received this many more answers."""
    wanted, deadline = _told(data) + more, time.monotonic() + PROGRESS_S
    while _told(data) < wanted:
        assert time.monotonic() < deadline, "the clients are not answered"
        time.sleep(0.02)


def wrong_clock(trial: Trial) -> None:
    """The clock of every process is moved forward and back while it works."""
    with trial.servers() as found:
        data, file = trial.folder / "data", trial.folder / "clock"
        file.write_text("0")
        found.hub(data)

        def step(by: float) -> Fault:
            def fault() -> None:
                _put(file, by)
                time.sleep(random.uniform(0.5, 1.5))

            return fault

        steps = {f"clock stepped by {by:+} s": step(by) for by in (1, -1, 3600, -3600, 30, -30, 0)}
        with_processes(
            trial,
            data,
            lambda processes: processes.trouble(steps, trial.seconds, kills=1),
            pushers=2,
            more={"clock": str(file)},
        )


def _put(file: Path, by: float) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(str(by))
    fresh.replace(file)


@dataclass(frozen=True)
class Row:
    """One row: what it does, and for how many seconds in the suite (0: not in the suite) and in the command."""

    name: str
    work: Callable[[Trial], None]
    short_s: float
    usual_s: float = 20.0
    long_s: float = 300.0


ROWS = (
    Row("steps: killed at each of every story", steps.stories_everywhere, 0.0),
    Row("steps: killed at one of some stories", steps.stories_somewhere, 8.0, usual_s=60.0),
    Row("steps: killed while a hub comes to be", whole.beginnings, 0.0),
    Row("both servers and every process", both_servers, 10.0),
    Row("API processes under HTTP clients", api_processes, 8.0),
    Row("rebuild and key rotation killed", derived_and_keys, 5.0),
    Row("the database's disk full", full_disk, 2.0),
    Row("the database's disk slow", slow_disk, 0.0),
    Row("the database's disk fails to flush", failing_flush, 3.0),
    Row("clock stepped", wrong_clock, 0.0),
    Row("three nodes", three_nodes, 0.0),
)
