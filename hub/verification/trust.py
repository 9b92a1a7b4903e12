"""What a seal is checked against: the trust list and CRLs that we publish, cached for times without a database."""

import threading
import time

from hub.keys.x509_publication import X509Publication
from signing.pdf.check.finding import Trust

REFRESH_S = 2.0


class SealTrust:
    """Refreshed on use, every two seconds at most. The lists are valid for days, so the last ones can be used
    meanwhile."""

    def __init__(self, publication: X509Publication) -> None:
        self._publication = publication
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._trust: Trust | None = None

    def current(self) -> Trust:
        """The current trust; raises DatabaseUnavailable if it cannot be read."""
        with self._lock:
            if self._trust is None or time.monotonic() - self._read_at > REFRESH_S:
                self._trust = Trust(*self._publication.in_der())
                self._read_at = time.monotonic()
            return self._trust

    def last(self) -> Trust | None:
        """The last trust that was read."""
        return self._trust
