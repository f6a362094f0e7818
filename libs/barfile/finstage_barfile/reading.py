"""The reading of a file: its table, which column is which, its times and numbers.

Nothing is mended: a row of which a time or a number cannot be read is told as refused; what the file does
not tell for sure is refused, or told as guessed; a price that is not there is NaN. Every other judgement is
left to who takes the bars.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import numpy as np

from finstage_barfile import clocks, series, tickers
from finstage_barfile import mapping as columns_of
from finstage_barfile import times as times_of
from finstage_barfile import values as values_of
from finstage_barfile.csv_table import CsvTable
from finstage_barfile.errors import NoRows, Unreadable
from finstage_barfile.mapping import Found
from finstage_barfile.parquet_table import MAGIC, ParquetTable
from finstage_barfile.table import Cells, Guess, RefusedRow, Table
from finstage_barfile.times import Times
from finstage_barfile.values import Values
from finstage_market.columns import VALUES, Columns, Float64s, Int64s
from finstage_market.interval import Interval

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


@dataclass(frozen=True, slots=True, eq=False)
class BarFile:
    """The n bars of a file, oldest first; those of one time in the file's order.

    rows: int64[n], the place of each in the file, from 1: its line in CSV, its row in Parquet.
    row_name: what `rows` counts, "line" or "row".
    adjusted_close: float64[n], NaN where there is none; None without such a column.
    events: float64[n] by name: dividends, splits, capital_gains, as far as there are columns of them.
    mapping: the file's column for each field that has one; of a time in two columns "DATE+TIME".
    times: how the times were read, for people.
    decimal: the decimal sign of its numbers, "." or ",".
    ticker: whose bars they are, where the file says it; passed_over: its rows of others.
    guesses: what the file does not tell for sure.
    ignored: columns that nothing was read from.
    """

    columns: Columns
    adjusted_close: Float64s | None
    events: Mapping[str, Float64s]
    rows: Int64s
    row_name: str
    refused: tuple[RefusedRow, ...]
    mapping: Mapping[str, str]
    times: str
    decimal: str
    ticker: str | None
    passed_over: Mapping[str, int]
    guesses: tuple[Guess, ...]
    ignored: tuple[str, ...]


def read(
    path: Path,
    *,
    mapping: Mapping[str, str],
    interval: Interval,
    time_zone: ZoneInfo | None = None,
    ticker: str | None = None,
    decimal: str | None = None,
    date_format: str | None = None,
    events: bool = False,
) -> BarFile:
    """The bars of a CSV or Parquet file; which of them it is, its first bytes say.

    Args:
        mapping: columns by field, over what would be guessed; the time's may be two, DATE+TIME.
        interval: that of its bars. A time without a zone means nothing for those shorter than a day.
        time_zone: the zone of times that name none. None: dates without a time are midnight UTC.
        ticker: whose bars are wanted, where the file says whose they are. None: those of its only one.
        decimal: the decimal sign, "." or ",", of numbers that are text. None: they tell it.
        date_format: how dates are written that are text, as strptime has it. None: they tell it.
        events: whether to read dividends, splits and capital gains too.

    Raises:
        ValueError: `mapping` names a field that is not one of FIELDS.
        Unreadable: no such file, no bars in it, a column missing, or what can be read in several ways.
    """
    try:
        with path.open("rb") as file:
            table = _table(file, path)
            found = columns_of.find(table.names, mapping, ticker=ticker, events=events)
            if not len(table.rows):
                raise NoRows("there are no rows in it")
            whose = found.ticker or None
            passed_over: dict[str, int] = {}
            used = dict(found.columns)
            if column := used.pop("symbol", None):
                is_given = "symbol" in mapping
                table, of_rows, passed_over = tickers.only(table, column, ticker, is_given=is_given)
                if of_rows:
                    whose, used["symbol"] = of_rows, column
            cells, time_columns = _times(table, found)
            times = times_of.read(cells, time_zone, interval=interval, date_format=date_format)
            names = {field: name for field, name in used.items() if field not in ("time", "symbol")}
            values = values_of.read(table, names, decimal)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None

    unread = _refused(table, cells, times, values)
    fit = np.flatnonzero(~np.isnat(times.utc) & values.readable(len(table.rows)))
    if not len(fit):
        first = next(unread)
        raise Unreadable(f"none of its rows can be read; {table.row_name} {first.row}: {first.reason}")
    # Files come in either order.
    order = fit[np.argsort(times.utc[fit], kind="stable")]
    of = {field: numbers[order] for field, numbers in values.of.items()}
    columns = Columns.of(
        open_time_ms=times.utc[order].astype(np.int64),
        **({"volume": np.zeros(len(order))} | {name: of[name] for name in VALUES if name in of}),
    )
    series.check(columns, interval)
    read_from = {*used.values(), *time_columns}
    return BarFile(
        columns=columns,
        adjusted_close=of.get("adjusted_close"),
        events={name: of[name] for name in columns_of.EVENTS if name in of},
        rows=table.rows[order],
        row_name=table.row_name,
        refused=(*table.refused, *unread),
        mapping=used | {"time": "+".join(time_columns)},
        times=times.how,
        decimal=values.decimal,
        ticker=whose,
        passed_over=passed_over,
        guesses=tuple(guess for guess in (times.guess, values.guess) if guess),
        ignored=tuple(name for name in table.names if name and name not in read_from),
    )


def _table(file: IO[bytes], path: Path) -> Table:
    begins = file.read(len(MAGIC))
    file.seek(0)
    if not begins:
        raise Unreadable("it is empty")
    if begins == MAGIC:
        return ParquetTable.read(file)
    if path.suffix in (".parquet", ".pq"):
        raise Unreadable(f"it is no Parquet: it does not begin with {MAGIC.decode()}")
    return CsvTable.read(file)


def _times(table: Table, found: Found) -> tuple[Cells, tuple[str, ...]]:
    """The cells of the times, and the columns that they are from: of dates, and perhaps of times of day."""
    name, clock = found.columns["time"], found.clock
    if clock is not None:
        dates, times_of_day = table.text(name), table.text(clock)
        if found.is_joined or (clocks.are_dates(dates) and clocks.are_clocks(times_of_day)):
            return clocks.joined(dates, times_of_day), (name, clock)
    return table.times(name), (name,)


def _refused(table: Table, cells: Cells, times: Times, values: Values) -> Iterator[RefusedRow]:
    for row in np.flatnonzero(np.isnat(times.utc)).tolist():
        yield RefusedRow(int(table.rows[row]), "time", str(cells.iloc[row]), times.refusal(row))
    for row, field, cell, reason in values.refusals():
        if not np.isnat(times.utc[row]):
            yield RefusedRow(int(table.rows[row]), field, cell, reason)
