"""From a chart to bars. Data are taken; the rest is dropped, refused or flagged, and told.

README.md beside this file lists each decision with the test that holds it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import structlog

from finstage_market.columns import Columns, Float64s
from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS, MINUTE_MS, Grid
from services.ingest.hours.zones import zone_of
from services.ingest.providers.yahoo_chart import ADJUSTED, CLOSE, VOLUME, Chart
from services.ingest.providers.yahoo_rows import (
    DATA_DELAY_MS,
    Live,
    Mask,
    Rows,
    keep_sessions,
    mend_midnights,
    place_live_row,
    same,
    trading_end_ms,
)
from services.ingest.providers.yahoo_symbols import not_asked_for
from services.ingest.scale import split_jumps
from services.ingest.series import (
    BarFlag,
    CheckedBars,
    EventKind,
    FetchedBars,
    FlagReason,
    Gap,
    GapReason,
    RejectReason,
    SeriesKey,
)
from services.ingest.upstream.outcomes import Failure, Outcome
from services.ingest.validate import check

GRANULARITIES = {
    Interval.M1: "1m",
    Interval.M5: "5m",
    Interval.M15: "15m",
    Interval.M30: "30m",
    Interval.H1: "1h",
    Interval.D1: "1d",
    Interval.W1: "1wk",
    Interval.MO1: "1mo",
}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """The range of a request: bars that open in [start_ms, end_ms).

    asked_until_ms: period2 of the request. A week or month that ends later may be cut off there, unless it
        is the current one; None: not known.
    """

    start_ms: int
    end_ms: int
    asked_until_ms: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CleanBars:
    """The bars of a chart, and what was wrong with the rest.

    dropped: rows left out, by cause, that are neither a gap nor refused.
    Otherwise as in FetchedBars.
    """

    bars: CheckedBars
    as_of_ms: int | None
    gaps: tuple[Gap, ...]
    dropped: dict[str, int]


def fetched_bars(
    chart: Chart, key: SeriesKey, window: Window, *, now_ms: int, source: str
) -> FetchedBars | Failure:
    """Return the bars of `chart` as the answer to a request for `key`.

    A reply for another instrument, or of another granularity, has no bars of the series.
    """
    if failure := not_asked_for(key.symbol, chart.symbol):
        return failure
    granularity = GRANULARITIES[key.interval]
    if chart.granularity and chart.granularity != granularity:
        return Failure(Outcome.NO_DATA, f"asked for bars of {granularity}, it sent {chart.granularity}")
    found = clean(chart, key.interval, GRIDS[key.interval], window, now_ms=now_ms)
    if found.dropped:
        _log.debug("bars_dropped", series=str(key), provider=source, **found.dropped)
    return FetchedBars(
        key=key,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        bars=found.bars,
        instrument=replace(chart.instrument, symbol=key.symbol, source=source, fetched_at_ms=now_ms),
        source=source,
        fetched_at_ms=now_ms,
        as_of_ms=found.as_of_ms,
        gaps=found.gaps,
        events=chart.events,
    )


def clean(chart: Chart, interval: Interval, grid: Grid, window: Window, *, now_ms: int) -> CleanBars:
    """Return the bars of `chart` that open in the window. validate.check() applies the interval's rules."""
    rows = Rows.of(chart)
    if not grid.is_intraday:
        mend_midnights(rows, chart)
    rows.put_in_order()
    if grid.is_intraday:
        keep_sessions(rows, chart)
    live = place_live_row(rows, chart, grid, now_ms)
    _drop_collisions(rows, chart, grid)
    _drop_outside(rows, chart, grid, window, now_ms)
    gaps = _take_out_missing(rows, chart, grid, now_ms)
    return _checked(rows, chart, interval, grid, gaps, now_ms, live)


