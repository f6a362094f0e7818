"""Terms: what divisors are summed of, and where a sum or an average of them is zero.

A mask is a bool a bar, or None where it would be False at every bar. That it is None costs little to know: a
run of n zeros holds one of every n rows, so only those are looked at.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from finstage_market.columns import Float64s
from services.indicators.inputs import Inputs, Source

Mask = npt.NDArray[np.bool_]

ROUNDING = 1e-14
"""A change or a range below this part of the prices themselves is rounding."""
MEMORY = 37
"""Periods: (1 − 1/n)^(37 n) < 2^-53, so a running average holds no digit of what came in so long ago."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term a bar of a sum or an average.

    key: what it is, among all terms of `inputs`.
    first: the row of the first term.
    is_zero: where it is zero, at the rows of a slice that has a start and a stop.
    """

    inputs: Inputs
    key: Hashable
    first: int
    is_zero: Callable[[slice], Mask]

    def whole(self) -> Mask:
        """Return where it is zero; False before the first term."""
        rows = slice(self.first, len(self.inputs))
        return self.inputs.once(("term", self.key), lambda: from_row(self.first, self.is_zero(rows)))

    def anywhere(self) -> Mask | None:
        """Return where it is zero."""
        return any_of(self.whole())

    def window(self, length: int) -> Mask | None:
        """Return where the last `length` terms are zero."""
        rows = slice(self.first + length - 1, len(self.inputs), length)
        return any_of(_run_lengths(self.whole()) >= length) if self.is_zero(rows).any() else None

    def running(self, period: float, *, terms: float | None = None, first: int | None = None) -> Mask | None:
        """Return where a running average of `period` is zero.

        terms: how many it has at its first value, if not `period`.
        first: the row where they begin, if not the first of all.
        """
        start = self.first if first is None else first
        begun = start + int(terms or period)
        memory = 1 if period == 1 else int(MEMORY * period)
        step = max(1, memory // 16)
        probes = self.is_zero(slice(start, len(self.inputs), step))
        still = bool(probes[0]) and self.is_zero(slice(start, begun)).all()
        if not still and not _has_run(probes, memory // step):
            return None
        lengths = _run_lengths(self.whole()[start:])
        empty = from_row(start, lengths >= np.minimum(np.arange(1, len(lengths) + 1), memory))
        return empty if empty[begun - 1 :].any() else None


# --- masks --------------------------------------------------------------------------------------------


def any_of(mask: Mask) -> Mask | None:
    """Return `mask`, or None where it is True nowhere."""
    return mask if mask.any() else None


def within(mask: Mask | None, length: int) -> Mask | None:
    """Return where it is True at one of the last `length` rows."""
    if mask is None or length == 1:
        return mask
    index = np.arange(len(mask))
    last = np.maximum.accumulate(np.where(mask, index, -length))
    return index - last < length


def later(mask: Mask | None, rows: int) -> Mask | None:
    """Return where it is True `rows` before."""
    return None if mask is None else from_row(rows, mask[: len(mask) - rows])


def either(*masks: Mask | None) -> Mask | None:
    """Return where one of them is True."""
    found = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(found) if found else None


def from_row(first: int, mask: Mask) -> Mask:
    """Return `mask` with `first` times False before it."""
    return np.concatenate((np.zeros(first, dtype=bool), mask)) if first else mask


def _has_run(zero: Mask, length: int) -> bool:
    return bool(np.count_nonzero(zero) >= length and (_run_lengths(zero) >= length).any())


def _run_lengths(zero: Mask) -> npt.NDArray[np.int64]:
    """Return, at each row, how many True in a row end there."""
    index = np.arange(len(zero))
    return index - np.maximum.accumulate(np.where(zero, -1, index))


# --- terms --------------------------------------------------------------------------------------------


def equal(a: Float64s, b: Float64s) -> Mask:
    """Return where they are equal but for rounding."""
    same: Mask = np.abs(a - b) <= ROUNDING * (np.abs(a) + np.abs(b))
    return same


def change(inputs: Inputs, name: str, source: Source = Source.CLOSE) -> Term:
    """The change of a column since the bar before."""
    values = inputs.read(name, source)
    key = source if name == "source" else name
    return Term(inputs, ("change", key), 1, lambda rows: equal(values[rows], values[_before(rows)]))


def value(inputs: Inputs, name: str, source: Source = Source.CLOSE) -> Term:
    """The value of a column itself."""
    values = inputs.read(name, source)
    key = source if name == "source" else name
    return Term(inputs, ("value", key), 0, lambda rows: values[rows] == 0.0)


def bar_range(inputs: Inputs) -> Term:
    """High less low."""
    bars = inputs.columns
    return Term(inputs, "range", 0, lambda rows: equal(bars.high[rows], bars.low[rows]))


def body(inputs: Inputs) -> Term:
    """Close less open."""
    bars = inputs.columns
    return Term(inputs, "body", 0, lambda rows: equal(bars.open[rows], bars.close[rows]))


def true_range(inputs: Inputs) -> Term:
    """The range of high, low and the close before."""
    bars = inputs.columns

    def is_zero(rows: slice) -> Mask:
        high, low, close = bars.high[rows], bars.low[rows], bars.close[_before(rows)]
        return equal(high, low) & equal(high, close)

    return Term(inputs, "true range", 1, is_zero)


def movement(inputs: Inputs) -> Term:
    """Wilder's +DM and −DM together: how far a bar reaches outwards, where it does so on one side more."""
    bars = inputs.columns

    def is_zero(rows: slice) -> Mask:
        up = bars.high[rows] - bars.high[_before(rows)]
        down = bars.low[_before(rows)] - bars.low[rows]
        none: Mask = ((up <= 0.0) & (down <= 0.0)) | (up == down)
        return none

    return Term(inputs, "movement", 1, is_zero)


def money_flow(inputs: Inputs) -> Term:
    """The typical price times volume, where the typical price has changed."""
    typical, volume = inputs.read("source", Source.HLC3), inputs.columns.volume
    unchanged = change(inputs, "source", Source.HLC3)

    def is_zero(rows: slice) -> Mask:
        none: Mask = unchanged.is_zero(rows) | (typical[rows] == 0.0) | (volume[rows] == 0.0)
        return none

    return Term(inputs, "money flow", 1, is_zero)


def flat_window(inputs: Inputs, length: int) -> Mask | None:
    """Return where the highest high of `length` bars equals the lowest low."""
    one = bar_range(inputs).window(length)
    if one is None or length == 1:
        return one
    unchanged = change(inputs, "low").window(length - 1)
    return None if unchanged is None else any_of(one & unchanged)


def equal_window(inputs: Inputs, name: str, source: Source, length: int) -> Mask | None:
    """Return where `length` values are equal."""
    if length == 1:
        return np.ones(len(inputs), dtype=bool)
    return change(inputs, name, source).window(length - 1)


def _before(rows: slice) -> slice:
    return slice(rows.start - 1, rows.stop - 1, rows.step)
