"""Adjustment for dividends, applied when bars are read; stored bars are never rewritten for it.

A dividend multiplies each price before its day by 1 - amount / close, where close is the last one before that
day, as CRSP and Yahoo do. The factor of a bar with a stored adjusted close is adjusted close / close, times
the factors of the later dividends that the adjusted close does not include. The factor of another bar is the
product over all dividends after it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from finstage_market.columns import Columns, Int64s
from finstage_market.interval import Interval
from services.ingest.hours.zones import zone_of
from services.ingest.series import Event, EventKind
from services.ingest.store.diff import Bars

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Dividend:
    """A dividend's effect on one series: bars that opened before before_ms are multiplied by factor.

    time_ms: of the event itself.
    """

    before_ms: int
    time_ms: int
    factor: float


def pays(event: Event) -> bool:
    """Whether an event lowers the prices before it, as dividends and capital gains do."""
    return event.kind is not EventKind.SPLIT and bool(event.amount)


def paid_ms(events: Iterable[Event]) -> Int64s:
    """Return the times of the events that pay, in order."""
    return np.array(sorted(event.time_ms for event in events if pays(event)), dtype=np.int64)


def dividends(
    events: Iterable[Event],
    *,
    interval: Interval,
    time_zone: str,
    close_before: Callable[[int], float | None],
) -> list[Dividend]:
    """Return the dividends among `events`, in order of time, with their effects on a series.

    Args:
        time_zone: of the exchange, an IANA name; empty: UTC.
        close_before: returns the close of the last bar that opened before a time; None: there is none.
    """
    out = []
    for event in sorted((e for e in events if pays(e)), key=lambda e: e.time_ms):
        before_ms = period_start_ms(interval, event.time_ms, time_zone)
        close = close_before(before_ms)
        # An amount above the price is wrong, such as one in another currency: a factor would be false.
        if close and event.amount and 0 < event.amount < close:
            out.append(Dividend(before_ms, event.time_ms, 1 - event.amount / close))
    return out


def period_start_ms(interval: Interval, time_ms: int, time_zone: str) -> int:
    """Return the start of the day of `time_ms` in a zone; for longer bars of its week or month.

    The dates of a file are midnights without a zone. For daily and longer bars the start is therefore the
    midnight in the zone or the one in UTC, whichever is earlier; no bar of the day before opens between them.
    """
    local = (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(zone_of(time_zone) or UTC)
    start = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval is Interval.W1:
        start -= timedelta(days=start.weekday())
    elif interval is Interval.MO1:
        start = start.replace(day=1)
    if not interval.is_intraday:
        start = min(start, start.replace(tzinfo=UTC))
    return (start.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def adjusted(bars: Bars, paid: Sequence[Dividend], adjusted_to_ms: Int64s) -> Columns:
    """Return the bars with prices lowered for the dividends after them.

    Args:
        paid: all dividends of the series, in order of time.
        adjusted_to_ms: int64[n], the stored adjusted closes include the dividends up to this time.
    """
    products = np.cumprod([1.0, *(d.factor for d in reversed(paid))])[::-1]
    first_after = np.searchsorted([d.before_ms for d in paid], bars.times, side="right")
    columns, factors = bars.columns, products[first_after]
    close = columns.close * factors
    if bars.adjusted_close is not None:
        unknown = np.searchsorted([d.time_ms for d in paid], adjusted_to_ms, side="right")
        later = products[np.maximum(first_after, unknown)]
        known = ~np.isnan(bars.adjusted_close) & (columns.close > 0)
        safe = np.where(known, columns.close, 1.0)
        factors = np.where(known, bars.adjusted_close / safe * later, factors)
        close = np.where(known, bars.adjusted_close * later, close)
    return Columns(
        columns.open_time_ms,
        columns.open * factors,
        # The close is the provider's own number: rounding must not put it outside high and low.
        np.maximum(columns.high * factors, close),
        np.minimum(columns.low * factors, close),
        close,
        columns.volume,
    )
