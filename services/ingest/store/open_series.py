"""The row of a series, as a transaction reads it, changes it and writes it back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    insert,
    select,
    tuple_,
    update,
)

from finstage_market.interval import Interval
from services.ingest.series import SeriesKey, SeriesState
from services.ingest.store.diff import Extent
from services.ingest.store.ownership import Stretch, read_stretches, save_stretches
from services.ingest.store.schema import bars_of, series

MAX_SOURCES = 8


@dataclass(slots=True)
class OpenSeries:
    """A series as the transaction has it so far.

    id None: it is not there yet. epoch and revision 0: nothing was ever committed to it.
    stretches: None: they were not read yet. saved, saved_stretches: as the database has them.
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
    stretches: list[Stretch] | None = None
    saved_stretches: list[Stretch] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)

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
        """Add to the sources: each once, in the order in which they came; the first ones and the newest.

        A provider's name has no colon and stays: what is simulated must be known to be.
        """
        parts = [part for part in self.source.split("+") if part]
        source = source.replace("+", " ")
        if source not in parts:
            if len(parts) >= MAX_SOURCES:
                clients = [part for part in parts if ":" in part]
                parts.remove((clients or parts)[-1])
            self.source = "+".join([*parts, source])

    def covers(self, start_ms: int, end_ms: int) -> None:
        """Add a stretch that was asked for or written."""
        first, last = self.covered or (start_ms, end_ms)
        self.covered = (min(first, start_ms), max(last, end_ms))

    @property
    def row(self) -> dict[str, Any]:
        """Its columns, but what names it."""
        return {
            "epoch": max(self.epoch, 1),
            "revision": max(self.revision, 1),
            "bar_count": self.extent.count,
            "first_ms": self.extent.first_ms,
            "last_ms": self.extent.last_ms,
            "last_is_final": self.extent.last_is_final,
            "source": self.source,
            "fetched_at_ms": self.fetched_at_ms,
            "as_of_ms": self.as_of_ms,
            "covered_start_ms": self.covered[0] if self.covered else None,
            "covered_end_ms": self.covered[1] if self.covered else None,
        }

    def read_stretches(self, connection: Connection) -> list[Stretch]:
        """Where its bars came from."""
        if self.stretches is None:
            self.have_stretches([] if self.id is None else read_stretches(connection, [self.id])[self.id])
        assert self.stretches is not None
        return self.stretches

    def have_stretches(self, found: list[Stretch]) -> None:
        """They were read."""
        self.stretches = self.saved_stretches = found

    def create(self, connection: Connection) -> int:
        """Its id; it is made when it is not there."""
        create_series(connection, [self])
        assert self.id is not None
        return self.id


def create_series(connection: Connection, wanted: Iterable[OpenSeries]) -> None:
    """Make those that are not there, as they are now."""
    new = [each for each in wanted if each.id is None]
    if new:
        statement = insert(series).returning(series.c.id, sort_by_parameter_order=True)
        rows = [{"symbol": each.key.symbol, "interval": each.key.interval.value, **each.row} for each in new]
        for each, made in zip(new, connection.execute(statement, rows).scalars(), strict=True):
            each.id, each.saved = made, each.row


def save_series(connection: Connection, changed: Sequence[OpenSeries]) -> None:
    """Write those back that are not as they were read."""
    rows = [{"its_id": each.id, **each.row} for each in changed if each.row != each.saved]
    if rows:
        connection.execute(update(series).where(series.c.id == bindparam("its_id")), rows)
    save_stretches(
        connection,
        (
            (each.id, each.saved_stretches, each.stretches)
            for each in changed
            if each.id is not None and each.stretches is not None
        ),
    )


def open_series(connection: Connection, condition: ColumnElement[bool]) -> list[OpenSeries]:
    """The series that are there and meet a condition."""
    found = [
        OpenSeries(
            key=SeriesKey(row.symbol, Interval(row.interval)),
            id=row.id,
            epoch=row.epoch,
            revision=row.revision,
            extent=Extent(row.bar_count, row.first_ms, row.last_ms, row.last_is_final),
            source=row.source,
            fetched_at_ms=row.fetched_at_ms,
            as_of_ms=row.as_of_ms,
            covered=None if row.covered_start_ms is None else (row.covered_start_ms, row.covered_end_ms),
        )
        for row in connection.execute(select(series).where(condition))
    ]
    for each in found:
        each.saved = each.row
    return found


def has_key(*keys: SeriesKey) -> ColumnElement[bool]:
    """The condition to be one of these series."""
    if len(keys) == 1:
        return and_(series.c.symbol == keys[0].symbol, series.c.interval == keys[0].interval.value)
    return tuple_(series.c.symbol, series.c.interval).in_([(k.symbol, k.interval.value) for k in keys])
