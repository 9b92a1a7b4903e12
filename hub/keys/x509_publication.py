"""What third-party PDF validators need to check our seals: the root and issuing CA certificates and their CRLs.

None of it is secret. A CRL is signed on request and cached for a few seconds; a revocation invalidates the cache. It is
not back-dated: strict validators (EU DSS) require a CRL that is newer than the seal.
"""

import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.db.database import Database
from hub.domain.dates import from_micros, to_micros
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import keys as key_store
from hub.store.keys import X509Record
from signing import x509
from signing.errors import KeyMissing
from signing.keys import Purpose

GOOD_FOR = timedelta(days=7)
KEPT_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """Everything as text: PEM certificates, and the URLs of the CRLs."""

    roots: tuple[str, ...]
    intermediates: tuple[str, ...]
    crls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _List:
    """A signed CRL, the state of the records that it reflects, and when it was signed."""

    mark: tuple[int, ...]
    at: datetime
    der: bytes


class X509Publication:
    """Thread-safe."""

    def __init__(self, *, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._lists: dict[str, _List] = {}
        self._lock = threading.Lock()

    def trust(self) -> TrustBundle:
        """Every root and issuing CA that we ever had, and a CRL for each."""
        roots, issuing = self._authorities()
        url = key_store.public_urls(self._database.reader)[0]
        return TrustBundle(
            roots=tuple(x509.pem(record.der) for record in roots),
            intermediates=tuple(x509.pem(record.der) for record in issuing),
            crls=tuple(f"{url}/x509/{record.name}.crl" for record in (*roots, *issuing)),
        )

    def in_der(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[bytes, ...]]:
        """Root and issuing CA certificates, and CRLs, for our own checker; omits CRLs that cannot be signed now."""
        roots, issuing = self._authorities()
        lists: list[bytes] = []
        for record in (*roots, *issuing):
            with suppress(KeyMissing):
                lists += filter(None, [self.crl(record.name)])
        return tuple(record.der for record in roots), tuple(record.der for record in issuing), tuple(lists)

    def crl(self, name: str) -> bytes | None:
        """The current CRL (DER) of the CA with this name, or None if there is no such CA.

        Raises KeyMissing if it must be signed and the key is missing.
        """
        mark = key_store.x509_mark(self._database.reader)
        now = self._clock.now()
        known = self._lists.get(name)
        if known is not None and known.mark == mark and timedelta() <= now - known.at < KEPT_FOR:
            return known.der
        issuer = next((record for group in self._authorities() for record in group if record.name == name), None)
        if issuer is None:
            return None
        with self._lock:
            try:
                der = self._sign(issuer, now)
            except KeyMissing:
                # Its content is still current, and it has not expired.
                if known is not None and known.mark == mark and now - known.at < GOOD_FOR:
                    return known.der
                raise
            self._lists[name] = _List(mark, now, der)
        return der

    def _authorities(self) -> tuple[list[X509Record], list[X509Record]]:
        records = key_store.x509_certificates(self._database.reader)
        return (
            [record for record in records if self._keyring.public(record.kid, Purpose.ROOT)],
            [record for record in records if self._keyring.public(record.kid, Purpose.ISSUING)],
        )

    def _sign(self, issuer: X509Record, now: datetime) -> bytes:
        key = self._keyring.find(issuer.kid)
        if key is None:
            raise KeyMissing(issuer.kid, "not on record")
        revoked = [
            x509.Revoked(int(record.serial, 16), from_micros(record.revoked_at))
            for record in key_store.x509_certificates(self._database.reader)
            if record.revoked_at is not None and x509.is_issued_by(record.der, issuer.der)
        ]
        return x509.build_crl(
            self._keyring.folder,
            key.public,
            issuer.der,
            number=to_micros(now),
            validity=x509.Validity(now, now + GOOD_FOR),
            revoked=revoked,
        )
