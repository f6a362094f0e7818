"""The numbers of a table: all of its columns together, and the rows of which one cannot be read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from finstage_barfile import numbers
from finstage_barfile.table import Guess, Mask, Table
from finstage_market.columns import Float64s

# In the place of a volume they say that there is none.
_DASHES = ("-", "–", "—")


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """of: float64[n] by field, NaN where there is none; a volume that is not there is 0.
    unread: by field the cells that are not numbers, by row.
    decimal: the decimal sign; guess: what of it was guessed.
    """

    of: Mapping[str, Float64s]
    unread: Mapping[str, Mapping[int, str]]
    decimal: str
    guess: Guess | None

    def refusals(self) -> Iterator[tuple[int, str, str, str]]:
        """Each row that cannot be read: row, the first such field, its cell, and why, of all such fields."""
        rows: dict[int, list[str]] = {}
        for field, cells in self.unread.items():
            for row in cells:
                rows.setdefault(row, []).append(field)
        for row, fields in sorted(rows.items()):
            reasons = (f"{field} is {self.unread[field][row]!r}, which is not a number" for field in fields)
            yield row, fields[0], self.unread[fields[0]][row], "; ".join(reasons)

    def readable(self, count: int) -> Mask:
        """The rows that can be read whole."""
        mask = np.ones(count, dtype=np.bool_)
        for cells in self.unread.values():
            mask[list(cells)] = False
        return mask


def read(table: Table, columns: Mapping[str, str], decimal: str | None) -> Values:
    """The numbers of these columns, by field.

    Args:
        decimal: the decimal sign of those that are text, "." or ","; None: the columns tell it.

    Raises:
        Unreadable: a column holds what can be no numbers, or they do not tell the sign.
    """
    of: dict[str, Float64s] = {}
    signs: dict[str, numbers.Signs] = {}
    is_text = []
    for field, name in columns.items():
        cells = table.numbers(name)
        if isinstance(cells, np.ndarray):
            of[field] = cells
            continue
        is_text.append(field)
        values = None if decimal == "," else numbers.plain(cells)
        if decimal is None:
            signs[name] = numbers.signs(cells, is_plain=values is not None)
        if values is not None:
            of[field] = values
    guess = None
    if decimal is None:
        decimal, guess = numbers.decided(signs, table.usual_decimal)
    for field in is_text:
        if decimal == "," or field not in of:
            cells = table.numbers(columns[field])
            assert not isinstance(cells, np.ndarray)
            of[field] = numbers.read(cells, decimal, powers=field == "volume")
    unread = {field: _unread(table, columns[field], field, of[field]) for field in is_text}
    if "volume" in of:
        # What of it cannot be read does not go out.
        of["volume"][np.isnan(of["volume"])] = 0.0
    return Values(of, unread, decimal, guess)


def _unread(table: Table, name: str, field: str, values: Float64s) -> dict[int, str]:
    """The cells of text that say something, but no number."""
    nothing = np.isnan(values)
    if not nothing.any():
        return {}
    text = table.text(name)
    says = nothing & ~(text.isna() | text.isin(numbers.NOTHING)).to_numpy()
    if field == "volume":
        says &= ~text.isin(_DASHES).to_numpy()
    return dict(zip(np.flatnonzero(says).tolist(), text[says].tolist(), strict=True))
