"""Days on which the clocks change: every interval, in zones of each kind."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS, HOUR_MS, MINUTE_MS
from tests.ingest.chart_replies import DAY, bars, body, session

# A day on which the clocks or the zone's offset changed, and the day's length in hours.
CHANGES = {
    "New York, spring": ("America/New_York", date(2026, 3, 8), 23.0),
    "New York, fall": ("America/New_York", date(2026, 11, 1), 25.0),
    "London, spring": ("Europe/London", date(2026, 3, 29), 23.0),
    "London, fall": ("Europe/London", date(2026, 10, 25), 25.0),
    "Sydney, spring": ("Australia/Sydney", date(2026, 10, 4), 23.0),
    "Sydney, fall": ("Australia/Sydney", date(2026, 4, 5), 25.0),
    "Lord Howe, spring": ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
    "Lord Howe, fall": ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    "Moscow, its last spring": ("Europe/Moscow", date(2011, 3, 27), 23.0),
    "Moscow, the spring before": ("Europe/Moscow", date(2010, 3, 28), 23.0),
    "Moscow, fall": ("Europe/Moscow", date(2010, 10, 31), 25.0),
    "Moscow, to winter time for good": ("Europe/Moscow", date(2014, 10, 26), 25.0),
    "Santiago, no midnight": ("America/Santiago", date(2023, 9, 3), 23.0),
    "Santiago, fall": ("America/Santiago", date(2023, 4, 1), 25.0),
    "Cairo, midnight twice": ("Africa/Cairo", date(2023, 10, 26), 25.0),
    "Azores, no midnight": ("Atlantic/Azores", date(2024, 3, 31), 23.0),
    "Sao Paulo, no midnight": ("America/Sao_Paulo", date(2018, 11, 4), 23.0),
    "Casablanca, Ramadan": ("Africa/Casablanca", date(2024, 3, 10), 25.0),
    "Caracas, half an hour": ("America/Caracas", date(2016, 5, 1), 23.5),
    "Tokyo, never": ("Asia/Tokyo", date(2026, 3, 29), 24.0),
}
INTRADAY = [interval for interval in Interval if interval.is_intraday]


def start_ms(day: date, zone: str) -> int:
    """Return the start of a day: midnight, or the first moment that exists on it."""
    midnight = datetime.combine(day, time(), ZoneInfo(zone))
    return round(midnight.timestamp() * 1000)


def days_around(day: date) -> list[date]:
    return [day + timedelta(days=d) for d in (-2, -1, 0, 1, 2)]


def months_around(day: date) -> Iterator[date]:
    for offset in range(-3, 4):
        month = day.year * 12 + day.month - 1 + offset
        yield date(month // 12, month % 12 + 1, 1)


@pytest.mark.parametrize("change", CHANGES)
def test_the_days_are_as_long_as_this_test_says(change: str) -> None:
    zone, day, hours = CHANGES[change]
    length_ms = start_ms(day + timedelta(days=1), zone) - start_ms(day, zone)
    assert length_ms == hours * HOUR_MS
    assert GRIDS[Interval.D1].end_ms(start_ms(day, zone), ZoneInfo(zone)) == start_ms(day, zone) + length_ms


@pytest.mark.parametrize("sessions", ["to 23:59", "24 hours", "today's only"])
@pytest.mark.parametrize("interval", INTRADAY)
@pytest.mark.parametrize("change", CHANGES)
def test_a_market_round_the_clock_keeps_every_bar(change: str, interval: Interval, sessions: str) -> None:
    """The reply may list sessions to the last minute, sessions of equal length, or one day's alone."""
    zone, day, _ = CHANGES[change]
    days = days_around(day)
    first, end = start_ms(days[0], zone), start_ms(days[-1], zone)
    step_ms = GRIDS[interval].step_ms
    opens = [
        ms
        for one, next_ in pairwise(days)
        for ms in range(start_ms(one, zone), start_ms(next_, zone), step_ms)
    ]
    shown = [session(f"{one}T00:00", f"{one}T23:59", zone) for one in days]
    if sessions == "24 hours":
        shown = [{"start": each["start"], "end": each["start"] + 86_340} for each in shown]
    given: Any = {"current": shown[-1]} if sessions == "today's only" else {"sessions": shown}
    found = bars(interval, body([(ms, *DAY) for ms in opens], zone=zone, **given))
    assert found.bars.columns.open_time_ms.tolist() == opens
    assert (first, end) == (opens[0], opens[-1] + min(step_ms, end - opens[-1]))
    assert (found.bars.rejected, found.gaps, found.bars.last_is_final) == ((), (), True)
    assert not {"outside_session", "repeated"} & found.dropped.keys()


@pytest.mark.parametrize("interval", INTRADAY)
@pytest.mark.parametrize("change", CHANGES)
def test_a_session_of_the_day_begins_at_its_hour_of_the_clock(change: str, interval: Interval) -> None:
    """Each session runs from 9:00 to 17:00; the reply lists only the last one."""
    zone, day, _ = CHANGES[change]
    step_ms = GRIDS[interval].step_ms
    opens = []
    for one in days_around(day):
        hours = session(f"{one}T09:00", f"{one}T17:00", zone)
        opens += range(hours["start"] * 1000, hours["end"] * 1000, step_ms)
    stray = [ms - 30 * MINUTE_MS for ms in opens[:1]]
    found = bars(interval, body([(ms, *DAY) for ms in stray + opens], zone=zone, current=hours))
    assert found.bars.columns.open_time_ms.tolist() == opens
    assert found.bars.rejected == ()


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_past_midnight_keeps_every_hour(change: str) -> None:
    """It runs from 18:00 to 17:00 of the next day, as with futures."""
    zone, day, _ = CHANGES[change]
    opens = []
    for one in days_around(day):
        hours = session(f"{one}T18:00", f"{one + timedelta(days=1)}T17:00", zone)
        opens += range(hours["start"] * 1000, hours["end"] * 1000, HOUR_MS)
    found = bars(Interval.H1, body([(ms, *DAY) for ms in opens], zone=zone, current=hours))
    assert found.bars.columns.open_time_ms.tolist() == opens


@pytest.mark.parametrize("stamped", ["midnight", "open", "an hour early"])
@pytest.mark.parametrize("interval", [Interval.D1, Interval.W1, Interval.MO1])
@pytest.mark.parametrize("change", CHANGES)
def test_days_weeks_and_months_keep_every_bar(change: str, interval: Interval, stamped: str) -> None:
    """Rows may be stamped at local midnight, at the session's start, or at the other offset's midnight."""
    zone, day, _ = CHANGES[change]
    if interval is Interval.MO1:
        starts = list(months_around(day))
    elif interval is Interval.W1:
        monday = day - timedelta(days=day.weekday())
        starts = [monday + timedelta(weeks=week) for week in range(-3, 4)]
    else:
        starts = [day + timedelta(days=d) for d in range(-5, 6)]
    opens = [start_ms(one, zone) + (10 * HOUR_MS if stamped == "open" else 0) for one in starts]
    sent = [ms - HOUR_MS for ms in opens] if stamped == "an hour early" else opens
    found = bars(interval, body([(ms, *DAY) for ms in sent], zone=zone))
    assert found.bars.columns.open_time_ms.tolist() == opens
    assert (found.bars.rejected, found.gaps, found.bars.last_is_final) == ((), (), True)
