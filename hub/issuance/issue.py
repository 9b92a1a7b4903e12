"""Issue the certificates of a case: steps 2 to 8 of a push (docs/issuance.md has all nine).

Two commits. The first records push, case and intent, with every number reserved and the exact bytes to sign. The second
deletes the intent and inserts everything. In between, `finish` is called by the request, by every equal push that meets
the intent, and by the worker; a call that finds no intent to delete knows that another one has finished.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from hub.db.database import Conflict, Database
from hub.domain.case_record import Case, PushKey, Received
from hub.domain.errors import Refusal
from hub.domain.issuing import Intent, Planned, Signed
from hub.issuance.drafting import Drafting
from hub.issuance.outcome import Outcome
from hub.issuance.planning import Plan, Planner, number_text
from hub.keys.keyring import Keyring
from hub.runtime.clock import Clock
from hub.store import cases, intents, parties, publish, pushes, reserve
from hub.store import keys as key_store
from hub.store.audit import Audit, AuditEntry
from hub.store.catalogue import CatalogueCache
from hub.store.ids import Ids
from hub.store.keys import SigningState
from hub.store.publish import KeyRetired
from hub.store.retry import retry_on_conflict
from hub.vault import Vault
from signing import credential, qr
from signing.errors import KeyMissing
from signing.keys import Purpose


@dataclass(frozen=True, slots=True)
class Reserved:
    """The result of the first commit: the intent, and the case after it."""

    intent: Intent
    case: Case


@dataclass(frozen=True, slots=True)
class Finished:
    """No work remains; `reply` is set if this call recorded it for the push of `push_key`."""

    push_key: PushKey | None = None
    reply: dict[str, Any] | None = None


class Issuance:
    """Issues certificates; nothing else does. Crash tests get each step's name through `at_step`."""

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
        """Steps 2 to 4: plan, draft, and the first commit; pass its result to `finish`.

        Raises the refusals of planning, KeyMissing, Conflict and StaleKeys (receive it again).
        """
        # 2. Plan what happens to each certificate, and 3. draft the exact bytes of each new version.
        push = received.push
        plan, people = self._plan(received)

        # 4. Reserve: seal the rows, then the first commit.
        case = received.case(tuple(item.party for item in people[: len(push.people)]))
        intent = Intent(
            intent=self._ids.take("intent"),
            source=push.source,
            case_number=push.case_number,
            amendment=push.amendment,
            client=received.client,
            push_key=received.key,
            planned=tuple(plan.planned),
        )
        reservation = reserve.prepare(
            self._vault,
            received.at,
            push=pushes.row_of(self._vault, received, None),
            case=case,
            people=people,
            audit=self._audit.row(record, "ok"),
            intent=intent,
            claims=plan.claims,
            second_number=received.taken_over,
        )
        self._at_step("reserve")
        with self._database.write() as writer:
            reserve.commit_rows(writer, self._vault, reservation)
        record.written = True
        self._at_step("reserved")
        return Reserved(intent, case)

    def _plan(self, received: Received) -> tuple[Plan, tuple[parties.Resolved, ...]]:
        """Plan the push, and resolve everyone whom it names, its people first.

        Everything is read in one snapshot; a new case that supersedes nothing needs one statement only.
        """
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
                # An equal push was reserved after `received` was read: its numbers look like another case's.
                before = 0 if received.before is None else received.before.revision
                if cases.revision(reader, push.source, push.case_number) != before:
                    raise Conflict from None
                raise

    def finish(self, source: str, case_number: str, reserved: Reserved | None = None) -> Finished | None:
        """Steps 5 to 8: sign and publish an intent; the result says that no work remains.

        reserved: the result of `reserve`, which saves reading and decrypting it again; the second commit detects
        whether it is still valid. Returns None while the signer is unavailable; the intent then waits for the next
        call, which the worker makes.
        """
        first = [reserved] if reserved is not None else []  # after a conflict the intent is read again
        return retry_on_conflict(self._vault, lambda: self._finish(source, case_number, first.pop() if first else None))

    def _finish(self, source: str, case_number: str, reserved: Reserved | None) -> Finished | None:
        # 5. Open the intent, unless it comes straight from step 4.
        if reserved is not None:
            intent: Intent | None = reserved.intent
        else:
            intent = intents.open_intent(self._database.reader, self._vault, source, case_number)
        if intent is None:
            return Finished()

        # 6. Sign, and check each signature. Bytes for a retired key are drafted again for the active one.
        retired = self._is_retired(intent)
        try:
            if retired:
                intent = self._draft_again(intent)
            signed = [self._sign(planned) for planned in intent.planned]
        except KeyMissing:
            self._keyring.refresh()
            if not retired and self._is_retired(intent):  # and its private part was removed after the keys were read
                raise Conflict from None
            with self._database.write() as writer:
                intents.postpone(writer, intent, self._clock.now())
            return None
        self._at_step("signed")

        # 7. Prepare and encrypt all rows.
        case = None if reserved is None else reserved.case
        publication, reply = self._outcome.prepare(intent, signed, case, self._clock.now())
        self._at_step("publish")

        # 8. Publish: the second commit.
        try:
            with self._database.write() as writer:
                done = publish.commit_rows(writer, self._vault, publication)
        except KeyRetired:
            self._keyring.refresh()
            done = False
        self._at_step("published")
        if not done:  # another call finished or replaced this intent, or its key was retired
            raise Conflict
        return Finished(intent.push_key, reply)

    def _sign(self, planned: Planned) -> Signed:
        """Both signatures, each verified with the public key on record; unchanged certificates need none."""
        if planned.kind is None:
            return Signed(planned, "", planned.digits)
        text = self._keyring.sign(planned.kid, Purpose.CREDENTIAL, planned.signing_input)
        digits = self._keyring.sign(planned.kid, Purpose.CREDENTIAL, planned.qr_to_be_signed)
        prepared = credential.Prepared(planned.signing_input, planned.disclosures)
        face = qr.PreparedDigits(planned.qr_to_be_signed, planned.qr_protected, planned.qr_payload)
        printed = qr.assemble(face, digits)
        return Signed(planned, credential.assemble(prepared, text), printed)

    def _is_retired(self, intent: Intent) -> bool:
        keys = (self._keyring.find(kid) for kid in intent.kids)
        return any(key is None or key.state is SigningState.RETIRED for key in keys)

    def _draft_again(self, intent: Intent) -> Intent:
        """Void the intent and record a new one with the same numbers for the active key."""
        now = self._clock.now()
        planned = tuple(p if p.kind is None else self._drafting.for_active_key(p, now) for p in intent.planned)
        fresh = replace(intent, intent=self._ids.take("intent"), planned=planned, attempts=0)
        row = intents.row_of(self._vault, fresh, now)
        with self._database.write() as writer:
            key_store.require_current(writer, self._vault)
            if intents.void(writer, intent):
                writer.insert("intents", row)
        return fresh

    def put_off(self, source: str, case_number: str) -> None:
        """After an unknown error: retry this case later, after all others."""
        with self._database.write() as writer:
            intents.put_off(writer, source, case_number, self._clock.now())

    def certificates_of(self, case: Case) -> list[dict[str, Any]]:
        """The certificates that a case has granted, in pushed order, each with its current state."""
        return self._outcome.live(case)
