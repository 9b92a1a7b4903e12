"""What the repository has of what somebody showed us: the version, and the receipt where it is an annotated copy."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hub.db.database import Database, DatabaseUnavailable, Reader
from hub.domain.version import Version
from hub.store import certificates, documents, retrievals
from hub.store.retrievals import Receipt
from hub.vault import Vault, VaultError
from hub.verification import problems


@dataclass(frozen=True, slots=True)
class Found:
    """A record, or why it cannot be had (no problem: there is none). receipt: of the copy that leads to it."""

    record: Version | None
    problem: str | None = None
    receipt: Receipt | None = None

    @property
    def digits(self) -> str | None:
        """The one text of digits that was issued under the code in hand; a copy's are not kept."""
        return self.record.digits if self.record is not None and self.receipt is None else None


class Records:
    """Reads, and never raises for a repository that is away: that is a problem of the answer."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def by_code(self, code: str) -> Found:
        """The version or the copy with this public code, in its normal form."""
        return self._find(lambda reader: self._of_code(reader, code))

    def by_identifier(self, identifier: str) -> Found:
        """The version with this identifier."""
        return self._find(lambda reader: Found(certificates.by_identifier(reader, self._vault, identifier)))

    def by_digest(self, sha256: bytes) -> Found:
        """What the file with these very bytes was made of."""
        return self._find(lambda reader: self._of_file(reader, sha256))

    def has_another_file(self, found: Found, sha256: bytes) -> bool:
        """Whether a file with another digest is on record for this version or copy.

        False while the database is away: then nothing is known of files.
        """
        record = found.record
        if record is None:
            return False
        key = documents.DocumentKey(record.home, record.certificate, record.version)
        if found.receipt is not None:
            key = replace(key, kind=documents.Kind.COPY, receipt=found.receipt.number)
        try:
            known = documents.find(self._database.reader, key)
        except DatabaseUnavailable:
            return False
        return known is not None and known.sha256 != sha256

    def _of_code(self, reader: Reader, code: str) -> Found:
        record = certificates.by_code(reader, self._vault, code)
        if record is not None:
            return Found(record)
        receipt = retrievals.by_code(reader, self._vault, code)
        return Found(None) if receipt is None else self._of_receipt(reader, receipt)

    def _of_file(self, reader: Reader, sha256: bytes) -> Found:
        file = documents.by_digest(reader, sha256)
        if file is None:
            return Found(None)
        key = file.key
        if key.kind is documents.Kind.COPY:
            receipt = retrievals.by_number(reader, self._vault, key.receipt)
            return Found(None) if receipt is None else self._of_receipt(reader, receipt)
        return Found(certificates.by_key(reader, self._vault, key.home, key.certificate, key.version))

    def _of_receipt(self, reader: Reader, receipt: Receipt) -> Found:
        taken = receipt.taking
        record = certificates.by_key(reader, self._vault, taken.home, taken.certificate, taken.version)
        return Found(record, None, receipt)

    def _find(self, read: Callable[[Reader], Found]) -> Found:
        try:
            return read(self._database.reader)
        except DatabaseUnavailable:
            return Found(None, problems.DATABASE_UNAVAILABLE)
        except VaultError:
            return Found(None, problems.RECORD_UNREADABLE)
