"""Backfill jobs and the ledger of their chunks."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from finstage_market.errors import NotFound, PreconditionFailed, Reason
from finstage_market.interval import Interval
from finstage_runtime.clock import Clock
from services.ingest.clock import now_ms
from services.ingest.series import SeriesKey
from services.ingest.store.chunk_ledger import (
    CANCELLED,
    DONE,
    FAILED,
    LEASED,
    WAITING,
    end_job_if_done,
    held_chunk,
    lock_job,
)
from services.ingest.store.database import Database
from services.ingest.store.errors import LeaseLost, key_reused
from services.ingest.store.schema import COUNTS, job_chunks, jobs, read_counts
from services.ingest.store.values import (
    ChunkFailure,
    ChunkLease,
    Job,
    JobSpec,
    JobState,
)

MAX_FAILURES = 100


class JobLedger:
    """Creates and reads jobs, and leases their chunks to workers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(self, spec: JobSpec, *, idempotency_key: str = "") -> Job:
        """Keep a job with a chunk for each symbol and interval; the same job for the same idempotency_key.

        When that job has failed, its failed chunks are tried again.

        Raises:
            AlreadyExists: KEY_REUSED: the key was used before with another spec.
        """
        created_ms, job_id = now_ms(self._clock), uuid.uuid4().hex
        row = {
            "id": job_id,
            "request_id": idempotency_key or None,
            "state": JobState.QUEUED.value,
            "symbols": list(spec.symbols),
            "intervals": [interval.value for interval in spec.intervals],
            "start_ms": spec.start_ms,
            "end_ms": spec.end_ms,
            "created_at_ms": created_ms,
        }
        with self._database.write() as connection:
            if idempotency_key:
                self._database.lock(connection, [f"job {idempotency_key}"])
                ours = jobs.c.request_id == idempotency_key
                known = connection.execute(select(jobs).where(ours)).first()
                if known is not None:
                    if _spec(known) != spec:
                        raise key_reused(
                            "idempotency_key", idempotency_key, "was used before with another request"
                        )
                    return self._retry_failed(connection, known.id)
            made = connection.execute(insert(jobs).values(row)).inserted_primary_key
            assert made is not None
            keys = [(symbol, interval) for symbol in spec.symbols for interval in spec.intervals]
            chunks = [
                {
                    "job_number": made[0],
                    "chunk": chunk,
                    "symbol": symbol,
                    "interval": interval.value,
                    "state": WAITING,
                    "due_ms": created_ms,
                    "fence": 0,
                    "attempts": 0,
                    "worker": "",
                }
                for chunk, (symbol, interval) in enumerate(keys)
            ]
            connection.execute(insert(job_chunks), chunks)
            return _job(connection, _find(connection, job_id))

    def _retry_failed(self, connection: Connection, job_id: str) -> Job:
        """Return a job that was requested again; when it has failed, its failed chunks wait again."""
        number = lock_job(connection, job_id)
        ours = jobs.c.number == number, jobs.c.state == JobState.FAILED.value
        again = update(jobs).where(*ours).values(state=JobState.QUEUED.value, ended_at_ms=None)
        if connection.execute(again).rowcount:
            connection.execute(
                update(job_chunks)
                .where(job_chunks.c.job_number == number, job_chunks.c.state == FAILED)
                .values(state=WAITING, due_ms=now_ms(self._clock), attempts=0, ended_at_ms=None)
            )
        return _job(connection, _find(connection, job_id))

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFound: JOB_NOT_FOUND.
        """
        with self._database.read() as connection:
            return _job(connection, _find(connection, job_id))

    def find(
        self, *, state: JobState | None = None, before: str | None = None, limit: int = 50
    ) -> tuple[Job, ...]:
        """Return jobs, newest first.

        before: continue after the job with that id.

        Raises:
            NotFound: JOB_NOT_FOUND: there is no job `before`.
        """
        query = select(jobs).order_by(jobs.c.number.desc()).limit(limit)
        if state is not None:
            query = query.where(jobs.c.state == state.value)
        with self._database.read() as connection:
            if before is not None:
                query = query.where(jobs.c.number < _find(connection, before).number)
            return tuple(_jobs(connection, connection.execute(query).all()))

    def cancel(self, job_id: str) -> Job:
        """End a job. What it committed stays; the leases of its chunks are void.

        Raises:
            NotFound: JOB_NOT_FOUND.
            PreconditionFailed: JOB_ENDED: it has succeeded or failed. A cancelled job is returned as it is.
        """
        with self._database.write() as connection:
            _find(connection, job_id)
            number = lock_job(connection, job_id)
            row = _find(connection, job_id)
            if row.state == JobState.CANCELLED.value:
                return _job(connection, row)
            if JobState(row.state).has_ended:
                raise PreconditionFailed(Reason.JOB_ENDED, f"job {job_id} has ended: {row.state}")
            ended = {"state": JobState.CANCELLED.value, "ended_at_ms": now_ms(self._clock)}
            connection.execute(update(jobs).where(jobs.c.number == number).values(ended))
            left = job_chunks.c.state.in_((WAITING, LEASED))
            connection.execute(
                update(job_chunks).where(job_chunks.c.job_number == number, left).values(state=CANCELLED)
            )
            return _job(connection, _find(connection, job_id))

    def lease_chunk(self, *, worker: str, lease_s: float) -> ChunkLease | None:
        """Take a chunk of the oldest job that has one due; None: no chunk is due.

        A chunk is due when it was not begun, is to be tried again, or its lease has run out.
        """
        while True:
            asked_ms = now_ms(self._clock)
            with self._database.write() as connection:
                row = connection.execute(_next_due(asked_ms)).first()
                if row is None:
                    return None
                if lease := _take(connection, row, worker=worker, now_ms=asked_ms, lease_s=lease_s):
                    return lease
            # Another worker took it first: look again.

    def renew_lease(self, lease: ChunkLease, *, lease_s: float) -> None:
        """Hold a chunk for longer.

        Raises:
            LeaseLost: the lease is no longer the caller's.
        """
        expires_ms = now_ms(self._clock) + int(lease_s * 1000)
        with self._database.write() as connection:
            _change(connection, lease, {"due_ms": expires_ms})

    def return_chunk(self, lease: ChunkLease) -> None:
        """Give back a chunk that was not done, as if it had not been taken. A worker that stops calls this.

        Raises:
            LeaseLost: the lease is no longer the caller's.
        """
        change = {"state": WAITING, "due_ms": now_ms(self._clock), "attempts": lease.attempt - 1}
        with self._database.write() as connection:
            _change(connection, lease, change)

    def fail_chunk(
        self, lease: ChunkLease, *, reason: Reason, message: str, retry_in_s: float | None
    ) -> None:
        """Give back a chunk that failed: to be tried again after retry_in_s, or failed for good when None.

        Raises:
            LeaseLost: the lease is no longer the caller's.
        """
        failed_ms = now_ms(self._clock)
        change: dict[str, Any] = {"reason": reason.value, "message": message}
        if retry_in_s is None:
            change |= {"state": FAILED, "ended_at_ms": failed_ms}
        else:
            change |= {"state": WAITING, "due_ms": failed_ms + int(retry_in_s * 1000)}
        with self._database.write() as connection:
            number = _change(connection, lease, change)
            end_job_if_done(connection, number, now_ms=failed_ms)


def _change(connection: Connection, lease: ChunkLease, values: dict[str, Any]) -> int:
    """Change the chunk of a lease that is still valid; returns its job's number."""
    number = lock_job(connection, lease.job_id)
    if connection.execute(held_chunk(number, lease).values(values)).rowcount != 1:
        raise LeaseLost(f"chunk {lease.chunk} of job {lease.job_id}")
    return number