def _drop_collisions(rows: Rows, chart: Chart, grid: Grid) -> None:
    """Leave one row a slot. When two rows of one slot differ, neither can be trusted: both are refused."""
    close_by = np.diff(rows.times) < grid.shortest_ms
    off_minute = rows.times % 1000 != 0 if not grid.is_intraday else rows.times % MINUTE_MS != 0
    if not close_by.any() and not off_minute.any():
        return
    missing = rows.missing()
    keep = np.ones(len(rows), dtype=bool)
    kept: int | None = None
    for row in range(len(rows)):
        ms = int(rows.times[row])
        if off_minute[row]:
            keep[row] = False
            if not missing[row]:
                rows.reject(row, RejectReason.OFF_GRID, "it does not open at a full minute")
            continue
        if (
            kept is None
            or ms >= grid.end_ms(int(rows.times[kept]), chart.zone)
            or rows.in_later_session(row, kept)
        ):
            kept = row
            continue
        same_slot = ms == rows.times[kept]
        keep[row] = False
        if missing[row] or (same_slot and same(rows.values[:, row], rows.values[:, kept])):
            rows.dropped["repeated"] += 1
        elif same_slot and missing[kept]:
            keep[row], keep[kept] = True, False
            rows.dropped["repeated"] += 1
            kept = row
        elif same_slot:
            detail = "another row of this open time has other values"
            rows.reject(row, RejectReason.DUPLICATE, detail)
            if keep[kept]:
                rows.reject(kept, RejectReason.DUPLICATE, detail)
                keep[kept] = False
        else:
            rows.reject(row, RejectReason.OFF_GRID, "it opens before the bar before it has ended")
    rows.keep(keep)


def _drop_outside(rows: Rows, chart: Chart, grid: Grid, window: Window, now_ms: int) -> None:
    """Drop rows outside the window, and a last week or month that the request cut off."""
    inside = (rows.times >= window.start_ms) & (rows.times < window.end_ms)
    rows.rejected = [r for r in rows.rejected if window.start_ms <= r.open_time_ms < window.end_ms]
    rows.drop(~inside, "outside_window")
    until_ms = window.asked_until_ms
    if len(rows) and not grid.is_intraday and grid.days != 1 and until_ms is not None:
        end_ms = grid.end_ms(int(rows.times[-1]), chart.zone)
        if until_ms < end_ms and until_ms < now_ms:
            rows.drop(np.arange(len(rows)) == len(rows) - 1, "cut_off")


def _take_out_missing(rows: Rows, chart: Chart, grid: Grid, now_ms: int) -> list[Gap]:
    """Take out rows without prices, and return gaps for those whose time is over."""
    missing = rows.missing()
    if not missing.any():
        return []
    gaps: list[Gap] = []
    for row in np.flatnonzero(missing).tolist():
        start_ms = int(rows.times[row])
        end_ms = grid.end_ms(start_ms, chart.zone)
        if end_ms > now_ms:
            continue
        detail = _why_missing(rows.values[:4, row])
        if gaps and row and missing[row - 1] and gaps[-1].detail == detail:
            gaps[-1] = replace(gaps[-1], end_ms=end_ms, missing_bars=(gaps[-1].missing_bars or 0) + 1)
        else:
            gaps.append(Gap(start_ms, end_ms, GapReason.PROVIDER_MISSING, 1, detail))
    rows.keep(~missing)
    return gaps


def _why_missing(prices: Float64s) -> str:
    if np.isnan(prices[CLOSE]):
        return "a row without values"
    return "a close without open, high and low" if np.isnan(prices).any() else "prices of zero only"


def _checked(
    rows: Rows,
    chart: Chart,
    interval: Interval,
    grid: Grid,
    gaps: list[Gap],
    now_ms: int,
    live: Live | None,
) -> CleanBars:
    """Apply the rules for every bar; add flags, gaps of refused bars, and whether the last one is final."""
    zero = rows.zero()
    if zero.any():
        for row in np.flatnonzero(zero).tolist():
            rows.reject(row, RejectReason.OUTSIDE_RANGE, "one of its prices is zero, others are not")
        rows.keep(~zero)
    no_volume = np.isnan(rows.values[VOLUME])
    rows.values[VOLUME, no_volume] = 0.0
    adjusted = rows.values[ADJUSTED] if chart.has_adjusted else None
    judged = check(
        interval,
        Columns.of(rows.times, *rows.values[:5]),
        now_ms=now_ms,
        adjusted_close=adjusted,
        price_precision=chart.instrument.price_precision,
        may_be_negative=rows.may_be_negative,
        zone=zone_of(chart.instrument.time_zone),
        session_starts=rows.session_starts,
    )
    bars = judged.columns
    refused = [replace(r, row=int(rows.places[r.row])) for r in judged.rejected]
    rejected = sorted([*rows.rejected, *refused], key=lambda r: r.open_time_ms)
    if rejected:
        held = set(bars.open_time_ms.tolist())
        for open_ms in sorted({r.open_time_ms for r in rejected if r.reason in _LEAVES_A_GAP} - held):
            gaps.append(Gap(open_ms, grid.end_ms(open_ms, chart.zone), GapReason.REJECTED, 1))
    absent = no_volume if judged.source_rows is None else no_volume[judged.source_rows]
    flags = {
        (flag.open_time_ms, flag.reason): flag
        for flag in (
            *judged.flags,
            *_volume_flags(bars, absent),
            *_split_flags(bars, chart, grid),
            *_dividend_flags(bars, chart, grid),
        )
    }
    is_final, as_of_ms = _end_of_last(bars, chart, grid, now_ms, live)
    return CleanBars(
        bars=replace(
            judged,
            last_is_final=is_final,
            flags=tuple(sorted(flags.values(), key=lambda flag: flag.open_time_ms)),
            rejected=tuple(rejected),
            source_rows=None,
        ),
        as_of_ms=as_of_ms,
        gaps=tuple(sorted(gaps, key=lambda gap: gap.start_ms)),
        dropped=dict(rows.dropped),
    )


