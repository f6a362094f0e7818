"""The row of a series, as a transaction reads it, changes it and writes it back."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from libs.market.interval import Interval
from services.ingest.series import SeriesKey, SeriesState
from services.ingest.store.diff import Extent
from services.ingest.store.schema import bars_of, series

MAX_SOURCES = 8


@dataclass(slots=True)
class OpenSeries:
    """A series as the transaction has it so far.

    id None: it is not there yet. epoch and revision 0: nothing was ever committed to it.
    """

    key: SeriesKey
    id: int | None = None
    epoch: int = 0
    revision: int = 0
    extent: Extent = field(default_factory=Extent)
    source: str = ""
    fetched_at_ms: int | None = None
    as_of_ms: int | None = None
    covered: tuple[int, int] | None = None
    adjusted_at_ms: int | None = None

    @property
    def table(self) -> Table:
        """Where its bars are."""
        return bars_of(self.key.interval)

    @property
    def state(self) -> SeriesState:
        """It, as callers know it."""
        return SeriesState(
            key=self.key,
            epoch=self.epoch,
            revision=self.revision,
            count=self.extent.count,
            first_ms=self.extent.first_ms,
            last_ms=self.extent.last_ms,
            last_is_final=self.extent.last_is_final,
            source=self.source,
            fetched_at_ms=self.fetched_at_ms,
            as_of_ms=self.as_of_ms,
            covered_start_ms=self.covered[0] if self.covered else None,
            covered_end_ms=self.covered[1] if self.covered else None,
        )

    def came_from(self, source: str) -> None:
        """Add to the sources: each once, in the order in which they came; the first ones and the newest."""
        parts = [part for part in self.source.split("+") if part]
        source = source.replace("+", " ")
        if source not in parts:
            self.source = "+".join([*parts[: MAX_SOURCES - 1], source])

    def covers(self, start_ms: int, end_ms: int) -> None:
        """Add a stretch that was asked for or written."""
        first, last = self.covered or (start_ms, end_ms)
        self.covered = (min(first, start_ms), max(last, end_ms))

    def create(self, connection: Connection) -> int:
        """Its id; it is made when it is not there."""
        if self.id is None:
            row = {"symbol": self.key.symbol, "interval": self.key.interval.value, **self._row()}
            made = connection.execute(insert(series).values(row)).inserted_primary_key
            assert made is not None
            self.id = int(made[0])
        return self.id

    def save(self, connection: Connection) -> None:
        """Write it back."""
        self.epoch, self.revision = max(self.epoch, 1), max(self.revision, 1)
        connection.execute(update(series).where(series.c.id == self.id).values(self._row()))

    def _row(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "revision": self.revision,
            "bar_count": self.extent.count,
            "first_ms": self.extent.first_ms,
            "last_ms": self.extent.last_ms,
            "last_is_final": self.extent.last_is_final,
            "source": self.source,
            "fetched_at_ms": self.fetched_at_ms,
            "as_of_ms": self.as_of_ms,
            "covered_start_ms": self.covered[0] if self.covered else None,
            "covered_end_ms": self.covered[1] if self.covered else None,
            "adjusted_at_ms": self.adjusted_at_ms,
        }


def open_series(connection: Connection, symbol: str, interval: Interval | None = None) -> list[OpenSeries]:
    """The series of a symbol that are there: the one of an interval, or all."""
    query = select(series).where(series.c.symbol == symbol)
    if interval is not None:
        query = query.where(series.c.interval == interval.value)
    return [
        OpenSeries(
            key=SeriesKey(symbol, Interval(row.interval)),
            id=row.id,
            epoch=row.epoch,
            revision=row.revision,
            extent=Extent(row.bar_count, row.first_ms, row.last_ms, row.last_is_final),
            source=row.source,
            fetched_at_ms=row.fetched_at_ms,
            as_of_ms=row.as_of_ms,
            covered=None if row.covered_start_ms is None else (row.covered_start_ms, row.covered_end_ms),
            adjusted_at_ms=row.adjusted_at_ms,
        )
        for row in connection.execute(query)
    ]
