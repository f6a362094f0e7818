"""Times that are numbers: seconds, milliseconds, microseconds or nanoseconds since 1970."""

import numpy as np
import pandas as pd

from finstage_barfile.table import Cells, Text, Timestamps
from finstage_market.columns import Int64s

# The largest of a column tells its unit: seconds are below 10**11 until the year 5138.
_UNITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"), (2**63, "ns"))
# What is below is no epoch but a date, 20240131.
_SMALLEST = 10**8
_WHOLE = r"-?(?:\d{1,18}|[1-8]\d{18})(?:\.0*)?"


def of_numbers(cells: Cells) -> tuple[Timestamps, str] | None:
    """UTC times of numbers, NaT where one is not whole; how they were read. None: no epochs."""
    values = whole(cells)
    present = values.notna().to_numpy()
    return _epochs(np.asarray(values[present], dtype=np.int64), present)


def of_text(cells: Text) -> tuple[Timestamps, str] | None:
    """The same of numbers that are written as text."""
    present = cells.str.fullmatch(_WHOLE, na=False).to_numpy(dtype=bool)
    texts = cells[present].str.replace(r"\.0*$", "", regex=True)
    return _epochs(texts.to_numpy(dtype=np.object_).astype(np.int64), present)


def whole(numbers: Cells) -> "pd.Series[int]":
    """The whole ones of the numbers, and else NA."""
    if pd.api.types.is_float_dtype(numbers):
        values = numbers.to_numpy(dtype=np.float64)
        numbers = numbers.where((np.abs(values) < 2.0**63) & (values == np.trunc(values)))
    return numbers.astype("Int64")


def _epochs(
    values: Int64s, present: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[Timestamps, str] | None:
    largest = int(np.abs(values).max(initial=0))
    if largest < _SMALLEST:
        return None
    unit = next(unit for bound, unit in _UNITS if largest < bound)
    times = np.full(len(present), np.datetime64("NaT"), dtype=f"datetime64[{unit}]")
    times[present] = values.astype(times.dtype)
    return pd.Series(times).dt.tz_localize("UTC"), f"{unit} since 1970"
