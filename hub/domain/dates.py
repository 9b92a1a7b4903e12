"""Days and instants as the contract defines them: days are in Asia/Shanghai, instants carry a time zone."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has had one time zone without daylight saving since 1991; a fixed offset needs no time zone database."""

FUTURE_TOLERANCE = timedelta(minutes=5)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def read_day(text: str) -> date:
    """Parse `YYYY-MM-DD` from 1900 on; raises ValueError for anything else."""
    if not _DAY.fullmatch(text) or not text.isascii():
        raise ValueError("day")
    day = date.fromisoformat(text)
    if day.year < 1900:
        raise ValueError("day")
    return day


def read_moment(text: str) -> datetime:
    """Parse RFC 3339 with a zone (section 5.6; a leap second is read as :59) into UTC; raises ValueError otherwise."""
    if not _MOMENT.fullmatch(text):
        raise ValueError("moment")
    head, zone = (text[:-1], "+00:00") if text[-1] in "zZ" else (text[:-6], text[-6:])
    head = head.replace("t", "T")
    if head[17:19] == "60":
        head = head[:17] + "59" + head[19:]
    if "." in head:
        seconds, fraction = head.split(".")
        head = f"{seconds}.{fraction[:6]:0<6}"
    moment = datetime.fromisoformat(head + zone)
    if moment.year < 1900 or moment.year > 9998:
        raise ValueError("moment")
    return moment.astimezone(UTC)


def day_of(moment: datetime) -> date:
    """The date in Asia/Shanghai at an instant."""
    return moment.astimezone(SHANGHAI).date()


def month_of(moment: datetime) -> int:
    """202611: the month in Asia/Shanghai, by which growing tables are partitioned."""
    local = moment.astimezone(SHANGHAI)
    return local.year * 100 + local.month


def to_int(day: date) -> int:
    """20260131 for 31 January 2026: how days are stored and signed."""
    return day.year * 10000 + day.month * 100 + day.day


def from_int(number: int) -> date:
    """The inverse of `to_int`."""
    return date(number // 10000, number // 100 % 100, number % 100)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC: how instants are stored and signed."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The inverse of `to_micros`, in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def show_moment(moment: datetime) -> str:
    """RFC 3339 with Shanghai's offset and whole seconds, as in API replies."""
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds")
