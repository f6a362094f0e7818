"""Splits and dividends that a file lists, and whether its prices are adjusted for the splits already.

Bars are served as adjusted for splits, so raw prices are adjusted when they are read: those before a split
are divided by its ratio. Which they are, the prices around the splits tell: a raw close falls by the ratio,
and its distance from the adjusted close changes by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finstage_barfile.bars import Bars
from finstage_barfile.errors import Unreadable
from finstage_barfile.periods import said
from finstage_barfile.steps import Steps
from finstage_barfile.table import Guess
from finstage_market.columns import Float64s, Int64s
from finstage_market.interval import Interval

PRICES_ARE = ("raw", "adjusted")
_DAY_MS = 86_400_000
# A smaller change of the price between two bars tells nothing.
_SMALL = float(np.log(1.2))
# A change that is nearer than this to the split's ratio, in parts of it, is the split's.
_NEAR = 0.4
# More splits than in this part of the rows are no splits, but a factor that each row has.
_MOST = 0.05
_FEW = 3
# A change by the ratio within so many rows of where a split is listed may be that split's, if it is nearer
# than this to the ratio.
_ROWS_AROUND = 5
_NEARER = 0.25
# Longer than the bars of one day, whose rows may repeat its ratio.
_MORE_THAN_A_DAY_MS = 82_800_000
# Changes of a factor that are looked at in a piece; raw closes show at the first ones.
_MOST_CHANGES = 100
# Ratios that a split without a column of its own may have; others are large dividends.
_RATIOS = (1.5, *(float(n) for n in range(2, 51)), *(1.0 / n for n in range(2, 51)))


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An event that a file lists.

    kind: "dividends", "splits" or "capital_gains". value: the amount a share, or new shares for an old one.
    """

    kind: str
    time_ms: int
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Adjusting:
    """How to adjust prices.

    steps: what to divide raw ones by. notes, guesses: what was found, and what of it is not sure.
    is_inverted: whether the file's ratios are old shares for a new one.
    """

    steps: Steps
    notes: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()
    is_inverted: bool = False


@dataclass(frozen=True, slots=True)
class _Split:
    """A split, and what changed at it.

    row: the first bar after it. change: the logarithm of the close's change, and of the adjusted close's.
    """

    row: int
    time_ms: int
    ratio: float
    change: float | None
    adjusted_change: float | None

    @property
    def name(self) -> str:
        told = f"{self.ratio:g}:1" if self.ratio >= 1 else f"1:{1 / self.ratio:g}"
        return f"the {told} split of {said(self.time_ms)[:10]}"


def adjusting(
    bars: Bars, interval: Interval, *, has_splits: bool, has_adjusted: bool, prices: str | None
) -> Adjusting:
    """How to adjust the bars of a file for its splits.

    Args:
        bars: as the file has them.
        has_splits: whether a column lists splits; has_adjusted: whether one has adjusted closes.
        prices: "raw" or "adjusted", where that is known.

    Raises:
        Unreadable: they do not tell which they are, or cannot be adjusted.
    """
    if has_splits:
        splits = list(_listed(bars, has_adjusted=has_adjusted))
    else:
        splits = list(_shown(bars)) if has_adjusted and prices is None else []
    if not splits or prices == "adjusted":
        return Adjusting(_steps([]), _told(splits, is_raw=False))
    guesses = () if has_splits else (Guess(f"its adjusted closes show {_names(splits)}", "prices"),)
    if {_kind(split) for split in splits} & {"other way", *PRICES_ARE} == {"other way"}:
        splits = [replace(split, ratio=1 / split.ratio) for split in splits]
        guesses = (
            Guess(
                f"its ratios are old shares for a new one, as the closes change at {splits[0].name}", "prices"
            ),
        )
    kinds = {split: _kind(split) for split in splits}
    if wrong := next((split for split, kind in kinds.items() if kind == "other way"), None):
        raise Unreadable(f"the close changes the other way than {wrong.name} says", settled_by="prices")
    raw, adjusted = ([split for split, kind in kinds.items() if kind == wanted] for wanted in PRICES_ARE)
    if prices is None and raw and adjusted:
        raise Unreadable(
            f"its prices are raw at {raw[0].name}, and adjusted at {adjusted[0].name}", settled_by="prices"
        )
    unclear = [split for split, kind in kinds.items() if kind == "unclear"]
    if prices is None and unclear and not raw and not adjusted:
        raise Unreadable(
            f"it does not tell whether its prices are adjusted for {unclear[0].name}", settled_by="prices"
        )
    if has_splits:
        _check_rows(bars, [split for split in splits if split not in raw], has_adjusted, prices)
    if prices is None and not raw:
        return Adjusting(_steps([]), _told(splits, is_raw=False))
    wanted = [split for split in splits if split.row]
    if wanted and interval in (Interval.W1, Interval.MO1):
        told = f"its prices are raw at {wanted[0].name}"
        raise Unreadable(f"{told}, and {interval} bars cannot be adjusted for that; read its days instead")
    is_inverted = has_splits and bool(guesses)
    return Adjusting(_steps(wanted), _told(splits, is_raw=True), guesses, is_inverted=is_inverted)


