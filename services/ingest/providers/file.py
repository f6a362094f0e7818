"""The file provider: a folder of files, one a series.

A file is named SYMBOL_INTERVAL and .csv, .csv.gz, .parquet or another of barfile.SUFFIXES ("AAPL_1d.csv",
"BTC-USD_1m.parquet"); `libs/barfile` reads it. `index.toml` beside the files says what their names do not;
all of it is optional but `path`:

    [[file]]
    path = "spx_daily_1990_2022.csv"
    symbol = "^SPX"
    interval = "1d"
    time_zone = "America/New_York"   # of times that name none; dates are UTC when left out
    name = "S&P 500"
    type = "INDEX"
    currency = "USD"
    ticker = "SPX"                   # what the file calls the symbol, where it names others or another
    decimal = ","                    # where its numbers do not tell their decimal sign
    date_format = "%d/%m/%Y"         # where its dates do not tell whether the day comes first
    columns = "time,open,high,low,close,volume"    # where it has no header
    column_names = { close = "Settle" }            # where the names of its columns do not tell what they hold
    no_volume = true                 # where it has no volume, and columns that could be it
    prices = "raw"                   # where it lists splits, and its prices do not tell: or "adjusted"
    price_scale = 0.0001             # what one unit of its prices is worth
    encoding = "latin-1"             # where its text is not UTF-8
    skip_rows = 3                    # lines above its table
    stamp = "end"                    # where its times are those of the bars' ends

Rows are not mended: what cannot be a bar is refused, and what looks wrong is flagged. Prices that are raw are
adjusted for the splits that the file lists.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

import finstage_barfile as barfile
from finstage.market.v1.instrument_pb2 import InstrumentType
from finstage_barfile import BarFile
from finstage_market.errors import FinstageError, Reason, Unavailable, no_data, symbol_not_found
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol
from finstage_runtime.clock import Clock
from services.ingest.series import (
    CheckedBars,
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

INDEX = "index.toml"
# Of instruments: finstage.market.v1.InstrumentType without its prefix.
TYPES = tuple(name.removeprefix("INSTRUMENT_TYPE_") for name in InstrumentType.keys()[1:])

# What of a file it may say for libs/barfile, and the type of each.
_READ_AS: dict[str, type | tuple[type, ...]] = {
    "ticker": str,
    "decimal": str,
    "date_format": str,
    "columns": str,
    "column_names": dict,
    "no_volume": bool,
    "prices": str,
    "price_scale": (int, float),
    "encoding": str,
    "skip_rows": int,
    "stamp": str,
}
_CHOICES = {"decimal": barfile.DECIMALS, "prices": barfile.PRICES_ARE, "stamp": barfile.STAMPS}

_RETRY_S = 60.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """A file and the series that it holds.

    zone: of times that name none, where the index says it. read_as: what else it says for barfile.read().
    """

    path: Path
    key: SeriesKey
    zone: ZoneInfo | None
    instrument: Instrument
    read_as: Mapping[str, Any]


class FileProvider:
    """Implements services.ingest.providers.api.Provider. Files are read when they are asked for."""

    name = "file"

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def fetch_bars(
        self, key: SeriesKey, start_ms: int | None, end_ms: int | None, *, deadline: float | None
    ) -> FetchedBars:
        file = self._file(key)
        now_ms = self._now_ms()
        found = _read(file)
        checked = check(key.interval, found.columns, now_ms=now_ms, adjusted_close=found.adjusted_close)
        rows = checked.columns.range_slice(start_ms=start_ms, end_ms=end_ms, limit=None)
        bars = checked.columns[rows]
        adjusted = checked.adjusted_close
        times = set(bars.open_time_ms.tolist())
        last_ms = int(bars.open_time_ms[-1]) if len(bars) else None
        first_ms = int(found.columns.open_time_ms[0])
        return FetchedBars(
            key=key,
            start_ms=first_ms if start_ms is None else start_ms,
            end_ms=now_ms + 1 if end_ms is None else end_ms,
            bars=CheckedBars(
                bars,
                None if adjusted is None else adjusted[rows],
                last_is_final=last_ms is None or is_over(key.interval, last_ms, now_ms),
                flags=tuple(flag for flag in checked.flags if flag.open_time_ms in times),
                rejected=tuple(sorted(_refused(found, checked.rejected), key=lambda refused: refused.row)),
            ),
            instrument=file.instrument,
            # Not "file:NAME", which is what clients write.
            source=self.name,
            fetched_at_ms=now_ms,
            as_of_ms=last_ms,
            events=tuple(map(_event, found.events)),
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

    def resume(self) -> None:
        pass

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
            price=float(fetched.bars.columns.close[-1]),
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
        try:
            paths = sorted(self._folder.iterdir())
        except OSError as error:
            raise Unavailable(
                Reason.UPSTREAM_UNAVAILABLE,
                f"the folder {self._folder} cannot be read: {error.strerror}",
                retry_after_s=_RETRY_S,
            ) from error
        entries = self._index()
        for path in paths:
            if suffix := next((suffix for suffix in barfile.SUFFIXES if path.name.endswith(suffix)), ""):
                symbol, _, interval = path.name.removesuffix(suffix).rpartition("_")
                given = {"symbol": symbol, "interval": interval, **entries.get(path.name, {})}
                try:
                    yield _series_file(path, given)
                except (ValueError, KeyError, AttributeError):
                    continue  # neither its name nor the index says what it holds

    def _index(self) -> dict[str, dict[str, Any]]:
        try:
            entries = tomllib.loads((self._folder / INDEX).read_text()).get("file", [])
            return {entry["path"]: _checked(entry) for entry in entries}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(self._folder / INDEX, error) from error

    def _now_ms(self) -> int:
        return round(self._clock.wall() * 1000)


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the index.

    Raises:
        ValueError: a field is wrong; the message says of which file, what was given and what is accepted.
    """
    for field, given in entry.items():
        try:
            _check_type(field, given)
            if field in _CHOICES and given not in _CHOICES[field]:
                raise ValueError(f"one of {' '.join(_CHOICES[field])} is accepted")
            match field:
                case "price_scale" if given <= 0:
                    raise ValueError("a number above 0 is accepted")
                case "column_names" if wrong := [name for name in given if name not in barfile.FIELDS]:
                    raise ValueError(f"{wrong[0]!r} is not one of {', '.join(barfile.FIELDS)}")
                case "symbol":
                    parse_symbol(given)
                case "interval":
                    Interval.parse(given)
                case "time_zone":
                    barfile.zone_of(given or "UTC")
                case "type" if given and given not in TYPES:
                    raise ValueError(f"one of {', '.join(TYPES)} is accepted")
        except ValueError as error:
            raise ValueError(f"{field} of {entry['path']!r}: {given!r} was given; {error}") from None
    return entry


