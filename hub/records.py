"""Read one certificate in full, with its versions and history: only for its own authority, and recorded."""

from dataclasses import dataclass
from datetime import date

from hub.db.database import Database
from hub.documents.rendition import Rendition
from hub.domain.caller import Caller
from hub.domain.catalogue import Catalogue
from hub.domain.certificate import State
from hub.domain.errors import Refusal
from hub.domain.version import Version
from hub.runtime.clock import Clock
from hub.store import acts, cases, certificates
from hub.store import keys as key_store
from hub.store.acts import RecordedAct, Why
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault

MANAGE = "certificates:manage"
WRITE = "cases:write"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One version in full, all versions of its certificate, and every act on it, both oldest first.

    public_url: the address that QR codes contain now.
    """

    version: Version
    versions: tuple[Version, ...]
    history: tuple[RecordedAct, ...]
    catalogue: Catalogue
    today: date
    why: Why
    public_url: str

    @property
    def state(self) -> State:
        """The state of the version today."""
        return self.version.state(self.today)


class Records:
    """Reads certificates for the authority that issued them.

    The client must belong to or act for the issuing authority, and have the scope to manage certificates, or the scope
    to write cases and the same source as the case that made this version. All other clients get
    `certificate.not_found`, as for an unknown identifier. Every read and every refusal is recorded before it returns.
    """

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        audit: Audit,
        catalogue: CatalogueCache,
        rendition: Rendition,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._audit = audit
        self._catalogue = catalogue
        self._rendition = rendition

    def read(self, caller: Caller, identifier: str) -> Certificate:
        """The certificate of this version; raises `certificate.not_found`."""
        record = AuditEntry("certificate.read", caller.client_id, request=caller.request)
        with self._audit.of(record), self._database.snapshot() as reader:
            version = self._version(caller, identifier, record)
            key = (version.home, version.certificate)
            today = self._clock.today()
            return Certificate(
                version=version,
                versions=tuple(certificates.versions_of(reader, self._vault, *key)),
                history=tuple(acts.acts_of(reader, self._vault, *key)),
                catalogue=self._catalogue(version.type_code, version.authority),
                today=today,
                why=acts.why(reader, version, version.state(today)),
                public_url=key_store.public_urls(reader)[0],
            )

    def credential(self, caller: Caller, identifier: str) -> str:
        """The signed credential of this version with everything disclosed; raises `certificate.not_found`."""
        record = AuditEntry("certificate.credential", caller.client_id, request=caller.request)
        with self._audit.of(record):
            return self._version(caller, identifier, record).credential

    def document(self, caller: Caller, identifier: str) -> tuple[Version, bytes]:
        """The PDF of this version, rendered now if necessary; raises `certificate.not_found`, and as Rendition does."""
        record = AuditEntry("certificate.document", caller.client_id, request=caller.request)
        with self._audit.of(record):
            version = self._version(caller, identifier, record)
            return version, self._rendition.of_version(version)

    def _version(self, caller: Caller, identifier: str, record: AuditEntry) -> Version:
        version = certificates.by_identifier(self._database.reader, self._vault, identifier)
        if version is None:
            raise Refusal("certificate.not_found")
        record.party, record.home, record.certificate = version.home, version.home, version.certificate
        record.source, record.case_number = version.source, version.case_number
        within = cases.caller_within(self._database.reader, caller, version.source, version.case_number)
        if not _is_entitled(within, version):
            raise Refusal("certificate.not_found")
        return version


def _is_entitled(caller: Caller, version: Version) -> bool:
    if not caller.stands_for(version.authority):
        return False
    return MANAGE in caller.scopes or (WRITE in caller.scopes and version.source == caller.source)
