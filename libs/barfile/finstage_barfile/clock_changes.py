"""Local times to UTC, the hour that the clock shows twice told apart by the order of the rows."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from finstage_barfile.times import NONE
from finstage_market.columns import Int64s

_PIECE = 1 << 18


def to_utc(clocks: Int64s, zone: ZoneInfo) -> Int64s:
    """The instants of local times in milliseconds, which are in the file's order; NONE where there is none.

    An hour that the zone's clocks show twice is read where both are there in order: the rows before
    the step back are those of the first. Where only one is there, it is not guessed.
    """
    utc = np.empty_like(clocks)
    for start in range(0, len(clocks), _PIECE):
        some = pd.DatetimeIndex(clocks[start : start + _PIECE].view("datetime64[ms]"))
        utc[start : start + _PIECE] = _localised(some, zone, "NaT")
    missing = np.flatnonzero((utc == NONE) & (clocks != NONE))
    if not len(missing):
        return utc
    some = pd.DatetimeIndex(clocks[missing].view("datetime64[ms]"))
    first, second = (_localised(some, zone, np.full(len(some), is_first)) for is_first in (True, False))
    twice = first != second
    rows, first, second = missing[twice], first[twice], second[twice]
    down = bool(clocks[0] > clocks[-1])
    for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
        if down:
            run = run[::-1]
        back = np.flatnonzero(np.diff(clocks[rows[run]]) <= 0) + 1
        if len(back) == 1:
            before, after = run[: back[0]], run[back[0] :]
            utc[rows[before]], utc[rows[after]] = first[before], second[after]
    return utc


def midnights(days: Int64s, zone: ZoneInfo) -> Int64s:
    """The first moment of each local day, days and moments in milliseconds; NONE stays NONE."""
    if zone.key == "UTC":
        return days
    distinct, places = np.unique(days, return_inverse=True)
    clocks = pd.DatetimeIndex(distinct.view("datetime64[ms]"))
    # Of two midnights the first is the one of summer time; where there is none, the day begins later.
    moments = clocks.tz_localize(
        zone, ambiguous=np.ones(len(clocks), dtype=bool), nonexistent="shift_forward"
    )
    return (
        moments.tz_convert("UTC")
        .tz_localize(None)
        .to_numpy()
        .astype("datetime64[ms]")
        .astype(np.int64)[places]
    )


def _localised(clocks: pd.DatetimeIndex, zone: ZoneInfo, ambiguous: object) -> Int64s:
    moments = clocks.tz_localize(zone, ambiguous=ambiguous, nonexistent="NaT")  # type: ignore[arg-type]
    return moments.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
