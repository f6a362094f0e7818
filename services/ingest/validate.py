"""The check of rows: which ones are valid bars, which are refused and why, and which are flagged.

A row is refused when

- a value is not finite;
- the volume is below zero, or a price is and instruments of that kind never trade there (futures and indices
  may);
- high is below low, or open or close is outside them, by more than rounding;
- a client's adjusted close is 0 while the close is above 0, or more than MAX_JUMP times the close;
- its open time is not after the previous row's, is in the future, or is outside 1800 to 2199;
- no bar of the interval can open at its open time.

Rounding is what a float32 loses (1e-6 of the price) or, when the price precision is known, half a unit of the
last digit (at most 1e-3 of the price).

The grid of open times:

- intraday: the session's start plus whole intervals, and any multiple of the interval or of 15 minutes,
  because most sessions start at one, also after a lunch break. When the session is not known, the times show
  its start: more than half of the rows, and at least two, are a whole number of intervals apart;
- daily and longer: any time of day, but never two bars in one day, week or month (Grid.periods). For a
  client's bars the store sees to that, because it knows the exchange's zone (store/write_plan.py).

A bar may open at most 10 s after now, because clocks differ. A daily or longer bar may open 14 h after now:
the dates of a file are midnights without a zone, and a day begins up to 14 h before the day in UTC.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import numpy.typing as npt

from finstage_market.columns import PRICES, VALUES, Columns, Float64s, Int64s
from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS, HOUR_MS, MINUTE_MS
from services.ingest.hours.zones import DAY_MS
from services.ingest.scale import out_of_scale
from services.ingest.series import BarFlag, CheckedBars, FlagReason, RejectedRow, RejectReason

Mask = npt.NDArray[np.bool_]

MIN_OPEN_MS = int(np.datetime64("1800-01-01", "ms").astype(np.int64))
MAX_OPEN_MS = int(np.datetime64("2200-01-01", "ms").astype(np.int64)) - 1
# Ratio of two closes, or of an adjusted close to its close.
MAX_JUMP = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows to check."""

    interval: Interval
    columns: Columns
    adjusted_close: Float64s | None
    now_ms: int
    price_precision: int | None
    from_client: bool
    may_be_negative: bool
    zone: tzinfo | None
    session_starts: Int64s | None

    @property
    def latest_ms(self) -> int:
        """The last time at which a bar may open."""
        ahead_ms = 10_000 if self.interval.is_intraday else 14 * HOUR_MS
        return min(self.now_ms + ahead_ms, MAX_OPEN_MS)

    @property
    def off_grid(self) -> Mask:
        """bool[n]: where no bar can open."""
        times, step_ms = self.columns.open_time_ms, self.interval.nominal_ms
        if not self.interval.is_intraday:
            return np.zeros(len(times), dtype=np.bool_)
        off: Mask = times % min(step_ms, 15 * MINUTE_MS) != 0
        if not off.any():
            return off
        if self.session_starts is not None:
            counted = (times - self.session_starts) % step_ms == 0
        else:
            offsets, counts = np.unique(times[off] % step_ms, return_counts=True)
            shown = counts.max() > 1 and 2 * counts.max() > len(times)
            counted = (times % step_ms == offsets[np.argmax(counts)]) & shown
        stray: Mask = off & ~(counted & (times % MINUTE_MS == 0))
        return stray

    @property
    def periods(self) -> Int64s:
        """int64[n]: the period of each row. Each row of a client has its own here: only the store knows the
        zone by which days, weeks and months are told apart."""
        times = self.columns.open_time_ms
        return times if self.from_client else GRIDS[self.interval].periods(times, self.zone)

    @property
    def off_close(self) -> Mask:
        """bool[n]: where a client's adjusted close does not match the close."""
        close, adjusted = self.columns.close, self.adjusted_close
        if adjusted is None or not self.from_client:
            return np.zeros(len(close), dtype=np.bool_)
        off: Mask = (adjusted / MAX_JUMP > close) | ((adjusted <= 0) & (close > 0))
        return off


