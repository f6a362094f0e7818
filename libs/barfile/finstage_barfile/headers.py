"""Where a CSV's table begins, and the names of its columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finstage_barfile import shapes
from finstage_barfile.column_names import is_value, names_prices
from finstage_barfile.errors import Unreadable
from finstage_barfile.numbers import NOTHING
from finstage_barfile.table import Guess

# Rows that are looked at: a header may stand below some lines of text, and has three rows at most.
ROWS = 30
# Databento's columns of a record; its prices are whole numbers of a billionth then.
_DATABENTO = {"rtype", "publisher_id", "instrument_id"}


@dataclass(frozen=True, slots=True)
class Header:
    """names: of the columns. first: the first record of the data, from 0.
    price_scale: what one unit of its prices is worth; None: nothing tells.
    rows: those of the file up to there.
    is_dated_by_name: whether its times are milliseconds of the day that the file's name has.
    """

    names: tuple[str, ...]
    first: int
    notes: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()
    price_scale: float | None = 1.0
    is_dated_by_name: bool = False
    rows: tuple[tuple[str, ...], ...] = ()

    def check_repeated(self, cells: Sequence[str], line: int) -> None:
        """Check a line further on that may be a header too, as where files were put one after another.

        Raises:
            Unreadable: it is one, and names other columns, or in another order.
        """
        cells = tuple(cell.strip() for cell in cells)
        lower = [_trimmed(row) for row in (*self.rows, self.names)]
        if names_prices(cells) and _trimmed(cells) not in lower:
            named = ", ".join(cells)[:80]
            raise Unreadable(f"line {line} is a header too ({named}), and another than that of the file")


def _trimmed(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(",".join(cells).lower().rstrip(",").split(","))


def find(records: Sequence[Sequence[str]], columns: Sequence[str] | None, file_name: str) -> Header:
    """The header of a file, by its first records, each of cells without blanks around them.

    Args:
        columns: the names of its columns, where it has no header.
        file_name: may have the date of its times.

    Raises:
        Unreadable: it has no header, and the shape of its rows is not known.
    """
    at = next((at for at in range(len(records)) if _is_header(records, at)), None)
    if columns:
        first = 0 if at is None else at + 1
        return Header(unique(columns), first, () if at is None else _skipped(records[: at + 1]))
    if at is None:
        # Text above the data has fewer cells than that.
        width = max(map(len, records))
        at = next((i for i, cells in enumerate(records) if len(cells) > 1 or width == 1), 0)
        if shapes.is_data(records[at]):
            return _without(records, at, file_name)
    count, names = names_of(records[at:])
    data = records[at + count] if len(records) > at + count else ()
    header = Header(tuple(names), at + count, _skipped(records[:at]))
    if set(names) >= _DATABENTO and re.fullmatch(
        r"\d{7,}", dict(zip(names, data, strict=False)).get("open", "")
    ):
        guess = Guess("its prices were read in billionths, as Databento writes them", "price_scale")
        return Header(header.names, header.first, header.notes, (guess,), 1e-9)
    return header


def names_of(records: Sequence[Sequence[str]]) -> tuple[int, tuple[str, ...]]:
    """How many of the records are the header, and the names that they give.

    Two rows, such as (Close, Close) above (AAPL, MSFT), are read as AAPL.Close and MSFT.Close.
    """
    first = records[0]
    if len(records) > 1 and (names := _of_two(first, records[1])):
        if len(records) > 2 and records[2][0] and not any(records[2][1:]):
            return 3, unique([records[2][0], *names])
        corner = next((cell for cell in (first[0], records[1][0]) if cell.lower().startswith("date")), "")
        return 2, unique([corner, *names])
    return 1, unique(first)


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, the second "Close" as "Close.2"."""
    made: list[str] = []
    taken = {""}
    for name in names:
        count, own = 1, name
        while name and own in taken:
            count += 1
            own = f"{name}.{count}"
        taken.add(own)
        made.append(own)
    return tuple(made)


def _is_header(records: Sequence[Sequence[str]], at: int) -> bool:
    two = len(records) > at + 1 and _of_two(records[at], records[at + 1])
    return bool(two) or names_prices(records[at])


def _without(records: Sequence[Sequence[str]], at: int, file_name: str) -> Header:
    data = [cells for cells in records[at:] if len(cells) >= len(records[at])]
    shape = shapes.recognised(data, file_name)
    names = shape.columns
    told = ", ".join(name or "-" for name in names)
    guess = Guess(f"it has no header; its columns were read as {told} ({shape.name})", "columns")
    guesses = [guess]
    scale = shape.price_scale if shape.price_scale == 1 or shapes.LEAN_NAME.match(file_name) else None
    if scale not in (1, None):
        guesses.append(Guess(f"its prices were read as multiples of {shape.price_scale:g}", "price_scale"))
    return Header(
        names,
        at,
        _skipped(records[:at]),
        tuple(guesses),
        scale,
        is_dated_by_name=shape.is_dated_by_name,
    )


def _skipped(records: Sequence[Sequence[str]]) -> tuple[str, ...]:
    shown = [" ".join(filter(None, cells)) for cells in records]
    return tuple(f"skipped above the table: {line[:80]}" for line in shown)


def _of_two(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """The names after the first column; none where the second row is not part of a header."""
    if len(first) != len(second) or re.match(r"-?\d", second[0]):
        return []
    for values, tickers in ((first[1:], second[1:]), (second[1:], first[1:])):
        are_tickers = all(re.search("[A-Za-z]", cell) and cell not in NOTHING for cell in tickers)
        if are_tickers and 2 * sum(map(is_value, values)) > len(values) and not any(map(is_value, tickers)):
            return [f"{ticker}.{value}" for value, ticker in zip(values, tickers, strict=True)]
    return []
