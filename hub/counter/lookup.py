"""Look up a person of a case: check permission (rule 1), find the certificates, record the lookup, then answer."""

from dataclasses import dataclass

from hub.counter.entries import Candidate, Entry, Unavailable, entries, unavailable
from hub.counter.gate import CaseKey, CounterGate
from hub.counter.holdings import Holdings
from hub.counter.lookup_body import LookupBody
from hub.db.database import Database
from hub.domain import numbers, permission
from hub.domain.caller import Caller
from hub.domain.case import Person
from hub.runtime.clock import Clock
from hub.settings import Settings
from hub.store import acts, case_use, keys, parties
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing.public_code import ALPHABET

_ID_CHARACTERS = 13


@dataclass(frozen=True, slots=True)
class LookupResult:
    """The answer to a lookup. `lookup_id` identifies its audit entry; `complete`: nothing newer can be missing."""

    lookup_id: str
    entries: tuple[Entry, ...]
    unavailable: tuple[Unavailable, ...]
    complete: bool = True


class Lookup:
    """Tells counters which certificates people hold; each is found from the moment it is issued (`Holdings`)."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        audit: Audit,
        catalogue: CatalogueCache,
        settings: Settings,
        holdings: Holdings,
    ) -> None:
        self._holdings = holdings
        self._database = database
        self._vault = vault
        self._audit = audit
        self._gate = CounterGate(database=database, vault=vault, clock=clock, catalogue=catalogue, settings=settings)

    def look_up(self, caller: Caller, body: LookupBody) -> LookupResult:
        """The person's certificates of the types that the case's matter requires, in every state, masked.

        Recorded, and counted for clerk and client, before it returns. Raises Refusal in this order: `schema.invalid`,
        `id.length`, `id.checksum`, `uscc.checksum` (not recorded), `perm.case_required`, `perm.clerk`,
        `perm.case_not_open`, `perm.holder_not_in_case`, `perm.type_not_in_matter`, `rate.limited` (recorded).
        """
        key = self._gate.key_of(caller, body)
        id_type, number = numbers.normalise(body.holder.id_type, body.holder.id_number, pointer="/holder")
        person = Person("", id_type, number)
        record = AuditEntry(
            "lookup", caller.client_id, source=key.source, case_number=key.case_number, request=caller.request
        )
        with self._audit.of(record):
            return retry_on_conflict(self._vault, lambda: self._answer(caller, body, key, person, record))

    def _answer(
        self, caller: Caller, body: LookupBody, key: CaseKey, person: Person, record: AuditEntry
    ) -> LookupResult:
        party = record.party = self._party(person)
        passed = self._gate.enter(caller, key, body.clerk, record)
        roles = frozenset[str]() if party is None else passed.case.roles_of(party)
        wanted = None if body.type_codes is None else frozenset(body.type_codes)
        materials = permission.materials_of_person(passed.matter, roles, wanted)
        if party is None:  # pragma: no cover - refused above: no roles
            raise RuntimeError("party")
        asked = body.type_codes or [code for material in materials for code in material.type_codes]
        types = tuple(dict.fromkeys(asked))
        reader = self._database.reader
        held = []
        for version in self._holdings.of_party(party, types, passed.today):
            state = version.state(passed.today)
            held.append(Candidate(version, state, acts.why(reader, version, state)))
        found = LookupResult(
            lookup_id=reference(record.id),
            entries=entries(held, passed.catalogue),
            unavailable=unavailable(types, materials, held),
        )
        with self._database.write() as writer:
            self._gate.hold(writer, passed)
            self._gate.count(writer, caller, passed, (party,))
            case_use.count_use(writer, passed.case, lookups=1)
            self._audit.write(writer, record, "ok")
        return found

    def _party(self, person: Person) -> int | None:
        """The party with this number; resolved first, so that a refusal is recorded with the person looked up."""
        reader = self._database.reader
        party = parties.find(reader, self._vault, person)
        if party is None:
            keys.require_current(reader, self._vault)  # with outdated blind keys the search may miss
        return party


def reference(number: int) -> str:
    """The id of an audit entry as 13 characters that can be read over the telephone."""
    return "".join(ALPHABET[number >> 5 * place & 31] for place in range(_ID_CHARACTERS - 1, -1, -1))
