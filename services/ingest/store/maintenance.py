"""What is forgotten in time: commits of the log, ended jobs, refused rows, idle writes."""

from sqlalchemy import Column, Connection, Select, delete, select, tuple_

from services.ingest.store.part import Part
from services.ingest.store.schema import job_chunks, jobs, outbox, rejected_rows, write_batches, writes

# How much of each goes in a transaction: others write in between.
_ROWS = 10_000
_OWNERS = 100


class Upkeep(Part):
    """Forgetting."""

    def prune(self, *, commits_before_ms: int, records_before_ms: int) -> bool:
        """As Store.prune()."""
        # The log and the refused rows are in the order of time: where the first are young, so are all.
        lines = select(outbox).order_by(outbox.c.xact_id, outbox.c.id).limit(_ROWS).subquery()
        newest = (
            select(lines.c.xact_id, lines.c.id)
            .where(lines.c.committed_at_ms < commits_before_ms)
            .order_by(lines.c.xact_id.desc(), lines.c.id.desc())
            .limit(1)
        )
        rows = select(rejected_rows).order_by(rejected_rows.c.id).limit(_ROWS).subquery()
        refused = select(rows.c.id).where(rows.c.rejected_at_ms < records_before_ms)
        ended = select(jobs.c.number).where(jobs.c.ended_at_ms < records_before_ms).limit(_OWNERS)
        left = select(writes.c.id).where(writes.c.updated_at_ms < records_before_ms).limit(_OWNERS)
        with self._database.write() as connection:
            removed = [
                _remove_lines(connection, newest),
                _remove(connection, refused, rejected_rows.c.id),
                _remove(connection, ended, job_chunks.c.job_number, jobs.c.number),
                _remove(connection, left, write_batches.c.write_id, writes.c.id),
            ]
        return any(removed)


def _remove_lines(connection: Connection, newest: Select[tuple[int, int]]) -> bool:
    """Delete the lines of the log before this one, which stays: there always is a line."""
    row = connection.execute(newest).first()
    if row is None:
        return False
    older = tuple_(outbox.c.xact_id, outbox.c.id) < tuple_(*row)
    return connection.execute(delete(outbox).where(older)).rowcount > 0


def _remove(connection: Connection, found: Select[tuple[int]], *columns: Column[int]) -> bool:
    """Delete the rows in whose columns these numbers are; whether there were any."""
    numbers = connection.execute(found).scalars().all()
    for column in columns if numbers else ():
        connection.execute(delete(column.table).where(column.in_(numbers)))
    return bool(numbers)
