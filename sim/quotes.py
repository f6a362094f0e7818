"""Replies of the quote and search paths: /v7/finance/quote and /v1/finance/search."""

from typing import Any

from sim.chart import zone_at
from sim.instruments import TYPE_NAMES, Instrument, Kind
from sim.market import Market, UnknownSymbolError, View

Json = dict[str, Any]

DEFAULT_SEARCH_COUNT = 7


def quotes(market: Market, symbols: list[str]) -> Json:
    """Return one entry per known symbol, in the given order; unknown ones are left out, as in the API."""
    found = []
    for symbol in symbols:
        try:
            found.append(_quote(market.at(symbol)))
        except UnknownSymbolError:
            continue
    return {"quoteResponse": {"result": found, "error": None}}


def market_state(view: View) -> str:
    """Return PRE, REGULAR, POST or CLOSED."""
    history, now = view.history, view.now
    if view.instrument.kind is not Kind.FUND and now < history.close_time[view.last]:
        return "REGULAR" if view.live.open_now else "CLOSED"
    if view.instrument.schedule.extended:
        if now < history.post_close(view.last):
            return "POST"
        if now >= history.pre_open(view.last + 1):
            return "PRE"
    return "CLOSED"


def _quote(view: View) -> Json:
    instrument, live = view.instrument, view.live
    offset, zone = zone_at(instrument, view.now)
    price = view.decimal(live.bar.close[0])
    previous = view.decimal(view.close_of(max(view.last - 1, 0)))
    low, high = view.decimal(live.bar.low[0]), view.decimal(live.bar.high[0])
    year = view.daily(max(view.last - 251, 0), view.last + 1)
    return {
        "language": "en-US",
        "region": "US",
        "quoteType": instrument.kind,
        "typeDisp": TYPE_NAMES[instrument.kind],
        "quoteSourceName": "Simulated",
        "currency": instrument.currency,
        "exchange": instrument.exchange.code,
        "fullExchangeName": instrument.exchange.name,
        "exchangeTimezoneName": instrument.schedule.time_zone,
        "exchangeTimezoneShortName": zone,
        "gmtOffSetMilliseconds": offset * 1000,
        "exchangeDataDelayedBy": 0,
        "sourceInterval": 15,
        "marketState": market_state(view),
        "hasPrePostMarketData": instrument.schedule.extended,
        "firstTradeDateMilliseconds": int(view.history.bars.time[0]) * 1000,
        "priceHint": instrument.price_hint,
        "tradeable": False,
        "triggerable": False,
        "regularMarketPrice": price,
        "regularMarketTime": live.time,
        "regularMarketChange": view.decimal(price - previous),
        "regularMarketChangePercent": round((price / previous - 1) * 100, 6),
        "regularMarketPreviousClose": previous,
        "regularMarketOpen": view.decimal(live.bar.open[0]),
        "regularMarketDayHigh": high,
        "regularMarketDayLow": low,
        "regularMarketDayRange": f"{low} - {high}",
        "regularMarketVolume": int(live.bar.volume[0]),
        "fiftyTwoWeekHigh": view.decimal(year.high.max()),
        "fiftyTwoWeekLow": view.decimal(year.low.min()),
        "shortName": instrument.name[:30],
        "longName": instrument.name,
        "symbol": view.symbol,
    }


def search(market: Market, text: str, count: int) -> Json:
    """Return the instruments with the text in their symbol or name.

    Whole symbols come first, then starts of symbols, then starts of words; symbols that show an anomaly come
    last.
    """
    wanted = text.strip().upper()
    scored = [
        (score, instrument)
        for instrument in market.instruments.values()
        if wanted and (score := _score(instrument, wanted))
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].symbol))
    entries = [_found(instrument, score) for score, instrument in scored[:count]]
    return {"explains": [], "count": len(entries), "quotes": entries, "news": [], "nav": [], "lists": []}


def _score(instrument: Instrument, wanted: str) -> float:
    name = instrument.name.upper()
    if instrument.symbol == wanted:
        score = 100_000.0
    elif instrument.symbol.removeprefix("^").startswith(wanted):
        score = 30_000.0
    elif any(word.startswith(wanted) for word in name.split()) or name.startswith(wanted):
        score = 20_000.0
    elif wanted in name or wanted in instrument.symbol:
        score = 10_000.0
    else:
        return 0.0
    return score / 10 if instrument.defective and score < 100_000 else score


def _found(instrument: Instrument, score: float) -> Json:
    return {
        "exchange": instrument.exchange.code,
        "shortname": instrument.name[:30],
        "quoteType": instrument.kind,
        "symbol": instrument.symbol,
        "index": "quotes",
        "score": score,
        "typeDisp": TYPE_NAMES[instrument.kind],
        "longname": instrument.name,
        "exchDisp": instrument.exchange.display,
        "isYahooFinance": True,
    }
