"""How many places each key holds at once, counted across the processes of a server."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hub.runtime.shared_file import SharedFile

_FIRST = 1 << 16
"""Below are the locks of the file itself."""


class Places:
    """`each` places for every key. A place is the lock of a byte: the kernel releases it if the process is killed."""

    def __init__(self, shared: SharedFile, each: int) -> None:
        self._shared = shared
        self._each = each
        self._lock = threading.Lock()
        self._held: dict[str, set[int]] = {}

    @contextmanager
    def one(self, key: str) -> Iterator[bool]:
        """Hold one place; yields whether one was free."""
        place = self._take(key)
        try:
            yield place is not None
        finally:
            if place is not None:
                self._give_back(key, place)

    def _take(self, key: str) -> int | None:
        first = self._first(key)
        with self._lock:
            held = self._held.get(key, set())
            for place in range(first, first + self._each):
                if place not in held and self._shared.try_hold(place):
                    self._held[key] = held | {place}
                    return place
        return None

    def _give_back(self, key: str, place: int) -> None:
        with self._lock:
            self._shared.let_go(place)
            left = self._held.pop(key) - {place}
            if left:
                self._held[key] = left

    def _first(self, key: str) -> int:
        """A hash in 40 bits: two addresses that are active at the same time hardly ever share their places."""
        whose = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=5, key=self._shared.key).digest()
        return _FIRST + int.from_bytes(whose) * self._each
