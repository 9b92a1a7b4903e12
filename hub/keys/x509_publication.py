"""What a stranger's PDF validator needs to check our seals: the roots, the issuing CAs, and their revocation lists.

Nothing of it is secret. A list is signed when somebody asks for it, kept for some seconds, and signed anew at once when
anything was revoked. It is not dated back: careful validators (EU DSS) want a list that is younger than the seal.
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
    """Everything as text: PEM certificates, and where the lists are."""

    roots: tuple[str, ...]
    intermediates: tuple[str, ...]
    crls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _List:
    """A signed list, of what it says that and since when."""

    mark: tuple[int, ...]
    at: datetime
    der: bytes


class X509Publication:
    """For any number of threads."""

    def __init__(self, *, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._lists: dict[str, _List] = {}
        self._lock = threading.Lock()

    def trust(self) -> TrustBundle:
        """Every root and issuing CA that we ever had, and a list for each."""
        roots, issuing = self._authorities()
        url = key_store.public_urls(self._database.reader)[0]
        return TrustBundle(
            roots=tuple(x509.pem(record.der) for record in roots),
            intermediates=tuple(x509.pem(record.der) for record in issuing),
            crls=tuple(f"{url}/x509/{record.name}.crl" for record in (*roots, *issuing)),
        )

    def in_der(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[bytes, ...]]:
        """Roots, issuing CAs and lists, as our own checker takes them; a list that cannot be signed now is left out."""
        roots, issuing = self._authorities()
        lists: list[bytes] = []
        for record in (*roots, *issuing):
            with suppress(KeyMissing):
                lists += filter(None, [self.crl(record.name)])
        return tuple(record.der for record in roots), tuple(record.der for record in issuing), tuple(lists)

    def crl(self, name: str) -> bytes | None:
        """The list (DER) of the CA with this name as of now, or None where there is no such CA.

        Raises KeyMissing when it must be signed and cannot be.
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
                # What it says is still so, and it says until when.
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
