"""Trading hours: which days an exchange is open, and when its sessions start and end in UTC."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

DayArray = npt.NDArray[np.datetime64]
IntArray = npt.NDArray[np.int64]

FIRST_DAY = dt.date(1927, 12, 30)
# The last day drawn. It is fixed, so that no price depends on the time of the request.
HORIZON = dt.date(2045, 12, 31)
DAY_S = 86_400


def easter(year: int) -> dt.date:
    """Return Easter Sunday of the Gregorian calendar (the anonymous computus, Meeus 1991)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * el) // 433
    month = (h + el - 7 * m + 90) // 25
    return dt.date(year, month, (h + el - 7 * m + 33 * month + 19) % 32)


def nth_weekday(year: int, month: int, weekday: int, n: int) -> dt.date:
    """Return the n-th (from 1; -1 is the last) `weekday` (Monday 0) of a month."""
    if n > 0:
        first = dt.date(year, month, 1)
        return first + dt.timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))
    last = dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(1)
    return last - dt.timedelta((last.weekday() - weekday) % 7)


def _nearest_weekday(day: dt.date) -> dt.date:
    return day + dt.timedelta({5: -1, 6: 1}.get(day.weekday(), 0))


def _next_weekday(day: dt.date) -> dt.date:
    return day + dt.timedelta({5: 2, 6: 1}.get(day.weekday(), 0))


# The New York exchanges' unplanned closures since 2000.
_NEW_YORK_CLOSED = [
    *(dt.date(2001, 9, day) for day in (11, 12, 13, 14)),
    dt.date(2004, 6, 11),
    dt.date(2007, 1, 2),
    dt.date(2012, 10, 29),
    dt.date(2012, 10, 30),
    dt.date(2018, 12, 5),
    dt.date(2025, 1, 9),
]


def _new_york(year: int) -> list[dt.date]:
    new_year = dt.date(year, 1, 1)
    days = [
        new_year + dt.timedelta(1) if new_year.weekday() == 6 else new_year,  # not moved from a Saturday
        nth_weekday(year, 2, 0, 3),
        easter(year) - dt.timedelta(2),
        nth_weekday(year, 5, 0, -1),
        _nearest_weekday(dt.date(year, 7, 4)),
        nth_weekday(year, 9, 0, 1),
        nth_weekday(year, 11, 3, 4),
        _nearest_weekday(dt.date(year, 12, 25)),
    ]
    if year >= 1998:
        days.append(nth_weekday(year, 1, 0, 3))
    if year >= 2022:
        days.append(_nearest_weekday(dt.date(year, 6, 19)))
    return days + [day for day in _NEW_YORK_CLOSED if day.year == year]


def _london(year: int) -> list[dt.date]:
    christmas = _next_weekday(dt.date(year, 12, 25))
    boxing = _next_weekday(max(dt.date(year, 12, 26), christmas + dt.timedelta(1)))
    return [
        _next_weekday(dt.date(year, 1, 1)),
        easter(year) - dt.timedelta(2),
        easter(year) + dt.timedelta(1),
        nth_weekday(year, 5, 0, 1),
        nth_weekday(year, 5, 0, -1),
        nth_weekday(year, 8, 0, -1),
        christmas,
        boxing,
    ]


def _continental(year: int) -> list[dt.date]:
    fixed = [(1, 1), (5, 1), (12, 25), (12, 26)]
    return [
        easter(year) - dt.timedelta(2),
        easter(year) + dt.timedelta(1),
        *(dt.date(year, month, day) for month, day in fixed),
    ]


def _tokyo(year: int) -> list[dt.date]:
    fixed = [(1, 1), (1, 2), (1, 3), (2, 11), (4, 29), (5, 3), (5, 4), (5, 5), (11, 3), (11, 23), (12, 31)]
    return [dt.date(year, month, day) for month, day in fixed]


