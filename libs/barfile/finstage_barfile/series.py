"""Whether times and prices can be those of one series."""

from datetime import UTC, datetime

import numpy as np

from finstage_barfile.bars import Bars
from finstage_barfile.errors import Unreadable
from finstage_barfile.times import NONE
from finstage_market.columns import PRICES, Int64s

# The service refuses fewer wrong rows one by one.
_FEW, _PART = 10, 0.1
_YEAR_MS = 365.25 * 86_400_000
# Times that are so far from all others are in another unit, or of another century.
_FAR_MS = 20 * _YEAR_MS
_FEBRUARY_1970_MS = 31 * 86_400_000


def check_times(times: Int64s) -> None:
    """Check that instants are not numbers of another unit.

    Raises:
        Unreadable: all of them are in January 1970, and some are not at a whole minute.
    """
    if len(times) and times.min() >= 0 and times.max() < _FEBRUARY_1970_MS and (times % 60_000 != 0).any():
        when = datetime.fromtimestamp(int(times[0]) / 1000, UTC)
        raise Unreadable(
            f"its times are in January 1970 ({when:%Y-%m-%d %H:%M:%S}), as numbers of another unit are"
        )


def far_away(times: Int64s) -> dict[int, str]:
    """The rows whose times are decades from most others, and why they are refused; NONE is no time."""
    there = times[times != NONE]
    if not len(there) or int(there.max()) - int(there.min()) <= _FAR_MS:
        return {}
    order = np.argsort(times, kind="stable")
    order = order[np.searchsorted(times[order], NONE, side="right") :]
    breaks = np.flatnonzero(np.diff(times[order]) > _FAR_MS) + 1
    if not len(breaks):
        return {}
    groups = np.split(order, breaks)
    main = max(groups, key=len)
    first, last = int(times[main[0]]), int(times[main[-1]])
    refused = {}
    for group in groups:
        for row in group.tolist() if group is not main else ():
            years = max(first - int(times[row]), int(times[row]) - last) / _YEAR_MS
            refused[row] = f"is {years:.0f} years from most other rows"
    return refused


def check_prices(bars: Bars) -> None:
    """Check that the rows are those of one ticker.

    Raises:
        Unreadable: many times are there with several prices, as in a file of several tickers.
    """
    again = 0
    same = np.diff(bars.open_time_ms) == 0
    if int(same.sum()) >= max(_FEW, _PART * len(bars)):
        for piece in bars.pieces():
            rows = slice(max(piece.start - 1, 0), piece.stop)
            at = np.flatnonzero(same[rows.start : rows.stop - 1])
            prices = [bars.prices(name, rows) for name in PRICES]
            again += int(np.logical_or.reduce([each[at] != each[at + 1] for each in prices]).sum())
    if again >= _FEW and again >= _PART * len(bars):
        raise Unreadable(
            f"{again:,} of its {len(bars):,} rows have the time of another row and other prices, "
            "as in a file of several tickers",
            settled_by="column_names",
            fields=["symbol"],
        )
