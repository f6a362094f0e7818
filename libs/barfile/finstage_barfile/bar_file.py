"""The bars of a file, and how it was read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from finstage_barfile.bars import Bars, LazyColumn
from finstage_barfile.splits import FileEvent, dividend_steps
from finstage_barfile.table import Guess, RefusedRow
from finstage_market.columns import Columns, Float64s, Int64s
from finstage_market.interval import Interval


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
