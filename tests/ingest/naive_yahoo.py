"""A slow, obvious reader of recorded chart replies: the second opinion that the provider's is held against.

Rows that fall into the same slot are one bar (first open, highest high, lowest low, last close, largest
volume). Rows that lack a price, or whose prices contradict one another, are not bars. A price that is a
float32 is the number of the instrument's precision that a float32 cannot tell from it, else the shortest
decimal that is the same float32.
"""

import json
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Row = tuple[float, float, float, float, float]

STEP_S = {"1m": 60, "30m": 1800, "1h": 3600}


def read_bars(path: Path) -> dict[datetime, Row]:
    """(open, high, low, close, volume) of each bar, by its aware local open time."""
    result = (json.loads(path.read_text())["chart"]["result"] or [{}])[0]
    meta, times = result["meta"], result.get("timestamp", [])
    quote = result["indicators"]["quote"][0]
    rows_of: dict[datetime, list[Row]] = defaultdict(list)
    zone = ZoneInfo(meta["exchangeTimezoneName"])
    opens = datetime.fromtimestamp(times[0], zone).timetz() if times else None
    for i, stamp in enumerate(times):
        names = ("open", "high", "low", "close")
        row = tuple(_decimal(quote[name][i], meta) if name in quote else None for name in names)
        slot = _slot(datetime.fromtimestamp(stamp, zone), opens, meta)
        if slot is not None and None not in row:
            rows_of[slot].append((*row, quote["volume"][i]))
    bars = {slot: _one(rows) for slot, rows in rows_of.items()}
    return {slot: bar for slot, bar in bars.items() if _possible(bar)}


def _decimal(value: float | None, meta: dict[str, Any]) -> float | None:
    if value is None or abs(value - float(np.float32(value))) > 1e-14 * abs(value):
        return value
    rounded = round(value, meta["priceHint"]) if "priceHint" in meta else value + 1
    single = np.float32(value)
    return rounded if abs(rounded - value) <= 2**-23 * abs(value) else float(str(single))


def _slot(when: datetime, opens: Any, meta: dict[str, Any]) -> datetime | None:
    """Where a row belongs; None when it is outside the regular session."""
    day: date = when.date()
    match meta["dataGranularity"]:
        case "1d":
            return datetime.combine(day, opens)
        case "1wk":
            return datetime.combine(day - timedelta(days=day.weekday()), opens)
        case "1mo" | "3mo":
            return datetime.combine(day.replace(day=1), opens)
        case granularity:
            for session in _regular(meta["tradingPeriods"]):
                if session["start"] <= when.timestamp() < session["end"]:
                    past = (when.timestamp() - session["start"]) % STEP_S[granularity]
                    return when - timedelta(seconds=past)
    return None


def _regular(periods: Any) -> list[dict[str, int]]:
    lists = periods["regular"] if isinstance(periods, dict) else periods
    return [session for each in lists for session in each]


def _one(rows: list[Row]) -> Row:
    return (
        rows[0][0],
        max(row[1] for row in rows),
        min(row[2] for row in rows),
        rows[-1][3],
        max(row[4] for row in rows),
    )


def _possible(bar: Row) -> bool:
    open_, high, low, close, _ = bar
    return 0 < low <= min(open_, close) and high >= max(open_, close)
