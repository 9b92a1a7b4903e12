"""How much of the file checkers one address may use, so that none takes all of them."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hub.domain.errors import Refusal
from hub.runtime.token_buckets import TokenBuckets


class Allowances:
    """For each address, the unknown files that it has in the lane, and a bucket of CPU time that fills up in a minute.

    A check is charged when it ends, for the CPU time that it took. A bucket may therefore fall below zero; the address
    then waits until it is above zero again.
    """

    def __init__(self, files: int, cpu_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """files: at once. cpu_s: a minute."""
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._buckets: TokenBuckets[str] = TokenBuckets(cpu_s)

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place for one file of this address; raises Refusal `rate.limited` (429)."""
        with self._lock:
            if self._held.get(address, 0) >= self._files:
                raise Refusal("rate.limited", "此地址正在核验的文件太多，请稍后再试", retry_after=1)
            left_s = self._buckets.tokens(address, self._clock())
            if left_s <= 0:
                wait_s = math.floor(self._buckets.seconds(-left_s)) + 1
                raise Refusal("rate.limited", "此地址核验文件太频繁，请稍后再试", retry_after=wait_s)
            self._held[address] = self._held.get(address, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._held[address] -= 1
                if not self._held[address]:
                    del self._held[address]

    def spend(self, address: str, cpu_s: float) -> None:
        """Charge a check; from any thread."""
        with self._lock:
            self._buckets.take(address, cpu_s, self._clock())
