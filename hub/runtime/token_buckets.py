"""Token buckets: how much each key may use, refilled steadily, in bounded memory that processes share."""

import hashlib
import math
import mmap
import struct
from enum import IntEnum

from hub.runtime.shared_file import HEADER, SharedFile

_MINUTE_S = 60
_BUCKET = struct.Struct("16sdd")  # keyed hash of the key, tokens, at
_WAYS = 8
_SETS = 2048
_REGION = _BUCKET.size * _WAYS * _SETS
MAX_KEYS = _WAYS * _SETS


class Limited(IntEnum):
    """What is limited; each has memory of its own, so that a flood of keys of one kind displaces no other."""

    LOGINS_OF_CLIENT = 0
    LOGINS_FROM_ADDRESS = 1
    CHECKER_TIME = 2


class TokenBuckets:
    """One bucket for each key: `capacity` tokens, refilled at as many a minute; `now` in seconds.

    Threads and processes may use the same buckets; `now` must then come from the same clock. Where there are too many
    keys, those not used for longest are forgotten, that is, full again.
    """

    def __init__(self, shared: SharedFile, what: Limited, capacity: float) -> None:
        self._shared = shared
        self._region = HEADER + what * _REGION
        self._capacity = capacity

    def tokens(self, key: str, now: float) -> float:
        """The tokens that are left; negative for a debt."""
        whose = self._hash(key)
        with self._shared.locked() as memory:
            return self._find(memory, whose, now)[1]

    def take(self, key: str, count: float, now: float) -> None:
        """Take tokens; a bucket with fewer falls below zero."""
        whose = self._hash(key)
        with self._shared.locked() as memory:
            offset, tokens = self._find(memory, whose, now)
            _BUCKET.pack_into(memory, offset, whose, tokens - count, now)

    def try_take(self, key: str, now: float) -> int:
        """Take one token, if there is one, and return 0; otherwise the seconds until there is one."""
        whose = self._hash(key)
        with self._shared.locked() as memory:
            offset, tokens = self._find(memory, whose, now)
            if tokens < 1:
                return math.ceil(self.seconds(1 - tokens))
            _BUCKET.pack_into(memory, offset, whose, tokens - 1, now)
            return 0

    def seconds(self, tokens: float) -> float:
        """How long it takes to refill so many tokens."""
        return tokens * _MINUTE_S / self._capacity

    def _hash(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, key=self._shared.key).digest()

    def _find(self, memory: mmap.mmap, whose: bytes, now: float) -> tuple[int, float]:
        """Where the bucket is or may be made, and the tokens that it has now. A key has one of _WAYS places."""
        first = self._region + int.from_bytes(whose[:4]) % _SETS * _WAYS * _BUCKET.size
        oldest_at, oldest = math.inf, first
        for offset in range(first, first + _WAYS * _BUCKET.size, _BUCKET.size):
            found, tokens, at = _BUCKET.unpack_from(memory, offset)
            if found == whose:
                elapsed = max(0.0, now - at)  # a clock that was set back does not refill
                return offset, min(self._capacity, tokens + elapsed * self._capacity / _MINUTE_S)
            if at < oldest_at:
                oldest_at, oldest = at, offset
        return oldest, self._capacity
