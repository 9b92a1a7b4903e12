"""Which certificates a party holds: asked of the directory, answered by the repository.

Both ways give the same answer at any moment. The order of reads makes it so: first how far the directory has come, then
what has changed since and what it has refused, then the directory itself. Whatever it names is read anew, and dropped
where it does not hold.
"""

import time
from datetime import date

from hub.db.database import Database
from hub.domain.dates import to_int
from hub.domain.version import Version
from hub.store import certificates, ledger
from hub.vault import Vault
from indexer.engine import POSITION, DirectoryEngine
from indexer.errors import DirectoryUnavailable

DOWN_S = 3.0
"""For how long a directory that has failed is not asked again, so that it costs a lookup nothing."""


class Holdings:
    """What parties hold. Without a directory, or while it is down, the holdings in the repository answer alone."""

    def __init__(self, *, database: Database, vault: Vault, directory: DirectoryEngine) -> None:
        self._database = database
        self._vault = vault
        self._directory = directory
        self._down_until = 0.0

    def of_party(self, party: int, type_codes: tuple[str, ...], today: date) -> list[Version]:
        """As `certificates.of_party` says; who is allowed to ask has been decided before."""
        keys = self._keys(party, type_codes, today)
        return certificates.of_party(self._database.reader, self._vault, party, type_codes, today, keys)

    def _keys(self, party: int, type_codes: tuple[str, ...], today: date) -> set[tuple[int, int]] | None:
        """Where to look, or None for everywhere."""
        if time.monotonic() < self._down_until:
            return None
        try:
            answering = self._directory.answering(POSITION)
            if answering is None:
                return None
            generation, position = answering
            if not isinstance(position, int):
                return None
            reader = self._database.reader
            if position > ledger.head(reader):
                return None  # it knows another past than this repository, put back from a backup
            changed = ledger.pending_of_party(reader, position, party, type_codes)
            entries = self._directory.of_party(generation, party, type_codes, to_int(today))
        except DirectoryUnavailable:
            self._down_until = time.monotonic() + DOWN_S
            return None
        return {*changed, *((entry.home, entry.certificate) for entry in entries)}
