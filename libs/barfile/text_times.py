"""Times that are written as text: the ways to write them, and which of them a column is written in."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pandas as pd

from libs.barfile import epochs
from libs.barfile.table import Text, Timestamps

OWN_ZONE = "times with their own zone"

# What a way makes of a column: times (UTC, or without a zone; NaT where it does not fit) and its name.
Read: TypeAlias = "tuple[Timestamps, str]"

_ZONED = r"\d[T ].*(?:Z|[+-]\d\d(?::?\d\d)?| UTC)$"
# After a clock these begin a zone; pandas would take +02:0 for one.
_PERHAPS_ZONED = r"\d[T ].*(?:Z|[+-]| UTC)"
_DATES = (
    ("month/day/year", "%m/%d/%Y"),
    ("day/month/year", "%d/%m/%Y"),
    ("day.month.year", "%d.%m.%Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_SAMPLE = 1000


def read(cells: Text) -> Read:
    """The reading that fits most of the cells, the first of equals."""
    # pandas takes "now" and "today" for times.
    cells = cells.where(cells.str.match(r"-?\d", na=False))
    sample = cells.iloc[:: max(1, len(cells) // _SAMPLE)]
    # A way that fits none of a thousand rows is not tried on a million.
    likely = [way for way in _WAYS if _fits(way(sample))] or _WAYS
    best = None
    for way in likely:
        reading = way(cells)
        if best is None or _fits(reading) > _fits(best):
            best = reading
        if _fits(best) == cells.count():
            break
    assert best is not None
    return best


def _fits(reading: Read) -> int:
    return int(reading[0].count())


def _epochs(cells: Text) -> Read:
    return epochs.of_text(cells) or (_no_times(cells), "")


def _zoned(cells: Text) -> Read:
    cells = cells.where(cells.str.contains(_ZONED, na=False)).str.removesuffix(" UTC")
    return pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce"), OWN_ZONE


def _iso(cells: Text) -> Read:
    cells = cells.mask(cells.str.contains(_PERHAPS_ZONED, na=False))
    return pd.to_datetime(cells, format="ISO8601", errors="coerce"), "year-month-day"


def _formatted(cells: Text, *, name: str, format: str) -> Read:  # noqa: A002
    return pd.to_datetime(cells, format=format, errors="coerce"), name


def _no_times(cells: Text) -> Timestamps:
    return pd.Series(pd.NaT, index=cells.index, dtype="datetime64[s]")


_WAYS: list[Callable[[Text], Read]] = [
    _epochs,
    _zoned,
    _iso,
    *(partial(_formatted, name=name, format=date + clock) for name, date in _DATES for clock in _CLOCKS),
]
