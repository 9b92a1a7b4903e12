"""The only place that reads the time; everything else is given it."""

from datetime import UTC, date, datetime

from hub.domain.dates import day_of


class Clock:
    """Wall-clock time: `now()` in UTC with a zone, `today()` the day in Asia/Shanghai."""

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return datetime.now(UTC)

    def today(self) -> date:
        """The day it is in Asia/Shanghai."""
        return day_of(self.now())
