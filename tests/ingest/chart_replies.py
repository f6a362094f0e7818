"""Chart replies written by hand, and the bars that the provider makes from them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS
from services.ingest.providers.yahoo_bars import CleanBars, Window, clean
from services.ingest.providers.yahoo_chart import Chart, read_chart
from services.ingest.upstream.outcomes import Failure

NEW_YORK = "America/New_York"
Row = Sequence[Any]
ALWAYS = Window(-(10**14), 10**14)
NULL = (None, None, None, None, None)
DAY = (10.0, 12.0, 9.0, 11.0, 100)


def ms(text: str, zone: str = NEW_YORK) -> int:
    """Return the milliseconds of a local time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def session(start: str, end: str, zone: str = NEW_YORK) -> dict[str, int]:
    """Return a trading period between two local times."""
    return {"start": ms(start, zone) // 1000, "end": ms(end, zone) // 1000}


def body(
    rows: Sequence[Row],
    *,
    zone: str = NEW_YORK,
    sessions: Sequence[dict[str, int]] = (),
    current: dict[str, int] | None = None,
    market: str = "",
    events: dict[str, Any] | None = None,
    **meta: Any,
) -> dict[str, Any]:
    """Return a reply of rows (local time or ms, open, high, low, close, volume[, adjusted close])."""
    meta = {"symbol": "X", "exchangeTimezoneName": zone, "priceHint": 2, "currency": "USD", **meta}
    if sessions:
        meta["tradingPeriods"] = [[each] for each in sessions]
    if current:
        meta["currentTradingPeriod"] = {"regular": current}
    if market:
        meta["regularMarketTime"] = ms(market, zone) // 1000
    names = ("open", "high", "low", "close", "volume")
    quote = {name: [row[i + 1] for row in rows] for i, name in enumerate(names)}
    indicators: dict[str, Any] = {"quote": [quote]}
    if rows and len(rows[0]) == 7:
        indicators["adjclose"] = [{"adjclose": [row[6] for row in rows]}]
    stamps = [(row[0] if isinstance(row[0], int) else ms(row[0], zone)) // 1000 for row in rows]
    result = {"meta": meta, "timestamp": stamps, "indicators": indicators, "events": events or {}}
    return {"chart": {"result": [result], "error": None}}


def read(reply: object, *, needs_rows: bool = True) -> Chart | Failure:
    """Read a reply."""
    return read_chart(200, orjson.dumps(reply), needs_rows=needs_rows)


def chart(reply: object, *, needs_rows: bool = True) -> Chart:
    """Return the chart of a reply that has one."""
    found = read(reply, needs_rows=needs_rows)
    assert isinstance(found, Chart)
    return found


def bars(interval: Interval, reply: dict[str, Any], *, now: str = "2030-01-01T00:00") -> CleanBars:
    """Return the bars of a reply."""
    return clean(chart(reply), interval, GRIDS[interval], ALWAYS, now_ms=ms(now))


def times(found: CleanBars, zone: str = NEW_YORK) -> list[str]:
    """Return their local open times."""
    stamps = found.bars.columns.open_time_ms.tolist()
    moments = [datetime.fromtimestamp(t / 1000, ZoneInfo(zone)) for t in stamps]
    return [f"{moment:%m-%d %H:%M}" for moment in moments]


def last(found: CleanBars) -> list[float]:
    """Return the values of the last bar."""
    c = found.bars.columns
    return [float(column[-1]) for column in (c.open, c.high, c.low, c.close, c.volume)]
