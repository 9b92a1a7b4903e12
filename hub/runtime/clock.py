"""The only module that reads the system clock; all other code takes a `Clock` or an instant as an argument."""

from datetime import UTC, date, datetime

from hub.domain.dates import day_of


class Clock:
    """Wall-clock time: `now()` as an aware UTC datetime, `today()` as the date in Asia/Shanghai."""

    def now(self) -> datetime:
        """The current time as an aware UTC datetime."""
        return datetime.now(UTC)

    def today(self) -> date:
        """Today's date in Asia/Shanghai."""
        return day_of(self.now())
