"""Replies of the chart API: /v8/finance/chart/{symbol}."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from sim.instruments import Instrument, Kind
from sim.market import View
from sim.prices import Bars, FloatArray, Payment
from sim.query import FUND_RANGES, RANGES, ChartQuery, Json, bad_request
from sim.sessions import DAY_S

# Until this long after the last trade, the current day's bar carries that trade's time instead of its own.
_SETTLING_S = 4 * 3600


@dataclass(frozen=True)
class Chart:
    """The bars of a reply, before they become JSON."""

    bars: Bars
    adjusted: FloatArray | None  # only for a day and longer
    first: int  # index of the first day
    stop: int  # one past the last day's


def chart(view: View, query: ChartQuery) -> Json:
    """Return the result of a request, with NumPy columns in it.

    Raises:
        ApiError: 400, the symbol has no data at that time.
    """
    if query.end < view.history.bars.time[0] or query.start > view.now:
        raise bad_request(f"Data doesn't exist for startDate = {query.start}, endDate = {query.end}")
    data = _intraday(view, query) if query.step_s else _long(view, query)
    result: Json = {"meta": meta(view, query, data)}
    quote: Json = {}
    if len(data.bars):
        bars = data.bars.priced(_float32)
        result["timestamp"] = bars.time
        if events := _event_map(view, query, data):
            result["events"] = events
        quote = {
            "open": bars.open,
            "high": bars.high,
            "low": bars.low,
            "close": bars.close,
            "volume": bars.volume,
        }
    result["indicators"] = {"quote": [quote]}
    if query.step_s is None:
        adjusted = {} if data.adjusted is None else {"adjclose": _float32(data.adjusted)}
        result["indicators"]["adjclose"] = [adjusted]
    return result


def _float32(prices: FloatArray) -> FloatArray:
    """Return prices as the API sends them, float32 written out as doubles: 129.55 is 129.5500030517578."""
    return prices.astype(np.float32).astype(np.float64)


def _intraday(view: View, query: ChartQuery) -> Chart:
    assert query.step_s is not None
    history = view.history
    first = int(np.searchsorted(history.close_time, query.start, "right"))
    stop = min(int(np.searchsorted(history.bars.time, query.end, "right")), view.last + 1)
    if query.extended and view.instrument.schedule.extended:
        # The next pre-market may have begun, and the previous post-market may reach into the window.
        while stop < len(history.days) and history.pre_open(stop) <= min(query.end, view.now):
            stop += 1
        while first > 0 and history.post_close(first - 1) > query.start:
            first -= 1
    nothing = history.bars.cut(0, 0)
    if view.instrument.kind is Kind.FUND or first >= stop:
        return Chart(nothing, None, first, max(first, stop))
    bars = nothing.then(
        *(view.intraday(i, query.step_s, extended=query.extended) for i in range(first, stop))
    )
    begin = int(np.searchsorted(bars.time, query.start, "left"))
    # A period excludes a bar at period2; a range includes a bar that opens this very second.
    end = int(np.searchsorted(bars.time, query.end, "right" if query.range else "left"))
    bars = bars.cut(begin, end)
    if stop == view.last + 1 and not query.extended:
        bars = _with_live_tail(bars, view, query)
    return Chart(bars, None, first, stop)


def _with_live_tail(bars: Bars, view: View, query: ChartQuery) -> Bars:
    """Append the last price as a bar at the time of the last trade, off the grid; after the close, a stub."""
    live = view.live
    on_grid = len(bars) > 0 and live.time <= bars.time[-1]
    if on_grid or not query.start <= live.time <= query.end:
        return bars
    price = live.bar.close
    return bars.then(Bars(np.array([live.time]), price, price, price, price, np.zeros(1, dtype=np.int64)))


def _long(view: View, query: ChartQuery) -> Chart:
    """Return days, or the weeks, months or quarters that they form."""
    first, stop = _days(view, query)
    bars, adjusted = view.daily(first, stop), view.adjusted(first, stop)
    if query.interval != "1d" and first < stop:
        starts, group_times = view.market.groups(view.symbol, query.interval)
        groups = slice(np.searchsorted(starts, first, "right") - 1, np.searchsorted(starts, stop, "left"))
        inside = np.maximum(starts[groups], first) - first
        adjusted = adjusted[np.append(inside[1:], len(bars)) - 1]
        bars = bars.grouped(inside, group_times[groups])
    settled = query.interval == "1d" and view.now - view.live.time > _SETTLING_S
    if not settled and query.end >= view.history.bars.time[view.last] and view.live.time >= _floor(query):
        today = view.live.bar
        if query.interval == "1d" and first <= view.last:  # the current day carries the last trade's time
            bars, adjusted = bars.cut(0, len(bars) - 1), adjusted[:-1]
        bars = bars.then(replace(today, time=np.array([view.live.time])))
        adjusted = np.append(adjusted, today.close)
    return Chart(bars, adjusted if len(bars) else None, first, stop)


def _days(view: View, query: ChartQuery) -> tuple[int, int]:
    """Return the days [first, stop) of the reply, by the rules that recorded replies show.

    Days and weeks consist of the sessions from the UTC day of period1 to period2, so a week at either end may
    be partial. Months and quarters consist of the whole months that start in that time, so a quarter at
    either end may be partial. A range is a period with a computed start.
    """
    unit = "1d" if query.interval in ("1d", "1wk") else "1mo"
    starts, times = view.market.groups(view.symbol, unit)
    starts = np.append(starts, len(view.history.days))
    first = int(starts[np.searchsorted(times, _floor(query), "left")])
    stop = int(starts[np.searchsorted(times, query.end, "right")])
    return min(first, view.last + 1), min(stop, view.last + 1)


def _floor(query: ChartQuery) -> int:
    return query.start if query.range else query.start // DAY_S * DAY_S


def _event_map(view: View, query: ChartQuery, data: Chart) -> Json:
    """Return the events of the days shown, keyed by the time of their bar; `date` is their day's time."""
    times = view.history.bars.time
    starts, group_times = view.market.groups(view.symbol, query.interval)

    def entries(items: Iterable[tuple[int, Json]]) -> Json:
        shown = ((i, entry) for i, entry in items if data.first <= i < data.stop)
        return {
            str(group_times[np.searchsorted(starts, i, "right") - 1]): {**entry, "date": int(times[i])}
            for i, entry in shown
        }

    def payments(items: Iterable[Payment]) -> Json:
        return entries((payment.index, {"amount": round(payment.amount, 6)}) for payment in items)

    splits = (
        (
            i,
            {
                "numerator": split.numerator,
                "denominator": split.denominator,
                "splitRatio": f"{split.numerator}:{split.denominator}",
            },
        )
        for i, split in view.splits()
    )
    events = {
        "dividends": payments(view.dividends()) if "div" in query.events else {},
        "splits": entries(splits) if "split" in query.events else {},
        "capitalGains": payments(view.capital_gains()) if "capitalGains" in query.events else {},
    }
    return {name: entries_ for name, entries_ in events.items() if entries_}


