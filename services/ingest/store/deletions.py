"""Deletes bars that should never have been stored, and keeps why."""

from dataclasses import dataclass

import structlog
from sqlalchemy import insert

from finstage_runtime.clock import Clock
from services.ingest.clock import now_ms
from services.ingest.hours.grid import GRIDS
from services.ingest.series import Gap, GapReason, SeriesKey
from services.ingest.store import annotations
from services.ingest.store.bar_writer import BarWriter
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import MAX_MS, MIN_MS, Database
from services.ingest.store.open_series import OpenSeries, has_key, open_series
from services.ingest.store.ownership import ownership_without
from services.ingest.store.schema import deletions
from services.ingest.store.write_plan import NO_BARS, Write

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted, or would be, and the version of the series after it.

    first_ms, last_ms: the open times of the first and the last of the bars; None: there are none.
    """

    bars: int
    first_ms: int | None
    last_ms: int | None
    epoch: int
    revision: int


class Deletions:
    """Deletes series and ranges of them."""

    def __init__(self, database: Database, clock: Clock, commits: CommitLog) -> None:
        self._database = database
        self._clock = clock
        self._commits = commits

    def preview(self, key: SeriesKey, *, start_ms: int | None, end_ms: int | None) -> Deletion | None:
        """Return what delete() would delete; None: there is no such series."""
        with self._database.read() as connection:
            found = open_series(connection, has_key(key))
            if not found or (series_id := found[0].id) is None:
                return None
            times = self._database.bars_between(
                connection,
                found[0].table,
                series_id,
                start_ms=MIN_MS if start_ms is None else start_ms,
                end_ms=MAX_MS if end_ms is None else end_ms,
            ).times
            first_ms, last_ms = (int(times[0]), int(times[-1])) if len(times) else (None, None)
            return Deletion(len(times), first_ms, last_ms, found[0].epoch, found[0].revision)

    def delete(
        self, key: SeriesKey, *, start_ms: int | None, end_ms: int | None, reason: str
    ) -> Deletion | None:
        """Delete the bars that opened in [start_ms, end_ms); the whole series when both are None.

        The series gets a new epoch. A range becomes a gap with the reason. A whole series becomes one that
        was never fetched, so it is fetched again when it is asked for. Deleting nothing changes nothing.

        Returns None when there is no such series.
        """
        at_ms = now_ms(self._clock)
        with self._database.write() as connection:
            self._database.lock(connection, [key.symbol])
            writer = BarWriter(self._database, connection, now_ms=at_ms)
            target = writer.open([key])[key]
            if target.id is None:
                return None
            extent = target.extent
            if extent.first_ms is None or extent.last_ms is None:
                return Deletion(0, None, None, target.epoch, target.revision)
            replaced = (
                extent.first_ms if start_ms is None else start_ms,
                extent.last_ms + 1 if end_ms is None else end_ms,
            )
            removed = writer.write(target, Write(NO_BARS, replaced=replaced, restates=True)).removed
            if not len(removed):
                return Deletion(0, None, None, target.epoch, target.revision)
            ends = int(removed[0]), int(removed[-1])
            target.ownership = ownership_without(target.read_ownership(connection), *replaced)
            if start_ms is None and end_ms is None:
                annotations.replace_annotations(
                    connection, target.id, start_ms=MIN_MS, end_ms=MAX_MS, new_gaps=(), new_flags=()
                )
                _forget(target)
            else:
                gap_end_ms = ends[1] + GRIDS[key.interval].longest_ms if end_ms is None else end_ms
                gap_start_ms = ends[0] if start_ms is None else start_ms
                gap = Gap(gap_start_ms, gap_end_ms, GapReason.DELETED, len(removed), reason)
                annotations.replace_annotations(
                    connection,
                    target.id,
                    start_ms=gap_start_ms,
                    end_ms=gap_end_ms,
                    new_gaps=[gap],
                    new_flags=(),
                )
            line = {
                "symbol": key.symbol,
                "interval": key.interval.value,
                "first_ms": ends[0],
                "last_ms": ends[1],
                "bar_count": len(removed),
                "reason": reason,
                "deleted_at_ms": at_ms,
            }
            connection.execute(insert(deletions).values(line))
            writer.flush()
        self._commits.announce()
        _log.warning("bars_deleted", series=str(key), bars=len(removed), reason=reason)
        return Deletion(len(removed), *ends, target.epoch, target.revision)


def _forget(target: OpenSeries) -> None:
    """Make a series one that nobody has fetched or written yet; its version goes on."""
    target.source, target.covered = "", None
    target.fetched_at_ms = target.as_of_ms = None
