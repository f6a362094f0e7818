"""The grid: the time that a bar covers, by its interval and the exchange's time zone."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import numpy as np

from finstage_market.columns import Int64s
from finstage_market.interval import Interval
from services.ingest.hours.zones import DAY_MS, local, local_days

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def to_ms(moment: datetime) -> int:
    """Return the milliseconds of an aware time."""
    return round(moment.timestamp() * 1000)


def midnight(moment: datetime, *, days: int = 0) -> datetime:
    """Return local midnight of the day of `moment`, or of the day `days` later."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Grid:
    """The time that one bar covers: step_ms of a session, or days or months from local midnight."""

    step_ms: int = 0
    days: int = 0
    months: int = 0

    @property
    def is_intraday(self) -> bool:
        """Whether a session has several bars."""
        return self.step_ms > 0

    @property
    def shortest_ms(self) -> int:
        """The least time between two bars, whatever a change of the clocks does to a day."""
        return self.step_ms or (self.days + 28 * self.months) * DAY_MS - 3 * HOUR_MS

    @property
    def unit(self) -> str:
        """The period of a bar in words; "time" within the day."""
        return {0: "time", 1: "day", 7: "week"}[self.days] if not self.months else "month"

    @property
    def longest_ms(self) -> int:
        """The greatest time between two stamps of one period."""
        return (self.days + 31 * self.months) * DAY_MS

    def periods(self, times: Int64s, zone: tzinfo | None = None) -> Int64s:
        """int64[n]: the number of the day, week (from Monday) or month of each time. No period has two bars.

        Within the day each open time is a period of its own.

        A stamp at midnight UTC is a date, in every zone.

        zone: the exchange's. None: unknown; then the day is that of the time 3 h later, in UTC, because
            providers stamp local midnight, the session's start or the first or last trading day.
        """
        if self.is_intraday:
            return times
        if zone is None:
            days = (times + 3 * HOUR_MS) // DAY_MS
        else:
            days = np.where(times % DAY_MS == 0, times // DAY_MS, local_days(times, zone))
        if self.months:
            months: Int64s = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
            return months
        return (days + 3) // 7 if self.days == 7 else days  # 1970-01-01 was a Thursday

    def end_ms(self, open_ms: int, zone: tzinfo) -> int:
        """Return the end, exclusive, of a bar that opened then."""
        if self.step_ms:
            return open_ms + self.step_ms
        day = midnight(local(open_ms, zone))
        if self.days:
            return to_ms(midnight(day, days=self.days))
        month = day.year * 12 + day.month - 1 + self.months
        return to_ms(day.replace(year=month // 12, month=month % 12 + 1, day=1))

    def calendar_open_ms(self, ms: int, zone: tzinfo) -> int:
        """Return local midnight of the day, of the week's Monday or of the month's first day of `ms`."""
        day = midnight(local(ms, zone))
        if self.months:
            return to_ms(day.replace(month=(day.month - 1) // self.months * self.months + 1, day=1))
        return to_ms(midnight(day, days=-day.weekday()) if self.days == 7 else day)


GRIDS = {
    Interval.M1: Grid(step_ms=MINUTE_MS),
    Interval.M5: Grid(step_ms=5 * MINUTE_MS),
    Interval.M15: Grid(step_ms=15 * MINUTE_MS),
    Interval.M30: Grid(step_ms=30 * MINUTE_MS),
    Interval.H1: Grid(step_ms=HOUR_MS),
    Interval.D1: Grid(days=1),
    Interval.W1: Grid(days=7),
    Interval.MO1: Grid(months=1),
}
