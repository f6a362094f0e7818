"""Comparison of stored with incoming bars. Pure functions over NumPy columns."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from finstage_market.columns import VALUES, Columns, Float64s, Int64s

Mask = npt.NDArray[np.bool_]

# Providers compute adjusted closes in float32, again for each reply: a smaller difference is no change.
ADJUSTED_CLOSE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars as they are stored: columns, and float64[n] adjusted closes, NaN where a bar has none.

    adjusted_close None: no bar has one (incoming), or they were not read (stored).
    """

    columns: Columns
    adjusted_close: Float64s | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, rows: slice | Mask | Int64s) -> Self:
        adjusted = None if self.adjusted_close is None else self.adjusted_close[rows]
        return type(self)(self.columns[rows], adjusted)

    def restamped(self, times: Int64s) -> Self:
        """The same bars at other open times."""
        if times is self.times:
            return self
        values = (getattr(self.columns, name) for name in VALUES)
        return type(self)(Columns(times, *values), self.adjusted_close)

    def reversed(self) -> Self:
        """Return the bars in the opposite order."""
        return self[np.arange(len(self) - 1, -1, -1)]

    @property
    def times(self) -> Int64s:
        """The open times, int64[n]."""
        return self.columns.open_time_ms


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """What each incoming bar is to the stored ones: three masks bool[n], exactly one of them set per bar."""

    inserted: Mask
    updated: Mask
    unchanged: Mask


def difference(stored: Bars, incoming: Bars) -> Difference:
    """Compare stored with incoming bars, both ordered by time, each time once."""
    at = np.searchsorted(stored.times, incoming.times)
    present = np.zeros(len(incoming), dtype=np.bool_)
    if len(stored):
        present = stored.times[np.minimum(at, len(stored) - 1)] == incoming.times
    at = at[present]
    same = np.ones(len(at), dtype=np.bool_)
    for name in VALUES:
        same &= getattr(stored.columns, name)[at] == getattr(incoming.columns, name)[present]
    if incoming.adjusted_close is not None and stored.adjusted_close is not None:
        same &= _same_adjusted(stored.adjusted_close[at], incoming.adjusted_close[present])
    unchanged = present.copy()
    unchanged[present] = same
    return Difference(~present, present & ~unchanged, unchanged)


def with_factors_kept(stored: Bars, incoming: Bars, updated: Mask) -> Bars:
    """Return the incoming bars; one that updates a bar and has no adjusted close keeps the bar's ratio."""
    if stored.adjusted_close is None or not updated.any():
        return incoming
    none = np.full(len(incoming), np.nan)
    kept = none if incoming.adjusted_close is None else incoming.adjusted_close.copy()
    wanting = updated & np.isnan(kept)
    at = np.searchsorted(stored.times, incoming.times[wanting])
    close = np.where(stored.columns.close[at] > 0, stored.columns.close[at], np.nan)
    kept[wanting] = incoming.columns.close[wanting] * (stored.adjusted_close[at] / close)
    return incoming if np.isnan(kept).all() else replace(incoming, adjusted_close=kept)


def missing(stored: Bars, incoming: Bars) -> Int64s:
    """Return the open times of stored bars that are not among the incoming ones."""
    return np.setdiff1d(stored.times, incoming.times, assume_unique=True)


def _same_adjusted(stored: Float64s, incoming: Float64s) -> Mask:
    """Whether the incoming value adds nothing: it equals the stored one but for rounding, or is absent."""
    close = np.abs(stored - incoming) <= ADJUSTED_CLOSE_TOLERANCE * np.abs(stored)
    return close | np.isnan(incoming)


@dataclass(frozen=True, slots=True)
class Extent:
    """A series' number of bars, the open times of the first and last, and whether the last is final."""

    count: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    last_is_final: bool = True

    def has_final(self, times: Int64s) -> bool:
        """Whether any of the bars at these open times, which are all stored, is final."""
        return len(times) > 0 and (self.last_is_final or int(times.min()) != self.last_ms)


def restates(extent: Extent, before_last_ms: int | None, *, touched: Int64s, inserted: Int64s) -> bool:
    """Whether a write invalidates what was computed from the final bars.

    Args:
        extent: the series before the write.
        before_last_ms: the open time of the bar before the last; only used when the last is not final.
        touched: open times of bars that are changed or removed.
        inserted: open times of bars that are new.
    """
    if extent.has_final(touched):
        return True
    last_final_ms = extent.last_ms if extent.last_is_final else before_last_ms
    return last_final_ms is not None and len(inserted) > 0 and int(inserted.min()) < last_final_ms
