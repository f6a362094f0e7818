"""The file provider: a folder of CSV and Parquet files, one a series.

A file is named SYMBOL_INTERVAL.csv or .parquet ("AAPL_1d.csv", "BTC-USD_1m.parquet"). `index.toml` beside the
files says what their names do not, all of it optional but `path`:

    [[file]]
    path = "spx_daily_1990_2022.csv"
    symbol = "^SPX"
    interval = "1d"
    time_zone = "America/New_York"   # of times that name none; UTC when left out
    name = "S&P 500"
    type = "INDEX"
    currency = "USD"

Columns are found by name, whatever their case and prefix ("AAPL.Adjusted", "Adj Close"). Rows may come in any
order. Nothing is mended: what cannot be a bar is refused, and what looks wrong is flagged.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from libs.cache.clock import Clock
from libs.market.columns import PRICES, Columns, Float64s
from libs.market.errors import FinstageError, Reason, Unavailable, no_data, symbol_not_found
from libs.market.interval import Interval
from libs.market.symbol import parse_symbol
from services.ingest.series import (
    Event,
    EventKind,
    FetchedBars,
    Instrument,
    Quote,
    RejectedRow,
    RejectReason,
    SeriesKey,
)
from services.ingest.upstream.guard import ProviderStatus
from services.ingest.validate import check, is_over

SUFFIXES = {".csv": "csv", ".parquet": "parquet"}
INDEX = "index.toml"

_NAMES = {
    "date": "time",
    "datetime": "time",
    "timestamp": "time",
    "adjclose": "adjusted",
    "adjustedclose": "adjusted",
    "stocksplits": "splits",
    "capitalgains": "gains",
}
_ZONED = re.compile(r"\d:\d\d.*(?:Z|[+-]\d\d:?\d\d)$")
_RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """A file and the series that it holds. zone: of times that name none."""

    path: Path
    key: SeriesKey
    zone: ZoneInfo
    instrument: Instrument


class FileProvider:
    """Implements services.ingest.providers.api.Provider. Files are read when they are asked for."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    @property
    def name(self) -> str:
        return "file"

    def fetch_bars(
        self, key: SeriesKey, start_ms: int | None, end_ms: int | None, *, deadline: float | None
    ) -> FetchedBars:
        file = self._file(key)
        now_ms = self._now_ms()
        table = _read(file)
        times = _times(table["time"], file)
        order = np.argsort(times, kind="stable")
        order = order[~np.isnat(times[order])]
        table, open_time_ms = table.iloc[order], times[order].astype("datetime64[ms]").astype(np.int64)
        unread = tuple(_unread(row) for row in np.flatnonzero(np.isnat(times)).tolist())
        prices = [_numbers(table, name) for name in PRICES]
        volume = np.nan_to_num(_numbers(table, "volume")) if "volume" in table else np.zeros(len(table))
        checked = check(
            key.interval,
            Columns.of(open_time_ms, prices[0], prices[1], prices[2], prices[3], volume),
            now_ms=now_ms,
            adjusted_close=_numbers(table, "adjusted") if "adjusted" in table else None,
        )
        rows = checked.columns.range_slice(start_ms=start_ms, end_ms=end_ms, limit=None)
        bars = checked.columns[rows]
        adjusted = checked.adjusted_close
        last_ms = int(bars.open_time_ms[-1]) if len(bars) else None
        first_ms = int(open_time_ms[0]) if len(open_time_ms) else now_ms
        return FetchedBars(
            key=key,
            start_ms=first_ms if start_ms is None else start_ms,
            end_ms=now_ms + 1 if end_ms is None else end_ms,
            columns=bars,
            last_is_final=last_ms is None or is_over(key.interval, last_ms, now_ms),
            instrument=file.instrument,
            source=f"{self.name}:{file.path.name}",
            fetched_at_ms=now_ms,
            as_of_ms=last_ms,
            adjusted_close=None if adjusted is None else adjusted[rows],
            flags=tuple(f for f in checked.flags if f.open_time_ms in set(bars.open_time_ms.tolist())),
            rejected=(*unread, *checked.rejected),
            events=tuple(_events(table, open_time_ms)),
        )

    def fetch_quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        return [self._quote(symbol) for symbol in symbols]

    def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        return self._of(symbol)[0].instrument

    def search(self, query: str, *, limit: int, deadline: float | None) -> list[Instrument]:
        text = query.casefold()
        found = {file.key.symbol: file.instrument for file in self._files()}
        return [i for i in found.values() if text in f"{i.symbol} {i.name}".casefold()][:limit]

    def status(self) -> list[ProviderStatus]:
        return []  # it asks no upstream

    def close(self) -> None:
        """Nothing is held."""

    def _quote(self, symbol: str) -> Quote | FinstageError:
        """The last close of the symbol's shortest interval."""
        try:
            file = min(self._of(symbol), key=lambda file: file.key.interval.nominal_ms)
            fetched = self.fetch_bars(file.key, None, None, deadline=None)
        except FinstageError as error:
            return error
        if fetched.as_of_ms is None:
            return no_data(symbol, "quote")
        return Quote(
            symbol=symbol,
            price=float(fetched.columns.close[-1]),
            currency=file.instrument.currency,
            market_time_ms=fetched.as_of_ms,
            source=fetched.source,
            fetched_at_ms=fetched.fetched_at_ms,
        )

    def _file(self, key: SeriesKey) -> SeriesFile:
        for file in self._of(key.symbol):
            if file.key == key:
                return file
        raise no_data(key.symbol, key.interval)

    def _of(self, symbol: str) -> list[SeriesFile]:
        files = [file for file in self._files() if file.key.symbol == symbol]
        if not files:
            raise symbol_not_found(symbol)
        return files

    def _files(self) -> Iterator[SeriesFile]:
        entries = self._index()
        for path in sorted(self._folder.iterdir()):
            if path.suffix in SUFFIXES:
                symbol, _, interval = path.stem.rpartition("_")
                given = {"symbol": symbol, "interval": interval, **entries.get(path.name, {})}
                try:
                    yield _series_file(path, given)
                except (ValueError, KeyError):
                    continue  # neither its name nor the index says what it holds

    def _index(self) -> dict[str, dict[str, str]]:
        try:
            entries = tomllib.loads((self._folder / INDEX).read_text()).get("file", [])
            return {entry["path"]: entry for entry in entries}
        except FileNotFoundError:
            return {}
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise _unreadable(self._folder / INDEX, error) from error

    def _now_ms(self) -> int:
        return round(self._clock.wall() * 1000)


