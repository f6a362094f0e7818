"""How to read a file: decided from all of it, piece by piece, before its rows are read."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finstage_barfile import clocks, currencies, values, volumes
from finstage_barfile import times as times_of
from finstage_barfile.column_names import Found, plain
from finstage_barfile.errors import NoRows, Unreadable
from finstage_barfile.numbers import NOTHING
from finstage_barfile.table import Cells, Guess, Mask, Piece, RefusedRow, Table
from finstage_barfile.tickers import Tickers
from finstage_barfile.times import TimesPlan
from finstage_barfile.values import DecimalSigns

# The most times that are parsed to find their format.
MAX_SAMPLE = 5_000
# Columns of factors that prices may have to be multiplied with.
_FACTOR = re.compile(r"factor|^cfac|adj(?:ustment)?ratio$")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How to read the rows of a file.

    columns: the column of each field, but for the time; time_columns: those of the time.
    ticker: whose rows to take; None: all. passed_over: the rows of others.
    factors: by the name of each in the spool, columns that may hold factors of adjustment.
    has_empty_volume: whether the column that was found to be the volume has nothing in any row.
    """

    found: Found
    columns: Mapping[str, str]
    time_columns: tuple[str, ...]
    times: TimesPlan
    decimal: str
    tickers: Tickers | None
    ticker: str | None
    passed_over: Mapping[str, int]
    guesses: tuple[Guess, ...]
    factors: Mapping[str, str]
    has_empty_volume: bool

    def wanted(self, piece: Piece) -> Mask | None:
        """The rows to take; None: all."""
        if self.tickers is None or self.ticker is None or not self.passed_over:
            return None
        return self.tickers.rows_of(piece, self.ticker)

    def times_of(self, piece: Piece) -> Cells:
        """The times of some rows."""
        return _times(piece, self.time_columns)

    @property
    def numbers(self) -> dict[str, str]:
        """The columns of numbers, by field."""
        named = {field: name for field, name in self.columns.items() if field != "symbol"}
        return named | ({"ticks": self.found.ticks} if self.found.ticks else {}) | dict(self.factors)


def gathered(
    table: Table,
    found: Found,
    *,
    ticker: str | None,
    is_given: Set[str],
    decimal: str | None,
    date_format: str | None,
) -> Plan:
    """How to read the rows of a table, as all of them tell it.

    Args:
        found: which column is which.
        ticker, decimal, date_format: as read() has them.
        is_given: the fields whose columns were given.

    Raises:
        Unreadable: they do not tell it.
    """
    columns = {field: name for field, name in found.columns.items() if field != "time"}
    numbers = {field: name for field, name in columns.items() if field != "symbol"}
    tickers = Tickers(columns["symbol"]) if "symbol" in columns else None
    currency = currencies.of(table.names, list(found.columns.values()))
    signs = DecimalSigns()
    time_columns: tuple[str, ...] = ()
    sample: list[Cells] = []
    is_empty = "volume" in columns and "volume" not in is_given
    taken = 0
    too_long: tuple[RefusedRow, ...] = ()
    for piece in table.pieces():
        too_long = too_long or piece.refused[:1]
        if not len(piece.rows):
            continue
        if not time_columns:
            time_columns = _time_columns(piece, found)
            if doubtful := [n for n in found.perhaps_volume if values.may_be_numbers(piece.numbers(n))]:
                raise volumes.doubt(doubtful)
        if tickers is not None:
            tickers.see(piece)
        is_empty = is_empty and _is_empty(piece, columns["volume"])
        if currency is not None:
            currency.see(piece, columns.get("symbol"))
        if taken < MAX_SAMPLE:
            sample.append(_times(piece, time_columns))
        else:
            sample.append(_times(piece, time_columns).iloc[:: max(1, len(piece.rows) // 100)])
        taken += len(piece.rows)
        if len(sample) > 20 or len(sample[-1]) > MAX_SAMPLE:
            sample = [_thinned(pd.concat(sample, ignore_index=True))]
        if decimal is None:
            signs.see(piece, numbers)
    if not taken and too_long:
        raise Unreadable(f"{table.row_name} {too_long[0].row} has {too_long[0].reason}")
    if not taken:
        raise NoRows("there are no rows in it")
    chosen = tickers.chosen(ticker, is_given="symbol" in is_given) if tickers is not None else None
    if chosen is None:
        columns.pop("symbol", None)
    if currency is not None:
        currency.check(chosen)
    guess = None
    if decimal is None:
        decimal, guess = signs.decided(table.usual_decimal)
    times = _thinned(pd.concat(sample, ignore_index=True))
    return Plan(
        found=found,
        columns=columns,
        time_columns=time_columns,
        times=times_of.plan(times, date_format=date_format, is_utc=found.is_utc),
        decimal=decimal,
        tickers=tickers,
        ticker=chosen,
        passed_over=tickers.others(chosen) if tickers is not None and chosen is not None else {},
        guesses=(guess,) if guess else (),
        factors=_factors(table, found),
        has_empty_volume=is_empty,
    )


def _is_empty(piece: Piece, column: str) -> bool:
    cells = piece.numbers(column)
    if isinstance(cells, np.ndarray):
        return bool(np.isnan(cells).all())
    return bool((cells.isna() | cells.isin(NOTHING)).all())


def _factors(table: Table, found: Found) -> dict[str, str]:
    free = [name for name in table.names if name not in {*found.columns.values(), found.clock, found.ticks}]
    factors = [name for name in free if _FACTOR.search(plain(name))]
    return {f"{values.FACTOR} {at}": name for at, name in enumerate(factors)}


def _time_columns(piece: Piece, found: Found) -> tuple[str, ...]:
    """The columns of the time: of dates, and perhaps of times of day."""
    name, clock = found.columns["time"], found.clock
    if clock is not None and (
        found.is_joined or (clocks.are_dates(piece.text(name)) and clocks.are_clocks(piece.text(clock)))
    ):
        return name, clock
    return (name,)


def _times(piece: Piece, columns: tuple[str, ...]) -> Cells:
    if len(columns) == 2:
        return clocks.joined(piece.text(columns[0]), piece.text(columns[1]))
    return piece.times(columns[0])


def _thinned(cells: Cells) -> Cells:
    """Every so many of the cells, not more than MAX_SAMPLE."""
    if len(cells) <= MAX_SAMPLE:
        return cells
    rows = np.linspace(0, len(cells) - 1, MAX_SAMPLE).astype(np.int64)
    return cells.iloc[rows].reset_index(drop=True)
