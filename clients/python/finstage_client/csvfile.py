"""Bars from CSV files as people have them: guessed columns and times, with what was guessed to show.

Nothing is mended: a row whose time cannot be read is told as refused, a price that is no number goes out as
NaN for the service to refuse, and every other judgement is the service's.
"""

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from libs.market.columns import PRICES, VALUES, Columns, Float64s

Cells: TypeAlias = "pd.Series[str]"
Times = npt.NDArray[np.datetime64]

FIELDS = ("time", *VALUES, "adjusted_close")

_NAMES = {
    "time": ("date", "datetime", "time", "timestamp", "opentime", "day"),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice", "last"),
    "volume": ("volume", "vol", "v"),
    "adjusted_close": ("adjclose", "adjustedclose", "adjusted"),
}
_ZONED = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
_CLOCK = re.compile(r"\d:\d\d")
_DATES = (
    ("year-month-day", "ISO8601"),
    ("month/day/year", "%m/%d/%Y"),
    ("day/month/year", "%d/%m/%Y"),
    ("day.month.year", "%d.%m.%Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_EPOCHS: dict[int, Literal["s", "ms", "us", "ns"]] = {10: "s", 13: "ms", 16: "us", 19: "ns"}


class Unreadable(Exception):
    """The file cannot be read as bars; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that could not be sent. line: its line in the file, from 1; the header is line 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class BarFile:
    """The bars of a file, oldest first.

    lines: int64[n], the line in the file of each bar.
    mapping: the file's column for each of FIELDS that has one.
    times: how the times were read, for people.
    ignored: columns that nothing was read from.
    """

    columns: Columns
    adjusted_close: Float64s | None
    lines: npt.NDArray[np.int64]
    refused: tuple[RefusedRow, ...]
    mapping: Mapping[str, str]
    times: str
    ignored: tuple[str, ...]


def read(path: Path, *, mapping: Mapping[str, str], time_zone: str | None, intraday: bool) -> BarFile:
    """The bars of the CSV file `path`.

    Args:
        mapping: columns by field, over what would be guessed.
        time_zone: the IANA zone of times that name none. None: dates without a time are midnight UTC.
        intraday: whether bars are shorter than a day, so that a time without a zone means nothing.

    Raises:
        Unreadable: no such file, no bars in it, a column missing, or times that cannot be understood.
    """
    header, separator = _header(path)
    found = _mapping(header, mapping, path)
    table = _table(path, separator)
    cells = table[found["time"]].str.strip()
    if cells.empty:
        raise Unreadable(f"{path}: there are no rows in it")
    times, how = _times(cells, time_zone, intraday, path)
    lines = table.index.to_numpy() + 2
    # A cell that is no time is NaT, and comes last. Files come in either order; rows of one time keep the
    # file's, for the service to judge.
    order = np.argsort(times, kind="stable")
    unread = int(np.isnat(times).sum())
    refused = tuple(
        RefusedRow(int(lines[row]), f"{cells.iloc[row]!r} is no time, read as {how}")
        for row in order[len(order) - unread :]
    )
    order = order[: len(order) - unread]
    open_time_ms = times[order].astype(np.int64)

    def numbers(field: str, empty: str = "") -> Float64s:
        column = table[found[field]].fillna(empty)
        # Between other separators 1,234 may well be 1.234.
        return np.array([_number(cell.strip(), thousands=separator == ",") for cell in column])[order]

    prices = [numbers(name) for name in PRICES]
    volume = numbers("volume", empty="0") if "volume" in found else np.zeros(len(order))
    return BarFile(
        columns=Columns.of(open_time_ms, prices[0], prices[1], prices[2], prices[3], volume),
        adjusted_close=numbers("adjusted_close") if "adjusted_close" in found else None,
        lines=lines[order],
        refused=refused,
        mapping=found,
        times=how,
        ignored=tuple(name for name in header if name not in found.values()),
    )


def _header(path: Path) -> tuple[list[str], str]:
    """The names of the columns, and what separates them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(
            f"{path}: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'}"
        ) from None
    separator = max(",;\t|", key=line.count)
    return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])], separator


def _table(path: Path, separator: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            encoding="utf-8-sig",
            dtype="str",
            index_col=False,
            skip_blank_lines=False,  # so that a row's place is its line
            skipinitialspace=True,
        )
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise Unreadable(f"{path}: {str(error).strip()}") from None
    return table.rename(columns=str.strip).dropna(how="all")


def _mapping(names: list[str], given: Mapping[str, str], path: Path) -> dict[str, str]:
    has = f"the file has {', '.join(names)}"
    for field, name in given.items():
        if field not in FIELDS:
            raise Unreadable(f"--map {field}={name}: {field!r} is none of {', '.join(FIELDS)}")
        if name not in names:
            raise Unreadable(f"--map {field}={name}: {path} has no column {name!r}; {has}")
    found = dict(given)
    plain = {name: re.sub(r"[^a-z]", "", name.lower().rpartition(".")[2]) for name in names}
    for field, accepted in _NAMES.items():
        if field not in found:
            matches = [n for a in accepted for n in names if plain[n] == a and n not in found.values()]
            if matches:
                found[field] = matches[0]
    missing = [field for field in ("time", *PRICES) if field not in found]
    if missing:
        maps = " ".join(f"--map {field}=COLUMN" for field in missing)
        raise Unreadable(f"{path}: no column for {', '.join(missing)}; {has}; say which with {maps}")
    return found


def _number(cell: str, *, thousands: bool) -> float:
    """The number that a cell says, NaN when it says none. thousands: 1,234.5 is 1234.5."""
    if thousands and _GROUPED.fullmatch(cell):
        cell = cell.replace(",", "")
    try:
        return float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan


def _times(cells: Cells, time_zone: str | None, intraday: bool, path: Path) -> tuple[Times, str]:
    """UTC times (NaT where a cell cannot be read), and how they were read."""
    first = str(cells.iloc[0])
    if first.isdigit() and (unit := _EPOCHS.get(len(first))):
        numbers = pd.to_numeric(cells, errors="coerce")
        return _utc(pd.to_datetime(numbers, unit=unit, utc=True)), f"{unit} since 1970"
    if _CLOCK.search(first) and _ZONED.search(first):
        times = pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce")
        return _utc(times), "times with their own zone"
    naive, how = _naive_times(cells)
    if not naive.notna().any():
        raise Unreadable(f"{path}: {first!r} is no time that can be read; ISO 8601 always can")
    if intraday and time_zone is None:
        example = "--time-zone America/New_York, or UTC"
        raise Unreadable(f"{path}: its times ({first!r}) name no time zone; say which with {example}")
    # An hour that the clock shows twice, or never, is not guessed at.
    zone = ZoneInfo(time_zone or "UTC")
    return _utc(naive.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")), f"{how}, {zone.key}"


def _naive_times(cells: Cells) -> tuple["pd.Series[pd.Timestamp]", str]:
    """The reading that fits most of the cells, the first of equals, and its name."""
    readings = [
        (pd.to_datetime(cells, format=date + clock, errors="coerce"), name)
        for name, date in _DATES
        for clock in (_CLOCKS if "%" in date else ("",))
    ]
    return max(readings, key=lambda reading: int(reading[0].notna().sum()))


def _utc(times: "pd.Series[pd.Timestamp]") -> Times:
    return times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
