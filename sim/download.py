"""Daily and longer history as CSV: /v7/finance/download/{symbol}."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np

from sim.market import View
from sim.query import Json
from sim.reply import Reply

_HEADER = "Date,Open,High,Low,Close,Adj Close,Volume"


def download(result: Json, view: View, *, foreign: bool) -> Reply:
    """Return a chart's result as CSV.

    Args:
        foreign: write it as other tools do: a byte-order mark, M/D/YYYY, newest first, fractional volumes.
    """
    quote = result["indicators"]["quote"][0]
    zone = ZoneInfo(view.instrument.schedule.time_zone)
    columns = [np.round(quote[name], 6) for name in ("open", "high", "low", "close")]
    adjusted = np.round(result["indicators"]["adjclose"][0]["adjclose"], 6)
    lines = []
    for time, *prices, volume in zip(result["timestamp"], *columns, adjusted, quote["volume"], strict=True):
        day = dt.datetime.fromtimestamp(int(time), zone).date()
        date = f"{day.month}/{day.day}/{day.year}" if foreign else day.isoformat()
        shown = f"{volume + 0.25:.2f}" if foreign else str(volume)
        lines.append(",".join((date, *(f"{price:.6f}" for price in prices), shown)))
    if foreign:
        lines.reverse()
    text = "\n".join((_HEADER, *lines, ""))
    return Reply(200, text.encode("utf-8-sig" if foreign else "utf-8"), "text/csv")