def _series_file(path: Path, given: Mapping[str, str]) -> SeriesFile:
    key = SeriesKey(parse_symbol(given["symbol"]), Interval.parse(given["interval"]))
    zone = given.get("time_zone", "")
    instrument = Instrument(
        symbol=key.symbol,
        name=given.get("name", ""),
        type=given.get("type", ""),
        currency=given.get("currency", ""),
        time_zone=zone,
        source="file",
    )
    return SeriesFile(path, key, ZoneInfo(zone or "UTC"), instrument)


def _read(file: SeriesFile) -> pd.DataFrame:
    """The file's table, its columns named open, high, low, close, and where there are any volume, adjusted,
    dividends, splits, gains; and time."""
    try:
        if SUFFIXES[file.path.suffix] == "csv":
            table = pd.read_csv(file.path, encoding="utf-8-sig", dtype={0: str}, skipinitialspace=True)
        else:
            table = pd.read_parquet(file.path)
    except (OSError, ValueError, ImportError, pd.errors.ParserError) as error:
        raise _unreadable(file.path, error) from error
    if table.index.name is not None or isinstance(table.index, pd.DatetimeIndex):
        table = table.reset_index(names=str(table.index.name or "time"))
    plain = [re.sub(r"[^a-z]", "", str(name).lower().rpartition(".")[2]) for name in table.columns]
    table.columns = pd.Index([_NAMES.get(name, name) for name in plain])
    table = table.loc[:, ~table.columns.duplicated()]
    missing = {"time", *PRICES} - set(table.columns)
    if missing:
        raise _unreadable(file.path, ValueError(f"no column for {', '.join(sorted(missing))}"))
    return table


def _times(column: "pd.Series[Any]", file: SeriesFile) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """UTC times, NaT where a cell is none."""
    if pd.api.types.is_datetime64_any_dtype(column):
        times = column
    elif pd.api.types.is_numeric_dtype(column):
        times = pd.to_datetime(column, unit="s" if column.max() < 10**11 else "ms", errors="coerce")
        times = times.dt.tz_localize("UTC")
    elif column.astype(str).str.contains(_ZONED).any():
        times = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    else:
        text = column.astype(str)
        day_first = bool((pd.to_numeric(text.str.extract(r"^(\d+)/")[0], errors="coerce") > 12).any())
        times = pd.to_datetime(text, format="mixed", dayfirst=day_first, errors="coerce")
    if times.dt.tz is None:
        times = times.dt.tz_localize(file.zone, ambiguous="NaT", nonexistent="NaT")
    return np.asarray(times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ms]"))


def _numbers(table: pd.DataFrame, name: str) -> Float64s:
    return np.asarray(pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64))


def _unread(row: int) -> RejectedRow:
    return RejectedRow(row, 0, RejectReason.OUT_OF_RANGE, "its time cannot be read", "")


def _events(table: pd.DataFrame, open_time_ms: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[Event]:
    for name, kind in (("dividends", EventKind.DIVIDEND), ("gains", EventKind.CAPITAL_GAIN)):
        if name in table:
            amounts = _numbers(table, name)
            for row in np.flatnonzero(amounts > 0).tolist():
                yield Event(kind, int(open_time_ms[row]), amount=float(amounts[row]))
    if "splits" in table:
        ratios = _numbers(table, "splits")
        for row in np.flatnonzero(ratios > 0).tolist():
            yield Event(
                EventKind.SPLIT, int(open_time_ms[row]), numerator=float(ratios[row]), denominator=1.0
            )


def _unreadable(path: Path, error: Exception) -> Unavailable:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return Unavailable(
        Reason.UPSTREAM_MALFORMED, f"{path.name} cannot be read: {text}", retry_after_s=_RETRY_S
    )
