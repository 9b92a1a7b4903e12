"""The PDF of a version and the annotated copy of a retrieval: each is made once, stored, and never made again.

The first one to need it makes it, the worker or a request; of two at once, the store keeps one. Callers get the stored
file. A change of fonts, templates or catalogue names affects no existing document.

Rendering is deterministic to the last byte, at any time and in any process, with the same release, catalogue and keys:
time and address come from the version's credential or from the receipt, never from the moment of drawing. So a hub
restored from a backup renders the same files that were served before.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hub.db.database import Database
from hub.domain.dates import from_micros
from hub.domain.version import Version
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import certificates, documents
from hub.store import keys as key_store
from hub.store.catalogue import CatalogueCache
from hub.store.documents import DocumentKey, Documents, Kind
from hub.store.retrievals import Receipt
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing import credential, qr, x509
from signing.errors import KeyMissing
from signing.keys import PublicKey, Purpose

if TYPE_CHECKING:  # saves half a second and 20 MB in commands that draw nothing
    from hub.documents.sheets import Template
    from signing.pdf.draw.signature import SealKey


@dataclass(frozen=True, slots=True)
class _Chain:
    """The certificate chain (DER) of document key, issuing CA and root, and when all three are valid."""

    certificates: tuple[bytes, ...]
    begins: datetime
    ends: datetime


class Rendition:
    """Makes documents and returns stored ones. Thread-safe; never call it from the event loop.

    Raises KeyMissing if nothing is stored and the authority has no sealing key, DocumentDamaged if the stored file was
    modified, StorageFull and DatabaseUnavailable; in all these cases, nothing is stored.
    """

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        keyring: Keyring,
        catalogue: CatalogueCache,
        documents: Documents,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._keyring = keyring
        self._catalogue = catalogue
        self._documents = documents
        self._chains: dict[str, _Chain] = {}
        self._making: dict[DocumentKey, threading.Lock] = {}
        self._lock = threading.Lock()

    @staticmethod
    def get_ready() -> None:
        """Load the modules for drawing in advance, 0.7 s of CPU, so that the first request need not wait."""
        from hub.documents import sheets  # noqa: F401
        from signing import glyphs
        from signing.pdf.draw import rendition  # noqa: F401

        glyphs.missing("")

    def of_version(self, version: Version) -> bytes:
        """The PDF of a version."""
        key = DocumentKey(version.home, version.certificate, version.version)
        return self._stored(key, lambda: self._render(version))

    def of_copy(self, receipt: Receipt) -> bytes:
        """The annotated copy (加注件) for a receipt: it contains only what the matter may see."""
        taking = receipt.taking
        key = DocumentKey(taking.home, taking.certificate, taking.version, Kind.COPY, receipt.number)
        return self._stored(key, lambda: self._render_copy(receipt))

    def _stored(self, key: DocumentKey, make: Callable[[], bytes]) -> bytes:
        known = documents.find(self._database.reader, key)
        if known is not None:
            return self._documents.read(known)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        try:
            with making:  # a second thread waits and uses the first one's file
                known = documents.find(self._database.reader, key)
                if known is not None:
                    return self._documents.read(known)
                content = make()
                return retry_on_conflict(self._vault, lambda: self._documents.keep(key, content, self._clock.now()))
        finally:
            with self._lock:
                self._making.pop(key, None)

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _render(self, version: Version) -> bytes:
        from hub.documents import sheets
        from signing.pdf.draw import rendition

        said = credential.read(version.credential).claims
        text = qr.text(said.issuer, version.code, version.digits)
        face = sheets.sheet(version, self._template(version), version.code, text)
        seal, at = self._seal(version.authority, from_micros(said.iat * 1_000_000))
        return rendition.render(face, version.credential, seal, at)

    def _render_copy(self, receipt: Receipt) -> bytes:
        from hub.documents import sheets
        from signing.pdf.draw import rendition

        taking, seen = receipt.taking, receipt.purpose.fields
        version = certificates.by_key(
            self._database.reader, self._vault, taking.home, taking.certificate, taking.version
        )
        if version is None:
            raise RuntimeError("a receipt for no version")
        text = qr.text(self._keyring.public_url(), receipt.code, self._digits(version, receipt.code))
        face = sheets.sheet_of_copy(version, self._template(version), receipt, text)
        shown = credential.present(version.credential, None if seen is None else frozenset(seen))
        seal, at = self._seal(version.authority, receipt.at)
        return rendition.render_copy(face, sheets.annotation(receipt), shown, seal, at)

    def _template(self, version: Version) -> "Template":
        from hub.documents.sheets import Template

        catalogue = self._catalogue(version.type_code, version.authority)
        kind = catalogue.types[version.type_code]
        edition = kind.edition(version.edition, version.dates.issued_on)
        if edition is None:
            raise RuntimeError("a version of an edition that is not on record")
        return Template(kind, edition, catalogue.authorities[version.authority])

    def _digits(self, version: Version, code: str) -> str:
        """The digits printed next to a copy's code: the version's face data, bound to this code by a new signature."""
        kid = self._keyring.active(Purpose.CREDENTIAL).kid
        prepared = qr.prepare(qr.read(version.digits).face, code, kid)
        return qr.assemble(prepared, self._keyring.sign(kid, Purpose.CREDENTIAL, prepared.to_be_signed))

    # --- sealing -----------------------------------------------------------------------------------------------------

    def _seal(self, authority: str, at: datetime) -> "tuple[SealKey, datetime]":
        """The authority's current seal key and the signing time: `at`, or the start of the chain's validity if later.

        Every validator rejects a signing time before the start of the X.509 certificate's validity.
        """
        from signing.pdf.draw.signature import SealKey

        key = self._keyring.active(Purpose.DOCUMENT, authority)
        chain = self._chains.get(key.kid)
        if chain is None:
            chain = self._chains[key.kid] = self._find_chain(key)
        if self._clock.now() >= chain.ends:
            raise KeyMissing(key.kid, "its X.509 certificate has ended: run `hub keys rotate document`")
        return SealKey(self._keyring.folder, key, chain.certificates), max(at, chain.begins)

    def _find_chain(self, key: PublicKey) -> _Chain:
        """The certificate chain of a document key: its own, its issuing CA's and the root's, which never change."""
        records = key_store.x509_certificates(self._database.reader)
        chain = [record for record in records if record.kid == key.kid][-1:]
        for _ in (Purpose.ISSUING, Purpose.ROOT):
            above = [r for r in records if chain and r != chain[-1] and x509.is_issued_by(chain[-1].der, r.der)]
            chain += above[-1:]
        if len(chain) != 3:
            raise KeyMissing(key.kid, "its X.509 certificates are not on record: run `hub init`")
        return _Chain(
            tuple(record.der for record in chain),
            from_micros(max(record.not_before for record in chain)),
            from_micros(min(record.not_after for record in chain)),
        )
