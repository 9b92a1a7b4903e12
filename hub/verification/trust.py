"""What a seal is checked against: what we publish for everybody, kept for the time in which it cannot be read."""

import threading
import time

from hub.keys.x509_publication import X509Publication
from signing.pdf.check.finding import Trust

REFRESH_S = 2.0


class SealTrust:
    """Read again every two seconds, when asked. Its lists are good for days, so the last one serves meanwhile."""

    def __init__(self, publication: X509Publication) -> None:
        self._publication = publication
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._trust: Trust | None = None

    def current(self) -> Trust:
        """The trust as of now; raises DatabaseUnavailable when it cannot be read."""
        with self._lock:
            if self._trust is None or time.monotonic() - self._read_at > REFRESH_S:
                self._trust = Trust(*self._publication.in_der())
                self._read_at = time.monotonic()
            return self._trust

    def last(self) -> Trust | None:
        """The last one that was read."""
        return self._trust
