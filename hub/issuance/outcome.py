"""Step 7: turn a signed intent into changes of certificates, the case, and the reply that every equal push gets."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from hub.db.database import Conflict, Database
from hub.domain.case import CaseStatus, reply
from hub.domain.case_record import Case, with_certificates
from hub.domain.certificate import ActKind, Standing
from hub.domain.dates import day_of
from hub.domain.issuing import Ending, Intent, Planned, Signed
from hub.domain.version import Version
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import cases, certificates, changes, publish
from hub.store.changes import Act, Change
from hub.store.ids import Ids
from hub.store.publish import Publication
from hub.vault import Vault
from signing import qr


class Outcome:
    """Prepares the second commit; only reads."""

    def __init__(self, database: Database, vault: Vault, clock: Clock, ids: Ids, keyring: Keyring) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._keyring = keyring

    def prepare(
        self, intent: Intent, signed: Sequence[Signed], before: Case | None, now: datetime
    ) -> tuple[Publication, dict[str, Any]]:
        """The rows of the second commit, and the reply to the push. Raises Conflict if the case is gone.

        before: the case as the first commit left it, or None to read it.
        """
        case = before or cases.find(self._database.reader, self._vault, intent.source, intent.case_number)
        if case is None:
            raise Conflict
        reply = self._reply(intent, signed, case.status)
        publication = publish.prepare(
            self._vault,
            now,
            intent=intent,
            changes=self._changes(intent, signed, now),
            case=with_certificates(case, tuple((p.home, p.certificate, p.version) for p in intent.planned)),
            reply=reply,
        )
        return publication, reply

    def _changes(self, intent: Intent, signed: Sequence[Signed], now: datetime) -> list[Change]:
        """All changes of the case's certificates and of those that they supersede."""
        found = []
        for item in signed:
            planned = item.planned
            if planned.kind is not None:
                found.append(self._granted(intent, item, planned.kind, now))
            found += [
                change
                for ending in planned.endings
                if not ending.same_certificate and (change := self._ended(intent, ending, now)) is not None
            ]
        return found

    def _granted(self, intent: Intent, signed: Signed, kind: ActKind, now: datetime) -> Change:
        planned = signed.planned
        case = (intent.source, intent.case_number)
        if kind is ActKind.ISSUED:
            act = Act(kind, Standing.ACTIVE, planned.issued_on, now, intent.client)
            return changes.first_version(self._vault, self._ids, signed, act, *case)
        before = self._current(planned.home, planned.certificate)
        act = Act(kind, _standing_after(kind, before.standing), _begins(planned), now, intent.client)
        return changes.next_version(self._vault, self._ids, before, signed, act, *case)

    def _ended(self, intent: Intent, ending: Ending, now: datetime) -> Change | None:
        """End a certificate that another one supersedes; a revocation in the meantime takes precedence."""
        before = self._current(ending.home, ending.certificate)
        if before.standing is Standing.REVOKED:
            return None
        # Until the successor takes effect, it keeps its standing, such as suspended; state() compares the day.
        standing = Standing.SUPERSEDED if ending.on <= day_of(now) else before.standing
        act = Act(ActKind.SUPERSEDED, standing, ending.on, now, intent.client)
        return changes.transition(self._vault, self._ids, before, act, superseded_on=ending.on)

    def _current(self, home: int, certificate: int) -> Version:
        versions = certificates.versions_of(self._database.reader, self._vault, home, certificate)
        if not versions:
            raise Conflict
        return versions[-1]

    def _reply(self, intent: Intent, signed: Sequence[Signed], status: CaseStatus) -> dict[str, Any]:
        """The reply to the push, in pushed order."""
        url = self._keyring.public_url()
        granted = [
            {
                "identifier": item.planned.identifier,
                "number": item.planned.number,
                "type_code": item.planned.type_code,
                "version": item.planned.version,
                "links": links(url, item.planned.identifier, item.planned.code, item.digits),
            }
            for item in signed
        ]
        return reply(intent.case_number, intent.amendment, status, "done", granted)

    def live(self, case: Case) -> list[dict[str, Any]]:
        """The certificates of a case with their current state."""
        url, today = self._keyring.public_url(), self._clock.today()
        found = []
        for home, certificate, version in case.certificates:
            record = certificates.by_key(self._database.reader, self._vault, home, certificate, version)
            if record is None:
                raise Conflict
            found.append(
                {
                    "identifier": record.identifier,
                    "number": record.number,
                    "type_code": record.type_code,
                    "version": record.version,
                    "state": record.state(today).value,
                    "links": links(url, record.identifier, record.code, record.digits),
                }
            )
        return found


def _standing_after(kind: ActKind, before: Standing) -> Standing:
    """A next version inherits a revocation; a renewal ends a suspension, a correction does not."""
    if kind is ActKind.RENEWED and before is Standing.SUSPENDED:
        return Standing.ACTIVE
    return before


def _begins(planned: Planned) -> date:
    return next(ending.on for ending in planned.endings if ending.same_certificate)


def links(public_url: str, identifier: str, code: str, digits: str) -> dict[str, str]:
    """The links of a version: `verify` is absolute and is the QR text; the others are paths from the root."""
    own = f"/api/v1/certificates/{identifier}"
    return {"self": own, "document": f"{own}/document.pdf", "verify": qr.text(public_url, code, digits)}
