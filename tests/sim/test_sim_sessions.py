"""Trading days and hours."""

import datetime as dt

import numpy as np
import pytest

from sim.sessions import SCHEDULES, calendar_of, easter, weekday


def _opens(name: str, day: str) -> str:
    """Return the UTC time at which a schedule's session of a day starts."""
    calendar = calendar_of(name)
    i = np.flatnonzero(calendar.days == np.datetime64(day))
    return dt.datetime.fromtimestamp(int(calendar.open[i[0]]), dt.UTC).isoformat()[:16]


def _is_open(name: str, day: str) -> bool:
    return bool(np.isin(np.datetime64(day), calendar_of(name).days))


@pytest.mark.parametrize(
    ("year", "day"), [(1962, (4, 22)), (2008, (3, 23)), (2019, (4, 21)), (2024, (3, 31)), (2026, (4, 5))]
)
def test_easter_dates_match_the_almanac(year: int, day: tuple[int, int]) -> None:
    assert easter(year) == dt.date(year, *day)


def test_new_york_keeps_its_holidays_of_2026() -> None:
    closed = ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"]
    assert not any(_is_open("us", f"2026-{day}") for day in closed)
    days = calendar_of("us").days
    assert np.sum(days.astype("datetime64[Y]") == np.datetime64("2026")) == 251


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_only_crypto_trades_on_weekends(name: str) -> None:
    assert bool((weekday(calendar_of(name).days) > 4).any()) == (name == "crypto")


@pytest.mark.parametrize(
    ("name", "winter", "summer"),
    [
        ("us", "14:30", "13:30"),
        ("london", "08:00", "07:00"),
        ("xetra", "08:00", "07:00"),
        ("sydney", "23:00", "00:00"),
        ("tokyo", "00:00", "00:00"),
        ("mumbai", "03:45", "03:45"),
        ("fx", "00:00", "23:00"),
        ("futures", "05:00", "04:00"),
    ],
)
def test_sessions_start_at_local_hours_through_changes_of_the_clocks(
    name: str, winter: str, summer: str
) -> None:
    assert _opens(name, "2025-01-15").endswith(winter)
    assert _opens(name, "2025-07-16").endswith(summer)


def test_the_two_weeks_between_american_and_european_clock_changes() -> None:
    assert _opens("us", "2025-03-11").endswith("13:30")
    assert _opens("london", "2025-03-11").endswith("08:00")
    assert _opens("london", "2025-04-01").endswith("07:00")


def test_tokyo_has_a_lunch_break() -> None:
    minutes = SCHEDULES["tokyo"].minutes(friday=False)
    assert len(minutes) == 330
    assert not np.isin(12 * 60, minutes)


def test_futures_rest_for_an_hour_and_end_early_on_fridays() -> None:
    minutes = SCHEDULES["futures"].minutes(friday=False)
    assert not np.isin(17 * 60 + 30, minutes)
    assert minutes[-1] == 24 * 60 - 1
    assert SCHEDULES["futures"].minutes(friday=True)[-1] == 17 * 60 - 1
