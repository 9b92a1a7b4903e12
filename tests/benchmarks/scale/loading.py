"""From plausible certificates to rows, signed and sealed as in production, and bulk-loaded into the database."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from hub.domain import numbers
from hub.domain.case import CaseStatus
from hub.domain.case_record import Case
from hub.domain.certificate import ActKind, Standing
from hub.domain.issuing import Ending, Signed
from hub.domain.version import Version
from hub.issuance.drafting import Draft, Drafting
from hub.parts import Parts, open_parts
from hub.settings import Settings
from hub.store import bulk_insert, cases, certificates, changes, parties
from hub.store.changes import Act, Change
from hub.store.retry import retry_on_conflict
from hub.store.rows import CaseRow
from signing import identifier, public_code
from tests.benchmarks.scale import plausible
from tests.benchmarks.scale.city import GRANT
from tests.benchmarks.scale.plausible import PARTS, Fate, Plausible, Stage

BATCH = 1000
CLIENT = "scale"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of a part: how many certificates are new, and some of their public codes.

    preparing_s: CPU seconds for resolving people and numbers, signing and sealing. writing_s: seconds of the bulk
    load's transactions, including time lost to other load.
    """

    certificates: int = 0
    preparing_s: float = 0.0
    writing_s: float = 0.0
    codes: tuple[str, ...] = ()


