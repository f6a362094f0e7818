"""From a chart to bars: what is data is taken, the rest is dropped, refused or marked, and said.

README.md beside this file lists each decision with the test that holds it.
"""

from dataclasses import dataclass, replace

import numpy as np
import structlog

from finstage_market.columns import Columns, Float64s
from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS, MINUTE_MS, Grid
from services.ingest.providers.yahoo_chart import ADJUSTED, CLOSE, VOLUME, Chart
from services.ingest.providers.yahoo_rows import (
    DATA_DELAY_MS,
    Live,
    Mask,
    Rows,
    keep_sessions,
    place_live_row,
    same,
    session_like,
    whole,
)
from services.ingest.series import (
    BarFlag,
    FetchedBars,
    FlagReason,
    Gap,
    GapReason,
    RejectedRow,
    RejectReason,
    SeriesKey,
)
from services.ingest.upstream.outcomes import Failure, malformed
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
    """What was asked for.

    start_ms, end_ms: bars that open in [start_ms, end_ms) are wanted.
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

    columns: Columns
    adjusted_close: Float64s | None
    last_is_final: bool
    as_of_ms: int | None
    gaps: tuple[Gap, ...]
    flags: tuple[BarFlag, ...]
    rejected: tuple[RejectedRow, ...]
    dropped: dict[str, int]


def fetched_bars(
    chart: Chart, key: SeriesKey, window: Window, *, now_ms: int, source: str
) -> FetchedBars | Failure:
    """The bars of `chart` as the answer to a request for `key`.

    It is malformed when it is of another symbol or granularity than was asked for.
    """
    if chart.symbol and chart.symbol != key.symbol:
        return malformed(f"asked for {key.symbol}, it sent {chart.symbol}")
    granularity = GRANULARITIES[key.interval]
    if chart.granularity and chart.granularity != granularity:
        return malformed(f"asked for bars of {granularity}, it sent {chart.granularity}")
    bars = clean(chart, key.interval, GRIDS[key.interval], window, now_ms=now_ms)
    if bars.dropped:
        _log.debug("bars_dropped", series=str(key), provider=source, **bars.dropped)
    return FetchedBars(
        key=key,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        columns=bars.columns,
        last_is_final=bars.last_is_final,
        instrument=replace(chart.instrument, symbol=key.symbol, source=source, fetched_at_ms=now_ms),
        source=source,
        fetched_at_ms=now_ms,
        as_of_ms=bars.as_of_ms,
        adjusted_close=bars.adjusted_close,
        gaps=bars.gaps,
        flags=bars.flags,
        rejected=bars.rejected,
        events=chart.events,
    )


def clean(chart: Chart, interval: Interval, grid: Grid, window: Window, *, now_ms: int) -> CleanBars:
    """The bars of `chart` that open in the window. `interval` chooses the rules of validate.check()."""
    rows = Rows.of(chart)
    rows.put_in_order()
    session_starts = keep_sessions(rows, chart) if grid.is_intraday else None
    live = place_live_row(rows, chart, grid, session_starts, now_ms)
    _drop_collisions(rows, chart, grid)
    _drop_outside(rows, chart, grid, window, now_ms)
    gaps = _take_out_missing(rows, chart, grid, now_ms)
    return _checked(rows, chart, interval, grid, gaps, now_ms, live)


def _drop_collisions(rows: Rows, chart: Chart, grid: Grid) -> None:
    """Leaves one row a slot. Of rows that differ, on one slot, none can be trusted: both are refused."""
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
                rows.reject(row, RejectReason.OFF_GRID, "it opens at no full minute")
            continue
        if kept is None or ms >= grid.end_ms(int(rows.times[kept]), chart.zone):
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
    """Drops rows outside the window, and a last week or month that the request cut off."""
    inside = (rows.times >= window.start_ms) & (rows.times < window.end_ms)
    rows.rejected = [r for r in rows.rejected if window.start_ms <= r.open_time_ms < window.end_ms]
    rows.drop(~inside, "outside_window")
    until_ms = window.asked_until_ms
    if len(rows) and not grid.is_intraday and grid.days != 1 and until_ms is not None:
        end_ms = grid.end_ms(int(rows.times[-1]), chart.zone)
        if until_ms < end_ms and until_ms < now_ms:
            rows.drop(np.arange(len(rows)) == len(rows) - 1, "cut_off")


def _take_out_missing(rows: Rows, chart: Chart, grid: Grid, now_ms: int) -> list[Gap]:
    """Takes out rows without prices; gaps for those whose time is over."""
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
    """The rules for every bar, then flags, gaps where bars were refused, and whether the last is final."""
    zero = (rows.values[:4] == 0).any(axis=0)
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
    )
    bars = judged.columns
    refused = [replace(r, row=int(rows.places[r.row])) for r in judged.rejected]
    rejected = sorted([*rows.rejected, *refused], key=lambda r: r.open_time_ms)
    if rejected:
        held = set(bars.open_time_ms.tolist())
        for open_ms in sorted({r.open_time_ms for r in rejected if r.reason in _LEAVES_A_GAP} - held):
            gaps.append(Gap(open_ms, grid.end_ms(open_ms, chart.zone), GapReason.REJECTED, 1))
    flags = [*judged.flags, *_volume_flags(bars, no_volume[judged.rows])]
    is_final, as_of_ms = _end_of_last(bars, chart, grid, now_ms, live)
    return CleanBars(
        columns=bars,
        adjusted_close=judged.adjusted_close,
        last_is_final=is_final,
        as_of_ms=as_of_ms,
        gaps=tuple(sorted(gaps, key=lambda gap: gap.start_ms)),
        flags=tuple(sorted(flags, key=lambda flag: flag.open_time_ms)),
        rejected=tuple(rejected),
        dropped=dict(rows.dropped),
    )


_LEAVES_A_GAP = {
    RejectReason.NEGATIVE,
    RejectReason.HIGH_BELOW_LOW,
    RejectReason.OUTSIDE_RANGE,
    RejectReason.DUPLICATE,
}


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
    """Whether the last bar is final, and the market time of the newest datum.

    It is when the market's time is past its end, or the clock is by more than data can be late.
    """
    if not len(bars):
        return True, None
    open_ms = int(bars.open_time_ms[-1])
    if live is not None and live.slot_ms == open_ms:
        return False, max(live)
    end_ms = _trading_end(open_ms, chart, grid)
    market_ms = chart.market_time_ms
    if market_ms is None:
        return now_ms >= end_ms + DATA_DELAY_MS, min(end_ms, now_ms)
    is_final = market_ms >= end_ms or now_ms >= end_ms + DATA_DELAY_MS
    return is_final, market_ms if open_ms <= market_ms < end_ms else min(end_ms, now_ms)


def _trading_end(open_ms: int, chart: Chart, grid: Grid) -> int:
    """When trading in a bar ends: with its session, if that is sooner than the bar's nominal end."""
    end_ms = grid.end_ms(open_ms, chart.zone)
    if not grid.is_intraday and grid.days != 1:
        return end_ms
    sessions = [*chart.sessions, *([chart.current_session] if chart.current_session else [])]
    for session in map(whole, sessions):
        if session.start_ms <= open_ms < session.end_ms:
            return min(end_ms, session.end_ms)
    alike = session_like(whole(sessions[-1]), open_ms, chart) if sessions else None
    return min(end_ms, alike.end_ms) if alike else end_ms
