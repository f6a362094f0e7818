"""A series within a transaction: its row is read, changed and written back."""

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
from services.ingest.store.ownership import OwnedRange, read_ownership, save_ownership
from services.ingest.store.schema import bars_of, series

MAX_SOURCES = 8


@dataclass(slots=True)
class OpenSeries:
    """A series as the transaction has changed it so far.

    id None: it is not in the database yet. epoch and revision 0: nothing was ever committed to it.
    ownership: None: not read yet. saved, saved_ownership: as they are in the database.
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
    ownership: list[OwnedRange] | None = None
    saved_ownership: list[OwnedRange] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """The table of its bars."""
        return bars_of(self.key.interval)

    @property
    def state(self) -> SeriesState:
        """The series as callers know it."""
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
        """Add a source: each is named once, in order of arrival; past MAX_SOURCES the last one is replaced.

        A provider's name, which has no colon, is never dropped: simulated bars must be recognisable.
        """
        names = [name for name in self.source.split("+") if name]
        source = source.replace("+", " ")
        if source not in names:
            if len(names) >= MAX_SOURCES:
                clients = [name for name in names if ":" in name]
                names.remove((clients or names)[-1])
            self.source = "+".join([*names, source])

    def covers(self, start_ms: int, end_ms: int) -> None:
        """Extend the covered range by one that was asked for or written."""
        first, last = self.covered or (start_ms, end_ms)
        self.covered = (min(first, start_ms), max(last, end_ms))

    @property
    def row(self) -> dict[str, Any]:
        """Its columns, without its id and key."""
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

    def read_ownership(self, connection: Connection) -> list[OwnedRange]:
        """Return the ownership of its bars, read at the first call."""
        if self.ownership is None:
            self.set_ownership([] if self.id is None else read_ownership(connection, [self.id])[self.id])
        assert self.ownership is not None
        return self.ownership

    def set_ownership(self, found: list[OwnedRange]) -> None:
        """Set the ownership that was read."""
        self.ownership = self.saved_ownership = found

    def create(self, connection: Connection) -> int:
        """Return its id; insert it first when it is not in the database."""
        create_series(connection, [self])
        assert self.id is not None
        return self.id


def create_series(connection: Connection, wanted: Iterable[OpenSeries]) -> None:
    """Insert the series that are not in the database."""
    new = [each for each in wanted if each.id is None]
    if new:
        statement = insert(series).returning(series.c.id, sort_by_parameter_order=True)
        rows = [{"symbol": each.key.symbol, "interval": each.key.interval.value, **each.row} for each in new]
        for each, made in zip(new, connection.execute(statement, rows).scalars(), strict=True):
            each.id, each.saved = made, each.row


def save_series(connection: Connection, changed: Sequence[OpenSeries]) -> None:
    """Write back the series that differ from what was read."""
    rows = [{"its_id": each.id, **each.row} for each in changed if each.row != each.saved]
    if rows:
        connection.execute(update(series).where(series.c.id == bindparam("its_id")), rows)
    save_ownership(
        connection,
        (
            (each.id, each.saved_ownership, each.ownership)
            for each in changed
            if each.id is not None and each.ownership is not None
        ),
    )


def open_series(connection: Connection, condition: ColumnElement[bool]) -> list[OpenSeries]:
    """Return the stored series that meet a condition."""
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
    """Return the condition to be one of these series."""
    if len(keys) == 1:
        return and_(series.c.symbol == keys[0].symbol, series.c.interval == keys[0].interval.value)
    return tuple_(series.c.symbol, series.c.interval).in_([(k.symbol, k.interval.value) for k in keys])
