"""Receive a push: may this client send it, is it already on record, is it valid, and how does it change the case?

`receive` only reads. `settle` writes a push without certificates; one with certificates goes to issuance, which
reserves push, case and intent in one commit (rule 2).
"""

import json
from typing import Any

import rfc8785

from hub.db.database import Database, Writer
from hub.domain import numbers
from hub.domain.caller import Caller
from hub.domain.case import CaseStatus, Decision, judge, reply
from hub.domain.case import case_number as checked_case_number
from hub.domain.case_record import Case, Received, SeenPush
from hub.domain.errors import Refusal
from hub.intake import entitlement
from hub.intake.body import CertificateBody, PushBody
from hub.intake.reading import MissingGlyphs, Reading
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import cases, certificates, clients, parties, people_seen, pushes, reserve
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault
from hub.wire import loads, validate

_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


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
        caller's, `perm.not_issuer` for a decision by a client that only took the case in, `perm.intake` for an
        authority that may not take in this matter, `perm.clerk`, `case.conflict`, `case.stale`.
        """
        number = checked_case_number(case_number)
        value = loads(raw)
        body = validate(PushBody, value)
        pushed_as = (caller.source if source is None else source, number)
        reader, now = self._database.reader, self._clock.now()
        catalogue = self._catalogue(body.matter_code)
        known = cases.find(reader, self._vault, *pushed_as)
        before = entitlement.taken_over(reader, self._vault, caller, pushed_as, known, body)
        # A client that acts for others within limits does so for this case, or not at all.
        matter_code = body.matter_code if before is None else before.matter
        client, caller = caller, caller.within(matter_code, pushed_as[0])
        authority, accepted_by = entitlement.authorities(caller, pushed_as[0], before, body, catalogue)
        key = pushed_as if before is None else (before.source, before.case_number)
        digest = self._digest(key, value, body)
        # A push and its case are written in one commit, so without a case there was no push.
        found = None if known is None else self._seen(key, digest, value, body)
        if found is not None:
            return found

        matter = catalogue.matters.get(body.matter_code)
        if matter is None:
            raise Refusal("matter.unknown", pointer="/matter_code")
        max_people = matter.max_people or self._settings.max_people_a_case
        opened_at = None if before is None else before.accepted_at
        granted = self._granted_editions(before, body)
        reading = Reading(catalogue, now, self._missing_glyphs, max_people, granted, opened_at)
        push = reading.push(*key, body)
        entitlement.require_supersedable(reader, self._vault, client, matter, push)
        decision = Decision.CHANGE if before is None else judge(before.status, before.amendment, before.matter, push)
        clerk = None
        if decision is Decision.CHANGE:
            entitlement.require_say(caller, before, authority, accepted_by, push)
            entitlement.require_intake(caller, catalogue, matter, before, accepted_by, push)
            clerk = entitlement.clerk_of(
                reader, self._vault, catalogue, body, authority, accepted_by, opens=before is None
            )
        if before is not None and known is None:
            entitlement.require_same_applicant(before, push)
        return Received(
            push=push,
            decision=decision,
            authority=authority,
            accepted_by=accepted_by,
            before=before,
            client=caller.client_id,
            client_authority=caller.authority,
            raw=raw,
            digest=digest,
            at=now,
            max_people=max_people,
            decides=caller.decides(authority, accepted_by),
            clerk=clerk,
            taken_over=pushed_as if known is None and before is not None else None,
        )

    def _digest(self, key: tuple[str, str], value: Any, body: PushBody) -> bytes:
        """What identifies equal pushes; when the case was taken in plays no part, because the first push settles it."""
        return pushes.digest_of(
            self._vault, *key, canonical({name: v for name, v in value.items() if name != "accepted_at"}, body)
        )

    def _seen(self, key: tuple[str, str], digest: bytes, value: Any, body: PushBody) -> SeenPush | None:
        """The equal push on record; releases before this one took `accepted_at` into its digest."""
        reader = self._database.reader
        found = pushes.find(reader, self._vault, *key, digest)
        if found is not None:
            return found
        return pushes.find(reader, self._vault, *key, pushes.digest_of(self._vault, *key, canonical(value, body)))

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
            second_number=received.taken_over,
        )
        with self._database.write() as writer:
            reserve.commit_rows(writer, self._vault, reservation)
            if case is not None and push.status is CaseStatus.ACCEPTED:
                self._count(writer, received, case)
        record.written = True
        return answer

    def _count(self, writer: Writer, received: Received, case: Case) -> None:
        """Naming people in an open case makes them visible, so it counts like looking them up."""
        settings = self._settings
        people_seen.count_people(writer, received.at, received.client, None, case.parties, settings)
        if not received.decides:
            clerk = received.clerk or case.clerk
            clerks = clients.enabled_clerks(writer, received.client_authority)
            people_seen.count_taken_in(writer, received.at, received.client, clerk, case.parties, settings, clerks)


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
