"""Explaining gaps: why bars are missing between those that are there, by the exchange's calendar."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from finstage_market.columns import Int64s
from finstage_market.interval import Interval
from services.ingest.hours.calendars import Calendar, Calendars, Days
from services.ingest.hours.grid import DAY_MS, GRIDS, local, midnight, to_ms
from services.ingest.series import FetchedBars, Gap, GapReason


def explained(fetched: FetchedBars, calendars: Calendars) -> FetchedBars:
    """`fetched` with the gaps between its first and last bar that the calendar knows of.

    - MARKET_CLOSED: days on which the exchange is open in other weeks, and was not; also where the provider
      sent an empty row for one.
    - PROVIDER_MISSING: sessions without any bar.
    - NO_TRADES: times within a session that the provider left out, as it does with times without a trade;
      for what it sent empty rows for it says PROVIDER_MISSING itself.

    Ordinary nights and weekends are no gaps. Weeks and months have none.
    """
    calendar = calendars.of(fetched.instrument)
    interval, times = fetched.key.interval, fetched.columns.open_time_ms
    if calendar is None or interval in (Interval.W1, Interval.MO1) or not len(times):
        return fetched
    if interval.is_intraday and not calendar.sessions_are_days:
        return fetched
    zone = ZoneInfo(fetched.instrument.time_zone or "UTC")
    known = [gap for gap in fetched.gaps if not _is_of_closed_day(gap, calendar, zone)]
    days = _local_days(times, zone)
    found = [*_closed_days(days, calendar, zone)]
    if interval is Interval.D1:
        found += _missing_sessions(days, calendar, zone)
    else:
        found += _missing_within_sessions(times, GRIDS[interval].step_ms, calendar)
    new = [
        gap for gap in found if not any(g.start_ms < gap.end_ms and gap.start_ms < g.end_ms for g in known)
    ]
    return replace(fetched, gaps=tuple(sorted([*known, *new], key=lambda gap: gap.start_ms)))


def _local_days(times: Int64s, zone: ZoneInfo) -> Days:
    """datetime64[D] of the distinct local dates of `times`, which grow.

    The first and the last of each UTC day have all of them: it is a part of two dates at most.
    """
    changes = np.flatnonzero(np.diff(times // DAY_MS)) + 1
    edges = np.unique(np.concatenate([[0], changes, changes - 1, [len(times) - 1]]))
    dates = {local(ms, zone).date() for ms in times[edges].tolist()}
    return np.array(sorted(dates), dtype="datetime64[D]")


def _closed_days(days: Days, calendar: Calendar, zone: ZoneInfo) -> Iterator[Gap]:
    """Runs of days without a session, on which the exchange is open in other weeks."""
    first, last = max(days[0], calendar.days[0]), min(days[-1], calendar.days[-1])
    if calendar.never_closes or first >= last:
        return
    every = np.arange(first, last)
    usual = np.isin(_weekday(every), np.unique(_weekday(calendar.days)))
    closed = every[usual & ~np.isin(every, calendar.days) & ~np.isin(every, days)]
    for day, count in _runs(closed.astype(np.int64)):
        yield Gap(_midnight_ms(day, zone), _midnight_ms(day + count, zone), GapReason.MARKET_CLOSED, 0)


def _missing_sessions(days: Days, calendar: Calendar, zone: ZoneInfo) -> Iterator[Gap]:
    first, last = np.searchsorted(calendar.days, [days[0], days[-1]])
    sessions = calendar.days[first:last]
    dates = sessions.astype(np.int64).tolist()
    for start, count in _runs(np.flatnonzero(~np.isin(sessions, days))):
        start_ms, end_ms = _midnight_ms(dates[start], zone), _midnight_ms(dates[start + count - 1] + 1, zone)
        yield Gap(start_ms, end_ms, GapReason.PROVIDER_MISSING, count, "the exchange was open")


def _missing_within_sessions(times: Int64s, step_ms: int, calendar: Calendar) -> Iterator[Gap]:
    first = int(np.searchsorted(calendar.closes_ms, times[0], side="right"))
    last = int(np.searchsorted(calendar.opens_ms, times[-1], side="right"))
    for at in range(first, last):
        slots = _slots(calendar, at, step_ms)
        slots = slots[(slots > times[0]) & (slots < times[-1])]
        if not len(slots):
            continue
        held = times[slice(*np.searchsorted(times, [slots[0], slots[-1] + step_ms]))]
        if not len(held):
            end_ms = int(slots[-1]) + step_ms
            yield Gap(int(slots[0]), end_ms, GapReason.PROVIDER_MISSING, len(slots), "the exchange was open")
        elif calendar.restarts_grid(at, step_ms):
            continue  # providers differ in where the afternoon's bars begin
        else:
            for start, count in _runs(np.flatnonzero(~np.isin(slots, held))):
                end_ms = int(slots[start + count - 1]) + step_ms
                yield Gap(int(slots[start]), end_ms, GapReason.NO_TRADES, count)


def _slots(calendar: Calendar, at: int, step_ms: int) -> Int64s:
    """The open times of the bars of a session; the grid starts anew after the lunch break."""
    opens, closes = int(calendar.opens_ms[at]), int(calendar.closes_ms[at])
    break_start, break_end = calendar.breaks_ms[at].tolist()
    if break_start > opens:
        return np.concatenate([np.arange(opens, break_start, step_ms), np.arange(break_end, closes, step_ms)])
    return np.arange(opens, closes, step_ms)


def _is_of_closed_day(gap: Gap, calendar: Calendar, zone: ZoneInfo) -> bool:
    """Whether a gap that the provider told of is a day without a session: then that is why."""
    if gap.reason is not GapReason.PROVIDER_MISSING or not calendar.reaches(gap.start_ms):
        return False
    return np.datetime64(local(gap.start_ms, zone).date()) not in calendar.days and gap.missing_bars == 1


def _weekday(days: Days) -> Int64s:
    return (days.astype(np.int64) + 3) % 7


def _runs(numbers: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, length) of each run of consecutive numbers."""
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        if len(run):
            yield int(run[0]), len(run)


def _midnight_ms(day: int, zone: ZoneInfo) -> int:
    """Local midnight of the day so many days after 1970-01-01."""
    noon = datetime.fromtimestamp(day * 86_400, UTC).replace(tzinfo=zone, hour=12)
    return to_ms(midnight(noon))
