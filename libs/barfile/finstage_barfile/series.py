"""Whether times and prices can be those of one series of an interval."""

import numpy as np

from finstage_barfile.errors import Unreadable
from finstage_market.columns import PRICES, Columns
from finstage_market.interval import Interval

# What is wrong in fewer rows is left to who takes the bars, and refuses it row by row.
_FEW, _PART = 10, 0.1


def check(bars: Columns, interval: Interval) -> None:
    """
    Raises:
        Unreadable: many times are there with several prices, as in a file of several tickers; or most bars
            are closer to each other than the interval is long.
    """
    distance = np.diff(bars.open_time_ms)
    again = 0
    if len(at := np.flatnonzero(distance == 0)):
        prices = [getattr(bars, name) for name in PRICES]
        again = int(np.logical_or.reduce([each[at] != each[at + 1] for each in prices]).sum())
    if again >= _FEW and again >= _PART * len(bars):
        raise Unreadable(
            f"{again:,} of its {len(bars):,} rows have the time of another row and other prices, "
            "as in a file of several tickers",
            settled_by="mapping",
            fields=["symbol"],
        )
    if not len(distance) or 2 * distance.min() >= interval.nominal_ms:
        return
    distance = distance[distance > 0]
    if len(distance) >= _FEW and 2 * (usual := float(np.median(distance))) < interval.nominal_ms:
        told = f"its times are {usual / 60_000:,g} min apart, and {interval} bars cannot be"
        raise Unreadable(told, settled_by="interval")
