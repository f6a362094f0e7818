"""Calendars, and the gaps that they explain."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from finstage_market.columns import Columns
from finstage_market.interval import Interval
from finstage_runtime.clock import ManualClock
from services.ingest.hours.calendars import RETRY_S, Calendar, Calendars
from services.ingest.hours.gaps import with_gaps
from services.ingest.series import CheckedBars, FetchedBars, Gap, GapReason, Instrument, SeriesKey


@pytest.fixture(scope="module")
def calendars() -> Calendars:
    return Calendars()


NASDAQ = Instrument("AAPL", exchange="NMS", time_zone="America/New_York")
TOKYO = Instrument("7203.T", exchange="JPX", time_zone="Asia/Tokyo")
BITCOIN = Instrument("BTC-USD", exchange="CCC", time_zone="UTC")
NOWHERE = Instrument("X", exchange="???", time_zone="America/New_York")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def fetched(
    instrument: Instrument,
    interval: Interval,
    times: list[int],
    gaps: tuple[Gap, ...] = (),
    *,
    start: str = "",
    now: str = "1970-01-01",
) -> FetchedBars:
    one = np.ones(len(times))
    return FetchedBars(
        key=SeriesKey(instrument.symbol, interval),
        start_ms=at(start) if start else times[0],
        end_ms=max(times[-1], at(now)) + 1,
        bars=CheckedBars(Columns.of(times, one, one, one, one, one)),
        instrument=instrument,
        source="yahoo",
        fetched_at_ms=at(now),
        gaps=gaps,
    )


def days(*texts: str) -> list[int]:
    return [at(f"{text}T14:30") for text in texts]


def gaps(of: FetchedBars) -> list[tuple[str, str, str, int | None]]:
    def text(ms: int) -> str:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%m-%dT%H:%M}"

    return [(text(gap.start_ms), text(gap.end_ms), gap.reason.value, gap.missing_bars) for gap in of.gaps]


def calendar(calendars: Calendars, instrument: Instrument) -> Calendar:
    found = calendars.of(instrument)
    assert found is not None
    return found


def test_open_and_closed_hours(calendars: Calendars) -> None:
    new_york = calendar(calendars, NASDAQ)
    assert new_york.is_open(at("2024-07-03T16:00")) is True
    assert new_york.is_open(at("2024-07-03T17:30")) is False  # half day, closed at 13:00 there
    assert new_york.is_open(at("2024-07-04T16:00")) is False  # Independence Day
    assert new_york.is_open(at("2024-07-06T16:00")) is False  # Saturday
    assert new_york.is_open(at("1950-07-06T16:00")) is None
    assert new_york.last_close_ms(at("2024-07-06T16:00")) == at("2024-07-05T20:00")
    assert new_york.next_open_ms(at("2024-07-03T17:30")) == at("2024-07-05T13:30")
    assert calendar(calendars, TOKYO).is_open(at("2024-07-03T03:00")) is True  # at lunch
    assert calendar(calendars, BITCOIN).is_open(at("2024-12-25T03:00")) is True
    assert calendars.of(NOWHERE) is None


def test_a_holiday_explains_a_day_without_a_bar(calendars: Calendars) -> None:
    """The holiday is a Thursday. The weekend after it is not a gap."""
    bars = fetched(NASDAQ, Interval.D1, days("2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"))
    assert gaps(with_gaps(bars, calendars)) == [("07-04T04:00", "07-05T04:00", "MARKET_CLOSED", 0)]


def test_a_session_without_a_bar_is_missing_at_the_provider(calendars: Calendars) -> None:
    bars = fetched(NASDAQ, Interval.D1, days("2024-07-08", "2024-07-11", "2024-07-12"))
    assert gaps(with_gaps(bars, calendars)) == [("07-09T04:00", "07-11T04:00", "PROVIDER_MISSING", 2)]


def test_an_empty_row_of_a_holiday_is_a_closed_market(calendars: Calendars) -> None:
    [start] = days("2024-07-04")
    told = Gap(start, at("2024-07-05T04:00"), GapReason.PROVIDER_MISSING, 1, "a row without values")
    bars = fetched(NASDAQ, Interval.D1, days("2024-07-03", "2024-07-05"), (told,))
    assert gaps(with_gaps(bars, calendars)) == [("07-04T04:00", "07-05T04:00", "MARKET_CLOSED", 0)]


def test_an_empty_row_of_a_session_stays_missing_at_the_provider(calendars: Calendars) -> None:
    [start] = days("2024-07-09")
    told = Gap(start, at("2024-07-10T04:00"), GapReason.PROVIDER_MISSING, 1, "a row without values")
    bars = fetched(NASDAQ, Interval.D1, days("2024-07-08", "2024-07-10"), (told,))
    assert with_gaps(bars, calendars).gaps == (told,)


def test_times_left_out_of_a_session_had_no_trades(calendars: Calendars) -> None:
    start, minute = at("2024-07-08T13:30"), 60_000
    minutes = [start + i * minute for i in range(390) if i not in (5, 6, 100)]
    bars = fetched(NASDAQ, Interval.M1, minutes)
    assert gaps(with_gaps(bars, calendars)) == [
        ("07-08T13:35", "07-08T13:37", "NO_TRADES", 2),
        ("07-08T15:10", "07-08T15:11", "NO_TRADES", 1),
    ]


def test_nights_half_days_and_lunch_breaks_are_no_gaps(calendars: Calendars) -> None:
    half = [at("2024-07-03T13:30") + i * 300_000 for i in range(42)]
    friday = [at("2024-07-05T13:30") + i * 300_000 for i in range(78)]
    bars = fetched(NASDAQ, Interval.M5, half + friday)
    assert gaps(with_gaps(bars, calendars)) == [("07-04T04:00", "07-05T04:00", "MARKET_CLOSED", 0)]
    morning = [at("2024-07-03T00:00") + i * 300_000 for i in range(30)]
    afternoon = [at("2024-07-03T03:30") + i * 300_000 for i in range(30)]
    assert with_gaps(fetched(TOKYO, Interval.M5, morning + afternoon), calendars).gaps == ()


def test_a_session_without_bars_within_the_day(calendars: Calendars) -> None:
    monday = [at("2024-07-08T13:30") + i * 1_800_000 for i in range(13)]
    wednesday = [at("2024-07-10T13:30") + i * 1_800_000 for i in range(13)]
    bars = fetched(NASDAQ, Interval.M30, monday + wednesday)
    assert gaps(with_gaps(bars, calendars)) == [("07-09T13:30", "07-09T20:00", "PROVIDER_MISSING", 13)]


def test_a_market_that_never_closes_has_no_holidays(calendars: Calendars) -> None:
    bars = fetched(BITCOIN, Interval.D1, [at("2024-12-24T00:00"), at("2024-12-26T00:00")])
    assert gaps(with_gaps(bars, calendars)) == [("12-25T00:00", "12-26T00:00", "PROVIDER_MISSING", 1)]


@pytest.mark.parametrize("interval", [Interval.W1, Interval.MO1])
def test_weeks_and_months_have_no_gaps(calendars: Calendars, interval: Interval) -> None:
    bars = fetched(NASDAQ, interval, days("2024-01-01", "2024-12-30"))
    assert with_gaps(bars, calendars).gaps == ()


def test_an_unknown_exchange_explains_nothing(calendars: Calendars) -> None:
    bars = fetched(NOWHERE, Interval.D1, days("2024-07-03", "2024-07-15"))
    assert with_gaps(bars, calendars).gaps == ()


def test_sessions_after_the_last_bar_are_gaps_once_they_are_over(calendars: Calendars) -> None:
    """Thanksgiving is among them. The running session, and one that has just closed, may still get bars."""
    bars = fetched(NASDAQ, Interval.D1, days("2024-11-22"), now="2024-11-29T20:30")
    assert gaps(with_gaps(bars, calendars)) == [
        ("11-25T05:00", "11-28T05:00", "PROVIDER_MISSING", 3),
        ("11-28T05:00", "11-29T05:00", "MARKET_CLOSED", 0),
        ("11-29T05:00", "11-30T05:00", "PROVIDER_MISSING", 1),
    ]
    running = fetched(NASDAQ, Interval.D1, days("2024-11-22"), now="2024-11-25T21:30")
    assert gaps(with_gaps(running, calendars)) == []


def test_times_after_the_last_bar_within_the_day(calendars: Calendars) -> None:
    """The rest of its own session, once over, had no trades; whole sessions are missing."""
    times = [at("2024-07-08T13:30"), at("2024-07-08T14:30")]
    bars = fetched(NASDAQ, Interval.H1, times, now="2024-07-10T15:00")
    assert gaps(with_gaps(bars, calendars)) == [
        ("07-08T15:30", "07-08T20:30", "NO_TRADES", 5),
        ("07-09T13:30", "07-09T20:30", "PROVIDER_MISSING", 7),
    ]
    bars = fetched(NASDAQ, Interval.H1, times, now="2024-07-08T19:00")
    assert gaps(with_gaps(bars, calendars)) == []


def test_the_head_of_a_range_says_why_it_is_empty(calendars: Calendars) -> None:
    """It is before the first trade or the provider's history, or has sessions that the provider lacks."""
    listed = replace(NASDAQ, first_bar_ms=at("2024-07-08T13:30"))
    first = days("2024-07-08")
    before = fetched(listed, Interval.D1, first, start="2020-01-01")
    assert gaps(with_gaps(before, calendars)) == [("01-01T00:00", "07-08T13:30", "BEFORE_LISTING", 0)]
    unknown = fetched(NASDAQ, Interval.D1, first, start="2020-01-01")
    assert gaps(with_gaps(unknown, calendars)) == [("01-01T00:00", "07-08T14:30", "PROVIDER_LIMIT", None)]
    late = fetched(replace(NASDAQ, first_bar_ms=0), Interval.D1, first, start="2024-07-03T00:00")
    assert gaps(with_gaps(late, calendars)) == [
        ("07-03T04:00", "07-04T04:00", "PROVIDER_MISSING", 1),
        ("07-04T04:00", "07-05T04:00", "MARKET_CLOSED", 0),
        ("07-05T04:00", "07-06T04:00", "PROVIDER_MISSING", 1),
    ]
    weeks = fetched(listed, Interval.W1, first, start="2020-01-01")
    assert gaps(with_gaps(weeks, calendars)) == [("01-01T00:00", "07-08T13:30", "BEFORE_LISTING", 0)]


