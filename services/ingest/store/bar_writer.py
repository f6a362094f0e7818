"""Writes bars within one transaction: plans each write, carries it out, and logs its commit."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, insert

from finstage_market.columns import Int64s
from services.ingest.hours.grid import GRIDS
from services.ingest.series import SeriesKey
from services.ingest.store.database import Database
from services.ingest.store.diff import Bars
from services.ingest.store.open_series import OpenSeries, create_series, has_key, open_series, save_series
from services.ingest.store.ownership import read_ownership
from services.ingest.store.schema import outbox, series
from services.ingest.store.write_plan import NO_BARS, Held, Write, WritePlan, keeps_clients, plan_write


class BarWriter:
    """The bars of one transaction.

    New and changed bars wait until flush(), so that the batches of a transaction go to the database together.
    The caller holds the lock of every symbol that it opens, and calls flush() at the end.
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
        """Whether there is a change for the log of commits."""
        return bool(self._commits)

    def open(self, keys: Iterable[SeriesKey]) -> dict[SeriesKey, OpenSeries]:
        """Return the series as they are now; empty ones for those that do not exist yet."""
        missing_keys = set(keys) - self._open.keys()
        if missing_keys:
            found = {each.key: each for each in open_series(self._connection, has_key(*missing_keys))}
            self._open |= {key: found.get(key) or OpenSeries(key) for key in missing_keys}
            ranges = read_ownership(self._connection, [each.id for each in found.values() if each.id])
            for each in found.values():
                each.set_ownership(ranges.get(each.id or 0, []))
        return self._open

    def open_all(self, symbol: str) -> list[OpenSeries]:
        """Return the stored series of a symbol."""
        found = open_series(self._connection, series.c.symbol == symbol)
        return [self._open.setdefault(each.key, each) for each in found]

    def write(self, target: OpenSeries, write: Write) -> WritePlan:
        """Make a series hold bars; returns what was planned and done."""
        plan = plan_write(self._held(target, write), write, GRIDS[target.key.interval])
        for mask, waiting in ((plan.inserted, self._inserts), (plan.updated, self._updates)):
            if mask.any():
                waiting[target.table].append((target, plan.bars if mask.all() else plan.bars[mask]))
                self._waiting.add(target.key)
        if target.id is not None and len(plan.removed):
            self._database.delete_bars(self._connection, target.table, target.id, plan.removed)
        target.extent, target.ownership = plan.extent, plan.ownership
        if len(plan.bars) and not plan.rejected[-1] and plan.bars.times[-1] == plan.extent.last_ms:
            self._newest[target.key] = int(plan.bars.times[-1]), float(plan.bars.columns.close[-1])
        if plan.changed is not None:
            self._commit(target, *plan.changed, restated=plan.restated)
        return plan

    def flush(self) -> None:
        """Send what waits to the database, with the state of the series and the log of commits."""
        self._flush_bars()
        save_series(self._connection, [each for each in self._open.values() if each.id is not None])
        if self._commits:
            statement = insert(outbox).values(xact_id=self._database.xact_id)
            self._connection.execute(statement, self._commits)

    def close_before(self, target: OpenSeries, before_ms: int) -> float | None:
        """Return the close of the last bar that opened before a time; None: there is none."""
        newest_ms, close = self._newest.get(target.key, (before_ms, 0.0))
        if newest_ms < before_ms:
            return close
        found = self.last_before(target, before_ms)
        return float(found.columns.close[0]) if len(found) else None

    def last_before(self, target: OpenSeries, before_ms: int) -> Bars:
        """Return the last bar that opened before a time, without its adjusted close; or none."""
        series_id = self._readable_id(target)
        if series_id is None:
            return NO_BARS
        return self._database.bars_between(
            self._connection, target.table, series_id, end_ms=before_ms, limit=1, newest=True
        )

    def _held(self, target: OpenSeries, write: Write) -> Held:
        """Read what the write can meet of the series, or has to remove."""
        ownership, extent, times = target.read_ownership(self._connection), target.extent, write.bars.times
        ends = [*(write.replaced or ()), *(int(time) for time in (*times[:1], *times[-1:]))]
        if extent.last_ms is None or not ends:
            return Held(extent, ownership)
        # A bar of the same day, week or month may have another stamp.
        by_client = write.origin is not None and write.origin.is_client
        looks_around = by_client or keeps_clients(write, ownership)
        around_ms = GRIDS[target.key.interval].longest_ms if looks_around else 0
        start_ms, end_ms = min(ends) - around_ms, max(ends) + around_ms + 1
        series_id = None if start_ms > extent.last_ms else self._readable_id(target)
        if series_id is None:
            return Held(extent, ownership)
        is_complete = (
            write.replaced is not None
            or around_ms > 0
            or not _is_sparse(times, target.key.interval.nominal_ms)
        )
        if is_complete:
            has_adjusted = any(each.adjusted_to_ms is not None for each in ownership)
            stored = self._database.bars_between(
                self._connection,
                target.table,
                series_id,
                start_ms=start_ms,
                end_ms=end_ms,
                with_adjusted=write.bars.adjusted_close is not None or has_adjusted,
            )
        else:
            stored = self._database.bars_at(self._connection, target.table, series_id, times)
        return Held(
            extent,
            ownership,
            stored,
            is_complete,
            self._before_last_ms(target, times, stored.times if is_complete else None),
            self._neighbours_ms(target, series_id, start_ms, end_ms) if not len(times) else (None, None),
        )

    def _before_last_ms(self, target: OpenSeries, times: Int64s, stored: Int64s | None) -> int | None:
        """Return the open time of the bar before a forming last one, when bars before that may be added.

        stored: all stored times between the first and the last written ones; None: not known.
        """
        last_ms = target.extent.last_ms
        if last_ms is None or target.extent.last_is_final or not len(times) or times[0] >= last_ms:
            return None
        if stored is not None and len(stored) and stored[-1] == last_ms:
            # A bar before the first written one cannot be after a bar that is added.
            return int(stored[-2]) if len(stored) > 1 else None
        found = self.last_before(target, last_ms)
        return int(found.times[0]) if len(found) else None

    def _neighbours_ms(
        self, target: OpenSeries, series_id: int, start_ms: int, end_ms: int
    ) -> tuple[int | None, int | None]:
        """Return the open times of the last bar before a range and of the first bar after it."""
        before = self.last_before(target, start_ms).times
        after = self._database.bars_between(
            self._connection, target.table, series_id, start_ms=end_ms, limit=1
        ).times
        return (int(before[0]) if len(before) else None, int(after[0]) if len(after) else None)

    def _commit(self, target: OpenSeries, first_ms: int, last_ms: int, *, restated: bool) -> None:
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

    def _readable_id(self, target: OpenSeries) -> int | None:
        """Return the id of a series once none of its bars wait, so that it can be read; None: not stored."""
        if target.key in self._waiting:
            self._flush_bars()
        return target.id

    def _flush_bars(self) -> None:
        create_series(self._connection, (self._open[key] for key in self._waiting))
        for table, waiting in self._inserts.items():
            self._database.insert_bars(self._connection, table, _by_id(waiting))
        for table, waiting in self._updates.items():
            self._database.update_bars(self._connection, table, _by_id(waiting))
        self._inserts.clear()
        self._updates.clear()
        self._waiting.clear()


def _by_id(waiting: list[tuple[OpenSeries, Bars]]) -> list[tuple[int, Bars]]:
    """Sort by the key: appending to the index is a quarter faster than inserting here and there."""
    by_id = [(target.id, bars) for target, bars in waiting if target.id is not None]
    return sorted(by_id, key=lambda each: each[0])


def _is_sparse(times: Int64s, nominal_ms: int) -> bool:
    """Whether many more bars may lie between the first and the last than these."""
    return int(times[-1] - times[0]) // nominal_ms > 4 * len(times) + 16
