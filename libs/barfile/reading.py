"""The reading of a file: its table, which column is which, its times and numbers.

Nothing is mended: a row whose time cannot be read is told as refused, a price that is no number is NaN, and
every other judgement is left to who takes the bars.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import numpy as np

from libs.barfile import mapping as columns_of
from libs.barfile import times as times_of
from libs.barfile.csv_table import CsvTable
from libs.barfile.errors import NoRows, Unreadable
from libs.barfile.parquet_table import MAGIC, ParquetTable
from libs.barfile.table import RefusedRow, Table
from libs.market.columns import PRICES, Columns, Float64s, Int64s

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


@dataclass(frozen=True, slots=True, eq=False)
class BarFile:
    """The n bars of a file, oldest first; those of one time in the file's order.

    rows: int64[n], the place of each in the file, from 1: its line in CSV, its row in Parquet.
    row_name: what `rows` counts, "line" or "row".
    adjusted_close: float64[n], NaN where there is none; None without such a column.
    events: float64[n] by name: dividends, splits, capital_gains, as far as there are columns of them.
    mapping: the file's column for each field that has one.
    times: how the times were read, for people.
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
    ignored: tuple[str, ...]


def read(
    path: Path,
    *,
    mapping: Mapping[str, str],
    time_zone: ZoneInfo | None,
    intraday: bool,
    events: bool = False,
) -> BarFile:
    """The bars of a CSV or Parquet file; which of them it is, its first bytes say.

    Args:
        mapping: columns by field, over what would be guessed.
        time_zone: the zone of times that name none. None: dates without a time are midnight UTC.
        intraday: whether bars are shorter than a day, so that a time without a zone means nothing.
        events: whether to read dividends, splits and capital gains too.

    Raises:
        ValueError: `mapping` names a field that is none of FIELDS.
        Unreadable: no such file, no bars in it, a column missing, or times that cannot be understood.
    """
    try:
        with path.open("rb") as file:
            return _bars(_table(file, path), mapping, time_zone, intraday=intraday, events=events)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


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


def _bars(
    table: Table, given: Mapping[str, str], time_zone: ZoneInfo | None, *, intraday: bool, events: bool
) -> BarFile:
    found = columns_of.find(table.names, given, events=events)
    if not len(table.rows):
        raise NoRows("there are no rows in it")
    cells = table.times(found["time"])
    times = times_of.read(cells, time_zone, intraday=intraday)
    # NaT comes last. Files come in either order.
    order = np.argsort(times.utc, kind="stable")
    order, unread = np.split(order, [len(order) - int(np.isnat(times.utc).sum())])

    if not len(order):
        raise Unreadable(f"none of its rows has a time: {times.refusal(int(unread[0]))}")

    def numbers(field: str, empty: float = np.nan) -> Float64s:
        return table.numbers(found[field], empty=empty)[order]

    prices = [numbers(name) for name in PRICES]
    volume = numbers("volume", empty=0.0) if "volume" in found else np.zeros(len(order))
    open_time_ms = times.utc[order].astype(np.int64)
    return BarFile(
        columns=Columns.of(open_time_ms, prices[0], prices[1], prices[2], prices[3], volume),
        adjusted_close=numbers("adjusted_close") if "adjusted_close" in found else None,
        events={name: numbers(name) for name in columns_of.EVENTS if name in found},
        rows=table.rows[order],
        row_name=table.row_name,
        refused=(
            *table.refused,
            *(
                RefusedRow(int(table.rows[row]), "time", str(cells.iloc[row]), times.refusal(row))
                for row in unread.tolist()
            ),
        ),
        mapping=found,
        times=times.how,
        ignored=tuple(name for name in table.names if name and name not in found.values()),
    )
