"""Writing bars within one transaction: compare, write what differs, and grow the version with it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert

from finstage_market.columns import Columns, Int64s
from services.ingest.hours.grid import GRIDS
from services.ingest.series import SeriesKey
from services.ingest.store.database import Database
from services.ingest.store.diff import (
    Bars,
    Extent,
    Mask,
    difference,
    missing,
    restates,
    with_factors_kept,
)
from services.ingest.store.open_series import OpenSeries, create_series, has_key, open_series, save_series
from services.ingest.store.ownership import (
    Origin,
    of_clients,
    read_stretches,
    reread_before_ms,
    stretched,
)
from services.ingest.store.schema import outbox, series
from services.ingest.store.values import RowCounts, WriteMode

NO_BARS = Bars(Columns.empty(), np.empty(0))
_NO_TIMES: Int64s = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a write did with its rows: four masks bool[n], of which exactly one is set in each place.

    rejected: those that the mode refused, or that are crowded. restated: whether the epoch grew.
    crowded: of the rejected, those whose day, week or month has a bar already.
    """

    inserted: Mask
    updated: Mask
    unchanged: Mask
    rejected: Mask
    restated: bool
    crowded: Mask

    @property
    def counts(self) -> RowCounts:
        """The rows by what became of them."""
        masks = (self.inserted, self.updated, self.unchanged, self.rejected)
        return RowCounts(len(self.inserted), *(int(np.count_nonzero(mask)) for mask in masks))


