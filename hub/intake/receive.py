"""Receive a push: may this client send it, is it already on record, is it valid, and how does it change the case?

`receive` only reads. `settle` writes a push without certificates; one with certificates goes to issuance, which
reserves push, case and intent in one commit (rule 2).
"""

import json
from typing import Any

import rfc8785

from hub.db.database import Database
from hub.domain import numbers
from hub.domain.caller import Caller
from hub.domain.case import CaseStatus, Decision, Push, judge, reply
from hub.domain.case import case_number as checked_case_number
from hub.domain.case_record import Case, Received, SeenPush
from hub.domain.catalogue import Catalogue, Matter
from hub.domain.errors import Refusal
from hub.intake.body import CertificateBody, PushBody
from hub.intake.reading import MissingGlyphs, Reading
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import cases, certificates, parties, people_seen, pushes, reserve
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault
from hub.wire import loads, validate

_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
_DECIDED = frozenset({CaseStatus.COMPLETED, CaseStatus.REFUSED})


class Intake:
    """Receives pushes from approval systems."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        catalogue: CatalogueCache,
        audit: Audit,
        settings: Settings,
        missing_glyphs: MissingGlyphs,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._catalogue = catalogue
        self._audit = audit
        self._settings = settings
        self._missing_glyphs = missing_glyphs

    def receive(self, caller: Caller, case_number: str, raw: bytes, source: str | None = None) -> Received | SeenPush:
        """Step 1: check a push against everything on record, without writing; an equal one on record is returned.

        Raises Refusal: `schema.invalid` and the other 422 codes, `perm.case_required` for a case that is not the
        caller's, `perm.not_issuer` for a decision by a client that only took the case in, `case.conflict`,
        `case.stale`.
        """
        number = checked_case_number(case_number)
        value = loads(raw)
        body = validate(PushBody, value)
        named = caller.source if source is None else source
        reader, now = self._database.reader, self._clock.now()
        catalogue = self._catalogue(body.matter_code)
        before = cases.find(reader, self._vault, named, number)
        client, caller = caller, caller.within(body.matter_code if before is None else before.matter, named)
        authority, accepted_by = _entitled(caller, named, before, body, catalogue.matters.get(body.matter_code))
        digest = pushes.digest_of(self._vault, named, number, canonical(value, body))
        # A push and its case are written in one commit, so without a case there was no push.
        found = None if before is None else pushes.find(reader, self._vault, named, number, digest)
        if found is not None:
            return found
        granted = self._granted_editions(before, body)
        reading = Reading(catalogue, now, self._missing_glyphs, self._settings.max_people_a_case, granted)
        push = reading.push(named, number, body)
        if push.status in _DECIDED and not caller.stands_for(authority):
            raise Refusal("perm.not_issuer", "只有决定机构才能办结或不予许可", pointer="/status")
        self._require_supersedable(client, push, catalogue)
        decision = Decision.CHANGE if before is None else judge(before.status, before.amendment, before.matter, push)
        if decision is Decision.CHANGE and before is not None:
            _require_say(caller, before, accepted_by)
        return Received(push, decision, authority, accepted_by, before, caller.client_id, raw, digest, now)

    def _require_supersedable(self, caller: Caller, push: Push, catalogue: Catalogue) -> None:
        """A caller that acts for others within limits ends only certificates of types that the case's matter grants, or
        that cases within its limits have granted; raises `perm.not_issuer`.
        """
        reader, matter = self._database.reader, catalogue.matters.get(push.matter_code)
        named = [
            (f"/certificates/{i}/supersedes/{j}", identifier)
            for i, certificate in enumerate(push.certificates if caller.limited else ())
            for j, identifier in enumerate(certificate.supersedes)
        ]
        for pointer, identifier in named:
            record = certificates.by_identifier(reader, self._vault, identifier)
            if record is None or (matter is not None and record.type_code in matter.yields):
                continue
            within = cases.caller_within(reader, caller, record.source, record.case_number)
            if not within.stands_for(record.authority):
                raise Refusal("perm.not_issuer", pointer=pointer)

    def _granted_editions(self, before: Case | None, body: PushBody) -> dict[tuple[str, str], int]:
        """The edition of each of the case's certificates, by type and number; read only if the push names none."""
        if before is None or all(certificate.edition is not None for certificate in body.certificates):
            return {}
        found = {}
        for home, certificate, version in before.certificates:
            record = certificates.by_key(self._database.reader, self._vault, home, certificate, version)
            if record is not None:
                found[record.type_code, numbers.clean(record.number)] = record.edition
        return found

    def settle(self, received: Received, record: AuditEntry) -> dict[str, Any]:
        """Record a push without certificates, with the reply that every equal push gets; `accepted` after the end is
        recorded and changes nothing.

        Raises `case.conflict` if certificates would be dropped, `rate.limited` if the case names more people than the
        client may see today, Conflict and StaleKeys (receive it again).
        """
        push, before = received.push, received.before
        case: Case | None = None
        people: tuple[parties.Resolved, ...] = ()
        if before is not None and received.decision is Decision.NOTHING:
            answer = reply(push.case_number, before.amendment, before.status, "none", [])
        elif before is not None and before.certificates:
            raise Refusal(
                "case.conflict", "更正时要列出该办件的全部证照；要终止证照请用撤销接口", pointer="/certificates"
            )
        else:
            answer = reply(push.case_number, push.amendment, push.status, "none", [])
            people = parties.resolve(self._database.reader, self._vault, push.people)
            case = received.case(tuple(item.party for item in people))
        reservation = reserve.prepare(
            self._vault,
            received.at,
            push=pushes.row_of(self._vault, received, answer),
            case=case,
            people=people,
            audit=self._audit.row(record, "ok"),
        )
        with self._database.write() as writer:
            reserve.commit_rows(writer, self._vault, reservation)
            if case is not None and push.status is CaseStatus.ACCEPTED:
                # Naming people in an open case makes them visible, so it counts like looking them up.
                people_seen.count_people(writer, received.at, received.client, None, case.parties, self._settings)
        record.written = True
        return answer


