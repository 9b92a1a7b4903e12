"""Lanes limit how many requests of a kind run and wait; beyond that, requests are refused with 503 immediately.

Each lane has its own threads, so writers that wait for the database lock never block readers. A queue and plain
threads, because every request pays for the way to the thread and back: 4 µs of CPU here, 17 µs with `run_in_executor`,
which chains two futures, and 40 µs with anyio's capacity limiters, as FastAPI uses them.
"""

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from hub.domain.errors import Refusal
from hub.settings import Settings
from hub.web.endpoint import Lane

_T = TypeVar("_T")
RETRY_AFTER_S = 1


_Call = tuple[asyncio.Future[Any], Callable[..., Any], tuple[object, ...]]


class Limit:
    """One lane. Used only on the thread of the event loop."""

    def __init__(self, name: str, at_once: int, waiting: int, share: int | None = None) -> None:
        """share: how many places one sender may have, where senders are distinguished."""
        self.name = name
        self.at_once = at_once
        self.capacity = at_once + waiting
        self._share = share
        self._taken_by: Counter[str] = Counter()
        self.taken = 0
        self.refused = 0
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def check(self, sender: str = "") -> None:
        """Raise Refusal `database.unavailable` (503) if the lane is full, without taking a place, and `rate.limited`
        (429) if it is the sender who fills it.
        """
        if self.taken >= self.capacity:
            self.refused += 1
            raise Refusal("database.unavailable", "正在处理的请求太多，请稍后重试", retry_after=RETRY_AFTER_S)
        if self._share is not None and self._taken_by[sender] >= self._share:
            self.refused += 1
            raise Refusal("rate.limited", "此地址同时发来的请求太多，请稍后重试", retry_after=RETRY_AFTER_S)

    async def run(self, work: Callable[..., _T], *args: object, sender: str = "") -> _T:
        """The result of `work`, run in a thread of this lane in order of arrival; raises as `check`."""
        self.check(sender)
        self.taken += 1
        if self._share is not None:
            self._taken_by[sender] += 1
        if len(self._threads) < min(self.taken, self.at_once):
            self._start_thread()
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, work, args))
        try:
            return await future
        finally:
            self.taken -= 1
            if self._share is not None:
                self._taken_by -= Counter((sender,))

    def _start_thread(self) -> None:
        name = f"lane-{self.name}_{len(self._threads)}"
        thread = threading.Thread(target=_serve, args=(self._calls,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Accept no more work, drop waiting calls, and wait for the running ones."""
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()


def _serve(calls: queue.SimpleQueue[_Call | None]) -> None:
    """One thread: runs calls until it receives None."""
    while (call := calls.get()) is not None:
        _answer(*call)
        del call  # frees the request body before the next call arrives


def _answer(future: asyncio.Future[Any], work: Callable[..., Any], args: tuple[object, ...]) -> None:
    """Run the work and hand its result to the event loop, unless the request was cancelled or the loop has closed."""
    if future.cancelled():
        return
    try:
        result = work(*args)
    except BaseException as error:  # noqa: BLE001 (re-raised in the coroutine that waits)
        _hand_over(future, future.set_exception, error)
    else:
        _hand_over(future, future.set_result, result)


def _hand_over(future: asyncio.Future[Any], settle: Callable[[Any], None], value: object) -> None:
    with suppress(RuntimeError):  # the loop is closed
        future.get_loop().call_soon_threadsafe(_settle, future, settle, value)


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], value: object) -> None:
    if not future.done():
        settle(value)


Lanes = Mapping[Lane, Limit]


def open_lanes(settings: Settings) -> Lanes:
    """Every lane that has threads, as the settings say."""
    sizes: dict[Lane, tuple[int, ...]] = {
        Lane.WRITE: (settings.writers, settings.writes_waiting),
        Lane.READ: (settings.reads_at_once, settings.reads_waiting),
        Lane.PUBLIC: (settings.public_at_once, settings.public_waiting),
        Lane.FILE: (settings.files_at_once, settings.files_waiting),
        Lane.OPERATOR: (2, 16),
        Lane.TOKEN: (2, 126, 64),
    }
    return {lane: Limit(lane.value, *size) for lane, size in sizes.items()}