def _next_due(now_ms: int) -> Any:
    """Select the chunk to take next: the first one due of the oldest job."""
    return (
        select(job_chunks, jobs.c.id.label("job_id"), jobs.c.start_ms, jobs.c.end_ms)
        .join(jobs, jobs.c.number == job_chunks.c.job_number)
        .where(job_chunks.c.state.in_((WAITING, LEASED)), job_chunks.c.due_ms <= now_ms)
        .order_by(job_chunks.c.job_number, job_chunks.c.chunk)
        .limit(1)
    )


def _take(
    connection: Connection, row: Row[Any], *, worker: str, now_ms: int, lease_s: float
) -> ChunkLease | None:
    """Lease a due chunk to this worker; None: another worker has taken it."""
    number = lock_job(connection, row.job_id)
    expires_ms = now_ms + int(lease_s * 1000)
    taken = connection.execute(
        update(job_chunks)
        .where(
            job_chunks.c.job_number == number,
            job_chunks.c.chunk == row.chunk,
            job_chunks.c.state == row.state,
            job_chunks.c.fence == row.fence,
        )
        .values(
            state=LEASED,
            fence=row.fence + 1,
            attempts=row.attempts + 1,
            worker=worker,
            due_ms=expires_ms,
        )
    )
    if taken.rowcount != 1:
        return None
    connection.execute(
        update(jobs)
        .where(jobs.c.number == number, jobs.c.state == JobState.QUEUED.value)
        .values(state=JobState.RUNNING.value, started_at_ms=now_ms)
    )
    return ChunkLease(
        job_id=row.job_id,
        chunk=row.chunk,
        key=SeriesKey(row.symbol, Interval(row.interval)),
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        fence=row.fence + 1,
        attempt=row.attempts + 1,
    )


