"""From a chart to the quote in its `meta`."""

import numpy as np

from services.ingest.providers.yahoo_chart import OPEN, Chart
from services.ingest.providers.yahoo_rows import whole
from services.ingest.providers.yahoo_symbols import not_asked_for
from services.ingest.series import Quote
from services.ingest.upstream.outcomes import Failure, Outcome


def quote_of(chart: Chart, symbol: str, *, now_ms: int, source: str) -> Quote | Failure:
    """Return the last regular price of `symbol`.

    The chart's own rows give the day's open, where they are of the quote's day. The market is REGULAR while
    the session of the quote's time runs, by the quote's time and by the clock, else CLOSED.
    """
    if failure := not_asked_for(symbol, chart.symbol):
        return failure
    if chart.price is None or chart.market_time_ms is None:
        return Failure(Outcome.NO_DATA, "a reply without a price")
    negative = chart.instrument.may_be_negative
    if chart.price <= 0 and not negative:
        said = f"the provider sent a price of {chart.price!r}; a price above 0 is accepted"
        return Failure(Outcome.NO_DATA, said, refused=True)
    return Quote(
        symbol=symbol,
        price=chart.price,
        currency=chart.instrument.currency,
        market_time_ms=chart.market_time_ms,
        source=source,
        fetched_at_ms=now_ms,
        price_precision=chart.instrument.price_precision,
        previous_close=price_or_none(chart.previous_close, negative=negative),
        day_open=_day_open(chart, chart.market_time_ms, negative=negative),
        day_high=price_or_none(chart.day_high, negative=negative),
        day_low=price_or_none(chart.day_low, negative=negative),
        day_volume=chart.day_volume if chart.day_volume is not None and chart.day_volume >= 0 else None,
        market_state=_market_state(chart, chart.market_time_ms, now_ms),
    )


def price_or_none(value: float | None, *, negative: bool) -> float | None:
    """Return the value where it is a price; negative: whether zero and below are prices."""
    return value if value is not None and (negative or value > 0) else None


def _market_state(chart: Chart, market_time_ms: int, now_ms: int) -> str:
    if chart.current_session is None:
        return ""
    session = whole(chart.current_session, chart.zone)
    runs = session.start_ms <= market_time_ms < session.end_ms and now_ms < session.end_ms
    return "REGULAR" if runs else "CLOSED"


def _day_open(chart: Chart, market_time_ms: int, *, negative: bool) -> float | None:
    """The first open of the session that the market time lies in or follows, of an intraday chart."""
    session = next((s for s in reversed(chart.sessions) if s.start_ms <= market_time_ms), None)
    if session is None:
        return None
    session = whole(session, chart.zone)
    of_session = (chart.times_ms >= session.start_ms) & (chart.times_ms < session.end_ms)
    opens = chart.values[OPEN, of_session & ~np.isnan(chart.values[OPEN])]
    opens = opens if negative else opens[opens > 0]
    return float(opens[0]) if len(opens) else None
