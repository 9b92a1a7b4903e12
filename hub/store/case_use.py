"""How often counters used a case, and who took in cases that were used and never decided."""

from datetime import datetime, timedelta
from enum import StrEnum

from hub.db.database import Reader, Writer
from hub.domain.case_record import Case
from hub.domain.dates import to_micros
from hub.domain.never_decided import Tally, out_of_line
from hub.store.cases import DECIDED

LOOKED_BACK = timedelta(days=180)
_DAY = 86_400_000_000


class By(StrEnum):
    """Whose cases are counted together: a column of `cases`."""

    CLERK = "clerk"
    CLIENT = "opened_by"


ALARMS = {By.CLERK: "undecided_clerks", By.CLIENT: "undecided_clients"}


def count_use(writer: Writer, case: Case, *, lookups: int = 0, retrievals: int = 0) -> None:
    """Count what a counter did for a case."""
    writer.run(
        "INSERT INTO case_uses (source, case_number, lookups, retrievals)"
        " VALUES (:source, :case_number, :lookups, :retrievals)"
        " ON CONFLICT (source, case_number) DO UPDATE SET lookups = case_uses.lookups + :lookups,"
        " retrievals = case_uses.retrievals + :retrievals",
        {"source": case.source, "case_number": case.case_number, "lookups": lookups, "retrievals": retrievals},
    )


def out_of_line_by(reader: Reader, by: By, now: datetime) -> list[Tally]:
    """Clerks or clients with conspicuously many undecided cases, of those recorded within LOOKED_BACK."""
    rows = reader.all(
        f"SELECT c.{by} AS who, COUNT(*) AS used, SUM(1 - {DECIDED}) AS undecided"  # noqa: S608
        " FROM case_uses u JOIN cases c ON c.source = u.source AND c.case_number = u.case_number"
        " JOIN matters m ON m.code = c.matter"
        f" WHERE c.accepted_by <> c.authority AND c.{by} IS NOT NULL AND c.recorded_at >= :since"
        " AND (c.status <> 1 OR c.objected_at IS NOT NULL OR c.accepted_at + m.open_days * :day < :now)"
        f" GROUP BY c.{by} ORDER BY c.{by}",
        {"since": to_micros(now - LOOKED_BACK), "now": to_micros(now), "day": _DAY},
    )
    return out_of_line([Tally(row["who"], int(row["used"]), int(row["undecided"])) for row in rows])


def set_alarm(writer: Writer, name: str, count: int, at: datetime) -> None:
    """Keep how many alarms of a kind there are, for the metrics."""
    writer.run(
        "INSERT INTO alarms (name, count, at) VALUES (:name, :count, :at)"
        " ON CONFLICT (name) DO UPDATE SET count = :count, at = :at",
        {"name": name, "count": count, "at": to_micros(at)},
    )


def alarms(reader: Reader) -> dict[str, int]:
    """How many alarms of each kind there were when the worker last looked."""
    found = {row["name"]: int(row["count"]) for row in reader.all("SELECT name, count FROM alarms")}
    return {name: found.get(name, 0) for name in ALARMS.values()}