def check(
    interval: Interval,
    columns: Columns,
    *,
    now_ms: int,
    adjusted_close: Float64s | None = None,
    price_precision: int | None = None,
    from_client: bool = False,
    may_be_negative: bool = False,
    zone: tzinfo | None = None,
    session_starts: Int64s | None = None,
) -> CheckedBars:
    """Split rows into bars and refused rows.

    Args:
        adjusted_close: float64[len(columns)]; NaN is "none", anything else must be a price.
        price_precision: digits after the point of the instrument's prices, when known.
        from_client: whether a client sent the rows, not a provider. A client's adjusted close must match its
            close, and is listed with a refused row's values. A provider's is not listed: it changes with each
            refresh, and a bad bar that every refresh meets must look the same to be kept only once.
        may_be_negative: whether prices of the instrument's kind may be zero or below.
        zone: the exchange's, where it is known.
        session_starts: int64[len(columns)], the start of each row's session, where it is known.

    The caller says whether the last bar is final.
    """
    rows = _Rows(
        interval=interval,
        columns=columns,
        adjusted_close=adjusted_close,
        now_ms=now_ms,
        price_precision=price_precision,
        from_client=from_client,
        may_be_negative=may_be_negative,
        zone=zone,
        session_starts=session_starts,
    )
    if not _is_clean(rows):
        return _separated(rows)
    return CheckedBars(columns, adjusted_close, flags=tuple(_odd_scales(columns)))


def is_over(interval: Interval, open_time_ms: int, now_ms: int) -> bool:
    """Whether the period of a bar is over, judged without the exchange's calendar.

    A month counts as 31 days.
    """
    length_ms = 31 * DAY_MS if interval is Interval.MO1 else interval.nominal_ms
    return open_time_ms + length_ms <= now_ms


def _is_clean(rows: _Rows) -> bool:
    """Whether there is nothing to refuse, and nothing to flag but jumps: the usual case, in few passes."""
    columns, adjusted = rows.columns, rows.adjusted_close
    if not len(columns):
        return True
    times = columns.open_time_ms
    return bool(
        # Every comparison with NaN is false; low <= the others <= high < inf leaves no infinity either.
        np.all(columns.low > 0)
        and np.all(columns.low <= columns.open)
        and np.all(columns.low <= columns.close)
        and np.all(columns.open <= columns.high)
        and np.all(columns.close <= columns.high)
        and np.all(columns.high < np.inf)
        and np.all(columns.volume >= 0)
        and np.all(columns.volume < np.inf)
        # A client's adjusted close that matches a close above 0 is neither infinite nor negative.
        and (
            adjusted is None
            or not np.any(rows.off_close if rows.from_client else np.isinf(adjusted) | (adjusted < 0))
        )
        and np.all(np.diff(rows.periods) > 0)
        and np.min(times) >= MIN_OPEN_MS
        and np.max(times) <= rows.latest_ms
        and not np.any(rows.off_grid)
    )


def _separated(given: _Rows) -> CheckedBars:
    columns, adjusted_close = given.columns, given.adjusted_close
    refused: dict[int, tuple[RejectReason, str]] = {}
    for reason, mask, detail in _faults(given):
        for row in np.flatnonzero(mask).tolist():
            if row not in refused:
                refused[row] = reason, detail(row)
    rows = np.setdiff1d(np.arange(len(columns)), np.fromiter(refused, np.int64, len(refused)))
    late = _misplaced(columns.open_time_ms[rows], rows, given.periods[rows], GRIDS[given.interval].unit)
    refused |= late
    rows = rows[~np.isin(rows, np.fromiter(late, np.int64, len(late)))]

    listed = adjusted_close if given.from_client else None
    kept, marked = _widened(columns[rows])
    flags = [*_zeros(kept), *marked, *_odd_scales(kept)]
    return CheckedBars(
        kept,
        None if adjusted_close is None else adjusted_close[rows],
        flags=tuple(sorted(flags, key=lambda flag: flag.open_time_ms)),
        rejected=tuple(
            RejectedRow(row, int(columns.open_time_ms[row]), reason, detail, as_text(columns, row, listed))
            for row, (reason, detail) in sorted(refused.items())
        ),
        source_rows=rows,
    )


