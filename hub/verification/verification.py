"""Verify whether something was issued, by us, is in force and within its dates; anyone may ask.

Every verification has the same four stages (docs/verification.md):

1. read what is presented: `presentation.read_*`, pure;
2. read all records in one snapshot: `issued.RecordReader.read`;
3. judge: `judge.judge`, pure;
4. report the verdict: `report.report`.

The result is a verdict, never an exception: what cannot be checked now is `unknown`. Nothing is fetched or written, and
personal data is masked. An unknown code costs two indexed reads.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from hub.db.database import Database, DatabaseUnavailable
from hub.domain.dates import day_of
from hub.keys.keyring import Keyring
from hub.keys.x509_publication import X509Publication
from hub.runtime.clock import Clock
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault
from hub.verification import presentation
from hub.verification.issued import RecordReader, Records
from hub.verification.judge import judge
from hub.verification.presentation import Presentation
from hub.verification.public_urls import Addresses
from hub.verification.report import report
from hub.verification.status_lists import StatusLists
from hub.verification.trust import SealTrust
from hub.verification.verdict import Verdict
from signing.pdf.check.checking import Checkers
from signing.pdf.check.finding import Trust


class Verification:
    """Verdicts for the API, the pages and the command line."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        keyring: Keyring,
        catalogue: CatalogueCache,
        checkers: Checkers,
        publication: X509Publication,
    ) -> None:
        """Reads keys and addresses, so that signatures can still be verified if the database becomes unavailable."""
        self.addresses = Addresses(database)
        self._clock = clock
        self._checkers = checkers
        self._trust = SealTrust(publication)
        self._records = RecordReader(
            database=database, vault=vault, keyring=keyring, catalogue=catalogue, addresses=self.addresses
        )
        self.status_lists = StatusLists(
            database=database, vault=vault, clock=clock, keyring=keyring, addresses=self.addresses
        )
        with suppress(DatabaseUnavailable):
            keyring.refresh()
            self.addresses.refresh()

    def verify_code(self, text: str) -> Verdict:
        """The verdict on the record of a public code, as typed: any case, with spaces or dashes."""
        return self._verdict(presentation.read_code(text))

    def verify_qr(self, text: str) -> Verdict:
        """The verdict on a scanned text: an address with a code and possibly digits, a code, or digits."""
        return self._verdict(presentation.read_qr(text))

    def verify_credential(self, text: str) -> Verdict:
        """The verdict on a credential, complete or with disclosures removed."""
        return self._verdict(presentation.read_credential(text))

    def verify_file(self, data: bytes) -> Verdict:
        """The verdict on a PDF, or on a photo or scan of one (JPEG, PNG).

        May take as long as the checker's limit on elapsed time, twice when all checkers are busy.
        """
        return self.verify_known_file(data) or self.verify_unknown_file(data)

    def verify_known_file(self, data: bytes) -> Verdict | None:
        """The verdict on a file that we issued, found by its digest; None for any other file, and if the database
        cannot be read."""
        presented, now = presentation.read_file(data), self._clock.now()
        records = self._records.read(presented, day_of(now))
        return None if records.found.version is None else _answer(presented, records, now)

    def verify_unknown_file(self, data: bytes, spend: Callable[[float], None] = lambda _: None) -> Verdict:
        """The verdict on any other file. The checker, a process without keys, database and network, reads its content.

        spend: called with the CPU seconds that the checker took.
        """
        trust: Trust | None
        try:
            trust = self._trust.current()
        except DatabaseUnavailable:
            trust = self._trust.last()
        finding = self._checkers.check(data, trust or Trust(()), self._clock.now(), spend)
        return self._verdict(presentation.read_finding(finding, data, has_roots=trust is not None))

    def _verdict(self, presented: Presentation) -> Verdict:
        now = self._clock.now()
        return _answer(presented, self._records.read(presented, day_of(now)), now)


def _answer(presented: Presentation, records: Records, now: datetime) -> Verdict:
    return report(judge(presented, records, day_of(now)), records.catalogue, now)
