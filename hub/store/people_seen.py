"""Limits on distinct people a day, by clerk, by client and in total, which stop browsing."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from hub.db.database import Writer
from hub.domain.dates import SHANGHAI, day_of, to_int
from hub.domain.errors import Refusal
from hub.settings import Settings

CLERK = 1
CLIENT = 2
EVERYBODY = 3
CLERK_INTAKE = 4
CLIENT_INTAKE = 5


def count(writer: Writer, day: date, scope: int, who: str, parties: Iterable[int], limit: int, retry_s: int) -> None:
    """Add people to a day's set; raises Refusal `rate.limited` if it would exceed `limit`."""
    key = {"day": to_int(day), "scope": scope, "who": who}
    new = 0
    for party in sorted(set(parties)):  # in a fixed order, so that transactions do not deadlock
        new += writer.run(
            "INSERT INTO seen (day, scope, who, party) VALUES (:day, :scope, :who, :party)"
            " ON CONFLICT (day, scope, who, party) DO NOTHING",
            {**key, "party": party},
        )
    if not new:
        return
    row = writer.one(
        "INSERT INTO seen_counts (day, scope, who, people) VALUES (:day, :scope, :who, :new)"
        " ON CONFLICT (day, scope, who) DO UPDATE SET people = seen_counts.people + :new RETURNING people",
        {**key, "new": new},
    )
    if row is None or row["people"] > limit:
        raise Refusal("rate.limited", "今日查询人数已达上限", retry_after=retry_s)


def count_people(
    writer: Writer, at: datetime, client: str, clerk: str | None, parties: Iterable[int], settings: Settings
) -> None:
    """Count people for the clerk (`authority|staff number`), the client and the whole hub; raises `rate.limited`."""
    day, people, retry_s = day_of(at), set(parties), _until_midnight(at)
    if clerk is not None:
        count(writer, day, CLERK, clerk, people, settings.people_a_day_per_clerk, retry_s)
    per_client = min(settings.people_a_day_per_client, max(1, settings.people_a_day // 10))
    count(writer, day, CLIENT, client, people, per_client, retry_s)
    count(writer, day, EVERYBODY, "", people, settings.people_a_day, retry_s)


def count_taken_in(
    writer: Writer,
    at: datetime,
    client: str,
    clerk: str | None,
    parties: Iterable[int],
    settings: Settings,
    clerks: int,
) -> None:
    """Count people named in cases that an authority takes in for others; raises `rate.limited`.

    clerks: how many enabled clerks the client's authority has; the client may name so many times what a clerk may.
    """
    day, people, retry_s = day_of(at), set(parties), _until_midnight(at)
    if clerk is not None:
        count(writer, day, CLERK_INTAKE, clerk, people, settings.people_taken_in_a_day_per_clerk, retry_s)
    limit = settings.people_taken_in_a_day_per_clerk * clerks
    count(writer, day, CLIENT_INTAKE, client, people, limit, retry_s)


def _until_midnight(at: datetime) -> int:
    midnight = datetime.combine(day_of(at) + timedelta(days=1), datetime.min.time(), SHANGHAI)
    return int((midnight - at).total_seconds()) + 1


def forget(writer: Writer, before: date) -> int:
    """Delete the sets of past days; returns the number of rows."""
    gone = writer.run("DELETE FROM seen WHERE day < :day", {"day": to_int(before)})
    return gone + writer.run("DELETE FROM seen_counts WHERE day < :day", {"day": to_int(before)})
