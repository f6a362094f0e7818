"""The rows of a file as numbers, converted piece by piece into temporary files."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from finstage_barfile import spacing, values
from finstage_barfile.errors import NoRows, Unreadable
from finstage_barfile.evidence import Plan
from finstage_barfile.spool import Spool
from finstage_barfile.table import Cells, Guess, Piece, RefusedRow, Table
from finstage_barfile.text_times import Way
from finstage_barfile.times import Clocks, Offsets, TimesPlan, Zoning, present
from finstage_market.columns import Int64s
from finstage_market.interval import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """The rows of a file that can be read, in its order.

    clocks, offsets: their times, as Clocks has them. spool: "row", and a column for each field of numbers.
    plan: how the times were read. first_time: the first of them, as it is written.
    has_clock: whether one of them has a time of day. has_volume: whether a volume is not 0.
    lost_split: a row that cannot be read and lists a split.
    """

    clocks: Int64s
    offsets: Offsets | None
    spool: Spool
    refused: tuple[RefusedRow, ...]
    plan: TimesPlan
    guesses: tuple[Guess, ...]
    first_time: str
    has_clock: bool
    has_volume: bool
    lost_split: int | None


def convert(table: Table, plan: Plan, interval: Interval) -> Converted:
    """Convert the rows of a table.

    Args:
        interval: tells whether the day or the month comes first, where no day is above 12.

    Raises:
        Unreadable: some dates have the day first, and others the month.
    """
    made = _Conversion(plan, plan.times)
    made.run(table)
    way = plan.times.way
    if way is None or not way.other:
        return made.converted(())
    if made.day_above_12 and made.day_above_12_swapped:
        both = " and ".join(map(repr, (made.day_above_12, made.day_above_12_swapped)))
        raise Unreadable(f"its times {both} do not agree whether the day or the month comes first",
                         settled_by="date_format")  # fmt: skip
    if made.day_above_12:
        return made.converted(())
    swapped = replace(plan.times, way=way.swapped(), how=way.swapped().how)
    if made.day_above_12_swapped:
        made = _Conversion(plan, swapped)
        made.run(table)
        return made.converted(())
    times = made.clocks()
    other = _swapped(times)
    example = repr(made.first_time)
    if _are_apart(other, interval) and not _are_apart(times, interval):
        told = f"{example} was read as {way.other}, because its bars are {interval} apart then"
        return replace(made.converted((Guess(told, "date_format"),)), clocks=other, plan=swapped)
    guess = Guess(f"{example} was read as {way.name}, and could be {way.other}", "date_format")
    return made.converted((guess,))


@dataclass(slots=True, eq=False)
class _Conversion:
    plan: Plan
    times: TimesPlan
    spool: Spool = field(init=False)
    first_time: str = ""
    has_clock: bool = False
    has_volume: bool = False
    lost_split: int | None = None
    # A time that only this order of day and month reads, and one that only the other does.
    day_above_12: str = ""
    day_above_12_swapped: str = ""
    _other: Way | None = None
    _offsets: list[Offsets] = field(default_factory=list)
    _refused: list[RefusedRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spool = Spool(
            dict.fromkeys(("row", "clock"), np.int64) | dict.fromkeys(self.plan.numbers, np.float64)
        )
        way = self.times.way
        self._other = way.swapped() if way is not None and way.other else None

    def run(self, table: Table) -> None:
        """Convert all rows."""
        for piece in table.pieces():
            self._refused += piece.refused
            wanted = self.plan.wanted(piece)
            some = piece if wanted is None else piece.only(wanted)
            if len(some.rows):
                self._convert(some)
        if not len(self.spool) and not self._refused:
            raise NoRows("there are no rows in it")

    def _convert(self, piece: Piece) -> None:
        cells = self.plan.times_of(piece)
        clocks = self.times.read(cells)
        numbers = values.read(piece, self.plan.numbers, self.plan.decimal)
        fit = present(clocks.ms)
        for row, reason in clocks.refusals.items():
            self._refused.append(RefusedRow(int(piece.rows[row]), "time", str(cells.iloc[row]), reason))
        for row, (cell, reason) in piece.cut((*self.plan.columns.values(), *self.plan.time_columns)).items():
            if fit[row]:
                self._refused.append(RefusedRow(int(piece.rows[row]), "cells", cell, reason))
                fit[row] = False
        for row, name, cell, reason in numbers.refusals():
            if fit[row]:
                self._refused.append(RefusedRow(int(piece.rows[row]), name, cell, reason))
        self._see_days(cells, clocks)
        fit &= numbers.readable(len(piece.rows))
        if "splits" in numbers.of:
            lists = ~np.isin(numbers.of["splits"], (0, 1))
            lists[list(numbers.unread.get("splits", ()))] = True
            for row in np.flatnonzero(lists & ~fit)[:1].tolist():
                self.lost_split = self.lost_split or int(piece.rows[row])
        places = {"row": piece.rows[fit], "clock": clocks.ms[fit]}
        self.spool.append(places | {name: of[fit] for name, of in numbers.of.items()})
        if clocks.offsets is not None:
            self._offsets.append(clocks.offsets[fit])
        self.has_clock = self.has_clock or clocks.has_clock
        self.has_volume = self.has_volume or bool(
            "volume" in numbers.of and (numbers.of["volume"][fit] != 0).any()
        )
        if not self.first_time and fit.any():
            self.first_time = str(cells.iloc[int(fit.argmax())])

    def _see_days(self, cells: Cells, clocks: Clocks) -> None:
        if self._other is None:
            return
        there = present(clocks.ms)
        if not self.day_above_12:
            days = pd.DatetimeIndex(clocks.ms[there].view("datetime64[ms]")).day
            if len(above := np.flatnonzero(there)[days > 12]):
                self.day_above_12 = str(cells.iloc[int(above[0])])
        unread = cells[~there].dropna()
        if not self.day_above_12_swapped and len(unread):
            others = self._other.read(unread)[0].dropna()
            if len(others):
                self.day_above_12_swapped = str(unread[others.index[0]])

    def clocks(self) -> Int64s:
        """The times of the rows that can be read."""
        return self.spool.read("clock")

    def converted(self, guesses: tuple[Guess, ...]) -> Converted:
        """What was converted."""
        return Converted(
            clocks=self.clocks(),
            offsets=np.concatenate(self._offsets)
            if self.times.zoning is Zoning.OWN and self._offsets
            else None,
            spool=self.spool,
            refused=tuple(self._refused),
            plan=self.times,
            guesses=guesses,
            first_time=self.first_time,
            has_clock=self.has_clock,
            has_volume=self.has_volume,
            lost_split=self.lost_split,
        )


def _swapped(times: Int64s) -> Int64s:
    """Times whose days are below 13 with their days and months exchanged."""
    moments = times.view("datetime64[ms]")
    days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
    years = months.astype("datetime64[Y]")
    day, month = (days - months).astype(np.int64), (months - years).astype(np.int64)
    swapped = (years.astype("datetime64[M]") + day).astype("datetime64[D]") + month
    made: Int64s = (swapped.astype("datetime64[ms]") + (moments - days)).astype(np.int64)
    return made


def _are_apart(times: Int64s, interval: Interval) -> bool:
    """Whether most times are about an interval after the one before."""
    apart = spacing.of(times)
    return apart is not None and 0.5 < apart.median_ms / interval.nominal_ms < 2
