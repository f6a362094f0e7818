"""Times that are written as text: the ways to write them, and which of them a column is written in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd

from finstage_barfile import epochs
from finstage_barfile.errors import Unreadable
from finstage_barfile.table import Guess, Text, Timestamps
from finstage_market.interval import Interval

OWN_ZONE = "times with their own zone"

# What a way makes of a column: times (UTC, or without a zone; NaT where it does not fit) and its name.
Reading: TypeAlias = "tuple[Timestamps, str]"

_ZONED = r"\d[T ].*(?:Z|[+-]\d\d(?::?\d\d)?| UTC)$"
# After a clock these begin a zone; pandas would take +02:0 for one.
_PERHAPS_ZONED = r"\d[T ].*(?:Z|[+-]| UTC)"
# pandas takes "now" and "today" for times.
_NO_WORD = r"-?\d|[A-Za-z]+ \d"


@dataclass(frozen=True, slots=True)
class _Date:
    """A way to write a date. other: the way that differs from it in what comes first, day or month."""

    name: str
    format: str
    other: str = ""


# Of the two that only a day above 12 tells apart the first is taken where there is none.
_DATES = (
    _Date("month/day/year", "%m/%d/%Y", "day/month/year"),
    _Date("day/month/year", "%d/%m/%Y", "month/day/year"),
    _Date("day-month-year", "%d-%m-%Y", "month-day-year"),
    _Date("month-day-year", "%m-%d-%Y", "day-month-year"),
    _Date("day.month.year", "%d.%m.%Y"),
    _Date("Jan 31, 2024", "%b %d, %Y"),
    _Date("January 31, 2024", "%B %d, %Y"),
    _Date("31-Jan-2024", "%d-%b-%Y"),
    _Date("31 Jan 2024", "%d %b %Y"),
    _Date("year-month-day", "%Y-%m-%d"),  # ISO 8601 has no AM and PM
)
_BY_NAME = {date.name: date for date in _DATES}
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_SAMPLE = 1000


def read(cells: Text, interval: Interval) -> tuple[Reading, Guess | None]:
    """The reading that fits most of the cells, the first of equals; what was guessed for it.

    Raises:
        Unreadable: some dates have the day first, and others the month.
    """
    cells = cells.where(cells.str.match(_NO_WORD, na=False))
    way = _likely(cells, _WAYS)
    reading = way(cells)
    date = _BY_NAME.get(reading[1])
    if date is None or not date.other:
        return reading, None
    assert isinstance(way, partial)
    other = partial(_formatted, name=date.other, format=_swapped(way.keywords["format"]))
    return _day_or_month(cells, reading, other, interval)


def read_as(cells: Text, date_format: str) -> Reading:
    """The cells by a format of strptime; one that has no time of day is also tried with one after it."""
    clocks = ("",) if any(part in date_format for part in ("%H", "%I", "%X", "%c", "%T")) else _CLOCKS
    formats = (date_format + clock for clock in clocks)
    way = _likely(cells, [partial(_formatted, name=date_format, format=each) for each in formats])
    return way(cells)


def _likely(cells: Text, ways: Sequence[Callable[[Text], Reading]]) -> Callable[[Text], Reading]:
    """The first way that fits most of a thousand cells; of all, where it fits none of these."""
    sample = cells.dropna()
    for some in (sample.iloc[:: max(1, len(sample) // _SAMPLE)], sample):
        best, most = ways[0], 0
        for way in ways:
            fits = _fits(way(some))
            if fits > most:
                best, most = way, fits
            if fits == len(some):
                break
        if most:
            break
    return best


def _day_or_month(
    cells: Text, reading: Reading, other_way: Callable[[Text], Reading], interval: Interval
) -> tuple[Reading, Guess | None]:
    """What the days above 12 tell; and without one, how far the bars are apart."""
    times, name = reading
    unread = cells[times.isna() & cells.notna()]
    others = other_way(unread)[0].dropna()
    proof = times[times.dt.day > 12]
    if len(others) and len(proof):
        both = " and ".join(repr(str(cells[each.index[0]])) for each in (proof, others))
        raise Unreadable(f"its times {both} do not agree whether the day or the month comes first",
                         settled_by="date_format")  # fmt: skip
    if len(proof):
        return reading, None
    other = other_way(cells)
    if len(others):
        return other, None
    example = repr(str(cells.dropna().iloc[0]))
    if _are_apart(other[0], interval) and not _are_apart(times, interval):
        return other, Guess(
            f"{example} was read as {other[1]}, because its bars are {interval} apart then", "date_format"
        )
    return reading, Guess(f"{example} was read as {name}, and could be {other[1]}", "date_format")


def _are_apart(times: Timestamps, interval: Interval) -> bool:
    """Whether most times are about an interval after the one before."""
    ms = np.unique(times.dropna().to_numpy().astype("datetime64[ms]").astype(np.int64))
    return len(ms) > 1 and 0.5 < float(np.median(np.diff(ms))) / interval.nominal_ms < 2


def _swapped(date_format: str) -> str:
    return date_format.replace("%m", "%-").replace("%d", "%m").replace("%-", "%d")


def _fits(reading: Reading) -> int:
    return int(reading[0].count())


def _epochs(cells: Text) -> Reading:
    return epochs.of_text(cells) or (_no_times(cells), "")


def _zoned(cells: Text) -> Reading:
    cells = cells.where(cells.str.contains(_ZONED, na=False)).str.removesuffix(" UTC")
    return pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce"), OWN_ZONE


def _iso(cells: Text) -> Reading:
    cells = cells.mask(cells.str.contains(_PERHAPS_ZONED, na=False))
    return pd.to_datetime(cells, format="ISO8601", errors="coerce"), "year-month-day"


def _formatted(cells: Text, *, name: str, format: str) -> Reading:  # noqa: A002
    return pd.to_datetime(cells, format=format, errors="coerce", utc="%z" in format), name


def _no_times(cells: Text) -> Timestamps:
    return pd.Series(pd.NaT, index=cells.index, dtype="datetime64[s]")


_WAYS: list[Callable[[Text], Reading]] = [
    _epochs,
    _zoned,
    _iso,
    *(
        partial(_formatted, name=date.name, format=date.format + clock)
        for date in _DATES
        for clock in _CLOCKS
    ),
]
