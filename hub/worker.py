"""The worker: completes interrupted issuances, feeds the directory, renders documents, and does housekeeping.

It has three loops, each in a thread: a change is in the directory within moments and rendered soon after, however long
the other chores take.

Safe to kill at any time and to run twice: the database decides which worker did what.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Thread

from hub.db.database import DatabaseUnavailable
from hub.parts import Parts
from hub.runtime import heartbeat, logs
from hub.store import case_use, clients, intents, people_seen
from hub.store.case_use import By
from indexer.errors import DirectoryUnavailable
from signing.errors import KeyMissing

IDLE_S = 1.0
FEED_S = 0.05
"""How often an idle worker polls for changes: two small reads."""
RENDER_S = 0.1
RUSH = 30
"""More changes than this within `RUSH_S` are a mass issue: rendering and feeding then leave the CPU to the pushes."""
RUSH_S = 1.0
RUSH_REST = 4.0
"""How long they pause during a mass issue, as a multiple of the time they worked. A request for a file renders it at
once, and lookups do not depend on the directory's position; a search finds a certificate half a second later.
"""
MAX_BACK_OFF_S = 30.0
HOUSEKEEPING_S = 60.0
ALARMS_S = 3600.0
BATCH = 50
KEEP_DAYS = 1
"""Keep yesterday's count of distinct people, for requests around midnight."""

_log = logs.get("worker")


@dataclass(slots=True)
class _Chore:
    """A periodic task; after a failure it backs off exponentially, without delaying the others."""

    name: str
    every_s: float
    work: Callable[[], int]
    next_at: float = field(default=0.0)
    failed: int = field(default=0)
    is_frequent: bool = False
    rest: Callable[[], float] = lambda: 0.0
    """How long it pauses after work, as a multiple of the time it worked."""


def finish_due(parts: Parts, limit: int = BATCH, stop: Event | None = None) -> int:
    """Finish cases whose intent is due, the most overdue first; returns how many were finished.

    One that fails unexpectedly must not block the others: it is logged and postponed. stop: ends the loop early.
    """
    done = 0
    for source, case_number in intents.due(parts.database.reader, parts.clock.now(), limit):
        if stop is not None and stop.is_set():
            break
        try:
            done += parts.issuance.finish(source, case_number) is not None
        except DatabaseUnavailable:
            raise
        except Exception as fault:  # noqa: BLE001 (the edge)
            _log.error("fault", chore="finish", **logs.where(fault))
            parts.issuance.put_off(source, case_number)
    return done


class Worker:
    """Runs the chores until it is stopped."""

    def __init__(self, parts: Parts, stop: Event) -> None:
        self._parts = parts
        self._stop = stop
        self._chores = (
            _Chore("finish", IDLE_S, self._finish),
            _Chore("reseal", IDLE_S, self._reseal),
            _Chore("forget", HOUSEKEEPING_S, self._forget),
            _Chore("sweep", HOUSEKEEPING_S, self._sweep),
            _Chore("alarms", ALARMS_S, self._alarms),
            _Chore("heartbeat", heartbeat.EVERY_S, self._beat),
        )
        self._feeding = (
            _Chore("sequence", FEED_S, self._sequence, is_frequent=True),
            _Chore("feed", FEED_S, parts.directory.feed, is_frequent=True, rest=self._rest),
        )
        self._rendering = (_Chore("render", RENDER_S, parts.rendering.step, is_frequent=True, rest=self._rest),)
        self._recent: deque[tuple[float, int]] = deque()

    def run(self) -> None:
        """Work until `stop` is set; the current chore is finished first."""
        _log.info("started")
        threads = [
            Thread(target=self._loop, args=(chores,), name=chores[-1].name, daemon=True)
            for chores in (self._feeding, self._rendering)
        ]
        for thread in threads:
            thread.start()
        self._loop(self._chores)
        for thread in threads:
            thread.join()
        _log.info("stopped")

    def _loop(self, chores: Sequence[_Chore]) -> None:
        while not self._stop.is_set():
            for chore in chores:
                if not self._stop.is_set() and chore.next_at <= time.monotonic():
                    self._do(chore)
            soonest = min(chore.next_at for chore in chores)
            self._stop.wait(max(0.0, soonest - time.monotonic()))

    def _do(self, chore: _Chore) -> None:
        began = time.monotonic()
        try:
            done = chore.work()
        except (DatabaseUnavailable, DirectoryUnavailable, KeyMissing, OSError) as fault:
            self._failed(chore, type(fault).__name__)
        except Exception as fault:  # noqa: BLE001 (the edge: one unknown fault must not end the other chores)
            _log.error("fault", chore=chore.name, **logs.where(fault))
            self._failed(chore, type(fault).__name__)
        else:
            chore.failed = 0
            now = time.monotonic()
            chore.next_at = now + ((now - began) * chore.rest() if done else chore.every_s)
            if done:
                note = _log.debug if chore.is_frequent else _log.info
                note("done", chore=chore.name, count=done)

    def _failed(self, chore: _Chore, kind: str) -> None:
        chore.failed += 1
        pause = min(MAX_BACK_OFF_S, chore.every_s * 2 ** min(chore.failed, 10))
        chore.next_at = time.monotonic() + pause
        _log.warning("failed", chore=chore.name, kind=kind, times=chore.failed, pause_s=pause)

    def _sequence(self) -> int:
        sequenced = self._parts.directory.sequence()
        if sequenced:
            self._recent.append((time.monotonic(), sequenced))
        return sequenced

    def _rest(self) -> float:
        """Pause during a mass issue, to leave the CPU to the pushes."""
        since = time.monotonic() - RUSH_S
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        return RUSH_REST if sum(sequenced for _, sequenced in self._recent) > RUSH else 0.0

    def _finish(self) -> int:
        return finish_due(self._parts, stop=self._stop)

    def _reseal(self) -> int:
        """One batch of a key rotation that is in progress."""
        return int(self._parts.rotation.step())

    def _forget(self) -> int:
        """Delete rows that matter only for a day or a few minutes."""
        parts = self._parts
        before = parts.clock.today() - timedelta(days=KEEP_DAYS)
        with parts.database.write() as writer:
            people_seen.forget(writer, before)
            clients.forget_jtis(writer, parts.clock.now())
        return 0

    def _sweep(self) -> int:
        """Delete document files whose row was never written; a part of the folder at a time."""
        self._parts.documents.sweep(self._parts.clock.now())
        return 0

    def _alarms(self) -> int:
        """Look for clerks and clients whose cases are looked up and never decided; `hub doctor` names them."""
        parts, now = self._parts, self._parts.clock.now()
        found = {by: len(case_use.out_of_line_by(parts.database.reader, by, now)) for by in By}
        with parts.database.write() as writer:
            for by, count in found.items():
                case_use.set_alarm(writer, case_use.ALARMS[by], count, now)
        return 0

    def _beat(self) -> int:
        heartbeat.beat(self._parts.settings.data_dir, self._parts.clock.now())
        return 0
