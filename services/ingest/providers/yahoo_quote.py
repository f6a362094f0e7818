"""From a chart to the quote in its `meta`."""

import numpy as np

from services.ingest.providers.yahoo_chart import OPEN, Chart
from services.ingest.series import Quote
from services.ingest.upstream.outcomes import Failure, Outcome, malformed


def quote_of(chart: Chart, symbol: str, *, now_ms: int, source: str) -> Quote | Failure:
    """The last regular price of `symbol`.

    The chart's own rows give the day's open, where they are of the quote's day. A market state is given for
    regular prices only: REGULAR while the session of the quote's time runs, else CLOSED.
    """
    if chart.symbol and chart.symbol != symbol:
        return malformed(f"asked for {symbol}, it sent {chart.symbol}")
    if chart.price is None or chart.market_time_ms is None:
        return Failure(Outcome.NO_DATA, "a reply without a price")
    if chart.price <= 0:
        return malformed(f"a price of {chart.price!r}")
    return Quote(
        symbol=symbol,
        price=chart.price,
        currency=chart.instrument.currency,
        market_time_ms=chart.market_time_ms,
        source=source,
        fetched_at_ms=now_ms,
        price_precision=chart.instrument.price_precision,
        previous_close=_positive(chart.previous_close),
        day_open=_day_open(chart, chart.market_time_ms),
        day_high=_positive(chart.day_high),
        day_low=_positive(chart.day_low),
        day_volume=chart.day_volume if chart.day_volume is not None and chart.day_volume >= 0 else None,
        market_state=_market_state(chart, chart.market_time_ms),
    )


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _market_state(chart: Chart, market_time_ms: int) -> str:
    session = chart.current_session
    if session is None:
        return ""
    return "REGULAR" if session.start_ms <= market_time_ms < session.end_ms else "CLOSED"


def _day_open(chart: Chart, market_time_ms: int) -> float | None:
    """The first open of the session that the market time lies in or follows, of an intraday chart."""
    session = next((s for s in reversed(chart.sessions) if s.start_ms <= market_time_ms), None)
    if session is None:
        return None
    of_session = (chart.times_ms >= session.start_ms) & (chart.times_ms < session.end_ms)
    opens = chart.values[OPEN, of_session & (np.nan_to_num(chart.values[OPEN]) > 0)]
    return float(opens[0]) if len(opens) else None
