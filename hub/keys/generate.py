"""Generate signing keys: the private file first, then the public row, so that a crash leaves at most an unused file.

Root, issuing and document keys get their X.509 certificate in the same commit, so an active key is always usable.
Concurrent callers (threads, processes) generate each key only once.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hub.db.database import Database
from hub.domain.dates import from_micros, to_micros
from hub.runtime.clock import Clock
from hub.store import keys as key_store
from hub.store.keys import SigningState, X509Record
from signing import x509
from signing.errors import KeyMissing
from signing.keys import KeyFolder, PublicKey, Purpose

HUB_NAME = "Certificate Hub"
_YEAR = timedelta(days=365)
_LIFE = {Purpose.ROOT: 30 * _YEAR, Purpose.ISSUING: 25 * _YEAR, Purpose.DOCUMENT: 10 * _YEAR}
_ROLES = {Purpose.ROOT: "root", Purpose.ISSUING: "issuing", Purpose.DOCUMENT: "document"}
_MARKER = ".making"


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key that must exist: its purpose and, for a document key, the code and name of its authority."""

    purpose: Purpose
    authority: str = ""
    authority_name: str = ""


@dataclass(frozen=True, slots=True)
class _Made:
    public: PublicKey
    x509: X509Record | None


class SigningKeys:
    """Generates keys in one folder and records them in one database."""

    def __init__(self, database: Database, folder: KeyFolder, path: Path, clock: Clock) -> None:
        self._database = database
        self._folder = folder
        self._path = path
        self._clock = clock

    def ensure(self, wanted: Iterable[KeyRequest]) -> int:
        """Generate all keys of which none is active, in one commit; returns how many. Idempotent and safe to kill."""
        missing = self._missing(wanted)
        if not missing:
            return 0
        with self._making():
            made = [self._make(item) for item in self._missing(missing)]
            at = to_micros(self._clock.now())
            with self._database.write(exclusive=True) as writer:
                fresh = [m for m in made if key_store.active_kid(writer, *_slot(m.public)) is None]
                for key in fresh:
                    key_store.add_signing_key(writer, key.public, SigningState.ACTIVE, at)
                    if key.x509 is not None:
                        key_store.add_x509_certificate(writer, key.x509)
        return len(fresh)

    def replace(self, wanted: KeyRequest, *, publish_only: bool = False) -> PublicKey:
        """Generate a successor of the active key and, unless `publish_only`, make it the active one.

        The former key no longer signs, but its signatures stay valid; its private file is kept until `hub keys retire`.
        """
        with self._making():
            made = self._make(wanted)
            at = to_micros(self._clock.now())
            with self._database.write(exclusive=True) as writer:
                state = SigningState.NEXT if publish_only else SigningState.ACTIVE
                if not publish_only:
                    former = key_store.active_kid(writer, *_slot(made.public))
                    if former is not None:
                        key_store.set_signing_state(writer, former, SigningState.RETIRED, at)
                key_store.add_signing_key(writer, made.public, state, at)
                if made.x509 is not None:
                    key_store.add_x509_certificate(writer, made.x509)
        return made.public

    def _missing(self, wanted: Iterable[KeyRequest]) -> list[KeyRequest]:
        reader = self._database.reader
        return [w for w in wanted if key_store.active_kid(reader, w.purpose, w.authority) is None]

    def _make(self, wanted: KeyRequest) -> _Made:
        public = self._folder.generate(wanted.purpose, wanted.authority or None)
        role = _ROLES.get(wanted.purpose)
        if role is None:
            return _Made(public, None)
        der = self._certify(public, wanted)
        summary = x509.summary(der)
        record = X509Record(
            serial=summary.serial,
            kid=public.kid,
            name=f"{role}-{public.kid}",
            authority=wanted.authority,
            not_before=to_micros(summary.not_before),
            not_after=to_micros(summary.not_after),
            der=der,
        )
        return _Made(public, record)

    def _certify(self, public: PublicKey, wanted: KeyRequest) -> bytes:
        now = self._clock.now()
        if wanted.purpose is Purpose.ROOT:
            return x509.build_root(self._folder, public, HUB_NAME, _validity(now, _LIFE[Purpose.ROOT]))
        above = Purpose.ROOT if wanted.purpose is Purpose.ISSUING else Purpose.ISSUING
        issuer, record = self._issuer(above)
        begins = max(now, from_micros(record.not_before))  # a clock that was set back must not prevent this
        validity = _validity(begins, _LIFE[wanted.purpose], until=from_micros(record.not_after))
        crl_url = f"{key_store.public_urls(self._database.reader)[0]}/x509/{record.name}.crl"
        if wanted.purpose is Purpose.ISSUING:
            return x509.build_issuing(
                self._folder, issuer, record.der, public, name=HUB_NAME, validity=validity, crl_url=crl_url
            )
        return x509.build_document(
            self._folder,
            issuer,
            record.der,
            public,
            authority_name=wanted.authority_name,
            validity=validity,
            crl_url=crl_url,
        )

    def _issuer(self, purpose: Purpose) -> tuple[PublicKey, X509Record]:
        reader = self._database.reader
        kid = key_store.active_kid(reader, purpose)
        key = next((k.public for k in key_store.signing_keys(reader) if k.public.kid == kid), None)
        records = [r for r in key_store.x509_certificates(reader) if r.kid == kid]
        if key is None or not records:
            raise KeyMissing(purpose.value, "not on record: run `hub init`")
        return key, records[-1]

    @contextmanager
    def _making(self) -> Iterator[None]:
        """Lock this folder against other generators; files without a row are removed now, or by the next one."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._clear_up()
            draft = self._path / f"{_MARKER}.new"
            draft.write_text("\n".join(sorted(self._files())))
            draft.replace(self._path / _MARKER)
            try:
                yield
            finally:
                self._clear_up()
        finally:
            os.close(lock)

    def _files(self) -> set[str]:
        return {path.name for path in self._path.iterdir() if ".pem" in path.name}

    def _clear_up(self) -> None:
        """Remove the files of an attempt that recorded no rows.

        The marker lists the files that existed before the attempt, so no older file is ever touched, even if the folder
        is used with another database.
        """
        marker = self._path / _MARKER
        if not marker.exists():
            return
        before = set(marker.read_text().splitlines())
        with self._database.write() as writer:  # waits for an unacknowledged commit in progress
            on_record = key_store.kids(writer)
        for name in self._files() - before:
            if name.startswith(".") or name.removesuffix(".pem").partition("-")[2] not in on_record:
                (self._path / name).unlink(missing_ok=True)
        marker.unlink()


def _slot(public: PublicKey) -> tuple[Purpose, str]:
    return public.purpose, public.authority or ""


def _validity(now: datetime, life: timedelta, *, until: datetime | None = None) -> x509.Validity:
    end = now + life
    return x509.Validity(now, end if until is None else min(end, until))


def base_keys() -> Sequence[Sequence[KeyRequest]]:
    """The keys that every hub has, in the order in which to generate them."""
    plain = (Purpose.CREDENTIAL, Purpose.ACCESS_TOKEN, Purpose.STATUS, Purpose.LEDGER)
    return [[KeyRequest(Purpose.ROOT)], [KeyRequest(Purpose.ISSUING)], [KeyRequest(purpose) for purpose in plain]]
