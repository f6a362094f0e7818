"""Adjustment for dividends, applied when bars are read; stored bars are never rewritten for it.

A dividend lowers each price before its day by its part of the close before it: by the factor
1 - amount / close, as CRSP and Yahoo do. The factor of a bar is adjusted close / close where an adjusted
close is stored, times the factors of the dividends that it cannot know because they came later; else the
product over all dividends after the bar.
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

    time_ms: the event's own time.
    """

    before_ms: int
    time_ms: int
    factor: float


def pays(event: Event) -> bool:
    """Whether an event lowers the prices before it: a dividend or a capital gain."""
    return event.kind is not EventKind.SPLIT and bool(event.amount)


def paid_ms(events: Iterable[Event]) -> Int64s:
    """The times of those that pay, in order."""
    return np.array(sorted(event.time_ms for event in events if pays(event)), dtype=np.int64)


def dividends(
    events: Iterable[Event],
    *,
    interval: Interval,
    time_zone: str,
    close_before: Callable[[int], float | None],
) -> list[Dividend]:
    """The dividends among `events`, in order of time, with what they do to a series.

    Args:
        time_zone: of the exchange, an IANA name; empty: UTC.
        close_before: the close of the last bar that opened before a time; None: there is no such bar.
    """
    out = []
    for event in sorted((e for e in events if pays(e)), key=lambda e: e.time_ms):
        before_ms = period_start_ms(interval, event.time_ms, time_zone)
        close = close_before(before_ms)
        # An amount above the price is wrong (in another currency): no factor rather than a false one.
        if close and event.amount and 0 < event.amount < close:
            out.append(Dividend(before_ms, event.time_ms, 1 - event.amount / close))
    return out


def period_start_ms(interval: Interval, time_ms: int, time_zone: str) -> int:
    """The start of the day, or of the week or month of longer bars, that holds `time_ms` in a zone.

    A file's dates are midnights of no zone, so for daily and longer bars it is that date's midnight in the
    zone or in UTC, whichever is earlier: no bar of the day before opens between the two.
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
    """The bars with prices lowered for the dividends after them.

    Args:
        paid: all dividends of the series, in order of time.
        adjusted_to_ms: int64[n], the stored adjusted closes know the dividends up to this time.
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
        # The close is the provider's own number; a last digit must not put it outside.
        np.maximum(columns.high * factors, close),
        np.minimum(columns.low * factors, close),
        close,
        columns.volume,
    )
