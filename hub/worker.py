"""The worker: finishes what a crash or an absent signer left half done, feeds the directory, renders, and keeps house.

Three loops, each in a thread: what is new is in the directory in a moment, and a PDF in another, however long the other
chores take.

Safe to kill at any time and to run twice: whatever it does, the database decides who did it.
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
from hub.store import clients, intents, people_seen
from indexer.errors import DirectoryUnavailable
from signing.errors import KeyMissing

IDLE_S = 1.0
FEED_S = 0.05
"""How often an idle worker looks for changes: two small reads."""
RENDER_S = 0.1
RUSH = 30
"""So many changes within `RUSH_S` are a mass issue: drawing and feeding then leave the machine to those who push."""
RUSH_S = 1.0
RUSH_REST = 4.0
"""How long they rest in a rush, in times of what they took. Whoever wants a file at once makes it by asking, and a
lookup reads what the directory has not yet; a search finds it half a second later."""
MAX_BACK_OFF_S = 30.0
HOUSEKEEPING_S = 60.0
BATCH = 50
KEEP_DAYS = 1
"""Yesterday's distinct people stay, for whoever asks at midnight."""

_log = logs.get("worker")


@dataclass(slots=True)
class _Chore:
    """Something to do every so often; after a fault it waits longer each time, without holding up the others."""

    name: str
    every_s: float
    work: Callable[[], int]
    next_at: float = field(default=0.0)
    failed: int = field(default=0)
    is_frequent: bool = False
    rest: Callable[[], float] = lambda: 0.0
    """How long it rests after work, in times of what the work took."""


def finish_due(parts: Parts, limit: int = BATCH, stop: Event | None = None) -> int:
    """Finish cases whose intent is due, the longest waiting first; how many are finished now.

    One that fails in an unknown way must not stand before all others: it is logged and put off. stop: ends it early.
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
    """Does the chores until it is told to stop."""

    def __init__(self, parts: Parts, stop: Event) -> None:
        self._parts = parts
        self._stop = stop
        self._chores = (
            _Chore("finish", IDLE_S, self._finish),
            _Chore("reseal", IDLE_S, self._reseal),
            _Chore("forget", HOUSEKEEPING_S, self._forget),
            _Chore("sweep", HOUSEKEEPING_S, self._sweep),
            _Chore("heartbeat", heartbeat.EVERY_S, self._beat),
        )
        self._feeding = (
            _Chore("sequence", FEED_S, self._sequence, is_frequent=True),
            _Chore("feed", FEED_S, parts.directory.feed, is_frequent=True, rest=self._rest),
        )
        self._rendering = (_Chore("render", RENDER_S, parts.rendering.step, is_frequent=True, rest=self._rest),)
        self._came: deque[tuple[float, int]] = deque()

    def run(self) -> None:
        """Work until `stop` is set; the chore in hand is finished first."""
        _log.info("started")
        beside = [
            Thread(target=self._loop, args=(chores,), name=chores[-1].name, daemon=True)
            for chores in (self._feeding, self._rendering)
        ]
        for thread in beside:
            thread.start()
        self._loop(self._chores)
        for thread in beside:
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
        moved = self._parts.directory.sequence()
        if moved:
            self._came.append((time.monotonic(), moved))
        return moved

    def _rest(self) -> float:
        """Rests while changes come fast, so that a mass issue has the processor."""
        since = time.monotonic() - RUSH_S
        while self._came and self._came[0][0] < since:
            self._came.popleft()
        return RUSH_REST if sum(moved for _, moved in self._came) > RUSH else 0.0

    def _finish(self) -> int:
        return finish_due(self._parts, stop=self._stop)

    def _reseal(self) -> int:
        """One batch of a key rotation that was begun."""
        return int(self._parts.rotation.step())

    def _forget(self) -> int:
        """What only mattered for a day or a few minutes."""
        parts = self._parts
        before = parts.clock.today() - timedelta(days=KEEP_DAYS)
        with parts.database.write() as writer:
            people_seen.forget(writer, before)
            clients.forget_jtis(writer, parts.clock.now())
        return 0

    def _sweep(self) -> int:
        """Files of documents that were interrupted before their row; a part of the folder at a time."""
        self._parts.documents.sweep(self._parts.clock.now())
        return 0

    def _beat(self) -> int:
        heartbeat.beat(self._parts.settings.data_dir, self._parts.clock.now())
        return 0