_LEAVES_A_GAP = {
    RejectReason.NEGATIVE,
    RejectReason.HIGH_BELOW_LOW,
    RejectReason.OUTSIDE_RANGE,
    RejectReason.DUPLICATE,
}


def _split_flags(bars: Columns, chart: Chart, grid: Grid) -> Iterator[BarFlag]:
    """Bars where the prices move as by a listed split: the provider has not applied it everywhere."""
    splits = [event for event in chart.events if event.kind is EventKind.SPLIT]
    if splits:
        days = GRIDS[Interval.D1] if grid.is_intraday else grid
        times = np.array([event.time_ms for event in splits], dtype=np.int64)
        yield from split_jumps(
            bars,
            days.periods(bars.open_time_ms, chart.zone),
            list(zip(days.periods(times, chart.zone).tolist(), splits, strict=True)),
            anywhere=grid.is_intraday or grid.days == 1,
        )


def _dividend_flags(bars: Columns, chart: Chart, grid: Grid) -> Iterator[BarFlag]:
    """The first bar of each day of a dividend in another money: it is not applied.

    Of a day without a bar, the bar before, which is the last one whose price it should have lowered.
    """
    if not chart.ignored_dividends or not len(bars):
        return
    days = GRIDS[Interval.D1] if grid.is_intraday else grid
    of_bars = days.periods(bars.open_time_ms, chart.zone)
    for time_ms, detail in chart.ignored_dividends:
        period = days.periods(np.array([time_ms], dtype=np.int64), chart.zone)[0]
        row = int(np.searchsorted(of_bars, period))
        if row == len(bars) or of_bars[row] != period:
            row -= 1
        if row >= 0:
            yield BarFlag(int(bars.open_time_ms[row]), FlagReason.DIVIDEND_IGNORED, detail)


def _volume_flags(bars: Columns, absent: Mask) -> list[BarFlag]:
    """Bars without a volume: it was null, or zero in a series with volumes though the price moved."""
    unlikely = np.zeros(len(bars), dtype=bool)
    if (bars.volume > 0).any():
        unlikely = (bars.volume == 0) & (bars.high > bars.low) & ~absent
    return [
        BarFlag(
            int(bars.open_time_ms[row]),
            FlagReason.VOLUME_MISSING,
            "no volume given" if absent[row] else "a volume of 0 given, though the price moved",
        )
        for row in np.flatnonzero(absent | unlikely).tolist()
    ]


def _end_of_last(
    bars: Columns, chart: Chart, grid: Grid, now_ms: int, live: Live | None
) -> tuple[bool, int | None]:
    """Return whether the last bar is final, and the market time of the newest datum.

    A bar is final when the market's time is past its end, or the clock is past it by more than data are late.
    """
    if not len(bars):
        return True, None
    open_ms = int(bars.open_time_ms[-1])
    if live is not None and live.slot_ms == open_ms:
        return False, max(live)
    end_ms = trading_end_ms(open_ms, chart, grid)
    market_ms = chart.market_time_ms
    if market_ms is None:
        return now_ms >= end_ms + DATA_DELAY_MS, min(end_ms, now_ms)
    is_final = market_ms >= end_ms or now_ms >= end_ms + DATA_DELAY_MS
    return is_final, market_ms if open_ms <= market_ms < end_ms else min(end_ms, now_ms)
