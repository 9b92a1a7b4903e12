"""Stage 2 of 4: read everything on record about what was presented.

The rows of versions, copies, acts and files are read in one snapshot, so a verdict is consistent. Addresses, keys and
the catalogue come from caches: what was ever ours stays ours, so they need no snapshot. The result is `Records`,
whatever the database does: unreadable parts are marked, and no error is raised.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date

from hub.db.database import Database, DatabaseUnavailable, Reader
from hub.domain.catalogue import Catalogue
from hub.domain.version import Version
from hub.keys.keyring import Keyring
from hub.store import acts, certificates, documents, retrievals
from hub.store.acts import Why
from hub.store.catalogue import CatalogueCache
from hub.store.retrievals import Receipt
from hub.vault import Vault, VaultError
from hub.verification import problems
from hub.verification.presentation import Presentation, PresentedDigits, kid_of
from hub.verification.public_urls import Addresses
from hub.verification.verdict import VerdictAnswer
from signing.keys import PublicKey, Purpose


@dataclass(frozen=True, slots=True)
class Issued:
    """A version on record, or the reason why it could not be read; neither if there is none.

    receipt: of the annotated copy that led to it. why: what explains its state, None if that could not be read.
    """

    version: Version | None = None
    receipt: Receipt | None = None
    problem: str = ""
    why: Why | None = None

    @property
    def digits(self) -> str | None:
        """The digits that were issued under the presented code; those of a copy are not stored."""
        return self.version.digits if self.version is not None and self.receipt is None else None


_UNREAD = Issued(problem=problems.DATABASE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Records:
    """Everything on record about one presentation.

    code, digits: the one presented code at an address of ours, with its digits; or digits only. several: there are
    different codes. found: the version that the code or the digest identifies. named: the version that the credential,
    or digits without a code, name. file: the digest of the file on record for `found`, if needed.

    ours: whether each claimed address is ours. keys: the credential key for each claimed id, None if it was never ours.
    Entries missing from these two could not be read.
    """

    code: str | None = None
    digits: PresentedDigits | None = None
    several: bool = False
    found: Issued = _UNREAD
    named: Issued = _UNREAD
    file: bytes | None = None
    ours: Mapping[str, bool] = field(default_factory=dict)
    keys: Mapping[str, PublicKey | None] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=Catalogue)


class RecordReader:
    """Reads the records of a presentation; keeps our keys and the last catalogue for when the database is
    unavailable."""

    def __init__(
        self, *, database: Database, vault: Vault, keyring: Keyring, catalogue: CatalogueCache, addresses: Addresses
    ) -> None:
        self._database = database
        self._vault = vault
        self._keyring = keyring
        self._catalogue = catalogue
        self._addresses = addresses
        self._our_keys: dict[str, PublicKey] = {}
        self._last_catalogue = Catalogue()

    def read(self, presented: Presentation, today: date) -> Records:
        """Read it in one snapshot; `today` decides which act explains a state."""
        ours = self._ours(presented)
        codes: dict[str | None, PresentedDigits | None] = {}
        for text in presented.texts:
            if not text.problem and (text.address is None or ours.get(text.address)):
                codes[text.code] = text.digits or codes.get(text.code)
        code, digits = next(iter(codes.items())) if len(codes) == 1 else (None, None)
        attached = presented.credential
        name = None if attached is None or attached.read is None else attached.read.claims.identifier
        if code is None and digits is not None and digits.read is not None:
            name = digits.read.face.identifier
        found, named, file = self._rows(presented, code, name, today)
        versions = [issued.version for issued in (found, named) if issued.version is not None]
        signed = [] if digits is None or digits.read is None else [digits.read.kid]
        signed += [] if attached is None or attached.kid is None else [attached.kid]
        keys = self._keys((*signed, *(kid_of(version.credential) for version in versions)))
        if versions or signed:
            self._refresh_catalogue(versions)
        return Records(code, digits, len(codes) > 1, found, named, file, ours, keys, self._last_catalogue)

    # --- rows, in one snapshot -------------------------------------------------------------------------------------

    def _rows(
        self, presented: Presentation, code: str | None, name: str | None, today: date
    ) -> tuple[Issued, Issued, bytes | None]:
        """The versions found and named, and the file on record; what was read before a failure stays valid."""
        found, named, file = _UNREAD, _UNREAD, None
        digest = presented.sha256 if presented.file is None else None
        if code is None and digest is None and name is None:
            return found, named, file
        with suppress(DatabaseUnavailable), self._database.snapshot() as reader:
            if code is not None or digest is not None:
                found = self._find(reader, code, digest)
                found = _explained(reader, found, today)
            if name is not None:
                known = found.version is not None and found.version.identifier == name
                named = found if known else self._by_identifier(reader, name)
                named = _explained(reader, named, today)
            file = _file_on_record(reader, presented, found)
        return found, named, file

    def _by_identifier(self, reader: Reader, name: str) -> Issued:
        try:
            return Issued(certificates.by_identifier(reader, self._vault, name))
        except VaultError:
            return Issued(problem=problems.RECORD_UNREADABLE)

    def _find(self, reader: Reader, code: str | None, digest: bytes | None) -> Issued:
        """The version or copy with this public code, or with the file that has this digest."""
        try:
            if code is not None:
                version = certificates.by_code(reader, self._vault, code)
                if version is not None:
                    return Issued(version)
                receipt = retrievals.by_code(reader, self._vault, code)
            else:
                document = None if digest is None else documents.by_digest(reader, digest)
                if document is None:
                    return Issued()
                key = document.key
                if key.kind is not documents.Kind.COPY:
                    return Issued(certificates.by_key(reader, self._vault, key.home, key.certificate, key.version))
                receipt = retrievals.by_number(reader, self._vault, key.receipt)
            if receipt is None:
                return Issued()
            taken = receipt.taking
            version = certificates.by_key(reader, self._vault, taken.home, taken.certificate, taken.version)
            return Issued(version, receipt)
        except VaultError:
            return Issued(problem=problems.RECORD_UNREADABLE)

    # --- from caches -------------------------------------------------------------------------------------------------

    def _ours(self, presented: Presentation) -> dict[str, bool]:
        ours: dict[str, bool] = {}
        for text in presented.texts:
            if text.address is not None:
                with suppress(DatabaseUnavailable):
                    owns = self._addresses.owns_host if text.host_only else self._addresses.owns
                    ours[text.address] = owns(text.address)
        if presented.credential is not None and (issuer := presented.credential.issuer) is not None:
            with suppress(DatabaseUnavailable):
                ours[issuer] = self._addresses.owns(issuer)
        return ours

    def _keys(self, kids: Iterable[str | None]) -> dict[str, PublicKey | None]:
        """Credential keys, active or retired; read after the rows, which another process may just have signed."""
        keys: dict[str, PublicKey | None] = {}
        for kid in kids:
            if kid is not None:
                with suppress(DatabaseUnavailable):
                    key = self._our_keys.get(kid) or self._keyring.public(kid, Purpose.CREDENTIAL)
                    keys[kid] = key
                    if key is not None:
                        self._our_keys[kid] = key
        return keys

    def _refresh_catalogue(self, versions: Iterable[Version]) -> None:
        """Refresh the catalogue for these versions; if the database is unavailable, use the last one."""
        with suppress(DatabaseUnavailable):
            codes = [code for version in versions for code in (version.type_code, version.authority)]
            self._last_catalogue = self._catalogue(*codes)


def _explained(reader: Reader, issued: Issued, today: date) -> Issued:
    version = issued.version
    if version is None or issued.why is not None:
        return issued
    return replace(issued, why=acts.why(reader, version, version.state(today)))


def _file_on_record(reader: Reader, presented: Presentation, found: Issued) -> bytes | None:
    """The digest of the file of a version or copy; read only for a file with a valid seal that may be ours."""
    file, version = presented.file, found.version
    if file is None or version is None or file.intact is not VerdictAnswer.YES or file.trusted is VerdictAnswer.NO:
        return None
    key = documents.DocumentKey(version.home, version.certificate, version.version)
    if found.receipt is not None:
        key = replace(key, kind=documents.Kind.COPY, receipt=found.receipt.number)
    document = documents.find(reader, key)
    return None if document is None else document.sha256
