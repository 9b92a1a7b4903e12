"""The addresses that were ever printed or signed as ours; compares texts with them and fetches nothing."""

import re
import threading
import time

from hub.db.database import Database, DatabaseUnavailable
from hub.store import keys as key_store

REFRESH_S = 2.0
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ADDRESS = re.compile(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[^?#\s]*)?", re.IGNORECASE)

Address = tuple[str, str, str]


def address_of(url: str) -> Address | None:
    """(host, port, path) of an address, or None if it is not a plain http(s) address (a user name is not allowed).

    Hosts are compared without case and final dot; the default ports of both schemes are equal, as either may redirect
    to the other.
    """
    found = _ADDRESS.fullmatch(url)
    if found is None:
        return None
    scheme, host, port, path = found.groups()
    port = (port or "").lstrip("0")
    return host.lower().rstrip("."), "" if port == _DEFAULT_PORTS[scheme.lower()] else port, (path or "").rstrip("/")


class Addresses:
    """The `public_urls` on record, cached, and refreshed for an unknown one every two seconds at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._urls: tuple[str, ...] = ()
        self._addresses: frozenset[Address] = frozenset()

    def current(self) -> str:
        """The address that is printed now, without a trailing slash; raises DatabaseUnavailable if never read.

        Read once: it changes only with a restart (`HUB_PUBLIC_URL`).
        """
        if not self._urls:
            self.refresh()
        if not self._urls:
            raise DatabaseUnavailable("no public address is recorded: run `hub init`")
        return self._urls[0]

    def known(self) -> str | None:
        """The current address, if it was ever read; never queries the database."""
        return self._urls[0] if self._urls else None

    def owns(self, base_url: str) -> bool:
        """Whether this is, or was, our address; raises DatabaseUnavailable if that cannot be determined."""
        address = address_of(base_url)
        return address is not None and any(address == known for known in self._known(address))

    def owns_host(self, url: str) -> bool:
        """Whether an address, whatever its path, is on one of our hosts; raises as `owns`."""
        address = address_of(url)
        return address is not None and any(address[:2] == known[:2] for known in self._known(address))

    def matching(self, host: str) -> str:
        """Our address with this `Host`, else the current one: the name of a list that is fetched there."""
        current = self.current()
        asked = address_of(f"{current.partition('://')[0]}://{host}")
        for url in self._urls:
            address = address_of(url)
            if asked is not None and address is not None and address[:2] == asked[:2]:
                return url
        return current

    def _known(self, address: Address) -> frozenset[Address]:
        if address not in self._addresses and time.monotonic() - self._read_at > REFRESH_S:
            try:
                self.refresh()
            except DatabaseUnavailable:
                if not self._urls:
                    raise
        return self._addresses

    def refresh(self) -> None:
        """Read them now."""
        urls = key_store.public_urls(self._database.reader)
        addresses = frozenset(address for address in map(address_of, urls) if address is not None)
        with self._lock:
            self._urls, self._addresses, self._read_at = tuple(urls), addresses, time.monotonic()