def too_many(bars: Bars) -> int:
    """How many rows have a ratio, where these are those of a factor and not of splits; else 0.

    A factor has it in more rows than there are splits, or the same in rows of several days that follow each
    other.
    """
    rows, ratios = _rows_with(bars, "splits")
    if not len(rows):
        return 0
    times = bars.open_time_ms[rows]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(rows) != 1) | (np.diff(ratios) != 0)]))
    ends = np.append(starts[1:], len(rows)) - 1
    if (times[ends] - times[starts] >= _MORE_THAN_A_DAY_MS).any():
        return len(rows)
    count = len(_first_of_day(times, ratios))
    return count if count > max(_FEW, _MOST * len(bars)) else 0


def check_factor(bars: Bars, column: str, name: str, prices: str | None) -> None:
    """Check that closes do not change by the ratio by which a factor changes, as raw ones do.

    Args:
        column: the factor's in the spool; name: that in the file.

    Raises:
        Unreadable: they do.
    """
    last = np.nan
    for piece in bars.pieces():
        factors = bars.of(column, piece)
        with np.errstate(divide="ignore", invalid="ignore"):
            sizes = np.abs(np.log(factors / np.concatenate([[last], factors[:-1]])))
        last = float(factors[-1])
        for at in np.flatnonzero(np.isfinite(sizes) & (sizes >= _SMALL))[:_MOST_CHANGES].tolist():
            if (
                row := _changed_near(bars, piece.start + at, float(sizes[at]), has_adjusted=False)
            ) is not None:
                raise Unreadable(
                    f"{name!r} changes by a factor of {np.exp(sizes[at]):.4g}, and the close does so at "
                    f"{_at(bars, row)}; prices may be raw, and it lists no splits to "
                    "adjust them for",
                    settled_by="" if prices else "prices",
                )


def events(bars: Bars, kinds: Sequence[str], *, is_inverted: bool) -> Iterator[FileEvent]:
    """The events of a file; amounts are adjusted for later splits, as the bars' prices are."""
    for kind in kinds:
        rows, values = _rows_with(bars, kind)
        times = bars.open_time_ms[rows]
        if kind == "splits":
            once = _first_of_day(times, values)
            values = 1 / values if is_inverted else values
            yield from (
                FileEvent(kind, *each)
                for each in zip(times[once].tolist(), values[once].tolist(), strict=True)
            )
        else:
            amounts = values * bars.price_scale / bars.splits.at(times)
            yield from (FileEvent(kind, *each) for each in zip(times.tolist(), amounts.tolist(), strict=True))


def dividend_steps(bars: Bars, of: Sequence[FileEvent]) -> Steps:
    """What closes before each dividend are multiplied by: 1 - amount / close before."""
    times, factors = [], []
    for event in sorted((e for e in of if e.kind != "splits"), key=lambda e: e.time_ms):
        row = int(np.searchsorted(bars.open_time_ms, event.time_ms))
        if row and (close := float(bars.prices("close", slice(row - 1, row))[0])) > event.value:
            times.append(event.time_ms)
            factors.append(1 - event.value / close)
    return Steps(np.array(times, dtype=np.int64), np.array(factors, dtype=np.float64))


def _listed(bars: Bars, *, has_adjusted: bool) -> Iterator[_Split]:
    rows, ratios = _rows_with(bars, "splits")
    once = _first_of_day(bars.open_time_ms[rows], ratios)
    rows, ratios = rows[once], ratios[once]
    for row, ratio in zip(rows.tolist(), ratios.tolist(), strict=True):
        yield _split(bars, row, ratio, has_adjusted=has_adjusted)


def _split(bars: Bars, row: int, ratio: float, *, has_adjusted: bool) -> _Split:
    around = slice(row - 1, row + 1)
    time_ms = int(bars.open_time_ms[row])
    if row == 0:
        return _Split(row, time_ms, ratio, None, None)
    change = _change(bars.of("close", around))
    return _Split(
        row, time_ms, ratio, change, _change(bars.of("adjusted_close", around)) if has_adjusted else None
    )


