"""Signed status lists: the current standing of every version, for verifiers that do not query the hub."""

import hashlib
import threading
from array import array
from dataclasses import dataclass
from datetime import date

from hub.db.database import Database
from hub.domain import certificate as rules
from hub.domain.certificate import Dates, Standing, State
from hub.domain.dates import day_of, from_int, to_micros
from hub.domain.errors import Refusal
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import certificates
from hub.vault import Vault
from hub.verification.public_urls import Addresses
from signing import status
from signing.keys import Purpose

REUSE_S = 300
_KEPT = 64
_VALUES = {
    State.REVOKED: int(status.Value.REVOKED),
    State.SUSPENDED: int(status.Value.SUSPENDED),
    State.SUPERSEDED: int(status.Value.SUPERSEDED),
}


@dataclass(frozen=True, slots=True)
class _Built:
    token: str
    iat: int


class StatusLists:
    """Builds lists on request. Rows are read each time, so a revocation shows immediately; if a list is unchanged, its
    packed and signed form is reused for five minutes."""

    def __init__(
        self, *, database: Database, vault: Vault, clock: Clock, keyring: Keyring, addresses: Addresses
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._keyring = keyring
        self._addresses = addresses
        self._lock = threading.Lock()
        self._built: dict[bytes, _Built] = {}

    def token(self, number: int, host: str = "") -> str:
        """The signed list. `host`: where it was requested; at a former address of ours, the list uses that address.

        Raises Refusal `page.not_found` if the list has no version, KeyMissing, DatabaseUnavailable.
        """
        first = number << status.INDEX_BITS
        last = first + status.ENTRIES - 1
        reader = self._database.reader
        if not 0 <= number < status.LISTS or not certificates.has_version_between(reader, first, last):
            raise Refusal("page.not_found")
        now = self._clock.now()
        keys, values = _entries(certificates.not_good(reader, first, last), day_of(now))
        uri = f"{self._addresses.matching(host)}/status/{number}"
        kid = self._keyring.active(Purpose.STATUS).kid
        mark = hashlib.sha256(f"{uri} {kid} ".encode() + keys.tobytes() + values).digest()
        iat = to_micros(now) // 1_000_000
        built = self._built.get(mark)
        if built is not None and 0 <= iat - built.iat < REUSE_S:
            return built.token
        places = status.indexes_of(keys, number, self._vault.status_key)
        packed = status.build(dict(zip(places, values, strict=True)))
        prepared = status.signing_input(uri, packed, iat, kid)
        token = status.assemble(prepared, self._keyring.sign(kid, Purpose.STATUS, prepared))
        self._keep(mark, _Built(token, iat))
        return token

    def _keep(self, mark: bytes, built: _Built) -> None:
        with self._lock:
            if len(self._built) >= _KEPT:
                self._built.clear()
            self._built[mark] = built


def _entries(rows: list[tuple[int, int, int | None]], today: date) -> tuple["array[int]", bytes]:
    """The keys of all versions that are not in force, apart from their dates, and the value of each."""
    pairs = {(standing, ended) for _, standing, ended in rows}
    worth = {pair: _VALUES.get(_state(*pair, today), 0) for pair in pairs}
    found = [(key, value) for key, standing, ended in rows if (value := worth[standing, ended])]
    return array("q", [key for key, _ in found]), bytes(value for _, value in found)


def _state(standing: int, ended: int | None, today: date) -> State:
    dates = Dates(today, today, None, None if ended is None else from_int(ended))
    return rules.state(Standing(standing), dates, today)
