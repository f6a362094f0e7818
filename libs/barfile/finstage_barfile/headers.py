"""The names of a CSV's columns: each once, and those that are written in two rows put together."""

import re
from collections.abc import Sequence

from finstage_barfile.mapping import is_value
from finstage_barfile.numbers import NOTHING

# Header rows, at most: yfinance writes what the columns are, whose they are, and the index's name.
ROWS = 3


def names_of(records: Sequence[Sequence[str]]) -> tuple[int, list[str]]:
    """How many of a file's first records are its header, and the names that they give.

    Two rows, such as (Close, Close) above (AAPL, MSFT), are read as AAPL.Close and MSFT.Close.
    """
    first = records[0]
    if len(records) > 1 and (names := _of_two(first, records[1])):
        if len(records) > 2 and records[2][0] and not any(records[2][1:]):
            return 3, unique([records[2][0], *names])
        corner = next((cell for cell in (first[0], records[1][0]) if cell.lower().startswith("date")), "")
        return 2, unique([corner, *names])
    return 1, unique(first)


def unique(names: Sequence[str]) -> list[str]:
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
    return made


def _of_two(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """The names after the first column; none where the second row is no part of a header."""
    if len(first) != len(second) or re.match(r"-?\d", second[0]):
        return []
    for values, tickers in ((first[1:], second[1:]), (second[1:], first[1:])):
        are_tickers = all(re.search("[A-Za-z]", cell) and cell not in NOTHING for cell in tickers)
        if are_tickers and 2 * sum(map(is_value, values)) > len(values) and not any(map(is_value, tickers)):
            return [f"{ticker}.{value}" for value, ticker in zip(values, tickers, strict=True)]
    return []