def _find(connection: Connection, job_id: str) -> Row[Any]:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotFound(
            Reason.JOB_NOT_FOUND, f"there is no job {job_id}", resource_type="job", resource_name=job_id
        )
    return row


def _spec(row: Row[Any]) -> JobSpec:
    intervals = tuple(Interval(value) for value in row.intervals)
    return JobSpec(tuple(row.symbols), intervals, row.start_ms, row.end_ms)


def _job(connection: Connection, row: Row[Any]) -> Job:
    (job,) = _jobs(connection, [row])
    return job


def _jobs(connection: Connection, rows: Sequence[Row[Any]]) -> list[Job]:
    """Return jobs with the sums over their chunks, and with their failures."""
    chunks = job_chunks.c
    query = (
        select(
            chunks.job_number,
            func.count().label("total"),
            *(func.count().filter(chunks.state == state).label(state) for state in (DONE, FAILED)),
            *(func.sum(chunks[name]).label(name) for name in COUNTS),
        )
        .where(chunks.job_number.in_([row.number for row in rows]))
        .group_by(chunks.job_number)
    )
    sums = {found.job_number: found for found in connection.execute(query)}
    failures = {number: _failures(connection, number) for number, found in sums.items() if found.FAILED}
    return [_with_sums(row, sums[row.number], failures.get(row.number, ())) for row in rows]


def _failures(connection: Connection, number: int) -> tuple[ChunkFailure, ...]:
    """Return the first chunks of a job that failed for good."""
    query = (
        select(job_chunks)
        .where(job_chunks.c.job_number == number, job_chunks.c.state == FAILED)
        .order_by(job_chunks.c.chunk)
        .limit(MAX_FAILURES)
    )
    return tuple(
        ChunkFailure(SeriesKey(chunk.symbol, Interval(chunk.interval)), Reason(chunk.reason), chunk.message)
        for chunk in connection.execute(query)
    )


def _with_sums(row: Row[Any], sums: Row[Any], failures: tuple[ChunkFailure, ...]) -> Job:
    return Job(
        id=row.id,
        state=JobState(row.state),
        spec=_spec(row),
        chunks_total=sums.total,
        chunks_done=sums.DONE,
        chunks_failed=sums.FAILED,
        rows=read_counts(sums),
        created_at_ms=row.created_at_ms,
        started_at_ms=row.started_at_ms,
        ended_at_ms=row.ended_at_ms,
        failures=failures,
    )
