"""The first commit of rule 2: the push, the case, the intent, and the rows that make numbers and codes unique.

`prepare` builds and encrypts the rows outside the transaction; `commit_rows` only writes them. Both take decisions from
any source; a push without certificates uses the same path without an intent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from hub.db import writable_cte
from hub.db.database import Conflict, Duplicate, Writer
from hub.db.writable_cte import Guard, Insert
from hub.domain.case_record import Case
from hub.domain.dates import to_micros
from hub.domain.errors import Refusal
from hub.domain.issuing import Intent
from hub.store import cases, certificates, intents, keys, parties, postgres_guards, pushes
from hub.store.rows import AuditRow, BlindRow, CaseNumberRow, CaseRow, HandleRow, IntentRow, PushRow, SuccessionRow
from hub.vault import StaleKeys, Vault


class NumberClaim(NamedTuple):
    """The rows that make a certificate's number unique, and the JSON pointer that a refusal names."""

    pointer: str
    rows: tuple[BlindRow, ...]


class SuccessionClaim(NamedTuple):
    """The claim to replace a version, and the JSON pointer that a refusal names."""

    pointer: str
    row: SuccessionRow


class Unchanged(NamedTuple):
    """A certificate that must still have this revision, because the decision depends on it."""

    home: int
    certificate: int
    revision: int


@dataclass(slots=True)
class Claims:
    """What only one case may have, and what must not have changed since it was read."""

    handles: list[HandleRow] = field(default_factory=list)
    numbers: list[NumberClaim] = field(default_factory=list)
    successions: list[SuccessionClaim] = field(default_factory=list)
    unchanged: list[Unchanged] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The rows of the first commit, encrypted and ready; `case` is None if the push does not change it."""

    push: PushRow
    case: CaseRow | None
    people: tuple[parties.Resolved, ...]
    intent: IntentRow | None
    audit: AuditRow
    claims: Claims
    second_number: CaseNumberRow | None = None


def prepare(
    vault: Vault,
    at: datetime,
    *,
    push: PushRow,
    case: Case | None,
    people: tuple[parties.Resolved, ...],
    audit: AuditRow,
    intent: Intent | None = None,
    claims: Claims | None = None,
    second_number: tuple[str, str] | None = None,
) -> Reservation:
    """Build and encrypt the rows; `commit_rows` must follow inside the same `retry_on_conflict`."""
    return Reservation(
        push=push,
        case=None if case is None else cases.row_of(vault, case, at),
        people=people,
        intent=None if intent is None else intents.row_of(vault, intent, at),
        audit=audit,
        claims=claims or Claims(),
        second_number=None if second_number is None else _second(second_number, push, at),
    )


def _second(number: tuple[str, str], push: PushRow, at: datetime) -> CaseNumberRow:
    return CaseNumberRow(*number, push.source, push.case_number, to_micros(at))


def commit_rows(writer: Writer, vault: Vault, reservation: Reservation) -> None:
    """Write all rows. Raises Conflict or StaleKeys (retry), Refusal `number.taken` or `certificate.move`."""
    claims = reservation.claims
    rows = 10 + len(claims.handles) + sum(2 + len(person.blind) for person in reservation.people)
    alone = not claims.successions and not claims.unchanged and reservation.second_number is None
    if alone and writable_cte.suits(writer, rows):
        _commit_as_one_statement(writer, vault, reservation)
        return
    keys.require_current(writer, vault)
    for home, certificate, revision in sorted(claims.unchanged):
        if certificates.revision_for_update(writer, home, certificate) != revision:
            raise Conflict
    try:
        pushes.add(writer, reservation.push)
        if reservation.case is not None and not cases.put(writer, reservation.case):
            raise Conflict
        if reservation.second_number is not None:
            cases.take_over(writer, reservation.second_number)
        _take(writer, claims)
        parties.insert(writer, reservation.people)
        writer.insert_many("handles", claims.handles)
        if reservation.intent is not None:
            writer.insert("intents", reservation.intent)
        writer.insert("audit", reservation.audit)
    except Duplicate:
        raise Conflict from None


def _commit_as_one_statement(writer: Writer, vault: Vault, reservation: Reservation) -> None:
    """PostgreSQL, if nothing depends on another certificate. Looks up the owner of a number only if it is taken."""
    case, intent, claims = reservation.case, reservation.intent, reservation.claims
    numbers = [row for claim in claims.numbers for row in claim.rows]
    people = parties.rows_of_new(reservation.people)
    try:
        missing = writable_cte.write(
            writer,
            (
                postgres_guards.KEYS_CURRENT,
                Insert("pushes", [reservation.push], guards=True),
                *_case_parts(case),
                Insert("blind_index", numbers, "numbers", guards=True),
                Insert("blind_index", [row for blind, _ in people for row in blind], "people"),
                Insert("parties", [row for _, row in people]),
                Insert("handles", claims.handles),
                Insert("intents", [] if intent is None else [intent]),
                Insert("audit", [reservation.audit]),
            ),
            {**({} if case is None else case._asdict()), "mark": keys.mark_text(vault)},
        )
    except Duplicate:
        raise Conflict from None
    if missing == postgres_guards.KEYS_CURRENT.name:
        raise StaleKeys
    if missing == "numbers":
        _require_free(writer, claims.numbers)
    if missing is not None:
        raise Conflict


def _case_parts(case: CaseRow | None) -> Sequence[Guard | Insert]:
    if case is None:
        return ()
    return (Insert("cases", [case], guards=True) if case.revision == 1 else postgres_guards.CASE_REPLACED,)


def _require_free(writer: Writer, claims: Sequence[NumberClaim]) -> None:
    """Raise the refusal for the first number that another certificate has."""
    for pointer, rows in claims:
        for row in rows:
            owner = writer.one(
                "SELECT home, target FROM blind_index WHERE kind = :kind AND key_number = :key_number AND hash = :hash",
                row._asdict(),
            )
            if owner is not None and (owner["home"], owner["target"]) != (row.home, row.target):
                raise Refusal("number.taken", pointer=pointer)


def _take(writer: Writer, claims: Claims) -> None:
    """Insert claims that two cases may compete for. They precede handles, which are equal for one next version."""
    for pointer, rows in claims.numbers:
        try:
            writer.insert_many("blind_index", rows)
        except Duplicate:
            raise Refusal("number.taken", pointer=pointer) from None
    for claim in claims.successions:
        _claim(writer, claim)


def _claim(writer: Writer, claim: SuccessionClaim) -> None:
    """A version has at most one successor; the case that claimed it may repeat the claim."""
    values = claim.row._asdict()
    claimed = writer.run(
        "INSERT INTO successions (version_key, source, case_number) VALUES (:version_key, :source, :case_number)"
        " ON CONFLICT (version_key) DO NOTHING",
        values,
    )
    if not claimed:
        owner = writer.one("SELECT source, case_number FROM successions WHERE version_key = :version_key", values)
        if owner is None or (owner["source"], owner["case_number"]) != (claim.row.source, claim.row.case_number):
            raise Refusal("certificate.move", "这张证照已被替代", pointer=claim.pointer)
