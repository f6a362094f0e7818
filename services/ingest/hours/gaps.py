"""Gaps: why bars are missing in a range that a provider was asked for."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

import numpy as np
import numpy.typing as npt

from finstage_market.columns import Int64s
from finstage_market.interval import Interval
from services.ingest.hours.calendars import Calendar, Calendars, Days
from services.ingest.hours.grid import GRIDS, HOUR_MS, midnight, to_ms
from services.ingest.hours.zones import DAY_MS, local, local_days, zone_of
from services.ingest.series import FetchedBars, Gap, GapReason, SeriesKey

# A session whose close is longer ago than this has its bars, or will not get them.
_SETTLED_MS = HOUR_MS
# After a longer time without bars at the head of a range the provider's history begins.
_LONG_MS = 45 * DAY_MS
# The detail of the gap before it.
HISTORY_BEGINS = "the provider's history of this interval begins here"
# Without a calendar, bars are missing after the last one when no holidays are as long as this.
_NO_HOLIDAYS_MS = 12 * DAY_MS


def with_gaps(fetched: FetchedBars, calendars: Calendars) -> FetchedBars:
    """Return `fetched` with every gap of its range that can be explained.

    - BEFORE_LISTING: before the instrument's first trade.
    - PROVIDER_LIMIT: before the provider's history, where it begins long after the range.
    - MARKET_CLOSED: days on which the exchange is open in other weeks, and was not; also where the provider
      sent an empty row for one.
    - PROVIDER_MISSING: sessions without any bar, up to the newest that is over.
    - NO_TRADES: times within a session that the provider left out, as it does with times without a trade. For
      empty rows the provider itself says PROVIDER_MISSING.

    Ordinary nights and weekends are no gaps. Weeks and months have gaps at the head and the tail only, and so
    have series of an exchange whose calendar is not known.
    """
    known = [*fetched.gaps, *_head(fetched)]
    calendar = calendars.of(fetched.instrument)
    found: list[Gap] = []
    if calendar is not None and len(fetched.bars.columns) and _has_sessions(fetched.key, calendar):
        zone = zone_of(fetched.instrument.time_zone) or calendar.zone
        known = [gap for gap in known if not _is_of_closed_day(gap, calendar, zone)]
        found = [*_by_calendar(fetched, calendar, zone)]
    elif len(fetched.bars.columns):
        found = [*_tail(fetched)]
    new = [
        gap for gap in found if not any(g.start_ms < gap.end_ms and gap.start_ms < g.end_ms for g in known)
    ]
    return replace(fetched, gaps=tuple(sorted([*known, *new], key=lambda gap: gap.start_ms)))


def _has_sessions(key: SeriesKey, calendar: Calendar) -> bool:
    """Whether the calendar tells which bars of a series there should be."""
    return key.interval is Interval.D1 or (key.interval.is_intraday and calendar.sessions_are_days)


def _head(fetched: FetchedBars) -> Iterator[Gap]:
    """Why the range begins without bars, as far as no calendar is needed to say."""
    start_ms = max([fetched.start_ms, *(g.end_ms for g in fetched.gaps if g.start_ms <= fetched.start_ms)])
    first_ms = int(fetched.bars.columns.open_time_ms[0]) if len(fetched.bars.columns) else fetched.end_ms
    listed_ms = fetched.instrument.first_bar_ms
    if listed_ms is not None and start_ms < (end_ms := min(listed_ms, first_ms)):
        yield Gap(start_ms, end_ms, GapReason.BEFORE_LISTING, 0)
        start_ms = end_ms
    if len(fetched.bars.columns) and first_ms - start_ms > _LONG_MS:
        yield Gap(start_ms, first_ms, GapReason.PROVIDER_LIMIT, None, HISTORY_BEGINS)


def _tail(fetched: FetchedBars) -> Iterator[Gap]:
    """The time after the last bar, where it is too long for any holidays."""
    last_ms = int(fetched.bars.columns.open_time_ms[-1])
    zone = zone_of(fetched.instrument.time_zone) or UTC
    start_ms = GRIDS[fetched.key.interval].end_ms(last_ms, zone)
    end_ms = min(fetched.end_ms, fetched.fetched_at_ms)
    if end_ms - start_ms > max(_NO_HOLIDAYS_MS, fetched.key.interval.nominal_ms):
        detail = "the provider has no newer bars"
        yield Gap(start_ms, end_ms, GapReason.PROVIDER_MISSING, None, detail)


def _by_calendar(fetched: FetchedBars, calendar: Calendar, zone: tzinfo) -> Iterator[Gap]:
    times = fetched.bars.columns.open_time_ms
    start_ms = max(fetched.start_ms, int(times[0]) - _LONG_MS)
    # Of the newest session the bars may still come.
    now_ms = fetched.fetched_at_ms - _SETTLED_MS
    end_ms = max(int(times[-1]), min(fetched.end_ms, now_ms))
    days = np.unique(local_days(times, zone)).astype("datetime64[D]")
    first, last = local_days(np.array([start_ms, end_ms], dtype=np.int64), zone).astype("datetime64[D]")
    yield from _closed_days(days, calendar, zone, first, last)
    if fetched.key.interval is Interval.D1:
        over = calendar.days[(calendar.closes_ms <= end_ms) & (calendar.opens_ms >= start_ms)]
        between = calendar.days[(calendar.days > days[0]) & (calendar.days < days[-1])]
        yield from _missing_sessions(days, np.union1d(over, between), calendar, zone)
    else:
        step_ms = GRIDS[fetched.key.interval].step_ms
        yield from _missing_within_sessions(times, step_ms, calendar, start_ms, end_ms)


def _closed_days(
    days: Days, calendar: Calendar, zone: tzinfo, first: np.datetime64, last: np.datetime64
) -> Iterator[Gap]:
    """Runs of days in [first, last) without a session, on which the exchange is open in other weeks."""
    usual = _usual_days(calendar)
    within = usual[(usual >= first) & (usual < last)]
    closed = within[~np.isin(within, calendar.days) & ~np.isin(within, days)]
    for day, count in _runs(closed.astype(np.int64)):
        yield Gap(_midnight_ms(day, zone), _midnight_ms(day + count, zone), GapReason.MARKET_CLOSED, 0)


def _missing_sessions(days: Days, sessions: Days, calendar: Calendar, zone: tzinfo) -> Iterator[Gap]:
    """Runs of sessions on days without bars. A closed day ends a run, a weekend does not."""
    missing = sessions[~np.isin(sessions, days)]
    every = np.union1d(_usual_days(calendar), calendar.days)
    for at, count in _runs(np.searchsorted(every, missing).astype(np.int64)):
        start, end = every[[at, at + count - 1]].astype(np.int64).tolist()
        start_ms, end_ms = _midnight_ms(start, zone), _midnight_ms(end + 1, zone)
        yield Gap(start_ms, end_ms, GapReason.PROVIDER_MISSING, count, "the exchange was open")


def _usual_days(calendar: Calendar) -> Days:
    """The days of a calendar's time on whose weekday the exchange is open in most weeks."""
    every = np.arange(calendar.days[0], calendar.days[-1] + 1)
    sessions = np.bincount(_weekday(calendar.days), minlength=7)
    usual: Days = every[sessions[_weekday(every)] > sessions.max() / 2]
    return usual