def test_a_provider_that_counts_from_another_time_misses_nothing(calendars: Calendars) -> None:
    """Its session begins at 9:29, the calendar's at 9:30."""
    bars = fetched(NASDAQ, Interval.H1, [at("2024-07-08T13:29") + i * 3_600_000 for i in range(7)])
    assert gaps(with_gaps(bars, calendars)) == []


TEL_AVIV = Instrument("TEVA.TA", exchange="TLV", time_zone="Asia/Jerusalem")


def test_a_calendar_that_cannot_be_made_is_not_known_and_not_tried_again_for_a_while() -> None:
    clock, tried = ManualClock(), []

    def make(name: str) -> Calendar:
        tried.append(name)
        raise ArithmeticError("no such holidays")

    broken = Calendars(make, monotonic=clock.monotonic)
    bars = fetched(TEL_AVIV, Interval.D1, days("2024-07-02", "2024-07-09"))
    for _ in range(3):
        assert with_gaps(bars, broken).gaps == ()
    assert tried == ["XTAE"]
    clock.advance(RETRY_S + 1)
    assert broken.of(TEL_AVIV) is None
    assert tried == ["XTAE", "XTAE"]


@pytest.mark.parametrize("exchange", ["TLV", "NMS", "JPX", "CMX", "CCY", "CCC", "SHH", "SAO", "???", ""])
def test_no_exchange_fails_an_answer(calendars: Calendars, exchange: str) -> None:
    for zone in ("Asia/Jerusalem", "", "Mars/Olympus", "../etc"):
        instrument = Instrument("X", exchange=exchange, time_zone=zone)
        for interval in Interval:
            bars = fetched(instrument, interval, days("2024-07-02", "2024-07-09"), now="2024-07-20")
            assert len(with_gaps(bars, calendars).bars.columns) == 2


