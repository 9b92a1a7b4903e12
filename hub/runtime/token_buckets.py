"""Token buckets: how much each key may use, refilled steadily, in bounded memory."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

_REMEMBERED = 10_000
_MINUTE_S = 60

_K = TypeVar("_K", bound=Hashable)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TokenBuckets(Generic[_K]):
    """One bucket for each key: `capacity` tokens, refilled at as many a minute. Not thread-safe; `now` in seconds.

    Of too many keys, those not used for longest are forgotten, that is, full again.
    """

    def __init__(self, capacity: float) -> None:
        self._capacity = capacity
        self._buckets: OrderedDict[_K, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def tokens(self, key: _K, now: float) -> float:
        """The tokens that are left."""
        bucket = self._buckets.get(key)
        return self._capacity if bucket is None else self._refilled(bucket, now)

    def take(self, key: _K, count: float, now: float, *, lowest: float = -math.inf) -> None:
        """Take tokens; the bucket falls below zero if it has fewer, but not below `lowest`."""
        bucket = self._buckets.setdefault(key, _Bucket(self._capacity, now))
        bucket.tokens = max(lowest, self._refilled(bucket, now) - count)
        bucket.at = now
        self._buckets.move_to_end(key)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)

    def seconds(self, tokens: float) -> float:
        """How long it takes to refill so many tokens."""
        return tokens * _MINUTE_S / self._capacity

    def _refilled(self, bucket: _Bucket, now: float) -> float:
        elapsed = max(0.0, now - bucket.at)  # a clock that was set back does not refill
        return min(self._capacity, bucket.tokens + elapsed * self._capacity / _MINUTE_S)
