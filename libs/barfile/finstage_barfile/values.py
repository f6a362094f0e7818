"""The numbers of a table: all of its columns together, and the rows of which one cannot be read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from finstage_barfile import numbers
from finstage_barfile.errors import Unreadable
from finstage_barfile.numbers import Signs
from finstage_barfile.table import Guess, Mask, Numbers, Piece, Text
from finstage_market.columns import PRICES, Float64s

# In the place of a volume they say that there is none.
_DASHES = ("-", "–", "—")
# How the names of columns start that only are evidence: what of them is no number does not matter.
FACTOR = "factor"
_ZERO_WHERE_MISSING = ("volume", "ticks", "dividends", "splits", "capital_gains")


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """of: float64[n] by field, NaN where there is none; a volume or an event that is not there is 0.
    unread: by field the cells that are not numbers, by row.
    """

    of: Mapping[str, Float64s]
    unread: Mapping[str, Mapping[int, str]]

    def refusals(self) -> Iterator[tuple[int, str, str, str]]:
        """Each row that cannot be read: row, the first such field, its cell, and why, of all such fields."""
        rows: dict[int, list[str]] = {}
        for name, cells in self.unread.items():
            for row in cells:
                rows.setdefault(row, []).append(name)
        for row, fields in sorted(rows.items()):
            reasons = (f"{name} is {self.unread[name][row]!r}, which is not a number" for name in fields)
            yield row, fields[0], self.unread[fields[0]][row], "; ".join(reasons)

    def readable(self, count: int) -> Mask:
        """The rows that can be read whole."""
        mask = np.ones(count, dtype=np.bool_)
        for cells in self.unread.values():
            mask[list(cells)] = False
        return mask


@dataclass(slots=True)
class DecimalSigns:
    """What the columns of a file, by piece, tell of their decimal sign."""

    _columns: dict[str, Signs] = field(default_factory=dict)
    # By column of prices: a cell that may be in 32nds, and one that cannot be.
    _ticks: dict[str, tuple[str, str]] = field(default_factory=dict)
    _is_grouped: bool = False

    def see(self, piece: Piece, columns: Mapping[str, str]) -> None:
        """Take in the cells of these columns."""
        for what, name in columns.items():
            cells = piece.numbers(name)
            if isinstance(cells, np.ndarray):
                continue
            seen = self._columns.get(name, Signs("", "", ""))
            if seen.point and not cells.str.contains("[,'’]", na=False).any():
                continue
            self._see_apostrophes(cells, what, name)
            cells = numbers.ratios(cells) if what == "splits" else cells
            found = numbers.signs(cells, is_plain=numbers.plain(cells) is not None)
            self._columns[name] = Signs(
                seen.point or found.point, seen.comma or found.comma, seen.either or found.either
            )

    def decided(self, usual: str | None) -> tuple[str, Guess | None]:
        """The decimal sign of all of them, and what was guessed for that; `usual` goes without saying.

        Raises:
            Unreadable: they do not tell it.
        """
        for name, (ticks, other) in self._ticks.items():
            if ticks and not other and not self._is_grouped:
                whole, part = re.split("['’]", ticks)
                raise Unreadable(
                    f"column {name!r} has {ticks!r}, which can be {whole + part} or, as bonds are quoted, "
                    f"{whole} and {int(part[:2])}/32; no other number of the file tells which",
                    settled_by="decimal",
                )
        return numbers.decided(self._columns, usual)

    def _see_apostrophes(self, cells: Text, what: str, name: str) -> None:
        ticks, grouped, other = numbers.apostrophes(cells)
        self._is_grouped = self._is_grouped or bool(grouped)
        if what in (*PRICES, "adjusted_close"):
            before = self._ticks.get(name, ("", ""))
            self._ticks[name] = before[0] or ticks, before[1] or other


def read(piece: Piece, columns: Mapping[str, str], decimal: str) -> Values:
    """The numbers of these columns, by field.

    Raises:
        Unreadable: a column cannot hold numbers.
    """
    of: dict[str, Float64s] = {}
    unread: dict[str, dict[int, str]] = {}
    for name, column in columns.items():
        cells = piece.numbers(column)
        if isinstance(cells, np.ndarray):
            of[name] = cells
        else:
            cells = numbers.ratios(cells) if name == "splits" else cells
            of[name] = _read(cells, name, decimal)
            if not name.startswith(FACTOR):
                unread[name] = _unread(piece.text(column), name, of[name])
        if name in _ZERO_WHERE_MISSING:
            # What of it cannot be read does not go out.
            of[name][np.isnan(of[name])] = 0.0
    return Values(of, unread)


def may_be_numbers(cells: Numbers) -> bool:
    """Whether a column holds numbers, and does not only hold text."""
    if isinstance(cells, np.ndarray):
        return bool((~np.isnan(cells)).any())
    return any(bool((~np.isnan(numbers.read(cells, sign, powers=True))).any()) for sign in numbers.DECIMALS)


def _read(cells: Text, name: str, decimal: str) -> Float64s:
    values = None if decimal == "," else numbers.plain(cells)
    return numbers.read(cells, decimal, powers=name == "volume") if values is None else values


def _unread(text: Text, name: str, values: Float64s) -> dict[int, str]:
    """The cells of text that say something, but not a number."""
    nothing = np.isnan(values)
    if not nothing.any():
        return {}
    says = nothing & ~(text.isna() | text.isin(numbers.NOTHING)).to_numpy()
    if name in _ZERO_WHERE_MISSING:
        says &= ~text.isin(_DASHES).to_numpy()
    return dict(zip(np.flatnonzero(says).tolist(), text[says].tolist(), strict=True))
