"""Times that are numbers: seconds, milliseconds, microseconds or nanoseconds since 1970."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finstage_barfile.table import Cells, Text
from finstage_market.columns import Int64s

# The size of a number tells its unit: seconds are below 10**11 until the year 5138.
_UNITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"), (2**63, "ns"))
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# A smaller number is a date, 20240131, and not an epoch.
_SMALLEST = 10**8
_WHOLE = r"-?(?:\d{1,18}|[1-8]\d{18})(?:\.0*)?"


@dataclass(frozen=True, slots=True)
class Epochs:
    """How the numbers of a column are read: all in one unit, or each in the unit that its size tells."""

    unit: str
    is_mixed: bool

    @property
    def how(self) -> str:
        """The same, for people."""
        return (
            "numbers since 1970, each in the unit of its size" if self.is_mixed else f"{self.unit} since 1970"
        )

    def times(self, cells: Cells) -> "pd.Series[pd.Timestamp]":
        """datetime64[ns], UTC without saying so; NaT where a cell is not such a number."""
        values = whole(cells)
        present = values.notna().to_numpy()
        numbers = np.asarray(values[present], dtype=np.int64)
        factors = 10**9 // _per_second(numbers, None if self.is_mixed else self.unit)
        fit = np.abs(numbers) < np.iinfo(np.int64).max // factors
        found = np.full(len(values), np.iinfo(np.int64).min)
        found[np.flatnonzero(present)[fit]] = (numbers * factors)[fit]
        return pd.Series(found.view("datetime64[ns]"))


def judged(cells: Cells) -> Epochs | None:
    """How to read a column of epochs, from a sample in the file's order. None: they are not epochs.

    The largest tells the unit. Where others are of another size, and times are closer together when each
    number is read in the unit of its own size, the column mixes them.
    """
    numbers = np.asarray(whole(cells).dropna(), dtype=np.int64)
    largest = int(np.abs(numbers).max(initial=0))
    if largest < _SMALLEST:
        return None
    unit = next(unit for bound, unit in _UNITS if largest < bound)
    alone = numbers / _per_second(numbers, unit)
    each = numbers / _per_second(numbers, None)
    is_mixed = float(np.abs(np.diff(each)).sum()) < float(np.abs(np.diff(alone)).sum())
    return Epochs(unit, is_mixed)


def whole(cells: Cells) -> "pd.Series[int]":
    """The cells that are whole numbers, and else NA."""
    if pd.api.types.is_string_dtype(cells):
        text: Text = cells.where(cells.str.fullmatch(_WHOLE, na=False)).str.replace(r"\.0*$", "", regex=True)
        present = text.notna()
        values = pd.Series(pd.NA, index=cells.index, dtype="Int64")
        values[present] = text[present].to_numpy(dtype=np.object_).astype(np.int64)
        return values
    if pd.api.types.is_float_dtype(cells):
        numbers = cells.to_numpy(dtype=np.float64)
        cells = cells.where((np.abs(numbers) < 2.0**63) & (numbers == np.trunc(numbers)))
    return cells.astype("Int64")


def _per_second(numbers: Int64s, unit: str | None) -> Int64s:
    if unit is not None:
        return np.full(len(numbers), _PER_SECOND[unit], dtype=np.int64)
    bounds = np.array([bound for bound, _ in _UNITS[:-1]], dtype=np.int64)
    return np.array(list(_PER_SECOND.values()), dtype=np.int64)[
        np.searchsorted(bounds, np.abs(numbers), side="right")
    ]
