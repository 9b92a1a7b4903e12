"""How much of the file checkers one address may use, so that none takes all of them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hub.domain.errors import Refusal
from hub.runtime.places import Places
from hub.runtime.shared_file import SharedFile
from hub.runtime.token_buckets import Limited, TokenBuckets


class Allowances:
    """For each address, the unknown files that it has in the lane, and a bucket of CPU time that fills up in a minute.

    The processes of a server share both. A check is charged when it ends, for the CPU time that it took. A bucket may
    therefore fall below zero; the address then waits until it is above zero again.
    """

    def __init__(
        self, shared: SharedFile, files: int, cpu_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """files: at once. cpu_s: a minute."""
        self._clock = clock
        self._files = Places(shared, files)
        self._cpu = TokenBuckets(shared, Limited.CHECKER_TIME, cpu_s)

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place for one file of this address; raises Refusal `rate.limited` (429)."""
        with self._files.one(address) as free:
            if not free:
                raise Refusal("rate.limited", "此地址正在核验的文件太多，请稍后再试", retry_after=1)
            left_s = self._cpu.tokens(address, self._clock())
            if left_s <= 0:
                wait_s = math.floor(self._cpu.seconds(-left_s)) + 1
                raise Refusal("rate.limited", "此地址核验文件太频繁，请稍后再试", retry_after=wait_s)
            yield

    def spend(self, address: str, cpu_s: float) -> None:
        """Charge a check; from any thread."""
        self._cpu.take(address, cpu_s, self._clock())