def _check_rows(bars: Bars, splits: Sequence[_Split], has_adjusted: bool, prices: str | None) -> None:
    """Check that no close changes by a split's ratio near the row that lists it, where it does not there.

    Raises:
        Unreadable: one does.
    """
    for split in splits:
        size = float(abs(np.log(split.ratio)))
        if size >= _SMALL and (row := _changed_near(bars, split.row, size, has_adjusted)) is not None:
            raise Unreadable(
                f"its closes change by the ratio of {split.name} at {_at(bars, row)}, "
                "and not where it is listed; prices may be raw",
                settled_by="" if prices else "prices",
            )


def _changed_near(bars: Bars, row: int, size: float, has_adjusted: bool) -> int | None:
    """The first row near this one at which the close changes by a ratio, whose logarithm is `size`."""
    around = slice(max(row - _ROWS_AROUND - 1, 0), row + _ROWS_AROUND + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.diff(np.log(bars.of("close", around)))
        if has_adjusted:
            between = changes - np.diff(np.log(bars.of("adjusted_close", around)))
            changes = np.where(np.isfinite(between), between, changes)
        near = np.flatnonzero(np.abs(np.abs(changes) - size) < _NEARER * size)
    return around.start + 1 + int(near[0]) if len(near) else None


def _at(bars: Bars, row: int) -> str:
    return said(int(bars.open_time_ms[row])).removesuffix(" 00:00")


def _shown(bars: Bars) -> Iterator[_Split]:
    """Splits that no column lists: the close falls by a ratio, and the adjusted close does not."""
    last_close = last_adjusted = np.nan
    for rows in bars.pieces():
        close, adjusted = bars.of("close", rows), bars.of("adjusted_close", rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            fell = np.concatenate([[last_close], close[:-1]]) / close
            ratio = fell * adjusted / np.concatenate([[last_adjusted], adjusted[:-1]])
            large = (np.abs(np.log(ratio)) > np.log(1.4)) & (np.abs(np.log(fell)) > np.log(1.3))
        last_close, last_adjusted = float(close[-1]), float(adjusted[-1])
        for at in np.flatnonzero(large & np.isfinite(ratio)).tolist():
            nearest = min(_RATIOS, key=lambda each: abs(np.log(each / ratio[at])))
            if abs(np.log(nearest / ratio[at])) < 0.02:
                yield _split(bars, rows.start + at, nearest, has_adjusted=True)


def _kind(split: _Split) -> str:
    """What prices at a split are: raw, adjusted or unclear; or changed the other way."""
    size = float(np.log(split.ratio))
    if split.change is None:
        return "first"
    if split.adjusted_change is not None and abs(size) > 0.01:
        between = split.adjusted_change - split.change
        if abs(between - size) < _NEAR * abs(size):
            return "raw"
        if abs(between) < _NEAR * abs(size):
            return "adjusted"
    if abs(size) < _SMALL:
        return "unclear"
    if abs(split.change + size) < _NEAR * abs(size):
        return "raw"
    if abs(split.change) < _NEAR * abs(size):
        return "adjusted"
    return "other way" if abs(split.change - size) < _NEAR * abs(size) else "unclear"


def _rows_with(bars: Bars, name: str) -> tuple[Int64s, Float64s]:
    """The rows that have a value in a column of events, and the values; a ratio of 1 is no split."""
    rows, found = [], []
    for piece in bars.pieces():
        values = bars.of(name, piece)
        at = np.flatnonzero((values > 0) & ((values != 1) | (name != "splits")))
        rows.append(at + piece.start)
        found.append(values[at])
    return np.concatenate([np.empty(0, np.int64), *rows]), np.concatenate([np.empty(0), *found])


def _first_of_day(times: Int64s, values: Float64s) -> Int64s:
    """The places of events that do not repeat the one before within its day."""
    again = (np.diff(times) < _DAY_MS) & (np.diff(values) == 0)
    return np.flatnonzero(np.concatenate([[True], ~again])[: len(times)])


def _change(two: Float64s) -> float | None:
    before, after = two.tolist()
    return float(np.log(after / before)) if before > 0 and after > 0 else None


def _steps(splits: Sequence[_Split]) -> Steps:
    times = np.array([split.time_ms for split in splits], dtype=np.int64)
    return Steps(times, np.array([split.ratio for split in splits], dtype=np.float64))


def _told(splits: Sequence[_Split], *, is_raw: bool) -> tuple[str, ...]:
    splits = [split for split in splits if split.row]
    if not splits:
        return ()
    how = "are raw, and were adjusted" if is_raw else "are adjusted already"
    return (f"prices {how} for {_names(splits)}",)


def _names(splits: Sequence[_Split]) -> str:
    more = f" and {len(splits) - 3} more" if len(splits) > 3 else ""
    return ", ".join(split.name for split in splits[:3]) + more
