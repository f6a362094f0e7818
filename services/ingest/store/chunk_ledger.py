"""Chunks of jobs within a transaction: finished together with their data, fenced by their lease."""

import hashlib
from dataclasses import asdict

from sqlalchemy import Connection, Update, select, update

from finstage_market.columns import VALUES, Columns
from services.ingest.store.errors import LeaseLost
from services.ingest.store.schema import job_chunks, jobs
from services.ingest.store.values import ChunkLease, JobState, RowCounts

WAITING, LEASED, DONE, FAILED, CANCELLED = "WAITING", "LEASED", "DONE", "FAILED", "CANCELLED"


def lock_job(connection: Connection, job_id: str) -> int:
    """Return the number of a job, and keep other transactions from changing the job until this one ends."""
    query = select(jobs.c.number).where(jobs.c.id == job_id).with_for_update()
    return int(connection.execute(query).scalar_one())


def held_chunk(number: int, lease: ChunkLease) -> Update:
    """Return an update that changes the chunk of a lease only while the lease is valid."""
    return update(job_chunks).where(
        job_chunks.c.job_number == number,
        job_chunks.c.chunk == lease.chunk,
        job_chunks.c.state == LEASED,
        job_chunks.c.fence == lease.fence,
    )


def finish_chunk(
    connection: Connection, lease: ChunkLease, rows: RowCounts, columns: Columns, *, now_ms: int
) -> None:
    """Mark a chunk as done in the ledger.

    Raises:
        LeaseLost: another worker has it, or the job was cancelled.
    """
    number = lock_job(connection, lease.job_id)
    change = held_chunk(number, lease).values(
        state=DONE, **asdict(rows), digest=_digest(columns), ended_at_ms=now_ms
    )
    if connection.execute(change).rowcount != 1:
        raise LeaseLost(f"chunk {lease.chunk} of job {lease.job_id}")
    end_job_if_done(connection, number, now_ms=now_ms)


def end_job_if_done(connection: Connection, number: int, *, now_ms: int) -> None:
    """End a job that has no chunk left to do."""
    query = select(job_chunks.c.state).where(job_chunks.c.job_number == number).distinct()
    states = {row.state for row in connection.execute(query)}
    if not states & {WAITING, LEASED}:
        state = JobState.FAILED if FAILED in states else JobState.SUCCEEDED
        connection.execute(
            update(jobs).where(jobs.c.number == number).values(state=state.value, ended_at_ms=now_ms)
        )


def _digest(columns: Columns) -> bytes:
    """Return a fingerprint of bars."""
    total = hashlib.sha256(columns.open_time_ms.data)
    for name in VALUES:
        total.update(getattr(columns, name).data)
    return total.digest()
