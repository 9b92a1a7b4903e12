"""Which certificates a party holds: found through the directory, read from the database.

With or without the directory, the answer is the same at any moment. The order of reads ensures that: first the
directory's position, then later changes and rejected documents, then the directory itself. Every hit is read again from
the database, and dropped if it no longer applies.
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
"""How long a directory that failed is not queried, so that its failure does not slow down lookups."""


class Holdings:
    """The certificates that parties hold. Without a directory, or while it is down, the database answers alone."""

    def __init__(self, *, database: Database, vault: Vault, directory: DirectoryEngine) -> None:
        self._database = database
        self._vault = vault
        self._directory = directory
        self._down_until = 0.0

    def of_party(self, party: int, type_codes: tuple[str, ...], today: date) -> list[Version]:
        """As `certificates.of_party`; the caller has already checked permissions."""
        keys = self._keys(party, type_codes, today)
        return certificates.of_party(self._database.reader, self._vault, party, type_codes, today, keys)

    def _keys(self, party: int, type_codes: tuple[str, ...], today: date) -> set[tuple[int, int]] | None:
        """Which certificates to read, or None for all."""
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
                return None  # ahead of a database restored from a backup
            changed = ledger.pending_of_party(reader, position, party, type_codes)
            entries = self._directory.of_party(generation, party, type_codes, to_int(today))
        except DirectoryUnavailable:
            self._down_until = time.monotonic() + DOWN_S
            return None
        return {*changed, *((entry.home, entry.certificate) for entry in entries)}