def test_a_slow_calendar_does_not_delay_requests_for_others(calendars: Calendars) -> None:
    made = calendar(calendars, NASDAQ)
    begun, end = threading.Event(), threading.Event()

    def make(name: str) -> Calendar:
        if name == "XTAE":
            begun.set()
            end.wait(10)
        return made

    slow = Calendars(make)
    waiting = threading.Thread(target=slow.of, args=(TEL_AVIV,))
    waiting.start()
    assert begun.wait(10)
    started = time.monotonic()
    assert slow.of(NASDAQ) is made
    assert time.monotonic() - started < 1
    end.set()
    waiting.join()
    assert slow.of(TEL_AVIV) is made


@pytest.mark.parametrize(
    ("instrument", "interval", "last", "is_missing"),
    [
        (NOWHERE, Interval.D1, "2024-07-12", False),
        (NOWHERE, Interval.D1, "2024-07-01", True),
        (NOWHERE, Interval.H1, "2024-07-01", True),
        (NASDAQ, Interval.W1, "2024-07-08", False),
        (NASDAQ, Interval.W1, "2024-06-24", True),
        (NASDAQ, Interval.MO1, "2024-06-03", False),
        (NASDAQ, Interval.MO1, "2024-05-01", True),
    ],
)
def test_a_long_time_after_the_last_bar_is_told_without_a_calendar_too(
    calendars: Calendars, instrument: Instrument, interval: Interval, last: str, is_missing: bool
) -> None:
    bars = fetched(instrument, interval, days(last), now="2024-07-18T12:00")
    told = [(gap[1], gap[2]) for gap in gaps(with_gaps(bars, calendars))]
    assert told == ([("07-18T12:00", "PROVIDER_MISSING")] if is_missing else [])
