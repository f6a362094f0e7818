"""Inputs: the columns of one series, as indicators read them."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, cast

import numpy as np

from finstage_market.columns import VALUES, Columns, Float64s

_T = TypeVar("_T")


class Source(StrEnum):
    """The column that an indicator of one input reads: finstage.indicators.v1.PriceSource."""

    CLOSE = "close"
    OPEN = "open"
    HIGH = "high"
    LOW = "low"
    VOLUME = "volume"
    HL2 = "hl2"
    HLC3 = "hlc3"
    OHLC4 = "ohlc4"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is made of."""
        return _MADE_OF.get(self, (self.value,))


_MADE_OF = {
    Source.HL2: ("high", "low"),
    Source.HLC3: ("high", "low", "close"),
    Source.OHLC4: ("open", "high", "low", "close"),
}


LARGEST = 1e300
"""The largest number that is computed with: sums of a few of them are finite too."""


class Inputs:
    """The bars of one series, from its first, and the sources made of them, each made once.

    columns: finite, in strictly growing order of time (`first_fault` finds none).
    time_zone: of the exchange, an IANA name.
    """

    def __init__(self, columns: Columns, *, time_zone: str = "UTC") -> None:
        self.columns = columns
        self.time_zone = time_zone
        self._made: dict[object, Any] = {}

    def __len__(self) -> int:
        return len(self.columns)

    def read(self, name: str, source: Source) -> Float64s:
        """Return the column `name`, float64[n]; where it is "source", that of `source`."""
        if name != "source":
            column: Float64s = getattr(self.columns, name)
            return column
        if source not in _MADE_OF:
            return self.read(source.value, source)

        def make() -> Float64s:
            first, *others = (self.read(part, source) for part in source.columns)
            mean: Float64s = sum(others, start=first) / len(source.columns)
            return mean

        return self.once(source, make)

    def once(self, key: object, make: Callable[[], _T]) -> _T:
        """Return what `make` made for `key`, which is made of these bars alone."""
        if key not in self._made:
            self._made[key] = make()
        return cast("_T", self._made[key])

    def __getitem__(self, rows: slice) -> "Inputs":
        """Return the bars of `rows` alone."""
        return Inputs(self.columns[rows], time_zone=self.time_zone)


def first_fault(columns: Columns) -> tuple[str, int, str] | None:
    """Return why TA-Lib must not see these bars: (column, row, what is wrong), of the first bad row.

    A NaN in the middle of what TA-Lib reads falsifies values without a trace; so does a wrong order.
    """
    faults: list[tuple[int, str, str]] = []
    steps = np.flatnonzero(np.diff(columns.open_time_ms) <= 0)
    if len(steps):
        row = int(steps[0]) + 1
        before, time = (int(t) for t in columns.open_time_ms[row - 1 : row + 1])
        faults.append((row, "open_time_ms", f"{time} comes after {before}; times must grow strictly"))
    for name in VALUES:
        values: Float64s = getattr(columns, name)
        good = np.abs(values) <= LARGEST
        if not good.all():
            row = int(np.argmin(good))
            faults.append((row, name, f"{values[row]} was given; it must be finite, within ±{LARGEST:g}"))
    if not faults:
        return None
    row, name, problem = min(faults)
    return name, row, problem