class BarWriter:
    """The bars of one transaction.

    New and changed rows wait until flush(), so that the batches of a transaction go to the database in one
    piece. The caller holds the lock of every symbol that it opens, and calls flush() at the end.
    """

    def __init__(self, database: Database, connection: Connection, *, now_ms: int) -> None:
        self._database = database
        self._connection = connection
        self._now_ms = now_ms
        self._open: dict[SeriesKey, OpenSeries] = {}
        self._inserts: dict[Table, list[tuple[OpenSeries, Bars]]] = defaultdict(list)
        self._updates: dict[Table, list[tuple[OpenSeries, Bars]]] = defaultdict(list)
        self._waiting: set[SeriesKey] = set()
        self._newest: dict[SeriesKey, tuple[int, float]] = {}
        self._commits: list[dict[str, Any]] = []

    @property
    def has_commits(self) -> bool:
        """Whether anything was changed that the log of commits tells of."""
        return bool(self._commits)

    def open(self, keys: Iterable[SeriesKey]) -> dict[SeriesKey, OpenSeries]:
        """The series as they are now, or empty ones that are not there yet."""
        missing_keys = set(keys) - self._open.keys()
        if missing_keys:
            found = {each.key: each for each in open_series(self._connection, has_key(*missing_keys))}
            self._open |= {key: found.get(key) or OpenSeries(key) for key in missing_keys}
            parts = read_stretches(self._connection, [each.id for each in found.values() if each.id])
            for each in found.values():
                each.have_stretches(parts.get(each.id or 0, []))
        return self._open

    def open_all(self, symbol: str) -> list[OpenSeries]:
        """The series of a symbol that are there."""
        found = open_series(self._connection, series.c.symbol == symbol)
        return [self._open.setdefault(each.key, each) for each in found]

    def write(
        self,
        target: OpenSeries,
        incoming: Bars,
        *,
        origin: Origin | None = None,
        last_is_final: bool = True,
        mode: WriteMode = WriteMode.UPSERT,
        replaced: tuple[int, int] | None = None,
        reads_changed_before_ms: int | None = None,
    ) -> Outcome:
        """Make a series hold the incoming bars.

        A client's new bar is rejected where its day, week or month has one that is stamped otherwise. A
        provider's is passed over, but only for a client's.

        Args:
            incoming: ordered by time, each time once.
            origin: who writes; None: nobody, there are no bars.
            last_is_final: of the last incoming bar.
            replaced: stored bars in this range [start, end) that do not come are removed.
            reads_changed_before_ms: bars before this read differently from now on: a dividend came to light.
        """
        before = target.extent
        parts = target.read_stretches(self._connection)
        by_client = origin is not None and origin.is_client
        # A provider looks out for clients' bars only where there are some that stay.
        stay = origin is not None and not by_client and not origin.replaces_clients
        beside_clients = stay and any(part.write_id is not None for part in parts)
        grid = GRIDS[target.key.interval]
        around_ms = grid.longest_ms if by_client or beside_clients else 0
        stored, in_full = self._stored(target, incoming, replaced, around_ms)
        found = difference(stored, incoming)
        given, incoming = incoming.adjusted_close, with_factors_kept(stored, incoming, found.updated)
        rejected = np.zeros(len(incoming), dtype=np.bool_)
        if mode is WriteMode.INSERT:
            rejected = ~found.inserted
        elif mode is WriteMode.UPDATE:
            rejected = found.inserted
        crowd = passed = np.zeros(len(incoming), dtype=np.bool_)
        held = _NO_TIMES
        if beside_clients:
            held = stored.times[of_clients(parts, stored.times)]
            passed = np.isin(grid.periods(incoming.times), grid.periods(held))
        elif by_client and len(stored) and not grid.is_intraday:
            there = np.isin(grid.periods(incoming.times), grid.periods(stored.times))
            crowd = found.inserted & ~rejected & there
            rejected |= crowd
        inserted, updated, unchanged = (
            mask & ~rejected & ~passed for mask in (found.inserted, found.updated, found.unchanged)
        )
        kept = inserted | updated | unchanged
        added, removed = incoming.times[inserted], _NO_TIMES
        if replaced is not None:
            removed = np.setdiff1d(missing(stored, incoming), held, assume_unique=True)
            removed = removed[(removed >= replaced[0]) & (removed < replaced[1])]
        touched = np.concatenate([incoming.times[updated], removed])
        restated = restates(before, self._before_last_ms(target, added), touched=touched, inserted=added)
        changed = [added, touched]
        if origin is not None:
            target.stretches = stretched(
                parts,
                origin,
                times=incoming.times[kept],
                adjusted=None if given is None else given[kept],
                last_is_final=last_is_final or not kept[-1:].all(),
                others=stored.times if in_full else None,
                last_ms=before.last_ms,
            )
            reread_ms = reread_before_ms(parts, target.stretches, origin.paid_ms)
            reads_changed_before_ms = max(
                (each for each in (reads_changed_before_ms, reread_ms) if each is not None), default=None
            )
        if reads_changed_before_ms is not None and (reread := _before(before, reads_changed_before_ms)):
            restated = True
            changed.append(np.array(reread))

        self._put(target, incoming, inserted, updated, removed)
        target.extent = self._reach(target, added, removed)
        target.extent = after = _with_finality(
            before, target.extent, incoming.times, kept, unchanged, last_is_final=last_is_final
        )
        if len(incoming) and kept[-1] and (newest_ms := int(incoming.times[-1])) == after.last_ms:
            self._newest[target.key] = newest_ms, float(incoming.columns.close[-1])
        if not before.last_is_final and (after.last_is_final or after.last_ms != before.last_ms):
            changed.append(np.array([before.last_ms]))
        times = np.concatenate(changed)
        if len(times):
            self._commit(target, restated=restated, first_ms=int(times.min()), last_ms=int(times.max()))
        return Outcome(inserted, updated, unchanged | passed, rejected, restated, crowd)

    def flush(self) -> None:
        """Send what waits to the database, with the state of the series and the log of commits."""
        self._flush_bars()
        save_series(self._connection, [each for each in self._open.values() if each.id is not None])
        if self._commits:
            statement = insert(outbox).values(xact_id=self._database.xact_id)
            self._connection.execute(statement, self._commits)

    def close_before(self, target: OpenSeries, before_ms: int) -> float | None:
        """The close of the last bar that opened before a time; None: there is none."""
        newest_ms, close = self._newest.get(target.key, (before_ms, 0.0))
        if newest_ms < before_ms:
            return close
        found = self.last_before(target, before_ms)
        return float(found.columns.close[0]) if len(found) else None

    def _stored(
        self, target: OpenSeries, incoming: Bars, replaced: tuple[int, int] | None, around_ms: int
    ) -> tuple[Bars, bool]:
        """The stored bars that the incoming ones may meet, or that may have to go, and around_ms beyond.

        Also whether it is all of them from the first to the last.
        """
        last_ms = target.extent.last_ms
        if last_ms is None or (replaced is None and not len(incoming)):
            return NO_BARS, True
        ends = [*(replaced or ()), *(int(time) for time in (*incoming.times[:1], *incoming.times[-1:]))]
        series_id = None if min(ends) - around_ms > last_ms else self._settled(target)
        if series_id is None:
            return NO_BARS, True
        if replaced is None and not around_ms and _is_sparse(incoming.times, target.key.interval.nominal_ms):
            found = self._database.bars_at(self._connection, target.table, series_id, incoming.times)
            return found, False
        found = self._database.bars_between(
            self._connection,
            target.table,
            series_id,
            start_ms=min(ends) - around_ms,
            end_ms=max(ends) + around_ms + 1,
            with_adjusted=incoming.adjusted_close is not None or _has_adjusted(target),
        )
        return found, True

    def _before_last_ms(self, target: OpenSeries, added: Int64s) -> int | None:
        """The open time of the bar before the last one, where restates() looks at it."""
        extent = target.extent
        if extent.last_ms is None or extent.last_is_final or not len(added) or added[0] > extent.last_ms:
            return None
        found = self.last_before(target, extent.last_ms)
        return int(found.times[0]) if len(found) else None

    def last_before(self, target: OpenSeries, before_ms: int) -> Bars:
        """The last bar that opened before a time, without its adjusted close; or none."""
        series_id = self._settled(target)
        if series_id is None:
            return NO_BARS
        return self._database.bars_between(
            self._connection, target.table, series_id, end_ms=before_ms, limit=1, newest=True
        )

    def _put(
        self, target: OpenSeries, incoming: Bars, inserted: Mask, updated: Mask, removed: Int64s
    ) -> None:
        for mask, waiting in ((inserted, self._inserts), (updated, self._updates)):
            if mask.any():
                waiting[target.table].append((target, incoming if mask.all() else incoming[mask]))
                self._waiting.add(target.key)
        if target.id is not None and len(removed):
            self._database.delete_bars(self._connection, target.table, target.id, removed)

    def _reach(self, target: OpenSeries, added: Int64s, removed: Int64s) -> Extent:
        """How far the series reaches after the write; whether the last is final is not said yet."""
        before = target.extent
        count = before.count + len(added) - len(removed)
        ends = [t for t in (before.first_ms, before.last_ms) if t is not None]
        if len(removed) and np.isin(ends, removed).any() and (series_id := self._settled(target)) is not None:
            ends = [
                int(time)
                for newest in (False, True)
                for time in self._database.bars_between(
                    self._connection, target.table, series_id, limit=1, newest=newest
                ).times
            ]
        else:
            ends += [int(time) for time in (*added[:1], *added[-1:])]
        return Extent(count, min(ends, default=None), max(ends, default=None))

    def _commit(self, target: OpenSeries, *, restated: bool, first_ms: int, last_ms: int) -> None:
        target.revision += 1
        target.epoch += int(restated or target.epoch == 0)
        self._commits.append(
            {
                "symbol": target.key.symbol,
                "interval": target.key.interval.value,
                "epoch": target.epoch,
                "revision": target.revision,
                "restated": restated,
                "first_changed_ms": first_ms,
                "last_changed_ms": last_ms,
                "committed_at_ms": self._now_ms,
            }
        )

    def _settled(self, target: OpenSeries) -> int | None:
        """The id of a series of which nothing waits now, so that it can be read; None: it is not there."""
        if target.key in self._waiting:
            self._flush_bars()
        return target.id

    def _flush_bars(self) -> None:
        create_series(self._connection, (self._open[key] for key in self._waiting))
        for table, parts in self._inserts.items():
            self._database.insert_bars(self._connection, table, _by_id(parts))
        for table, parts in self._updates.items():
            self._database.update_bars(self._connection, table, _by_id(parts))
        self._inserts.clear()
        self._updates.clear()
        self._waiting.clear()


