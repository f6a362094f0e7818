"""What is asked of a table, whatever the file's format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from finstage_market.columns import Float64s, Int64s

Cells: TypeAlias = "pd.Series[Any]"
Text: TypeAlias = "pd.Series[str]"
Timestamps: TypeAlias = "pd.Series[pd.Timestamp]"
Numbers: TypeAlias = "Float64s | Text"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be read.

    row: its place in the file, as BarFile.rows has it.
    what: what of it cannot be read: a field, or "cells", where there are more of them than the header has.
    cell: what stands there.
    """

    row: int
    what: str
    cell: str
    reason: str


@dataclass(frozen=True, slots=True)
class Guess:
    """Something that the file does not tell for sure, and how it was read.

    settled_by: the argument of read() that says it.
    """

    text: str
    settled_by: str


class Table(Protocol):
    """A table of n rows. Its columns' names differ from each other."""

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

    @property
    def usual_decimal(self) -> str | None:
        """The decimal sign that goes without saying in such a file, if one does."""

    def only(self, wanted: Mask) -> Self:
        """The table of these rows alone."""

    def times(self, name: str) -> Cells:
        """n cells: text, timestamps with or without a zone, or numbers.

        Raises:
            Unreadable: the column holds what can be no times.
        """

    def numbers(self, name: str) -> Numbers:
        """float64[n], NaN where there is none; or n cells of text that are still to be read.

        Raises:
            Unreadable: the column holds what can be no numbers.
        """

    def text(self, name: str) -> Text:
        """n cells as text, without blanks around it; NaN where a cell says that there is nothing."""