class Loader:
    """Builds batches and inserts them; skips what already exists."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._drafting = Drafting(parts.vault, parts.keyring, parts.catalogue)

    def missing(self, items: Iterable[Plausible]) -> list[Plausible]:
        """The items that are not in the database yet."""
        texts = {_number_text(item): item for item in items}
        there = parties.holders_of_numbers(self._parts.database.reader, self._parts.vault, texts)
        return [item for text, item in texts.items() if text not in there]

    def prepared(self, items: list[Plausible]) -> bulk_insert.Batch:
        """The rows of new certificates, each in its own case."""
        people = tuple(holder for item in items for holder in item.pushed.holders)
        resolved = parties.resolve(self._parts.database.reader, self._parts.vault, people)
        by_text = {parties.text_of(one.person): one.party for one in resolved}
        made = [self._arrival(item, by_text) for item in items]
        return bulk_insert.Batch(resolved, tuple(arrival for arrival, _ in made), tuple(case for _, case in made))

    def insert(self, batch: bulk_insert.Batch) -> None:
        """Insert in one transaction."""
        with self._parts.database.write() as writer:
            bulk_insert.insert(writer, self._parts.vault, batch)

    def _arrival(self, item: Plausible, by_text: dict[str, int]) -> tuple[bulk_insert.Arrival, CaseRow]:
        holders = tuple(by_text[parties.text_of(holder)] for holder in item.pushed.holders)
        home, certificate = holders[0], self._parts.ids.take("certificate")
        now = self._parts.clock.now()
        draft = Draft(ActKind.ISSUED, home, certificate, 1, identifier.new_serial(), holders, ())
        signed = self._signed(item, draft, now)
        number = parties.blind_rows(self._parts.vault, parties.NUMBER, _number_text(item), certificate, home)
        act = Act(ActKind.ISSUED, Standing.ACTIVE, item.pushed.issued_on, now, CLIENT)
        place = (item.authority, item.case_number)
        change = changes.first_version(self._parts.vault, self._parts.ids, signed, act, *place)
        return bulk_insert.Arrival(change, number), cases.row_of(
            self._parts.vault, _case(item, holders, (home, certificate, 1)), now
        )

    def _signed(self, item: Plausible, draft: Draft, now: datetime) -> Signed:
        planned = self._drafting.draft(
            draft,
            item.pushed,
            authority=item.authority,
            version_key=self._parts.ids.take("version"),
            code=public_code.new_code(),
            at=now,
            pointer="",
        )
        return self._parts.issuance._sign(planned)

    # --- later acts ---------------------------------------------------------------------------------------------------

    def live_on(self, items: Iterable[Plausible]) -> None:
        """Suspend, revoke and renew the certificates due for it that have not changed yet, in one transaction."""
        reader = self._parts.database.reader
        fated = {_number_text(item): item for item in items if item.fate is not Fate.NONE}
        keys = parties.holders_of_numbers(reader, self._parts.vault, fated)
        current = {text: certificates.versions_of(reader, self._parts.vault, *key)[-1] for text, key in keys.items()}
        # One read decides and is what the change is based on: another loader may be at the same certificate.
        happened = [self._happens(fated[text], before) for text, before in current.items() if before.revision == 1]
        with self._parts.database.write() as writer:
            for change, case in happened:
                changes.apply(writer, change)
                writer.insert_many("handles", bulk_insert.handles_of(change))
                writer.insert_many("cases", case)

    def _happens(self, item: Plausible, before: Version) -> tuple[Change, list[CaseRow]]:
        """The change, and the new case that causes it, if there is one."""
        key = (before.home, before.certificate)
        now, day = self._parts.clock.now(), self._parts.clock.today()
        if item.fate is Fate.RENEWED:
            pushed = replace(item.pushed, issued_on=day, valid_from=day, valid_until=None)
            renewed = replace(item, pushed=pushed, case_number=f"{item.case_number}-2")
            own = Ending(*key, 1, before.version_key, before.identifier, day, same_certificate=True)
            draft = Draft(ActKind.RENEWED, *key, 2, before.serial, before.parties, (own,))
            act = Act(ActKind.RENEWED, Standing.ACTIVE, day, now, CLIENT)
            signed, place = self._signed(renewed, draft, now), (renewed.authority, renewed.case_number)
            change = changes.next_version(self._parts.vault, self._parts.ids, before, signed, act, *place)
            case = _case(renewed, before.parties, (*key, 2))
            return change, [cases.row_of(self._parts.vault, case, now)]
        suspended = item.fate is Fate.SUSPENDED
        kind = ActKind.SUSPENDED if suspended else ActKind.REVOKED
        act = Act(kind, Standing.SUSPENDED if suspended else Standing.REVOKED, day, now, CLIENT, "other", {})
        return changes.transition(self._parts.vault, self._parts.ids, before, act), []


def _number_text(item: Plausible) -> str:
    return numbers.number_text(item.authority, item.pushed.type_code, item.pushed.number)


def _case(item: Plausible, holders: tuple[int, ...], key: tuple[int, int, int]) -> Case:
    at = datetime(*item.pushed.issued_on.timetuple()[:3], 2, tzinfo=UTC)
    return Case(
        source=item.authority,
        case_number=item.case_number,
        authority=item.authority,
        accepted_by=item.authority,
        status=CaseStatus.COMPLETED,
        amendment=0,
        matter=GRANT,
        accepted_at=at - timedelta(days=3),
        completed_at=at,
        revision=1,
        people=tuple(replace(holder, role="applicant") for holder in item.pushed.holders),
        parties=holders,
        certificates=(key,),
    )


# --- processes --------------------------------------------------------------------------------------------------------


def load(settings: Settings, seed: int, stage: Stage, processes: int, tell: Callable[[int], None]) -> list[Loaded]:
    """Load a whole stage with this many processes; `tell` receives the number of certificates so far.

    May be killed at any time and run again: certificates already loaded are skipped.
    """
    if processes == 1:
        return [load_part(settings, seed, stage, part) for part in range(PARTS)]
    found: list[Loaded] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures = [pool.submit(load_part, settings, seed, stage, part) for part in range(PARTS)]
        for future in as_completed(futures):
            found.append(future.result())
            tell(sum(one.certificates for one in found))
    return found


def load_part(settings: Settings, seed: int, stage: Stage, part: int, size: int = BATCH) -> Loaded:
    """One part of a stage, batch by batch."""
    found = Loaded()
    with open_parts(settings) as parts:
        loader = Loader(parts)
        for items in batches(plausible.certificates(seed, stage, part), size):
            found = retry_on_conflict(parts.vault, lambda before=found, some=items: _arrive(loader, before, some))
            retry_on_conflict(parts.vault, lambda some=items: loader.live_on(some))
    return found


def _arrive(loader: Loader, before: Loaded, items: list[Plausible]) -> Loaded:
    begun = time.process_time()
    batch = loader.prepared(loader.missing(items))
    prepared, between = time.process_time() - begun, time.perf_counter()
    loader.insert(batch)
    made = [arrival.change.version.code for arrival in batch.arrivals if arrival.change.version]
    return Loaded(
        before.certificates + len(made),
        before.preparing_s + prepared,
        before.writing_s + time.perf_counter() - between,
        (*before.codes, *made[:: max(1, len(made) // 20)]),
    )


def batches(items: Iterator[Plausible], size: int = BATCH) -> Iterator[list[Plausible]]:
    """Items in the size of one transaction."""
    while some := list(islice(items, size)):
        yield some
