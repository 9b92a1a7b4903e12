"""Two caches of one process: failed logins and verified access tokens."""

import hashlib
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from hub.domain.errors import Refusal
from hub.runtime.token_buckets import TokenBuckets

FAILURES_A_MINUTE = 30
_REMEMBERED = 10_000

Login = tuple[str, str]
"""The claimed identity: (client id, key id or "").

The key id is included because client ids are easy to guess: without knowing the key id, an attacker cannot exhaust the
login attempts of a client that sends it.
"""


class FailedLogins:
    """A bucket of 30 failures per login, refilled at 30 a minute. An empty one refuses before any cryptography."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: TokenBuckets[Login] = TokenBuckets(FAILURES_A_MINUTE)

    def require(self, login: Login, now: datetime) -> None:
        """Raise Refusal `rate.limited`, with the waiting time, if the bucket is empty."""
        with self._lock:
            tokens = self._buckets.tokens(login, now.timestamp())
        if tokens < 1:
            wait = math.ceil(self._buckets.seconds(1 - tokens))
            raise Refusal("rate.limited", "此账号登录失败次数太多，请稍后再试", retry_after=wait)

    def count(self, login: Login, now: datetime) -> None:
        """Count a failure."""
        with self._lock:
            self._buckets.take(login, 1, now.timestamp(), lowest=0.0)


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of a token with a valid signature; `expires_at` in seconds since 1970 UTC."""

    client_id: str
    scopes: frozenset[str]
    expires_at: int


class VerifiedTokens:
    """An LRU cache of verified tokens, by SHA-256 of their text."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._lock = threading.Lock()
        self._size = size
        self._tokens: OrderedDict[bytes, Verified] = OrderedDict()

    @staticmethod
    def key(token: str) -> bytes:
        """The cache key of a token; the token itself is not kept, so it does not appear in memory dumps."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

    def get(self, key: bytes) -> Verified | None:
        """The cached claims, or None."""
        with self._lock:
            found = self._tokens.get(key)
            if found is not None:
                self._tokens.move_to_end(key)
            return found

    def put(self, key: bytes, verified: Verified) -> None:
        """Cache a token."""
        with self._lock:
            self._tokens[key] = verified
            self._tokens.move_to_end(key)
            while len(self._tokens) > self._size:
                self._tokens.popitem(last=False)

    def drop(self, key: bytes) -> None:
        """Remove an expired token."""
        with self._lock:
            self._tokens.pop(key, None)
