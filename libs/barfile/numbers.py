"""Numbers that are written as text."""

import math
import re

import numpy as np
import pandas as pd

from libs.barfile.table import Texts
from libs.market.columns import Float64s

# How a cell says that there is no number: what pandas takes for that, fixed here.
NOTHING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip

_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")


def number(cell: str, *, thousands: bool) -> float:
    """The number that a cell says, NaN when it says none. thousands: 1,234.5 is 1234.5."""
    try:
        return float(cell) if "_" not in cell else math.nan
    except ValueError:
        if thousands and _GROUPED.fullmatch(cell.strip()):
            return float(cell.replace(",", ""))
        return math.nan


def numbers(cells: Texts, *, thousands: bool) -> Float64s:
    """float64[n]: number() of each cell, NaN where a cell is missing."""
    try:
        # As a whole: NumPy asks float() too, which reads every digit, and takes 1_0 for 10.
        values = cells.astype(np.float64)
        odd = "_" in "".join(cells[~pd.isna(cells)])
    except ValueError:
        odd = True
    if odd:
        found = (number(cell, thousands=thousands) if isinstance(cell, str) else math.nan for cell in cells)
        values = np.fromiter(found, np.float64, len(cells))
    return values
