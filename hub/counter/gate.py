"""The gate of lookup and retrieval: rule 1 applied to the case and the clerk, as read from the database.

The rules themselves are in `hub.domain.permission`. The case may change until the answer is recorded, so `Passed.case`
has the revision that was checked, and `hold` raises Conflict for any other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from hub.db.database import Conflict, Database, Writer
from hub.domain import permission
from hub.domain.caller import Caller, Clerk
from hub.domain.case import case_number as checked_case_number
from hub.domain.case_record import Case
from hub.domain.catalogue import Catalogue, Matter
from hub.domain.dates import day_of
from hub.domain.permission import CaseFacts
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import cases, clients, people_seen
from hub.store.audit import AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault
from hub.wire import Body, ClerkBody


class CounterBody(Body):
    """The case and the clerk, which every counter request states."""

    case_number: (
        Annotated[str, Field(max_length=64, description="办件编号；不填会被拒绝（perm.case_required） Case number")]
        | None
    ) = None
    source: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=64,
                description="办件来源，默认为本账号的来源 Case source; default: the client's own",
            ),
        ]
        | None
    ) = None
    clerk: ClerkBody


@dataclass(frozen=True, slots=True)
class CaseKey:
    """The requested case, in a form allowed in unsealed columns; without a number, no case was named."""

    source: str
    case_number: str | None


@dataclass(frozen=True, slots=True)
class Passed:
    """An open case, its matter, and a clerk who may work on it, as of `now`."""

    case: Case
    matter: Matter
    clerk: Clerk
    catalogue: Catalogue
    now: datetime
    today: date


class CounterGate:
    """Admits a caller and a clerk to one open case, or refuses."""

    def __init__(
        self, *, database: Database, vault: Vault, clock: Clock, catalogue: CatalogueCache, settings: Settings
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._catalogue = catalogue
        self._settings = settings

    def key_of(self, caller: Caller, body: CounterBody) -> CaseKey:
        """The case that a body names, from the caller's source by default; raises `schema.invalid`."""
        source = caller.source if body.source is None else checked_case_number(body.source, pointer="/source")
        return CaseKey(source, checked_case_number(body.case_number) if body.case_number else None)

    def enter(self, caller: Caller, key: CaseKey, clerk: ClerkBody, record: AuditEntry) -> Passed:
        """Check case, clerk and openness, in this order, and add the clerk to the audit entry.

        Raises `perm.case_required` (the same for a missing, unknown or foreign case), `perm.clerk`,
        `perm.case_not_open` and `perm.intake`.
        """
        reader, now = self._database.reader, self._clock.now()
        found = cases.find(reader, self._vault, key.source, key.case_number) if key.case_number else None
        who = caller if found is None else caller.within(found.matter, key.source)
        facts = permission.require_case(who, None if found is None else _facts(found))
        if found is None:  # pragma: no cover - refused above
            raise RuntimeError("case")
        known = (clients.find_clerk(reader, self._vault, code, clerk.id) for code in facts.authorities)
        registered = [one for one in known if one is not None]
        if registered:  # otherwise it may be no staff number: clerks type it
            record.clerk = registered[0].key
        person = permission.require_clerk(facts.authorities, registered, clerk.id, clerk.name)
        record.clerk = person.key
        catalogue = self._catalogue(found.matter)
        today = day_of(now)
        matter = permission.require_open(facts, catalogue.matters.get(found.matter), today)
        permission.require_intake(catalogue, matter, facts)
        return Passed(found, matter, person, catalogue, now, today)

    def hold(self, writer: Writer, passed: Passed, *, shared: bool = True) -> None:
        """Lock the case, and raise Conflict if it has changed; for the transaction that records the answer.

        shared: other transactions may take the same lock; without it, the lock is exclusive until the transaction ends.
        """
        case = passed.case
        if cases.revision_for_update(writer, case.source, case.case_number, shared=shared) != case.revision:
            raise Conflict

    def count(self, writer: Writer, caller: Caller, passed: Passed, parties: Iterable[int]) -> None:
        """Count these people for clerk, client and the whole hub; raises `rate.limited` until midnight."""
        people_seen.count_people(writer, passed.now, caller.client_id, passed.clerk.key, parties, self._settings)


def _facts(case: Case) -> CaseFacts:
    objected = case.objected_at is not None
    return CaseFacts(case.authority, case.accepted_by, case.status, day_of(case.accepted_at), objected)