def _by_id(parts: list[tuple[OpenSeries, Bars]]) -> list[tuple[int, Bars]]:
    """In the order of the key: the index grows at its end, a quarter faster than here and there."""
    parts_by_id = [(target.id, bars) for target, bars in parts if target.id is not None]
    return sorted(parts_by_id, key=lambda part: part[0])


def _has_adjusted(target: OpenSeries) -> bool:
    return any(part.adjusted_to_ms is not None for part in target.stretches or ())


def _before(extent: Extent, before_ms: int) -> list[int]:
    """The ends of what a series has before a time; empty: nothing."""
    if extent.first_ms is None or extent.last_ms is None or extent.first_ms >= before_ms:
        return []
    return [extent.first_ms, min(extent.last_ms, before_ms - 1)]


def _is_sparse(times: Int64s, nominal_ms: int) -> bool:
    """Whether what lies between the first and the last may be much more than they are."""
    return int(times[-1] - times[0]) // nominal_ms > 4 * len(times) + 16


def _with_finality(
    before: Extent, after: Extent, times: Int64s, kept: Mask, unchanged: Mask, *, last_is_final: bool
) -> Extent:
    """`after`, with whether its last bar is final.

    Args:
        times, kept, unchanged: the incoming bars, those that are there now, those that were there already.
        last_is_final: what the incoming bars say of their last.
    """
    was_final = before.last_is_final or after.last_ms != before.last_ms
    rows = np.flatnonzero(kept)
    if len(rows) and times[rows[-1]] == after.last_ms:
        row = rows[-1]
        had = before.last_ms is not None and times[row] <= before.last_ms
        # A bar that another came after, be it refused, is over; a final one stays so while it is the same.
        is_over = last_is_final or row < len(times) - 1
        was_final = bool(is_over or (had and unchanged[row] and was_final))
    return Extent(after.count, after.first_ms, after.last_ms, was_final)