def _faults(rows: _Rows) -> Iterator[tuple[RejectReason, Mask, Callable[[int], str]]]:
    """Yield each fault of single rows: its reason, the rows, and the detail of one. A row's first counts."""
    interval, columns, adjusted_close = rows.interval, rows.columns, rows.adjusted_close
    times = columns.open_time_ms
    given = {name: getattr(columns, name) for name in VALUES}
    if adjusted_close is not None:
        given["adjusted_close"] = np.where(np.isnan(adjusted_close), 0.0, adjusted_close)
    finite = {name: np.isfinite(values) for name, values in given.items()}

    def named(row: int, wrong: Mapping[str, Mask], accepted: str) -> str:
        values = ", ".join(f"{name} is {float(given[name][row])!r}" for name in wrong if wrong[name][row])
        return f"{values}; {accepted} is accepted"

    def instant(row: int) -> str:
        return f"it opens at {_iso(int(times[row]))}"

    all_finite = np.logical_and.reduce(list(finite.values()))
    infinite = {name: ~mask for name, mask in finite.items()}
    yield RejectReason.NOT_FINITE, ~all_finite, lambda row: named(row, infinite, "a finite number")
    bounded = ["volume"] if rows.may_be_negative else list(given)
    negative = {name: given[name] < 0 for name in bounded}
    yield (
        RejectReason.NEGATIVE,
        np.logical_or.reduce(list(negative.values())),
        lambda row: named(row, negative, "0 or above"),
    )
    open_, high, low, close = (np.where(all_finite, given[name], 0.0) for name in PRICES)
    room = _rounding(np.maximum(np.abs(high), np.abs(low)), rows.price_precision)
    yield (
        RejectReason.HIGH_BELOW_LOW,
        high < low - room,
        lambda row: f"high {high[row]} is below low {low[row]}; high at or above low is accepted",
    )
    outside = {
        name: (price > high + room) | (price < low - room)
        for name, price in (("open", open_), ("close", close))
    }
    yield (
        RejectReason.OUTSIDE_RANGE,
        outside["open"] | outside["close"],
        lambda row: named(row, outside, f"low..high, {low[row]}..{high[row]},"),
    )
    off_close = {"adjusted_close": rows.off_close}
    accepted = f"above 0 and at most {MAX_JUMP:.0f} times the close"
    yield (
        RejectReason.OUTSIDE_RANGE,
        off_close["adjusted_close"],
        lambda row: named(row, off_close, f"{accepted}, {close[row]},"),
    )
    yield (
        RejectReason.OUT_OF_RANGE,
        (times < MIN_OPEN_MS) | (times > MAX_OPEN_MS),
        lambda row: f"its open time is {times[row]} ms; 1800 to 2199 is accepted",
    )
    ahead = "10 s" if interval.is_intraday else "14 h"
    yield (
        RejectReason.IN_FUTURE,
        times > rows.latest_ms,
        lambda row: f"{instant(row)}, and now is {_iso(rows.now_ms)}; at most {ahead} ahead is accepted",
    )
    step = f"multiple of {min(interval.nominal_ms // MINUTE_MS, 15)} min"
    yield (
        RejectReason.OFF_GRID,
        rows.off_grid,
        lambda row: (
            f"{instant(row)}; a {interval} bar opens whole intervals after its session, or at a {step}"
        ),
    )


