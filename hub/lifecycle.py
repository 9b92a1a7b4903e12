"""Suspend, restore, revoke. One act, one commit; every view reflects it at once, because states are computed."""

from dataclasses import dataclass
from datetime import date, datetime

from hub.db.database import Database, Reader
from hub.domain.caller import Caller
from hub.domain.certificate import (
    REVOCATION_KINDS,
    SUSPENSION_KINDS,
    ActKind,
    Standing,
    State,
    may_transition,
    state,
)
from hub.domain.dates import day_of
from hub.domain.errors import Refusal
from hub.domain.version import Version
from hub.runtime.clock import Clock
from hub.store import acts, cases, certificates, changes
from hub.store import keys as key_store
from hub.store.acts import RecordedAct
from hub.store.audit import Audit, AuditEntry
from hub.store.changes import Act
from hub.store.ids import Ids
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing import identifier as identifiers
from signing.errors import Malformed

_STANDINGS = {
    ActKind.SUSPENDED: Standing.SUSPENDED,
    ActKind.RESTORED: Standing.ACTIVE,
    ActKind.REVOKED: Standing.REVOKED,
}
_KINDS = {ActKind.SUSPENDED: SUSPENSION_KINDS, ActKind.REVOKED: REVOCATION_KINDS}


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of an act: the state of the version that the caller named, and the act as recorded."""

    identifier: str
    state: State
    kind: str | None
    effective_on: date
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class _Request:
    kind: ActKind
    subkind: str | None
    effective_on: date | None
    grounds: dict[str, str]


class Lifecycle:
    """Changes of standing. All methods raise the same refusals.

    `certificate.not_found`; `perm.not_issuer`; `certificate.move` if the state does not allow it; `schema.invalid` for
    an unknown kind; `date.future` and `date.order` for an effective date after today or before the date of issue.
    Repeating the last act is idempotent: it returns the same answer.
    """

    def __init__(self, *, database: Database, vault: Vault, clock: Clock, ids: Ids, audit: Audit) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._audit = audit

    def suspend(
        self,
        caller: Caller,
        identifier: str,
        *,
        kind: str,
        reason: str,
        legal_basis: str,
        document_number: str | None = None,
        effective_on: date | None = None,
    ) -> Transition:
        """Suspend temporarily: `withheld` 暂扣, `lost` 挂失, `under_change`, `other`."""
        grounds = _grounds(reason, legal_basis, document_number)
        return self._do(caller, identifier, _Request(ActKind.SUSPENDED, kind, effective_on, grounds))

    def restore(
        self,
        caller: Caller,
        identifier: str,
        *,
        kind: str | None = None,
        reason: str,
        legal_basis: str,
        document_number: str | None = None,
        effective_on: date | None = None,
    ) -> Transition:
        """End a suspension; `kind`, if given, must be that of the suspension."""
        grounds = _grounds(reason, legal_basis, document_number)
        return self._do(caller, identifier, _Request(ActKind.RESTORED, kind, effective_on, grounds))

    def revoke(
        self,
        caller: Caller,
        identifier: str,
        *,
        kind: str,
        reason: str,
        legal_basis: str,
        document_number: str | None = None,
        effective_on: date | None = None,
    ) -> Transition:
        """End permanently: `penalty` 吊销, `rescinded` 撤销, `cancelled` 注销, `withdrawn` 撤回."""
        grounds = _grounds(reason, legal_basis, document_number)
        return self._do(caller, identifier, _Request(ActKind.REVOKED, kind, effective_on, grounds))

    def _do(self, caller: Caller, identifier: str, requested: _Request) -> Transition:
        record = AuditEntry(f"certificate.{requested.kind.name.lower()}", caller.client_id, request=caller.request)
        with self._audit.of(record):
            if requested.kind in _KINDS and requested.subkind not in _KINDS[requested.kind]:
                raise Refusal("schema.invalid", "不是允许的取值", pointer="/kind")
            return retry_on_conflict(self._vault, lambda: self._try(caller, identifier, requested, record))

    def _try(self, caller: Caller, identifier: str, requested: _Request, record: AuditEntry) -> Transition:
        with self._database.snapshot() as reader:
            named, current = self._find(reader, identifier, record)
            history = acts.acts_of(reader, self._vault, named.home, named.certificate)
            for version in (named, current):
                who = cases.caller_within(reader, caller, version.source, version.case_number)
                if not who.stands_for(version.authority):
                    raise Refusal("perm.not_issuer")
        if history and _is_same(history[-1], requested):
            return self._transition(named, history[-1])
        today = self._clock.today()
        self._require(named, requested, history, today)
        effective_on = requested.effective_on or today
        act = Act(
            kind=requested.kind,
            standing=_STANDINGS[requested.kind],
            effective_on=effective_on,
            recorded_at=self._clock.now(),
            client=caller.client_id,
            subkind=requested.subkind,
            grounds=dict(requested.grounds),
        )
        change = changes.transition(self._vault, self._ids, current, act)
        with self._database.write() as writer:
            key_store.require_current(writer, self._vault)
            changes.apply(writer, change)
            self._audit.write(writer, record, "ok")
        after = state(act.standing, named.dates, today)
        return Transition(named.identifier, after, act.subkind, effective_on, act.recorded_at)

    def _find(self, reader: Reader, identifier: str, record: AuditEntry) -> tuple[Version, Version]:
        """(the version that the caller named, the certificate's current version)."""
        try:
            identifiers.parse(identifier)
        except Malformed:
            raise Refusal("certificate.not_found") from None
        named = certificates.by_identifier(reader, self._vault, identifier)
        if named is None:
            raise Refusal("certificate.not_found")
        record.home, record.certificate = named.home, named.certificate
        return named, certificates.versions_of(reader, self._vault, named.home, named.certificate)[-1]

    def _require(self, named: Version, requested: _Request, history: list[RecordedAct], today: date) -> None:
        if requested.effective_on is not None and requested.effective_on > today:
            raise Refusal("date.future", pointer="/effective_on")
        if requested.effective_on is not None and requested.effective_on < named.dates.issued_on:
            raise Refusal("date.order", "生效日期早于颁发日期", pointer="/effective_on")
        if named.state(today) is State.SUPERSEDED:
            raise Refusal("certificate.move", "该版本已被更正或换发，请对现行版本操作")
        # A version suspended before its renewal stays suspended until that takes effect; until then it may be restored.
        if not may_transition(named.standing, _STANDINGS[requested.kind], named.dates, today):
            raise Refusal("certificate.move")
        if requested.kind is ActKind.RESTORED and requested.subkind is not None:
            suspended = next((a.subkind for a in reversed(history) if a.kind is ActKind.SUSPENDED), None)
            if requested.subkind != suspended:
                raise Refusal("certificate.move", "和暂停时的种类不一致", pointer="/kind")

    def _transition(self, named: Version, act: RecordedAct) -> Transition:
        today = self._clock.today()
        return Transition(named.identifier, named.state(today), act.subkind, act.effective_on, act.recorded_at)


def _grounds(reason: str, legal_basis: str, document_number: str | None) -> dict[str, str]:
    found = {"reason": reason, "legal_basis": legal_basis}
    return found if document_number is None else found | {"document_number": document_number}


def _is_same(act: RecordedAct, requested: _Request) -> bool:
    wanted_day = requested.effective_on or day_of(act.recorded_at)  # no day means that day, even in a later retry
    said = (requested.kind, requested.subkind, requested.grounds, wanted_day)
    return (act.kind, act.subkind, dict(act.grounds), act.effective_on) == said
