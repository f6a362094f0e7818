"""The reading of a file: its table, which column is which, its times and numbers.

Rows are not mended: one whose time or numbers cannot be read is refused; what the file does not tell for sure
is refused, or told as a guess; a price that is not there is NaN. Every other judgement is the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from finstage_barfile import series, splits
from finstage_barfile.bar_file import BarFile
from finstage_barfile.bars import Bars
from finstage_barfile.column_names import EVENTS, FIELDS, find
from finstage_barfile.conversion import Converted, convert
from finstage_barfile.errors import Unreadable
from finstage_barfile.evidence import Plan, gathered
from finstage_barfile.splits import Adjusting
from finstage_barfile.table import Guess, RefusedRow, Table
from finstage_barfile.tables import opened_table
from finstage_barfile.timing import UTC, timed
from finstage_market.interval import Interval


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
    date_zone: ZoneInfo = UTC,
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
    with opened_table(path, columns=columns, skip_rows=skip_rows, encoding=encoding) as (table, digest):
        scale = table.price_scale if price_scale is None else price_scale
        if scale is None:
            raise Unreadable(
                "it has no header, and its prices may be whole or in ten-thousandths, as LEAN writes them",
                settled_by="price_scale",
            )
        names = list(table.names)
        while True:
            found = find(names, column_names or {}, ticker=ticker, no_volume=no_volume)
            plan = gathered(
                table,
                found,
                ticker=ticker,
                is_given=set(column_names or ()),
                decimal=decimal,
                date_format=date_format,
            )
            if not plan.has_empty_volume:
                break
            # Another column may be the volume; without one, that is told.
            names.remove(plan.columns["volume"])
        made = convert(table, plan, interval or Interval.D1)
    if not len(made.clocks):
        raise _none(table, made.refused[0])
    rows = timed(made, interval, time_zone=time_zone, date_zone=date_zone, stamp=stamp)
    if not len(rows.bars):
        raise _none(table, rows.refused[0])
    series.check_prices(rows.bars)
    listed, adjusting = _splits(made, plan, table, rows.bars, rows.interval, prices)
    volume, volume_notes, volume_guesses = _volume(made, plan)
    bars = replace(
        rows.bars,
        volume=volume,
        price_scale=scale,
        volume_scale=found.volume_scale,
        splits=adjusting.steps,
    )
    guesses = (
        *table.guesses,
        *found.guesses,
        *volume_guesses,
        *made.guesses,
        *plan.guesses,
        *adjusting.guesses,
    )
    named = {**plan.columns, "time": "+".join(plan.time_columns)}
    read_from = {*plan.columns.values(), *plan.time_columns}
    return BarFile(
        bars=bars,
        interval=rows.interval,
        digest=digest,
        row_name=table.row_name,
        events=tuple(splits.events(bars, listed, is_inverted=adjusting.is_inverted)),
        refused=tuple(sorted((*made.refused, *rows.refused), key=lambda each: each.row)),
        column_names={name: named[name] for name in FIELDS if name in named},
        times=rows.how,
        decimal=plan.decimal,
        ticker=plan.ticker or found.ticker or None,
        passed_over=plan.passed_over,
        notes=(*table.notes, *rows.notes, *volume_notes, *adjusting.notes),
        guesses=tuple(g for g in guesses if price_scale is None or g.settled_by != "price_scale"),
        ignored=tuple(name for name in table.names if name and name not in read_from),
    )


def _splits(
    made: Converted, plan: Plan, table: Table, bars: Bars, interval: Interval, prices: str | None
) -> tuple[list[str], Adjusting]:
    """The kinds of events that the file lists, and how to adjust its prices for its splits."""
    listed = [kind for kind in EVENTS if kind in plan.columns]
    if "splits" in listed and prices != "adjusted":
        if made.lost_split is not None:
            told = f"{table.row_name} {made.lost_split} lists a split, and cannot be read"
            raise Unreadable(told, settled_by="prices")
        if count := splits.too_many(bars):
            raise Unreadable(
                f"its column of splits has a ratio in {count:,} of {len(bars):,} rows, as a factor has; "
                "its prices may be raw",
                settled_by="prices",
            )
    elif "splits" in listed and splits.too_many(bars):
        listed.remove("splits")
    adjusting = splits.adjusting(
        bars,
        interval,
        has_splits="splits" in listed,
        has_adjusted="adjusted_close" in plan.columns,
        prices=prices,
    )
    if prices != "adjusted" and not len(adjusting.steps.times_ms):
        for column, name in plan.factors.items():
            splits.check_factor(bars, column, name, prices)
    return listed, adjusting


def _volume(made: Converted, plan: Plan) -> tuple[str | None, tuple[str, ...], tuple[Guess, ...]]:
    """Which column of the spool is the volume, what is worth a note, and what is guessed."""
    if "volume" not in plan.columns:
        return None, (), ()
    if made.has_volume:
        return "volume", (), ()
    if plan.found.ticks is None:
        return "volume", ("volume: 0 in every row",), ()
    zero = plan.columns["volume"]
    told = f"volume was read from {plan.found.ticks!r}, which counts ticks, as {zero!r} is 0 in every row"
    return "ticks", (), (Guess(told, "column_names", ("volume",)),)


def _none(table: Table, first: RefusedRow) -> Unreadable:
    return Unreadable(f"none of its rows can be read; {table.row_name} {first.row}: {first.reason}")
