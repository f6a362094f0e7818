"""The reading of a file: its table, which column is which, its times and numbers.

Rows are not mended: one whose time or numbers cannot be read is refused; what the file does not tell for sure
is refused, or told as a guess; a price that is not there is NaN. Every other judgement is the caller's.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import numpy as np

from finstage_barfile import series, spacing, splits
from finstage_barfile.arrow_table import ARROW_FILE, ARROW_STREAM, PARQUET, ArrowTable
from finstage_barfile.as_csv import of_json, of_workbook
from finstage_barfile.bars import Bars, LazyColumn
from finstage_barfile.column_names import EVENTS, FIELDS, Found, find
from finstage_barfile.conversion import Converted, convert
from finstage_barfile.csv_table import CsvTable
from finstage_barfile.errors import Unreadable
from finstage_barfile.evidence import gathered
from finstage_barfile.periods import open_times, said
from finstage_barfile.source import Source, as_text, opened
from finstage_barfile.splits import FileEvent, dividend_steps
from finstage_barfile.table import Guess, RefusedRow, Table
from finstage_barfile.times import NONE, Zoning, present, zone_of
from finstage_market.columns import Columns, Float64s, Int64s
from finstage_market.interval import Interval

_UTC = zone_of("UTC")
_PACKED = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")
SUFFIXES = (
    *(f"{kind}{packed}" for kind in (".csv", ".tsv", ".txt", ".jsonl", ".ndjson") for packed in _PACKED),
    ".zip", ".parquet", ".pq", ".feather", ".arrow", ".xlsx",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class BarFile:
    """The n bars of a file, oldest first; those of one time in the file's order.

    bars: the bars, by slices; adjusted for the splits that the file lists.
    interval: what a bar covers. digest: SHA-256 of the bytes that were read.
    row_name: what `rows` counts, "line" or "row".
    events: dividends, splits and capital gains that the file lists.
    column_names: the file's column for each field that has one; of a time in two columns "DATE+TIME".
    times: how the times were read, for people.
    decimal: the decimal sign of its numbers, "." or ",".
    ticker: whose bars they are, where the file says it; passed_over: its rows of others.
    notes: what else was found and done, for people. guesses: what the file does not tell for sure.
    ignored: columns that nothing was read from.
    """

    bars: Bars
    interval: Interval
    digest: str
    row_name: str
    events: tuple[FileEvent, ...]
    refused: tuple[RefusedRow, ...]
    column_names: Mapping[str, str]
    times: str
    decimal: str
    ticker: str | None
    passed_over: Mapping[str, int]
    notes: tuple[str, ...]
    guesses: tuple[Guess, ...]
    ignored: tuple[str, ...]

    @cached_property
    def columns(self) -> Columns:
        """All bars, in memory."""
        return self.bars[:]

    @cached_property
    def rows(self) -> Int64s:
        """int64[n], the place of each in the file, from 1: its line in CSV, its row in Parquet."""
        return self.bars.of("row", slice(None)).astype(np.int64)

    @property
    def adjusted_close(self) -> Float64s | None:
        """float64[n], NaN where there is none; None without such a column."""
        return None if self._adjusted is None else self._adjusted[:]

    @property
    def closes_less_dividends(self) -> LazyColumn | None:
        """The adjusted closes; where the file has only dividends, the closes adjusted for them; or None."""
        if self._adjusted is not None:
            return self._adjusted
        steps = dividend_steps(self.bars, self.events)
        if not len(steps.times_ms):
            return None
        return LazyColumn(
            len(self.bars),
            lambda rows: self.bars.prices("close", rows) * steps.at(self.bars.open_time_ms[rows]),
        )

    @cached_property
    def _adjusted(self) -> LazyColumn | None:
        if "adjusted_close" not in self.column_names:
            return None
        return LazyColumn(
            len(self.bars), lambda rows: self.bars.of("adjusted_close", rows) * self.bars.price_scale
        )


def read(
    path: Path,
    *,
    column_names: Mapping[str, str] | None = None,
    interval: Interval | None = None,
    time_zone: ZoneInfo | None = None,
    ticker: str | None = None,
    decimal: str | None = None,
    date_format: str | None = None,
    columns: Sequence[str] | None = None,
    skip_rows: int = 0,
    encoding: str | None = None,
    no_volume: bool = False,
    prices: str | None = None,
    price_scale: float | None = None,
    stamp: str = "start",
    date_zone: ZoneInfo = _UTC,
) -> BarFile:
    """The bars of a file, of "-" those of the standard input; what kind of file it is, its first bytes say.

    Args:
        column_names: columns by field, over what would be guessed; the time's may be two, DATE+TIME.
        interval: that of its bars. None: as far as they are apart.
        time_zone: the zone of times that name none. Times within the day need one.
        ticker: whose bars are wanted, where the file says whose they are. None: those of its only one.
        decimal: the decimal sign, "." or ",", of numbers that are text. None: they tell it.
        date_format: how dates are written that are text, as strptime has it. None: they tell it.
        columns: the names of its columns, where it has no header.
        skip_rows: lines that stand above the table.
        encoding: that of its text. None: as its byte-order mark says; UTF-8 without one.
        no_volume: whether to read no volume.
        prices: "raw", or "adjusted" for splits. None: they tell it, where it lists splits.
        price_scale: what one unit of its prices is worth. None: 1, but for files that are known to differ.
        stamp: "start" or "end": which moment of a bar its time is.
        date_zone: the zone at whose midnight days, weeks and months open.

    Raises:
        ValueError: `column_names` names a field that is not one of FIELDS.
        Unreadable: no such file, no bars in it, a column missing, or what can be read in several ways.
    """
    with _opened_table(path, columns=columns, skip_rows=skip_rows, encoding=encoding) as (table, digest):
        found = find(table.names, column_names or {}, ticker=ticker, no_volume=no_volume)
        plan = gathered(
            table,
            found,
            ticker=ticker,
            is_given=set(column_names or ()),
            decimal=decimal,
            date_format=date_format,
        )
        made = convert(table, plan, interval or Interval.D1)
    if made.lost_split is not None and prices != "adjusted":
        raise Unreadable(
            f"{table.row_name} {made.lost_split} lists a split, and cannot be read", settled_by="prices"
        )
    if not len(made.clocks):
        raise _none(table, made.refused[0])
    notes = [*table.notes]
    if interval is None:
        interval = _interval(made)
        notes.append(f"interval: {interval}, as far as its bars are apart")
    else:
        _check(made, interval)
    opens = open_times(
        made.clocks,
        made.offsets,
        made.plan.zoning,
        interval,
        time_zone=time_zone,
        date_zone=date_zone,
        is_end=stamp == "end" and made.has_clock,
    )
    zone = f", {(time_zone or _UTC).key}" if made.plan.zoning is Zoning.LOCAL else ""
    far = series.far_away(opens)
    late = [*_unclear(made, opens, f"{made.plan.how}{zone}"), *_refused(made, far)]
    opens[list(far)] = NONE
    bars = _ordered(made, opens)
    if not len(bars):
        raise _none(table, late[0])
    series.check_prices(bars)
    listed = [kind for kind in EVENTS if kind in plan.columns]
    if "splits" in listed:
        try:
            splits.check_column(bars)
        except Unreadable:
            if prices != "adjusted":
                raise
            listed.remove("splits")
    adjusting = splits.adjusting(
        bars,
        interval,
        has_splits="splits" in listed,
        has_adjusted="adjusted_close" in plan.columns,
        prices=prices,
    )
    volume, ticks = _volume(made, plan.found)
    if volume == "volume" and not made.has_volume:
        notes.append("volume: 0 in every row")
    scale = table.price_scale if price_scale is None else price_scale
    bars = Bars(
        bars.open_time_ms, bars.spool, bars.order, volume, scale, plan.found.volume_scale, adjusting.steps
    )
    settled = {"price_scale"} if price_scale is not None else set()
    guesses = (*table.guesses, *found.guesses, *ticks, *made.guesses, *plan.guesses, *adjusting.guesses)
    columns_of = {**plan.columns, "time": "+".join(plan.time_columns)}
    read_from = {*plan.columns.values(), *plan.time_columns}
    return BarFile(
        bars=bars,
        interval=interval,
        digest=digest,
        row_name=table.row_name,
        events=tuple(splits.events(bars, listed, is_inverted=adjusting.is_inverted)),
        refused=tuple(sorted((*made.refused, *late), key=lambda each: each.row)),
        column_names={name: columns_of[name] for name in FIELDS if name in columns_of},
        times=f"{made.plan.how}{zone}",
        decimal=plan.decimal,
        ticker=plan.ticker or found.ticker or None,
        passed_over=plan.passed_over,
        notes=(*notes, *adjusting.notes),
        guesses=tuple(guess for guess in guesses if guess.settled_by not in settled),
        ignored=tuple(name for name in table.names if name and name not in read_from),
    )


@contextmanager
def _opened_table(
    path: Path, *, columns: Sequence[str] | None, skip_rows: int, encoding: str | None
) -> Iterator[tuple[Table, str]]:
    try:
        with opened(path) as source:
            if any(map(source.begins_with, (PARQUET, ARROW_FILE, ARROW_STREAM))):
                yield ArrowTable(source.file), source.digest
                return
            if path.suffix in (".parquet", ".pq"):
                raise Unreadable(f"it is not Parquet: it does not begin with {PARQUET.decode()}")
            text, first_line = _text(source, encoding)
            with text:
                names = None if columns is None else tuple(columns)
                yield (
                    CsvTable(
                        text, skip_rows=skip_rows, columns=names, file_name=source.name, first_line=first_line
                    ),
                    source.digest,
                )
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def _text(source: Source, encoding: str | None) -> tuple[IO[bytes], int]:
    """The text of a table, and the number of its first line."""
    if source.is_workbook:
        return of_workbook(source), 1
    text = as_text(source, encoding)
    made = of_json(text)
    if made is None:
        return text, 1
    text.close()
    return made[0], 0 if made[1] else 1  # names are not a line of JSON


def _interval(made: Converted) -> Interval:
    """The interval of the bars, as far as they are apart."""
    apart = spacing.of(made.clocks)
    interval = spacing.inferred(apart, are_midnights=not (made.clocks % 86_400_000 != 0).any())
    _check(made, interval)
    return interval


def _check(made: Converted, interval: Interval) -> None:
    """Check that the rows can be bars of the interval, by their times.

    Raises:
        Unreadable: they cannot.
    """
    if interval.is_intraday and not made.has_clock:
        raise Unreadable(
            f"its times ({made.first_time!r}) are dates alone, and {interval} bars need a time of day",
            settled_by="column_names",
            fields=["time"],
        )
    if made.plan.way is None:
        series.check_times(made.clocks)
    spacing.check(spacing.of(made.clocks), interval)


def _none(table: Table, first: RefusedRow) -> Unreadable:
    return Unreadable(f"none of its rows can be read; {table.row_name} {first.row}: {first.reason}")


def _ordered(made: Converted, opens: Int64s) -> Bars:
    """The bars by their times: files come in either order."""
    there = present(opens)
    if there.all() and (opens[1:] >= opens[:-1]).all():
        return Bars(opens, made.spool, None, None)
    order, times = np.flatnonzero(there), opens[there]
    if (times[1:] >= times[:-1]).all():
        return Bars(times, made.spool, order, None)
    if (times[1:] < times[:-1]).all():
        return Bars(times[::-1], made.spool, order[::-1], None)
    order = order[np.argsort(times, kind="stable")]
    made.spool.reorder(order)
    return Bars(opens[order], made.spool, None, None)


def _volume(made: Converted, found: Found) -> tuple[str | None, tuple[Guess, ...]]:
    if "volume" not in found.columns:
        return None, ()
    if found.ticks is None or made.has_volume:
        return "volume", ()
    zero = found.columns["volume"]
    told = f"volume was read from {found.ticks!r}, which counts ticks, as {zero!r} is 0 in every row"
    return "ticks", (Guess(told, "column_names", ("volume",)),)


def _unclear(made: Converted, opens: Int64s, how: str) -> Iterator[RefusedRow]:
    rows = np.flatnonzero(~present(opens) & present(made.clocks))
    for row in rows.tolist():
        yield _late(made, row, f"is shown twice, or never, by the clocks of that zone; read as {how}")


def _refused(made: Converted, reasons: Mapping[int, str]) -> Iterator[RefusedRow]:
    for row, reason in reasons.items():
        yield _late(made, row, reason)


def _late(made: Converted, row: int, reason: str) -> RefusedRow:
    cell = said(int(made.clocks[row]))
    return RefusedRow(int(made.spool.read("row", row, row + 1)[0]), "time", cell, f"{cell!r} {reason}")