def _entitled(
    caller: Caller, source: str, before: Case | None, body: PushBody, matter: Matter | None
) -> tuple[str, str]:
    """(deciding authority, authority that took it in) of a case that the caller may push."""
    if before is not None:
        if not caller.stands_for(before.authority, before.accepted_by):
            raise Refusal("perm.case_required")
        return before.authority, body.accepted_by or before.accepted_by
    if source != caller.source and source not in caller.authorities:
        raise Refusal("perm.case_required")
    if matter is None:
        raise Refusal("matter.unknown", pointer="/matter_code")
    accepted_by = body.accepted_by or caller.authority
    if not caller.stands_for(matter.authority_code, accepted_by):
        raise Refusal("perm.case_required")
    return matter.authority_code, accepted_by


def _require_say(caller: Caller, before: Case, accepted_by: str) -> None:
    """An authority that only took a case in may neither undo its decision nor hand it to a third authority."""
    if before.status in _DECIDED and not caller.stands_for(before.authority):
        raise Refusal("perm.not_issuer", "只有决定机构才能更改决定", pointer="/status")
    if accepted_by != before.accepted_by and not caller.stands_for(before.authority, accepted_by):
        raise Refusal("perm.case_required", pointer="/accepted_by")


def canonical(value: Any, body: PushBody) -> bytes:
    """The RFC 8785 form of a value that is a `PushBody`.

    Bodies contain only texts, exact integers and null. If all their names are ASCII, as in nearly all bodies, the
    standard library's sorted compact JSON is identical and ten times faster.
    """
    if all(_has_plain_names(certificate) for certificate in body.certificates):
        return _CANONICAL.encode(value).encode()
    return rfc8785.dumps(value)


def _has_plain_names(certificate: CertificateBody) -> bool:
    """Whether all names that `PushBody` leaves open, of fields and of columns, are ASCII."""
    tables = (value for value in certificate.fields.values() if isinstance(value, list))
    return all(name.isascii() for name in certificate.fields) and all(
        name.isascii() for rows in tables for row in rows for name in row
    )