def _missing_within_sessions(
    times: Int64s, step_ms: int, calendar: Calendar, start_ms: int, end_ms: int
) -> Iterator[Gap]:
    first = int(np.searchsorted(calendar.closes_ms, start_ms, side="right"))
    last = int(np.searchsorted(calendar.opens_ms, end_ms, side="right"))
    for at in range(first, last):
        slots = _slots(calendar, at, step_ms)
        # A session that may still run is complete up to its newest bar only.
        until_ms = end_ms if calendar.closes_ms[at] <= end_ms else int(times[-1])
        slots = slots[(slots >= start_ms) & (slots < until_ms)]
        if not len(slots):
            continue
        held = times[slice(*np.searchsorted(times, [slots[0], slots[-1] + step_ms]))]
        missing = np.flatnonzero(~np.isin(slots, held))
        if not len(held):
            end = int(slots[-1]) + step_ms
            yield Gap(int(slots[0]), end, GapReason.PROVIDER_MISSING, len(slots), "the exchange was open")
        elif calendar.restarts_grid(at, step_ms) or len(missing) == len(slots):
            continue  # the provider counts its bars from another time than the calendar's
        else:
            for start, count in _runs(missing):
                end = int(slots[start + count - 1]) + step_ms
                yield Gap(int(slots[start]), end, GapReason.NO_TRADES, count)


def _slots(calendar: Calendar, at: int, step_ms: int) -> Int64s:
    """The open times of the bars of a session; they are counted anew after the lunch break."""
    opens, closes = int(calendar.opens_ms[at]), int(calendar.closes_ms[at])
    break_start, break_end = calendar.breaks_ms[at].tolist()
    if break_start > opens:
        return np.concatenate([np.arange(opens, break_start, step_ms), np.arange(break_end, closes, step_ms)])
    return np.arange(opens, closes, step_ms)


def _is_of_closed_day(gap: Gap, calendar: Calendar, zone: tzinfo) -> bool:
    """Whether the provider's empty row is of a day without a session, which then is the reason."""
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


def _midnight_ms(day: int, zone: tzinfo) -> int:
    """Local midnight of the day so many days after 1970-01-01."""
    noon = datetime.fromtimestamp(day * 86_400, UTC).replace(tzinfo=zone, hour=12)
    return to_ms(midnight(noon))