def meta(view: View, query: ChartQuery, data: Chart) -> Json:
    """Return the `meta` of a reply."""
    instrument, live = view.instrument, view.live
    before = int(np.searchsorted(view.history.bars.time, query.start - bool(query.range), "right")) - 1
    year = view.daily(max(view.last - 251, 0), view.last + 1)
    offset, zone = zone_at(instrument, view.now)
    fund = instrument.kind is Kind.FUND
    out: Json = {
        "currency": instrument.currency,
        "symbol": view.symbol,
        "exchangeName": instrument.exchange.code,
        "fullExchangeName": instrument.exchange.name,
        "instrumentType": instrument.kind,
        "firstTradeDate": int(view.history.bars.time[0]),
        "regularMarketTime": live.time,
        "hasPrePostMarketData": instrument.schedule.extended,
        "gmtoffset": offset,
        "timezone": zone,
        "exchangeTimezoneName": instrument.schedule.time_zone,
        "regularMarketPrice": view.decimal(live.bar.close[0]),
        "fiftyTwoWeekHigh": view.decimal(year.high.max()),
        "fiftyTwoWeekLow": view.decimal(year.low.min()),
    }
    if not fund:
        out["regularMarketDayHigh"] = view.decimal(live.bar.high[0])
        out["regularMarketDayLow"] = view.decimal(live.bar.low[0])
        out["regularMarketVolume"] = int(live.bar.volume[0])
    out["longName"] = instrument.name
    out["shortName"] = instrument.name[:30]
    out["chartPreviousClose"] = view.decimal(view.close_of(max(before, 0)))
    if query.step_s:
        out["previousClose"] = view.decimal(view.close_of(max(view.last - 1, 0)))
        out["scale"] = 3
    out["priceHint"] = instrument.price_hint
    current = view.last if view.history.post_close(view.last) > view.now else view.last + 1
    out["currentTradingPeriod"] = _session(view, current)
    if query.step_s and len(data.bars):
        sessions = [_session(view, i) for i in range(data.first, data.stop)]
        if query.extended:
            out["tradingPeriods"] = {
                part: [[session[part]] for session in sessions] for part in ("pre", "post", "regular")
            }
        else:
            out["tradingPeriods"] = [[session["regular"]] for session in sessions]
    out["dataGranularity"] = "1h" if query.interval == "60m" else query.interval
    out["range"] = query.range
    out["validRanges"] = list(FUND_RANGES if fund else RANGES)
    return out


def zone_at(instrument: Instrument, at: float) -> tuple[int, str]:
    """Return the offset from UTC in seconds and the zone's short name, at an epoch second."""
    local = dt.datetime.fromtimestamp(at, ZoneInfo(instrument.schedule.time_zone))
    offset = local.utcoffset()
    assert offset is not None
    return int(offset.total_seconds()), str(local.tzname())


def _session(view: View, i: int) -> Json:
    history = view.history
    start, end = int(history.bars.time[i]), int(history.close_time[i])
    if view.instrument.schedule.around_the_clock:
        end -= 60  # the API says 23:59
    offset, zone = zone_at(view.instrument, start)
    spans = {
        "pre": (min(history.pre_open(i), start), start),
        "regular": (start, end),
        "post": (end, max(history.post_close(i), end)),
    }
    if view.instrument.schedule.around_the_clock:
        spans["post"] = (end, end)
    return {
        part: {"timezone": zone, "start": a, "end": b, "gmtoffset": offset} for part, (a, b) in spans.items()
    }
