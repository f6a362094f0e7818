"""What is asked of a table, whatever the file's format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from libs.market.columns import Float64s, Int64s

Cells: TypeAlias = "pd.Series[Any]"
Text: TypeAlias = "pd.Series[str]"
Timestamps: TypeAlias = "pd.Series[pd.Timestamp]"
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be read.

    row: its place in the file, as BarFile.rows has it.
    what: what of it cannot be read, "time" or "cells": there are more of these than the header has.
    cell: what stands there.
    """

    row: int
    what: Literal["time", "cells"]
    cell: str
    reason: str


class Table(Protocol):
    """A table of n rows."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""

    @property
    def row_name(self) -> str:
        """What `rows` counts: "line" or "row"."""

    @property
    def rows(self) -> Int64s:
        """int64[n], the place in the file of each row, from 1."""

    @property
    def refused(self) -> tuple[RefusedRow, ...]:
        """Those of the file that are none of the n."""

    def times(self, name: str) -> Cells:
        """n cells: text, timestamps with or without a zone, or numbers.

        Raises:
            Unreadable: the column holds what can be no times.
        """

    def numbers(self, name: str, *, empty: float = np.nan) -> Float64s:
        """float64[n]: NaN where a cell is no number, `empty` where there is none.

        Raises:
            Unreadable: the column holds what can be no numbers.
        """
