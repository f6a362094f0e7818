"""Files without a header: the shapes that are known, by what their first rows hold."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from finstage_barfile.errors import Unreadable
from finstage_barfile.numbers import NOTHING

# What a cell can be; one cell can be several of these.
_CELLS = {
    "E": r"\d{9,10}|\d{12,13}|\d{15,16}|\d{18,19}",  # an epoch
    # A date and a time of day.
    "T": r"\d{4}[-./]?\d\d?[-./]?\d\d?[T ]\d\d?:?\d\d(?::?\d\d)?.*|\d\d?[-./]\d\d?[-./]\d{4}[T ]\d.*",
    "L": r"\d{8} \d\d:\d\d",  # the date and time of LEAN
    "D": r"\d{8}|\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./](?:\d\d|\d{4})",  # a date
    "C": r"\d\d?:\d\d(?::\d\d)?(?:\.\d+)?|\d{4}|\d{6}",  # a time of day
    "M": r"\d{1,8}",  # milliseconds of the day
    "I": r"\d{4,9}",  # a price in ten-thousandths
    "N": r"[+-]?[\d.,'  ]*\d[\d.,]*(?:[eE][+-]?\d+)?|",  # a number, or nothing
    "S": r"[A-Za-z^][\w.^=/-]*",  # a ticker
}  # fmt: skip
_OHLC = ("open", "high", "low", "close")
TEN_THOUSANDTHS = 1e-4
# 20240102_spy_minute_trade.csv
LEAN_NAME = re.compile(r"\d{8}_[^/]+_(?:tick|second|minute|hour|daily)_(?:trade|quote|openinterest)\b", re.I)


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of file: a cell class of each column, and the columns' names; empty for what is not read.

    price_scale: what one unit of its prices is worth, where the file's name is one that LEAN gives; else
        such prices may as well be whole.
    is_dated_by_name: whether the file's name has the date, and its times are milliseconds of that day.
    """

    name: str
    cells: str
    columns: tuple[str, ...]
    price_scale: float = 1.0
    is_dated_by_name: bool = False


_BARS = (*_OHLC, "volume")
_SHAPES = (
    Shape("Binance klines", "ENNNNNENNNNN", ("time", *_BARS, "", "", "", "", "", "")),
    Shape("Kraken OHLCVT", "ENNNNNN", ("time", *_BARS, "trades")),
    Shape("Kraken OHLC", "ENNNNNNN", ("time", *_OHLC, "vwap", "volume", "trades")),
    Shape("LEAN bars in ten-thousandths", "LIIIIN", ("time", *_BARS), TEN_THOUSANDTHS),
    Shape("LEAN bars in ten-thousandths", "MIIIIN", ("time", *_BARS), TEN_THOUSANDTHS, is_dated_by_name=True),
    Shape("LEAN bars", "MNNNNN", ("time", *_BARS), is_dated_by_name=True),
    *(
        Shape(f"{whose}a time and bars", f"{cells}{when}NNNN{more}", (*symbol, "time", *_OHLC, *named))
        for whose, cells, symbol in (("", "", ()), ("a ticker, ", "S", ("symbol",)))
        for when in "ETD"
        for more, named in (("N", ("volume",)), ("", ()))
    ),
    Shape("MetaTrader bars", "DCNNNNNNN", ("date", "time", *_OHLC, "tickvol", "vol", "spread")),
    Shape("MetaTrader bars", "DNNNNNNN", ("date", *_OHLC, "tickvol", "vol", "spread")),
    Shape("a date, a time of day and bars", "DCNNNNN", ("date", "time", *_BARS)),
    Shape("a date, a time of day and bars", "DCNNNN", ("date", "time", *_OHLC)),
    Shape("a ticker, a date, a time of day and bars", "SDCNNNNN", ("symbol", "date", "time", *_BARS)),
    Shape("MetaStock bars", "SSDCNNNNNN", ("symbol", "", "date", "time", *_BARS, "openint")),
    Shape("a date and bars with open interest", "DNNNNNN", ("date", *_BARS, "openint")),
)
_ADJUSTED = Shape("a date, prices, an adjusted close and a volume", "DNNNNNN",
                  ("date", *_OHLC, "adjusted_close", "volume"))  # fmt: skip
# So far from the close a number may be an adjusted close, if the one after it is much larger.
_NEAR, _MUCH_LARGER = 0.1, 10


def is_data(cells: Sequence[str]) -> bool:
    """Whether the cells of a file's first row are those of a bar, and not the names of columns."""
    said = [cell for cell in cells if cell]
    numbers = sum(_is(cell, "N") or _is(cell, "T") or _is(cell, "C") for cell in said)
    starts = any(_is(cell, kind) for cell in said[:3] for kind in "ETDM")
    return len(said) >= 4 and starts and numbers >= 4 and 2 * numbers > len(said)


def recognised(records: Sequence[Sequence[str]], file_name: str) -> Shape:
    """The shape of a file by its first rows.

    Raises:
        Unreadable: its shape is not known, or its prices are in another order.
    """
    is_dated = re.search(r"(?<!\d)(?:19|20)\d{6}(?!\d)", file_name) is not None
    told = f"it has no header, and its first line is {', '.join(records[0])!r}"
    for shape in _SHAPES:
        if (is_dated or not shape.is_dated_by_name) and all(_fits(cells, shape) for cells in records):
            if not all(_is_bar(cells, shape.columns) for cells in records):
                # Where the high and the low stand tells nothing of which of the others is the open.
                reason = "its prices are not in the order open, high, low, close"
                raise Unreadable(f"{told}; {reason}", settled_by="columns")
            return _with_two_more(shape, records, told) if shape.columns[-1] == "openint" else shape
    raise Unreadable(told, settled_by="columns")


def _with_two_more(shape: Shape, records: Sequence[Sequence[str]], told: str) -> Shape:
    """The shape of a date, four prices and two numbers: a volume and open interest, or what Yahoo has."""
    if shape.cells != _ADJUSTED.cells:
        return shape
    at = shape.columns.index("close")
    rows = [(n[at], n[-2], n[-1]) for n in (list(map(_number, cells[:7])) for cells in records)]
    known = [row for row in rows if not any(map(math.isnan, row))]
    if known and all(abs(sixth - close) <= _NEAR * abs(close) for close, sixth, _ in known) and any(
        seventh > _MUCH_LARGER * abs(sixth) for _, sixth, seventh in known
    ):  # fmt: skip
        return _ADJUSTED
    if any(sixth % 1 for _, sixth, _ in known):
        more = "a volume or an adjusted close"
        raise Unreadable(f"{told}; its column 6 may be {more}", settled_by="columns")
    return shape


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return math.nan


def _fits(cells: Sequence[str], shape: Shape) -> bool:
    cells = list(cells)
    while len(cells) > len(shape.cells) and not cells[-1]:
        cells.pop()
    return len(cells) == len(shape.cells) and all(map(_is, cells, shape.cells))


def _is(cell: str, kind: str) -> bool:
    return (
        cell in NOTHING if kind == "N" and cell in NOTHING else re.fullmatch(_CELLS[kind], cell) is not None
    )


def _is_bar(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether the high is the highest of the prices and the low the lowest, as far as they are numbers."""
    prices = dict(_prices(cells, columns))
    if len(prices) < len(_OHLC):
        return True
    return prices["high"] == max(prices.values()) and prices["low"] == min(prices.values())


def _prices(cells: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, float]]:
    for cell, name in zip(cells, columns, strict=False):
        if name in _OHLC:
            try:
                yield name, float(cell.replace(",", "."))
            except ValueError:
                continue
