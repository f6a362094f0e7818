"""The plan of a write: which bars to insert, update and delete, and what that does to the series.

Pure: what the series has comes in as NumPy columns, and BarWriter carries the plan out.
"""

from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import NamedTuple

import numpy as np

from finstage_market.columns import Columns, Int64s
from services.ingest.hours.grid import Grid
from services.ingest.store.diff import (
    Bars,
    Difference,
    Extent,
    Mask,
    difference,
    missing,
    restates,
    with_factors_kept,
)
from services.ingest.store.ownership import (
    Origin,
    OwnedRange,
    client_owned,
    ownership_after,
    readjusted_before_ms,
)
from services.ingest.store.values import RowCounts, WriteMode

NO_BARS = Bars(Columns.empty(), np.empty(0))
_NO_TIMES: Int64s = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """Bars that a series is to hold.

    bars: ordered by time, each time once.
    origin: who writes; None: there are no bars.
    last_is_final: of the last bar.
    replaced: stored bars in this range [start, end) that are not among `bars` are removed.
    reads_changed_before_ms: stored bars before this read differently from now on: a dividend came to light.
    restates: whether the epoch grows with any change.
    zone: the exchange's time zone, by which days, weeks and months are told apart; None: unknown.
    """

    bars: Bars
    origin: Origin | None = None
    last_is_final: bool = True
    mode: WriteMode = WriteMode.UPSERT
    replaced: tuple[int, int] | None = None
    reads_changed_before_ms: int | None = None
    restates: bool = False
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a series has before a write, as far as the write can meet it.

    bars: the stored bars around the written ones, and in the replaced range.
    is_complete: whether `bars` are all that lie between the first and the last of them.
    before_last_ms: the open time of the bar before a forming last one; None: not needed, or no such bar.
    neighbours_ms: the open times of the bars before and after `bars`; only needed when bars are removed and
        none are written.
    """

    extent: Extent = field(default_factory=Extent)
    ownership: list[OwnedRange] = field(default_factory=list)
    bars: Bars = NO_BARS
    is_complete: bool = True
    before_last_ms: int | None = None
    neighbours_ms: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True, eq=False)
class WritePlan:
    """What a write does.

    bars: the written bars, with the adjusted closes to be stored.
    inserted, updated, unchanged, rejected: four masks bool[n], exactly one of them set per bar. A rejected
        bar is refused by the mode, or crowded.
    crowded: of the rejected bars, those whose day, week or month has a bar already.
    removed: the open times of stored bars to delete.
    extent, ownership: of the series after the write.
    restated: whether a final bar, or how it reads, changes: the epoch grows.
    changed: the open times of the first and the last bar that change; None: nothing does.
    """

    bars: Bars
    inserted: Mask
    updated: Mask
    unchanged: Mask
    rejected: Mask
    crowded: Mask
    removed: Int64s
    extent: Extent
    ownership: list[OwnedRange]
    restated: bool
    changed: tuple[int, int] | None

    @property
    def counts(self) -> RowCounts:
        """The rows by outcome."""
        masks = (self.inserted, self.updated, self.unchanged, self.rejected)
        return RowCounts(len(self.inserted), *(int(np.count_nonzero(mask)) for mask in masks))


def keeps_clients(write: Write, ownership: list[OwnedRange]) -> bool:
    """Whether a provider writes beside bars of clients, which stay as they are."""
    origin = write.origin
    if origin is None or origin.is_client or origin.replaces_clients:
        return False
    return any(each.is_client for each in ownership)


def plan_write(held: Held, write: Write, grid: Grid) -> WritePlan:
    """Plan a write.

    A client's bar takes the stamp of the stored bar of its day, week or month, and so corrects it. Where the
    exchange's zone is not known it is rejected, and so is a second bar of one period. A provider's bar is
    passed over, and counts as unchanged, when a client's bar is there.
    """
    crowded = np.zeros(len(write.bars), dtype=np.bool_)
    if write.origin is not None and write.origin.is_client and not grid.is_intraday:
        times, crowded = _on_stored_stamps(write.bars.times, held.bars.times, grid, write.zone)
        write = replace(write, bars=write.bars.restamped(times))
    found = difference(held.bars, write.bars)
    bars = with_factors_kept(held.bars, write.bars, found.updated)
    rows = _rows(held, write, grid, found, crowded)
    added, removed = bars.times[rows.inserted], _NO_TIMES
    if write.replaced is not None:
        removed = np.setdiff1d(missing(held.bars, bars), rows.clients_ms, assume_unique=True)
        removed = removed[(removed >= write.replaced[0]) & (removed < write.replaced[1])]
    touched = np.concatenate([bars.times[rows.updated], removed])
    restated = restates(held.extent, held.before_last_ms, touched=touched, inserted=added)

    ownership, reread_ms = held.ownership, write.reads_changed_before_ms
    if write.origin is not None:
        ownership = _ownership_after(held, write, write.origin, rows)
        readjusted_ms = readjusted_before_ms(held.ownership, ownership, write.origin.paid_ms)
        reread_ms = max((each for each in (reread_ms, readjusted_ms) if each is not None), default=None)
    changed = [*_ends(added), *_ends(touched)]
    if reread_ms is not None and (reread := _before(held.extent, reread_ms)):
        restated = True
        changed += reread

    extent = _extent_after(held, bars, rows, added, removed, last_is_final=write.last_is_final)
    last_ms, was_forming = held.extent.last_ms, not held.extent.last_is_final
    if last_ms is not None and was_forming and (extent.last_is_final or extent.last_ms != last_ms):
        changed.append(last_ms)
    return WritePlan(
        bars=bars,
        inserted=rows.inserted,
        updated=rows.updated,
        unchanged=rows.unchanged | rows.passed,
        rejected=rows.rejected,
        crowded=rows.crowded,
        removed=removed,
        extent=extent,
        ownership=ownership,
        restated=restated or (write.restates and bool(changed)),
        changed=(min(changed), max(changed)) if changed else None,
    )


class _Rows(NamedTuple):
    """What becomes of each written bar. clients_ms: the times of the stored bars that a client keeps.

    passed: passed over for a client's bar. kept: inserted, updated or unchanged.
    """

    inserted: Mask
    updated: Mask
    unchanged: Mask
    passed: Mask
    rejected: Mask
    crowded: Mask
    kept: Mask
    clients_ms: Int64s


def _on_stored_stamps(times: Int64s, stored: Int64s, grid: Grid, zone: tzinfo | None) -> tuple[Int64s, Mask]:
    """Return the stamps of bars, those of the stored bars of their periods where there are such bars.

    Also bool[n]: the bars whose period has a bar already that they cannot correct: one in `times`, two in
    `stored`, or one with another stamp where the zone, and so the period of a stamp, is not known.
    """
    periods, stored_periods = grid.periods(times, zone), grid.periods(stored, zone)
    exact = np.isin(times, stored)
    second = np.zeros(len(times), dtype=np.bool_)
    second[1:] = (np.diff(periods) <= 0) & ~(exact[1:] & exact[:-1])
    order = np.argsort(stored_periods, kind="stable")
    first, last = (np.searchsorted(stored_periods[order], periods, side=side) for side in ("left", "right"))
    second |= ~exact & (last - first > 1)
    there = ~exact & (last - first == 1)
    if zone is None or not there.any():
        return times, second | there
    stamps = times.copy()
    stamps[there] = stored[order[first[there]]]
    if (np.diff(stamps) < 0).any():  # a stamp that is a date within the local day before it
        return times, second | there
    return stamps, second


def _rows(held: Held, write: Write, grid: Grid, found: Difference, crowded: Mask) -> _Rows:
    times, stored = write.bars.times, held.bars.times
    rejected = passed = np.zeros(len(times), dtype=np.bool_)
    clients_ms = _NO_TIMES
    if write.mode is WriteMode.INSERT:
        rejected = ~found.inserted
    elif write.mode is WriteMode.UPDATE:
        rejected = found.inserted
    if keeps_clients(write, held.ownership):
        clients_ms = stored[client_owned(held.ownership, stored)]
        passed = np.isin(grid.periods(times, write.zone), grid.periods(clients_ms, write.zone))
    crowded = crowded & ~rejected
    rejected = rejected | crowded
    kept = ~(rejected | passed)
    inserted, updated, unchanged = (mask & kept for mask in (found.inserted, found.updated, found.unchanged))
    return _Rows(inserted, updated, unchanged, passed, rejected, crowded, kept, clients_ms)


def _ownership_after(held: Held, write: Write, origin: Origin, rows: _Rows) -> list[OwnedRange]:
    adjusted = write.bars.adjusted_close
    return ownership_after(
        held.ownership,
        origin,
        times=write.bars.times[rows.kept],
        adjusted=None if adjusted is None else adjusted[rows.kept],
        last_is_final=write.last_is_final or not rows.kept[-1:].all(),
        others=held.bars.times if held.is_complete else None,
        last_ms=held.extent.last_ms,
    )


def _ends(times: Int64s) -> list[int]:
    """Return the least and the greatest of times; empty: there are none."""
    return [int(times.min()), int(times.max())] if len(times) else []


def _before(extent: Extent, before_ms: int) -> list[int]:
    """Return the ends of what a series has before a time; empty: it has nothing there."""
    if extent.first_ms is None or extent.last_ms is None or extent.first_ms >= before_ms:
        return []
    return [extent.first_ms, min(extent.last_ms, before_ms - 1)]


def _extent_after(
    held: Held, bars: Bars, rows: _Rows, added: Int64s, removed: Int64s, *, last_is_final: bool
) -> Extent:
    before = held.extent
    count = before.count + len(added) - len(removed)
    ends = [t for t in (before.first_ms, before.last_ms) if t is not None]
    if len(removed) and (gone := np.isin(ends, removed)).any():
        left = np.setdiff1d(held.bars.times, removed, assume_unique=True)
        neighbours = [t for t in held.neighbours_ms if t is not None]
        ends = [t for t, is_gone in zip(ends, gone, strict=True) if not is_gone] + _ends(left) + neighbours
    ends += _ends(added)
    first_ms, last_ms = min(ends, default=None), max(ends, default=None)
    is_final = before.last_is_final or last_ms != before.last_ms
    places = np.flatnonzero(rows.kept)
    if len(places) and bars.times[places[-1]] == last_ms:
        place = places[-1]
        was_there = before.last_ms is not None and bars.times[place] <= before.last_ms
        # A bar that another one followed, even a refused one, is over; a final bar stays final while it is
        # the same.
        is_over = last_is_final or place < len(bars) - 1
        is_final = bool(is_over or (was_there and rows.unchanged[place] and is_final))
    return Extent(count, first_ms, last_ms, is_final)
