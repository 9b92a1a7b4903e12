"""What is remembered about log-ins: failures, for all processes of a server, and verified tokens, in each."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from hub.domain.errors import Refusal
from hub.runtime.shared_file import SharedFile
from hub.runtime.token_buckets import Limited, TokenBuckets

FAILURES_A_MINUTE = 30
FAILURES_OF_ADDRESS = 300
_REMEMBERED = 10_000


class FailedLogins:
    """Failures are limited to 30 a minute in the name of one client and 300 a minute in all, from one address.

    They are counted once the answer is known, so they never stop an assertion that verifies. Beyond the limit a failure
    is answered with the time to wait instead of its reason.
    """

    def __init__(self, shared: SharedFile) -> None:
        self._of_client = TokenBuckets(shared, Limited.LOGINS_OF_CLIENT, FAILURES_A_MINUTE)
        self._from_address = TokenBuckets(shared, Limited.LOGINS_FROM_ADDRESS, FAILURES_OF_ADDRESS)

    def count(self, client_id: str, address: str, now: datetime) -> None:
        """Count a failure; raises Refusal `rate.limited` if there were too many. client_id: as claimed."""
        at = now.timestamp()
        wait_s = self._of_client.try_take(f"{address} {client_id}", at) or self._from_address.try_take(address, at)
        if wait_s:
            raise Refusal("rate.limited", "登录失败次数太多，请稍后再试", retry_after=wait_s) from None


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of a token with a valid signature; `expires_at` in seconds since 1970 UTC.

    thumbprint: of the key that the token is bound to, if any.
    """

    client_id: str
    scopes: frozenset[str]
    expires_at: int
    thumbprint: str | None = None


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