def _hong_kong(year: int) -> list[dt.date]:
    fixed = [(1, 1), (5, 1), (7, 1), (10, 1), (12, 25), (12, 26)]
    return [
        easter(year) - dt.timedelta(2),
        easter(year) + dt.timedelta(1),
        *(dt.date(year, month, day) for month, day in fixed),
    ]


def _sydney(year: int) -> list[dt.date]:
    return [
        _next_weekday(dt.date(year, 1, 1)),
        _next_weekday(dt.date(year, 1, 26)),
        easter(year) - dt.timedelta(2),
        easter(year) + dt.timedelta(1),
        dt.date(year, 4, 25),
        dt.date(year, 12, 25),
        dt.date(year, 12, 26),
    ]


def _mumbai(year: int) -> list[dt.date]:
    fixed = [(1, 26), (5, 1), (8, 15), (10, 2), (12, 25)]
    return [easter(year) - dt.timedelta(2), *(dt.date(year, month, day) for month, day in fixed)]


def _toronto(year: int) -> list[dt.date]:
    return [
        _next_weekday(dt.date(year, 1, 1)),
        nth_weekday(year, 2, 0, 3),
        easter(year) - dt.timedelta(2),
        _next_weekday(dt.date(year, 7, 1)),
        nth_weekday(year, 9, 0, 1),
        nth_weekday(year, 10, 0, 2),
        dt.date(year, 12, 25),
        dt.date(year, 12, 26),
    ]


def _christmas_and_new_year(year: int) -> list[dt.date]:
    return [dt.date(year, 1, 1), dt.date(year, 12, 25)]


def _none(_: int) -> list[dt.date]:
    return []


@dataclass(frozen=True)
class Schedule:
    """The hours of an exchange, in minutes after local midnight.

    `segments` are the parts of the regular session (two where there is a lunch break). No segment
    spans a change of the clocks: exchanges that trade on Sundays use UTC.
    """

    time_zone: str
    segments: tuple[tuple[int, int], ...]
    holidays: Callable[[int], list[dt.date]]
    pre_open: int  # when the pre-market starts; the session's start when there is none
    post_close: int  # when the post-market ends; the session's end when there is none
    extended: bool = False  # whether pre- and post-market have bars
    week: int = 5  # trading days a week, from Monday
    friday_close: int | None = None  # if Friday ends earlier

    @property
    def open(self) -> int:
        return self.segments[0][0]

    @property
    def close(self) -> int:
        return self.segments[-1][1]

    @property
    def around_the_clock(self) -> bool:
        """Whether one day's session ends when the next day's starts."""
        return self.open == 0

    def minutes(self, *, friday: bool) -> IntArray:
        """Return the minutes of a regular session, counted from local midnight."""
        stop = self.friday_close if friday and self.friday_close else self.close
        return np.concatenate(
            [np.arange(start, min(end, stop), dtype=np.int64) for start, end in self.segments if start < stop]
        )