def _check_type(field: str, given: object) -> None:
    kind = _READ_AS.get(field, str)
    if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
        names: dict[object, str] = {
            str: "a text",
            dict: "a table",
            bool: "true or false",
            int: "a whole number",
        }
        raise ValueError(f"{names.get(kind, 'a number')} is accepted")


def _series_file(path: Path, given: Mapping[str, Any]) -> SeriesFile:
    key = SeriesKey(parse_symbol(given["symbol"]), Interval.parse(given["interval"]))
    zone = given.get("time_zone", "")
    instrument = Instrument(
        symbol=key.symbol,
        name=given.get("name", ""),
        type=given.get("type", ""),
        currency=given.get("currency", ""),
        time_zone=zone,
        source=FileProvider.name,
    )
    read_as = {field: given[field] for field in _READ_AS if given.get(field)}
    if "columns" in read_as:
        read_as["columns"] = read_as["columns"].split(",")
    return SeriesFile(path, key, barfile.zone_of(zone) if zone else None, instrument, read_as)


def _read(file: SeriesFile) -> BarFile:
    try:
        bars = barfile.read(
            file.path,
            interval=file.key.interval,
            time_zone=file.zone,
            date_zone=file.zone or barfile.zone_of("UTC"),
            **{"ticker": file.key.symbol, **file.read_as},
        )
    except barfile.NoRows:
        raise no_data(file.key.symbol, file.key.interval) from None
    except barfile.Unreadable as error:
        said_there = error.settled_by in (*_READ_AS, "time_zone", "interval")
        hint = f"; {error.settled_by} in {INDEX} says it" if said_there else ""
        raise _unreadable(file.path, ValueError(f"{error}{hint}")) from error
    for guess in bars.guesses:
        _log.info("file_guessed", file=file.path.name, guess=guess.text)
    for note in bars.notes:
        _log.info("file_note", file=file.path.name, note=note)
    return bars


def _refused(bars: BarFile, rejected: Sequence[RejectedRow]) -> Iterator[RejectedRow]:
    """The file's rows that are no bars, each with its place in the file, which its detail says too."""
    for row in bars.refused:
        detail = f"{bars.row_name} {row.row}: {row.reason}"
        is_number = row.what not in ("time", "cells")
        reason = RejectReason.NOT_FINITE if is_number else RejectReason.OUT_OF_RANGE
        yield RejectedRow(row.row, 0, reason, detail, f"{row.what}={row.cell!r}")
    for each in rejected:
        place = int(bars.rows[each.row])
        yield replace(each, row=place, detail=f"{bars.row_name} {place}: {each.detail}")


def _event(event: barfile.FileEvent) -> Event:
    if event.kind == "splits":
        return Event(EventKind.SPLIT, event.time_ms, numerator=event.value, denominator=1.0)
    kind = EventKind.CAPITAL_GAIN if event.kind == "capital_gains" else EventKind.DIVIDEND
    return Event(kind, event.time_ms, amount=event.value)


def _unreadable(path: Path, error: Exception) -> Unavailable:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return Unavailable(
        Reason.UPSTREAM_MALFORMED, f"{path.name} cannot be read: {text}", retry_after_s=_RETRY_S
    )
