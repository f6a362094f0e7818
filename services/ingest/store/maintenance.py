"""What is done to the store from time to time: forming bars become final, and old records are deleted."""

import numpy as np
from sqlalchemy import Column, Connection, Select, and_, delete, select, tuple_

from finstage_runtime.clock import Clock
from services.ingest.clock import now_ms
from services.ingest.store.bar_writer import BarWriter
from services.ingest.store.commits import CommitLog
from services.ingest.store.database import MAX_MS, Database
from services.ingest.store.open_series import OpenSeries, open_series
from services.ingest.store.ownership import ANY_WRITE, Origin
from services.ingest.store.schema import (
    job_chunks,
    jobs,
    outbox,
    rejected_rows,
    series,
    write_batches,
    writes,
)
from services.ingest.store.write_plan import Write
from services.ingest.validate import is_over

# How much of each kind one transaction deletes: others write in between.
_MAX_ROWS = 10_000
_MAX_OWNERS = 100


class Maintenance:
    """Finalizes bars and deletes old records."""

    def __init__(self, database: Database, clock: Clock, commits: CommitLog) -> None:
        self._database = database
        self._clock = clock
        self._commits = commits

    def finalize(self) -> None:
        """Make the forming bar of each series that only clients wrote final, once its time is over.

        No fetch will tell how such a bar ended.
        """
        at_ms = now_ms(self._clock)
        forming = series.c.fetched_at_ms.is_(None), ~series.c.last_is_final
        with self._database.read() as connection:
            due = [each.key for each in open_series(connection, and_(*forming)) if _is_over(each, at_ms)]
        for key in due:
            with self._database.write() as connection:
                self._database.lock(connection, [key.symbol])
                writer = BarWriter(self._database, connection, now_ms=at_ms)
                target = writer.open([key])[key]
                if not target.extent.last_is_final and _is_over(target, at_ms):
                    # The same bar again, now final.
                    origin = Origin(ANY_WRITE, 0, np.empty(0, dtype=np.int64))
                    writer.write(target, Write(writer.last_before(target, MAX_MS), origin))
                    writer.flush()
            if writer.has_commits:
                self._commits.announce()

    def prune(self, *, commits_before_ms: int, records_before_ms: int) -> bool:
        """Delete some of what is old. Readers of the log that are further back must read the series again.

        Args:
            commits_before_ms: lines of the log of commits from before this time.
            records_before_ms: jobs that ended, rows that were refused, and writes that were last continued
                before this time. A batch of a deleted write counts again when it is sent again.

        Returns:
            Whether there may be more to delete.
        """
        # The log and the refused rows are ordered by time: when the first ones are recent, all are.
        lines = select(outbox).order_by(outbox.c.xact_id, outbox.c.id).limit(_MAX_ROWS).subquery()
        newest = (
            select(lines.c.xact_id, lines.c.id)
            .where(lines.c.committed_at_ms < commits_before_ms)
            .order_by(lines.c.xact_id.desc(), lines.c.id.desc())
            .limit(1)
        )
        rows = select(rejected_rows).order_by(rejected_rows.c.id).limit(_MAX_ROWS).subquery()
        refused = select(rows.c.id).where(rows.c.rejected_at_ms < records_before_ms)
        ended = select(jobs.c.number).where(jobs.c.ended_at_ms < records_before_ms).limit(_MAX_OWNERS)
        idle = select(writes.c.id).where(writes.c.updated_at_ms < records_before_ms).limit(_MAX_OWNERS)
        with self._database.write() as connection:
            removed = [
                _remove_lines(connection, newest),
                _remove(connection, refused, rejected_rows.c.id),
                _remove(connection, ended, job_chunks.c.job_number, jobs.c.number),
                _remove(connection, idle, write_batches.c.write_id, writes.c.id),
            ]
        return any(removed)


def _is_over(target: OpenSeries, now_ms: int) -> bool:
    last_ms = target.extent.last_ms
    return last_ms is not None and is_over(target.key.interval, last_ms, now_ms)


def _remove_lines(connection: Connection, newest: Select[tuple[int, int]]) -> bool:
    """Delete the lines of the log before this one, which stays: the log is never empty."""
    row = connection.execute(newest).first()
    if row is None:
        return False
    older = tuple_(outbox.c.xact_id, outbox.c.id) < tuple_(*row)
    return connection.execute(delete(outbox).where(older)).rowcount > 0


def _remove(connection: Connection, found: Select[tuple[int]], *columns: Column[int]) -> bool:
    """Delete the rows that have one of these numbers in the columns; returns whether there were any."""
    numbers = connection.execute(found).scalars().all()
    for column in columns if numbers else ():
        connection.execute(delete(column.table).where(column.in_(numbers)))
    return bool(numbers)
