"""Cases in their current revision."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hub.db.database import Conflict, Duplicate, Reader, Row, Writer
from hub.domain.caller import Caller
from hub.domain.case import DECISIONS, CaseStatus, Person
from hub.domain.case_record import Case
from hub.domain.dates import from_micros, to_micros
from hub.store.rows import CaseNumberRow, CaseRow
from hub.store.sealing import seal, unseal
from hub.vault import Vault

DECIDED = "COALESCE(decided, CASE WHEN status IN (2, 3) THEN 1 ELSE 0 END)"
"""SQL: 1 for a decided case; releases before this column took its status alone."""

REPLACED = (
    "UPDATE cases SET accepted_by = :accepted_by, status = :status, amendment = :amendment,"
    " accepted_at = :accepted_at, completed_at = :completed_at, revision = :revision, sealed = :sealed,"
    " decided = :decided, objected_at = :objected_at"
    " WHERE source = :source AND case_number = :case_number AND revision = :revision - 1"
)
"""Replaces a revision by the next; changes no row if the case has changed meanwhile."""


def find(reader: Reader, vault: Vault, source: str, case_number: str) -> Case | None:
    """The case with this number, which may be its second one, or None."""
    key = {"source": source, "case_number": case_number}
    row = reader.one("SELECT * FROM cases WHERE source = :source AND case_number = :case_number", key)
    if row is None:
        row = reader.one(
            "SELECT c.* FROM case_numbers n JOIN cases c ON c.source = n.of_source AND c.case_number = n.of_case_number"
            " WHERE n.source = :source AND n.case_number = :case_number",
            key,
        )
    return None if row is None else _case(vault, row)


def _case(vault: Vault, row: Row) -> Case:
    source, case_number, status = row["source"], row["case_number"], CaseStatus(row["status"])
    inside = unseal(vault, "cases", (source, case_number), row["sealed"])
    return Case(
        source=source,
        case_number=case_number,
        authority=row["authority"],
        accepted_by=row["accepted_by"],
        status=status,
        amendment=row["amendment"],
        matter=row["matter"],
        accepted_at=from_micros(row["accepted_at"]),
        completed_at=None if row["completed_at"] is None else from_micros(row["completed_at"]),
        revision=row["revision"],
        people=tuple(Person(*item[:5]) for item in inside["people"]),
        parties=tuple(item[5] for item in inside["people"]),
        certificates=tuple((h, c, v) for h, c, v in inside["certificates"]),
        former=tuple(inside.get("former", ())),
        opened_by=row["opened_by"],
        clerk=row["clerk"],
        decided=status in DECISIONS if row["decided"] is None else bool(row["decided"]),
        objected_at=None if row["objected_at"] is None else from_micros(row["objected_at"]),
        objection=inside.get("objection", {}),
    )


def caller_within(reader: Reader, caller: Caller, source: str, case_number: str) -> Caller:
    """The caller for one case, whose matter is read only if the caller has limits."""
    if not caller.limited:
        return caller
    row = reader.one(
        "SELECT matter FROM cases WHERE source = :source AND case_number = :case_number",
        {"source": source, "case_number": case_number},
    )
    return caller.within("" if row is None else row["matter"], source)


def revision(reader: Reader, source: str, case_number: str) -> int:
    """The revision of a case; 0 if there is none."""
    row = reader.one(
        "SELECT revision FROM cases WHERE source = :source AND case_number = :case_number",
        {"source": source, "case_number": case_number},
    )
    return 0 if row is None else int(row["revision"])


def revision_for_update(writer: Writer, source: str, case_number: str, *, shared: bool) -> int:
    """The same, selected for update; shared: other transactions may hold the same shared lock."""
    row = writer.select_for_update(
        "SELECT revision FROM cases WHERE source = :source AND case_number = :case_number",
        {"source": source, "case_number": case_number},
        shared=shared,
    )
    return 0 if row is None else int(row["revision"])


def row_of(vault: Vault, case: Case, at: datetime) -> CaseRow:
    """The row of a case, encrypted."""
    people = [
        [p.name, p.id_type, p.id_number, p.role, p.relation, party]
        for p, party in zip(case.people, case.parties, strict=True)
    ]
    inside: dict[str, Any] = {"people": people, "certificates": [list(c) for c in case.certificates]}
    if case.former:
        inside["former"] = list(case.former)
    if case.objection:
        inside["objection"] = dict(case.objection)
    return CaseRow(
        source=case.source,
        case_number=case.case_number,
        authority=case.authority,
        accepted_by=case.accepted_by,
        status=int(case.status),
        amendment=case.amendment,
        matter=case.matter,
        accepted_at=to_micros(case.accepted_at),
        completed_at=None if case.completed_at is None else to_micros(case.completed_at),
        revision=case.revision,
        recorded_at=to_micros(at),
        sealed=seal(vault, "cases", (case.source, case.case_number), inside),
        opened_by=case.opened_by,
        clerk=case.clerk,
        decided=int(case.decided),
        objected_at=None if case.objected_at is None else to_micros(case.objected_at),
    )


def put(writer: Writer, row: CaseRow) -> bool:
    """Insert the first revision or replace the previous one; False if the case has changed meanwhile."""
    if row.revision == 1:
        return (
            writer.run(
                "INSERT INTO cases (source, case_number, authority, accepted_by, status, amendment, matter,"
                " accepted_at, completed_at, revision, recorded_at, sealed, opened_by, clerk, decided, objected_at)"
                " VALUES (:source, :case_number, :authority, :accepted_by, :status, :amendment, :matter,"
                " :accepted_at, :completed_at, :revision, :recorded_at, :sealed, :opened_by, :clerk, :decided,"
                " :objected_at)"
                " ON CONFLICT (source, case_number) DO NOTHING",
                row._asdict(),
            )
            == 1
        )
    return writer.run(REPLACED, row._asdict()) == 1


class TakenIn(NamedTuple):
    """How many cases of a matter an authority took in for another, and how many of them that other one decided."""

    matter: str
    accepted_by: str
    cases: int
    decided: int


def taken_in_since(reader: Reader, since: datetime) -> list[TakenIn]:
    """The cases recorded since then that an authority took in for another, most first."""
    rows = reader.all(
        "SELECT matter, accepted_by, COUNT(*) AS cases,"  # noqa: S608
        f" SUM({DECIDED}) AS decided FROM cases"
        " WHERE accepted_by <> authority AND recorded_at >= :since"
        " GROUP BY matter, accepted_by ORDER BY 3 DESC, matter, accepted_by",
        {"since": to_micros(since)},
    )
    return [TakenIn(row["matter"], row["accepted_by"], int(row["cases"]), int(row["decided"])) for row in rows]


class ListedCase(NamedTuple):
    """A case as its authorities see it in a list."""

    source: str
    case_number: str
    matter: str
    accepted_by: str
    accepted_at: datetime
    status: CaseStatus
    lookups: int
    retrievals: int


class Place(NamedTuple):
    """Where a page of a list ends: the last case on it."""

    accepted_at: int
    source: str
    case_number: str

    @classmethod
    def of(cls, case: ListedCase) -> "Place":
        """The place of a case."""
        return cls(to_micros(case.accepted_at), case.source, case.case_number)


def listed(
    reader: Reader,
    *,
    deciding: bool,
    authorities: Sequence[str],
    status: CaseStatus | None,
    since: datetime,
    after: Place | None,
    limit: int,
) -> list[ListedCase]:
    """Cases that these authorities decide or (deciding false) took in, in the order in which they were taken in.

    since: of `accepted_at`. after: where the previous page ended.
    """
    values: dict[str, Any] = {f"a{n}": code for n, code in enumerate(authorities)}
    column = "authority" if deciding else "accepted_by"
    conditions = [f"c.{column} IN ({', '.join(f':{name}' for name in values)})", "c.accepted_at >= :since"]
    if status is not None:
        conditions.append("c.status = :status")
        values["status"] = int(status)
    if after is not None:
        conditions.append("(c.accepted_at, c.source, c.case_number) > (:accepted_at, :source, :case_number)")
        values |= after._asdict()
    rows = reader.all(
        "SELECT c.source, c.case_number, c.matter, c.accepted_by, c.accepted_at, c.status,"  # noqa: S608
        " COALESCE(u.lookups, 0) AS lookups, COALESCE(u.retrievals, 0) AS retrievals FROM cases c"
        " LEFT JOIN case_uses u ON u.source = c.source AND u.case_number = c.case_number"
        f" WHERE {' AND '.join(conditions)} ORDER BY c.accepted_at, c.source, c.case_number LIMIT :limit",
        {**values, "since": to_micros(since), "limit": limit},
    )
    return [
        ListedCase(
            row["source"],
            row["case_number"],
            row["matter"],
            row["accepted_by"],
            from_micros(row["accepted_at"]),
            CaseStatus(row["status"]),
            row["lookups"],
            row["retrievals"],
        )
        for row in rows
    ]


def take_over(writer: Writer, row: CaseNumberRow) -> None:
    """Give a case a second number; raises Conflict if it has one, or the number is taken, since the case was read."""
    if revision(writer, row.source, row.case_number):
        raise Conflict
    try:
        writer.insert("case_numbers", row)
    except Duplicate:
        raise Conflict from None


def has_second_number(reader: Reader, source: str, case_number: str) -> bool:
    """Whether the case was taken over, under a number of the deciding authority."""
    row = reader.one(
        "SELECT 1 FROM case_numbers WHERE of_source = :source AND of_case_number = :case_number",
        {"source": source, "case_number": case_number},
    )
    return row is not None
