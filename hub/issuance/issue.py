"""Issue what a case has granted: reserve, sign, check, publish.

Two commits. The first puts push, case and intent on record, with every number reserved and the exact bytes that will be
signed. The second deletes the intent and inserts everything. `finish` stands between them and is called by the request,
by every equal push that meets the intent, and by the worker; who deletes no intent finds the work done.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hub.db.database import Conflict, Database
from hub.domain.case_record import Case, Received
from hub.domain.errors import Refusal
from hub.domain.issuing import Intent, Planned, Signed
from hub.issuance.drafting import Drafting
from hub.issuance.outcome import Outcome
from hub.issuance.planning import Plan, Planner, number_text
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import cases, intents, parties, pushes
from hub.store import keys as key_store
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.store.ids import Ids
from hub.store.keys import SigningState
from hub.store.publish import KeyRetired, publish
from hub.store.reserve import Reservation, reserve
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing import credential, qr
from signing.errors import KeyMissing
from signing.keys import Purpose

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the first commit has left on record: the intent, and the case as it stands with it."""

    intent: Intent
    case: Case


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do; `reply` is what this very call has put on record for the push of `push_key`, if it did."""

    push_key: tuple[int, str, str, bytes] | None = None
    reply: dict[str, Any] | None = None


class Issuance:
    """The one place where certificates come into being. `at_step` is told each step's name, for crash tests."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        ids: Ids,
        audit: Audit,
        keyring: Keyring,
        catalogue: CatalogueCache,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._keyring = keyring
        self._drafting = Drafting(vault, keyring, catalogue)
        self._outcome = Outcome(database, vault, clock, ids, keyring)
        self._at_step = at_step

    def reserve(self, received: Received, record: AuditEntry) -> Reserved:
        """The first commit: what is now on record and waits for `finish`.

        Raises the refusals of planning, KeyMissing, Conflict and StaleKeys (receive it again).
        """
        push = received.push
        plan, resolved = self._plan(received)
        case = received.case(tuple(item.party for item in resolved[: len(push.people)]))
        intent = self._intent(received, plan)
        reservation = Reservation(
            case=cases.row_of(self._vault, case, received.at),
            push=pushes.row_of(self._vault, received, None),
            people=resolved,
            intent=intents.row_of(self._vault, intent, received.at, received.at + FIRST_RETRY),
            handles=tuple(plan.handles),
            number_rows=tuple(plan.number_rows),
            successions=tuple(plan.successions),
            unchanged=tuple(plan.unchanged),
            audit=self._audit.row(record, "ok"),
        )
        self._at_step("reserve")
        with self._database.write() as writer:
            reserve(writer, self._vault, reservation)
        record.written = True
        self._at_step("reserved")
        return Reserved(intent, case)

    def _plan(self, received: Received) -> tuple[Plan, tuple[parties.Resolved, ...]]:
        """What the push means, and everybody whom it names: its people first. All of it is read at one moment; what a
        new case that replaces nothing needs is one statement."""
        push = received.push
        holders = tuple(holder for pushed in push.certificates for holder in pushed.holders)
        texts = tuple(number_text(received, pushed) for pushed in push.certificates)
        is_new = received.before is None and not any(pushed.supersedes for pushed in push.certificates)
        with nullcontext(self._database.reader) if is_new else self._database.snapshot() as reader:
            resolved, owners = parties.resolve_with_numbers(reader, self._vault, (*push.people, *holders), texts)
            planner = Planner(reader, self._vault, self._ids, self._drafting, received, resolved, owners)
            try:
                return planner.plan(), resolved
            except Refusal:
                # What was reserved since `received` was read looks like somebody else's: an equal push's own numbers.
                before = 0 if received.before is None else received.before.revision
                if cases.revision(reader, push.source, push.case_number) != before:
                    raise Conflict from None
                raise

    def _intent(self, received: Received, plan: Plan) -> Intent:
        push = received.push
        return Intent(
            intent=self._ids.take("intent"),
            source=push.source,
            case_number=push.case_number,
            amendment=push.amendment,
            client=received.client,
            push_key=received.key,
            planned=tuple(plan.planned),
        )

    def is_pending(self, source: str, case_number: str) -> bool:
        """Whether a case has decided certificates that are not yet signed and published."""
        return intents.is_open(self._database.reader, source, case_number)

    def finish(self, source: str, case_number: str, reserved: Reserved | None = None) -> Finished | None:
        """Sign and publish what a case has decided; says that nothing is left to do.

        reserved: what `reserve` has just left, so that it need not be read and opened again; the second commit finds
        out whether it still stands. None while the signer is away; the intent then waits for the next call, and the
        worker makes one.
        """
        fresh = [reserved] if reserved is not None else []  # for the first attempt only: a race means reading again
        return retry_on_conflict(
            self._vault, lambda: self._finish_once(source, case_number, fresh.pop() if fresh else None)
        )

    def _finish_once(self, source: str, case_number: str, reserved: Reserved | None = None) -> Finished | None:
        case = None if reserved is None else reserved.case
        intent = self._open_intent(source, case_number) if reserved is None else reserved.intent
        if intent is None:
            return Finished()
        retired = self._is_retired(intent)
        try:
            if retired:
                intent = self._prepare_anew(intent)
            signed = [self._sign(planned) for planned in intent.planned]
        except KeyMissing:
            self._keyring.refresh()
            if not retired and self._is_retired(intent):  # and its private part gone, since the keys were read
                return self._finish_once(source, case_number)
            self._postpone(intent)
            return None
        self._at_step("signed")
        return self._publish(replace(intent, planned=tuple(item.planned for item in signed)), signed, case)

    def _open_intent(self, source: str, case_number: str) -> Intent | None:
        return intents.open_intent(self._database.reader, self._vault, source, case_number)

    def _publish(self, intent: Intent, signed: list[Signed], before: Case | None) -> Finished | None:
        now = self._clock.now()
        case = self._outcome.case(intent, before)
        changes = self._outcome.changes(intent, signed, now)
        case_row = cases.row_of(self._vault, case, now)
        reply = self._outcome.reply(intent, case.status)
        sealed_reply = pushes.sealed_reply(self._vault, intent.push_key, reply)
        self._at_step("publish")
        try:
            with self._database.write() as writer:
                done = publish(writer, self._vault, intent, changes, case_row, sealed_reply)
        except KeyRetired:
            self._keyring.refresh()
            done = False
        self._at_step("published")
        if done:
            return Finished(intent.push_key, reply)
        # Somebody else has finished this intent, or put another in its place: look again.
        return self._finish_once(intent.source, intent.case_number)

    def _sign(self, planned: Planned) -> Signed:
        """Both signatures, each checked with the public key on record; what stays as it is needs none."""
        if planned.kind is None:
            return Signed(planned, "", planned.digits)
        text = self._keyring.sign(planned.kid, Purpose.CREDENTIAL, planned.signing_input)
        digits = self._keyring.sign(planned.kid, Purpose.CREDENTIAL, planned.qr_to_be_signed)
        prepared = credential.Prepared(planned.signing_input, planned.disclosures)
        face = qr.PreparedDigits(planned.qr_to_be_signed, planned.qr_protected, planned.qr_payload)
        printed = qr.assemble(face, digits)
        return Signed(replace(planned, digits=printed), credential.assemble(prepared, text), printed)

    def _is_retired(self, intent: Intent) -> bool:
        for kid in {planned.kid for planned in intent.planned if planned.kind is not None}:
            key = self._keyring.find(kid)
            if key is None or key.state is SigningState.RETIRED:
                return True
        return False

    def _prepare_anew(self, intent: Intent) -> Intent:
        """Void the intent on record and put one in its place with the same numbers, for the key that signs now."""
        now = self._clock.now()
        planned = tuple(p if p.kind is None else self._drafting.prepare(p, now) for p in intent.planned)
        fresh = replace(intent, intent=self._ids.take("intent"), planned=planned, attempts=0)
        row = intents.row_of(self._vault, fresh, now, now + FIRST_RETRY)
        with self._database.write() as writer:
            key_store.require_current(writer, self._vault)
            if intents.void(writer, intent):
                writer.insert("intents", row)
        return fresh

    def _postpone(self, intent: Intent) -> None:
        wait = min(FIRST_RETRY * 2 ** min(intent.attempts, 10), LONGEST_RETRY)
        with self._database.write() as writer:
            intents.postpone(writer, intent, self._clock.now() + wait)

    def put_off(self, source: str, case_number: str) -> None:
        """After an unknown fault: this case waits its turn again, behind all others."""
        with self._database.write() as writer:
            intents.put_off(writer, source, case_number, self._clock.now() + LONGEST_RETRY)

    # --- reading ------------------------------------------------------------------------------------------------------

    def certificates_of(self, case: Case) -> list[dict[str, Any]]:
        """What a case has granted, in pushed order, each with its live state."""
        return self._outcome.live(case)
