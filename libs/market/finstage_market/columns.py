"""Columns: bars as NumPy arrays over one time axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Bars, oldest first: six arrays of one length n.

    open_time_ms: int64[n], milliseconds since 1970-01-01T00:00:00Z, the bars' open times.
    open, high, low, close, volume: float64[n].
    """

    open_time_ms: Int64s
    open: Float64s
    high: Float64s
    low: Float64s
    close: Float64s
    volume: Float64s

    @classmethod
    def of(
        cls,
        open_time_ms: npt.ArrayLike,
        open: npt.ArrayLike,  # noqa: A002
        high: npt.ArrayLike,
        low: npt.ArrayLike,
        close: npt.ArrayLike,
        volume: npt.ArrayLike,
    ) -> Self:
        """Return columns from anything that NumPy can make arrays of.

        Raises:
            ValueError: the columns differ in length.
        """
        times = np.ascontiguousarray(open_time_ms, dtype=np.int64)
        values = [np.ascontiguousarray(v, dtype=np.float64) for v in (open, high, low, close, volume)]
        if any(v.shape != times.shape for v in values) or times.ndim != 1:
            lengths = {"open_time_ms": len(times)} | {n: len(v) for n, v in zip(VALUES, values, strict=True)}
            raise ValueError(f"columns differ in length: {lengths}")
        return cls(times, *values)

    @classmethod
    def empty(cls) -> Self:
        """No bars."""
        return cls.of([], [], [], [], [], [])

    @classmethod
    def concat(cls, parts: Sequence["Columns"]) -> Self:
        """Return the bars of `parts`, one after the other."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("open_time_ms", *VALUES)))

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_] | Int64s) -> Self:
        """Return the bars that a slice, a mask or an array of indexes selects."""
        return type(self)(
            self.open_time_ms[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
        )

    def range_slice(self, *, start_ms: int | None, end_ms: int | None, limit: int | None) -> slice:
        """Return the rows that opened in [start_ms, end_ms), and of these the last `limit`."""
        first = 0 if start_ms is None else int(np.searchsorted(self.open_time_ms, start_ms, side="left"))
        last = len(self) if end_ms is None else int(np.searchsorted(self.open_time_ms, end_ms, side="left"))
        last = max(first, last)
        if limit is not None:
            first = max(first, last - limit)
        return slice(first, last)

    @property
    def nbytes(self) -> int:
        """The size of the arrays in bytes."""
        return 48 * len(self)
