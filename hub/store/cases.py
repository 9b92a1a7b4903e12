"""Cases in their current revision."""

from datetime import datetime

from hub.db.database import Reader, Writer
from hub.domain.caller import Caller
from hub.domain.case import CaseStatus, Person
from hub.domain.case_record import Case
from hub.domain.dates import from_micros, to_micros
from hub.store.rows import CaseRow
from hub.store.sealing import seal, unseal
from hub.vault import Vault

REPLACED = (
    "UPDATE cases SET accepted_by = :accepted_by, status = :status, amendment = :amendment,"
    " accepted_at = :accepted_at, completed_at = :completed_at, revision = :revision, sealed = :sealed"
    " WHERE source = :source AND case_number = :case_number AND revision = :revision - 1"
)
"""Replaces a revision by the next; changes no row if the case has changed meanwhile."""


def find(reader: Reader, vault: Vault, source: str, case_number: str) -> Case | None:
    """The case, or None."""
    row = reader.one(
        "SELECT * FROM cases WHERE source = :source AND case_number = :case_number",
        {"source": source, "case_number": case_number},
    )
    if row is None:
        return None
    inside = unseal(vault, "cases", (source, case_number), row["sealed"])
    return Case(
        source=source,
        case_number=case_number,
        authority=row["authority"],
        accepted_by=row["accepted_by"],
        status=CaseStatus(row["status"]),
        amendment=row["amendment"],
        matter=row["matter"],
        accepted_at=from_micros(row["accepted_at"]),
        completed_at=None if row["completed_at"] is None else from_micros(row["completed_at"]),
        revision=row["revision"],
        people=tuple(Person(*item[:5]) for item in inside["people"]),
        parties=tuple(item[5] for item in inside["people"]),
        certificates=tuple((h, c, v) for h, c, v in inside["certificates"]),
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
    inside = {"people": people, "certificates": [list(c) for c in case.certificates]}
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
    )


def put(writer: Writer, row: CaseRow) -> bool:
    """Insert the first revision or replace the previous one; False if the case has changed meanwhile."""
    if row.revision == 1:
        return (
            writer.run(
                "INSERT INTO cases (source, case_number, authority, accepted_by, status, amendment, matter,"
                " accepted_at, completed_at, revision, recorded_at, sealed)"
                " VALUES (:source, :case_number, :authority, :accepted_by, :status, :amendment, :matter,"
                " :accepted_at, :completed_at, :revision, :recorded_at, :sealed)"
                " ON CONFLICT (source, case_number) DO NOTHING",
                row._asdict(),
            )
            == 1
        )
    return writer.run(REPLACED, row._asdict()) == 1