def _misplaced(
    times: Int64s, rows: Int64s, periods: Int64s, unit: str
) -> dict[int, tuple[RejectReason, str]]:
    """Return the rows that do not come after the last kept row before them."""
    refused: dict[int, tuple[RejectReason, str]] = {}
    if np.all(np.diff(periods) > 0):
        return refused
    kept: set[int] = set()
    last = last_period = -(2**62)
    accepted = f"a later {unit} is accepted"
    for row, time, period in zip(rows.tolist(), times.tolist(), periods.tolist(), strict=True):
        if period > last_period:
            last, last_period = time, period
            kept.add(time)
        elif time in kept:
            refused[row] = (
                RejectReason.DUPLICATE,
                f"an earlier row has the same open time, {_iso(time)}; the first row is kept",
            )
        elif time < last:
            refused[row] = RejectReason.UNORDERED, f"{_iso(time)} comes after {_iso(last)}; {accepted}"
        else:
            refused[row] = (
                RejectReason.OFF_GRID,
                f"{_iso(time)} is in the same {unit} as {_iso(last)}; {accepted}",
            )
    return refused


def _widened(columns: Columns) -> tuple[Columns, list[BarFlag]]:
    """Widen high and low to include open and close, which are outside by rounding at most; flag it."""
    high = np.maximum.reduce([getattr(columns, name) for name in PRICES])
    low = np.minimum.reduce([getattr(columns, name) for name in PRICES])
    changed = np.flatnonzero((high != columns.high) | (low != columns.low))
    if not len(changed):
        return columns, []
    flags = [
        BarFlag(
            int(columns.open_time_ms[i]),
            FlagReason.OHLC_ROUNDED,
            f"high={float(columns.high[i])!r} low={float(columns.low[i])!r} as given",
        )
        for i in changed
    ]
    return Columns(columns.open_time_ms, columns.open, high, low, columns.close, columns.volume), flags


def _zeros(columns: Columns) -> Iterator[BarFlag]:
    zero = {name: getattr(columns, name) == 0 for name in PRICES}
    for i in np.flatnonzero(np.logical_or.reduce(list(zero.values()))):
        names = ", ".join(name for name in PRICES if zero[name][i])
        yield BarFlag(int(columns.open_time_ms[i]), FlagReason.ZERO_PRICE, f"{names} = 0")


def _odd_scales(columns: Columns) -> Iterator[BarFlag]:
    """Yield a flag for each bar whose prices differ in scale from the bar before it, or from each other."""
    yield from jumps(columns.open_time_ms[1:], columns.close)
    yield from out_of_scale(columns)


def jumps(times: Int64s, closes: Float64s) -> Iterator[BarFlag]:
    """Yield a flag for each bar whose close is over MAX_JUMP times that of the bar before it, or the reverse.

    times: of the bars. closes: of the bar before the first one, then of the bars.
    """
    before, after = closes[:-1], closes[1:]
    jumped = (after > before * MAX_JUMP) | (before > after * MAX_JUMP)
    for i in np.flatnonzero(jumped & (before > 0) & (after > 0)):
        detail = f"close {float(before[i])!r} to {float(after[i])!r} from one bar to the next"
        yield BarFlag(int(times[i]), FlagReason.SUSPICIOUS_JUMP, detail)


def _rounding(price: Float64s, price_precision: int | None) -> Float64s:
    float32 = price * 1e-6
    if price_precision is None:
        return float32
    return np.maximum(float32, np.minimum(0.5 * 10.0**-price_precision, price * 1e-3))


def as_text(columns: Columns, row: int, adjusted_close: Float64s | None = None) -> str:
    """Return a row's values as text, for RejectedRow."""
    values = {name: float(getattr(columns, name)[row]) for name in VALUES}
    if adjusted_close is not None and not np.isnan(adjusted_close[row]):
        values["adjusted_close"] = float(adjusted_close[row])
    return " ".join(f"{name}={value!r}" for name, value in values.items())


def _iso(ms: int) -> str:
    return f"{np.datetime64(ms, 'ms')}Z"