def _hm(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _schedule(
    zone: str,
    hours: str,
    holidays: Callable[[int], list[dt.date]],
    *,
    around: str = "",
    extended: bool = False,
    week: int = 5,
    friday_close: int | None = None,
) -> Schedule:
    segments = tuple((_hm(start), _hm(end)) for start, end in (part.split("-") for part in hours.split(",")))
    pre, post = (_hm(t) for t in around.split("-")) if around else (segments[0][0], segments[-1][1])
    return Schedule(zone, segments, holidays, pre, post, extended, week, friday_close)


SCHEDULES = {
    "us": _schedule("America/New_York", "9:30-16:00", _new_york, around="4:00-20:00", extended=True),
    "us_index": _schedule("America/New_York", "9:30-16:00", _new_york, around="4:00-20:00"),
    "toronto": _schedule("America/Toronto", "9:30-16:00", _toronto),
    "london": _schedule("Europe/London", "8:00-16:30", _london, around="7:15-17:15"),
    "xetra": _schedule("Europe/Berlin", "9:00-17:30", _continental, around="8:00-20:30"),
    "paris": _schedule("Europe/Paris", "9:00-17:30", _continental),
    "amsterdam": _schedule("Europe/Amsterdam", "9:00-17:30", _continental),
    "zurich": _schedule("Europe/Zurich", "9:00-17:30", _continental),
    "copenhagen": _schedule("Europe/Copenhagen", "9:00-17:00", _continental),
    "tokyo": _schedule("Asia/Tokyo", "9:00-11:30,12:30-15:30", _tokyo),
    "hong_kong": _schedule("Asia/Hong_Kong", "9:30-12:00,13:00-16:00", _hong_kong),
    "sydney": _schedule("Australia/Sydney", "10:00-16:00", _sydney),
    "mumbai": _schedule("Asia/Kolkata", "9:15-15:30", _mumbai),
    "fx": _schedule("Europe/London", "0:00-24:00", _none),
    "futures": _schedule(
        "America/New_York", "0:00-17:00,18:00-24:00", _christmas_and_new_year, friday_close=17 * 60
    ),
    "crypto": _schedule("UTC", "0:00-24:00", _none, week=7),
}


@dataclass(frozen=True)
class Calendar:
    """The trading days of a schedule from FIRST_DAY to HORIZON; times are epoch seconds, UTC."""

    schedule: Schedule
    days: DayArray
    midnight: IntArray  # the local day's start
    open: IntArray
    close: IntArray

    def pre_open(self, i: int) -> int:
        return int(self.midnight[i]) + 60 * self.schedule.pre_open

    def post_close(self, i: int) -> int:
        return max(int(self.midnight[i]) + 60 * self.schedule.post_close, int(self.close[i]))


@cache
def calendar_of(name: str) -> Calendar:
    """Return the calendar of a schedule of SCHEDULES."""
    schedule = SCHEDULES[name]
    days: DayArray = np.arange(np.datetime64(FIRST_DAY), np.datetime64(HORIZON))
    days = days[weekday(days) < schedule.week]
    closed = [day for year in range(FIRST_DAY.year, HORIZON.year + 1) for day in schedule.holidays(year)]
    days = days[~np.isin(days, np.array(closed, dtype="datetime64[D]"))]
    midnight = days.astype("datetime64[s]").astype(np.int64) - _utc_offsets(schedule.time_zone, days)
    close = midnight + 60 * schedule.close
    if schedule.friday_close is not None:
        close = np.where(weekday(days) == 4, midnight + 60 * schedule.friday_close, close)
    return Calendar(schedule, days, midnight, midnight + 60 * schedule.open, close)


def weekday(days: DayArray) -> IntArray:
    """Return 0 for Monday to 6 for Sunday (1970-01-01 was a Thursday)."""
    return (days.astype(np.int64) + 3) % 7


def _utc_offsets(zone: str, days: DayArray) -> IntArray:
    """Return the offset from UTC at noon of each day, in seconds. Days must be ascending."""
    tz = ZoneInfo(zone)

    def offset(day: dt.date) -> int:
        delta = dt.datetime(day.year, day.month, day.day, 12, tzinfo=tz).utcoffset()
        return int(delta.total_seconds()) if delta is not None else 0

    months, first = np.unique(days.astype("datetime64[M]"), return_index=True)
    out = np.empty(len(days), dtype=np.int64)
    for month, start, stop in zip(months, first, [*first[1:], len(days)], strict=True):
        before, after = offset(month.item()), offset((month + 1).item())
        if before == after:  # the clocks did not change in the month, so one lookup is enough
            out[start:stop] = before
        else:
            out[start:stop] = [offset(day) for day in days[start:stop].tolist()]
    return out


@cache
def local_midnight(zone: str, day: dt.date) -> int:
    """Return the epoch second at which a local day starts."""
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp())
