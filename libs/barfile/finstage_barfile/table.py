"""What is asked of a table, whatever the file's format."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from finstage_barfile.errors import printable
from finstage_market.columns import Float64s, Int64s

Cells: TypeAlias = "pd.Series[Any]"
Text: TypeAlias = "pd.Series[str]"
Timestamps: TypeAlias = "pd.Series[pd.Timestamp]"
Numbers: TypeAlias = "Float64s | Text"
Mask = npt.NDArray[np.bool_]

# A piece has at most so many rows.
MAX_PIECE_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be read.

    row: its place in the file, as Bars.rows has it.
    what: the field that cannot be read, or "cells" where the row has more or fewer than the header.
    cell: the text of that field.
    """

    row: int
    what: str
    cell: str
    reason: str


@dataclass(frozen=True, slots=True)
class Guess:
    """Something that the file does not tell for sure, and how it was read.

    settled_by: the argument of read() that says it.
    fields: the fields that `column_names` would name, where that is the argument.
    """

    text: str
    settled_by: str
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text))


class Piece(Protocol):
    """Some consecutive rows of a table, n of them."""

    @property
    def rows(self) -> Int64s:
        """int64[n], the place in the file of each row, from 1."""

    @property
    def refused(self) -> tuple[RefusedRow, ...]:
        """The rows of the file among these that have more cells than the header, and are not of the n."""

    def only(self, wanted: Mask) -> Self:
        """Return the piece with these rows alone."""

    def cut(self, columns: Collection[str]) -> dict[int, tuple[str, str]]:
        """The rows, from 0, that end before the last of these columns: their cells, and the reason."""

    def times(self, name: str) -> Cells:
        """n cells: text, timestamps with or without a zone, or numbers.

        Raises:
            Unreadable: the column cannot hold times.
        """

    def numbers(self, name: str) -> Numbers:
        """float64[n], NaN where there is none; or n cells of text that are still to be read.

        Raises:
            Unreadable: the column cannot hold numbers.
        """

    def text(self, name: str) -> Text:
        """n cells as text, without blanks around it; NaN where a cell says that there is nothing."""


class Table(Protocol):
    """A table whose columns have different names."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""

    @property
    def row_name(self) -> str:
        """What a piece's `rows` count: "line" or "row"."""

    @property
    def usual_decimal(self) -> str | None:
        """The decimal sign that goes without saying in such a file, if one does."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to find the table in the file, for people."""

    @property
    def guesses(self) -> tuple[Guess, ...]:
        """The same, where the file does not tell it for sure."""

    @property
    def price_scale(self) -> float | None:
        """What one unit of its prices is worth; None: nothing tells, and it must be given."""

    def pieces(self) -> Iterator[Piece]:
        """Its rows, from the first to the last; every call reads them anew."""
