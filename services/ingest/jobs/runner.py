"""Backfills: workers that take chunks of jobs from the ledger, fetch them, and commit each with its data.

The ledger in the database decides who works on what (a lease with a fence); workers of any number of
processes may share it. A chunk is one series: its bars and its line in the ledger are one commit, so a worker
that is killed leaves a chunk either done or to be done again.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

import structlog

from finstage_market.errors import FinstageError, RateLimited, Reason, Unavailable
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.restatement import why_restated
from services.ingest.series import FetchedBars, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.errors import LeaseLost
from services.ingest.store.values import ChunkLease, WriteResult

T = TypeVar("T")
Fetch = Callable[[SeriesKey, int | None, int | None], Awaitable[FetchedBars]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How backfills are worked on.

    workers: chunks at once in this process.
    lease_s: how long a worker holds a chunk; the lease is renewed while the worker lives.
    max_attempts: tries of a chunk that fails for a passing reason, until it has failed for good. The default
        outlasts an outage of about 20 minutes.
    max_faults: tries of a chunk that fails by a fault of ours.
    retry_base_s, max_retry_s: the wait after the first failure, doubled with each further one, and its
        greatest value; with full jitter.
    idle_s: how often to look for chunks that other processes created or left.
    """

    workers: int = 4
    lease_s: float = 60.0
    max_attempts: int = 15
    max_faults: int = 3
    retry_base_s: float = 2.0
    max_retry_s: float = 300.0
    idle_s: float = 2.0


class JobRunner:
    """Works on the chunks that are due, including those of earlier processes, until cancelled.

    fetch: bars of a series that opened in [start, end); None: as far back as there are, to now.
    database: where the store's calls block.
    """

    def __init__(
        self,
        store: Store,
        fetch: Fetch,
        *,
        database: BoundedExecutor,
        clock: Clock,
        policy: JobPolicy = JobPolicy(),
    ) -> None:
        self._store = store
        self._fetch = fetch
        self._database = database
        self._clock = clock
        self._policy = policy
        self._name = uuid.uuid4().hex
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for chunks now: there is a new job."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled, then give unfinished chunks back, for other processes to take at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._policy.workers):
                group.create_task(self._work(f"{self._name}/{number}"))

    async def _work(self, worker: str) -> None:
        while True:
            # Taken before the look, so that a job created during it is not missed.
            woken = self._woken
            try:
                lease = await self._take(worker)
                if lease is not None:
                    await self._do(lease)
                    continue
            except (Unavailable, RateLimited) as error:
                # The database is away. A leased chunk comes up again when its lease runs out.
                _log.warning("job_store_unavailable", detail=error.message)
            except Exception:
                # A fault of ours: this worker goes on with other chunks, as the other workers do.
                _log.exception("job_worker_failed", worker=worker)
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), self._policy.idle_s)

    async def _take(self, worker: str) -> ChunkLease | None:
        """Lease a chunk to work on; None: none is due."""
        taking = asyncio.ensure_future(
            self._database.run(self._store.jobs.lease_chunk, worker=worker, lease_s=self._policy.lease_s)
        )
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            with suppress(Exception):
                if lease := await taking:
                    await self._give_back(lease)
            raise

    async def _do(self, lease: ChunkLease) -> None:
        begun = self._clock.monotonic()
        try:
            result = await self._while_held(lease, self._fetch_and_write(lease))
        except LeaseLost:
            _log.info("chunk_lease_lost", job=lease.job_id, chunk=lease.chunk)
            return
        except asyncio.CancelledError:
            await self._give_back(lease)
            raise
        except Exception as error:
            await self._fail(lease, error)
            return
        _log.info(
            "chunk_processed",
            job=lease.job_id,
            chunk=lease.chunk,
            series=str(lease.key),
            rows=result.rows.sent,
            seconds=round(self._clock.monotonic() - begun, 3),
        )

    async def _while_held(self, lease: ChunkLease, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, and renew the lease meanwhile; cancel the work when the lease is lost.

        Raises:
            LeaseLost: the lease was lost.
        """
        working, renewing = asyncio.create_task(work), asyncio.create_task(self._renew(lease))
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else renewing.result()
        finally:
            working.cancel()
            renewing.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def _fetch_and_write(self, lease: ChunkLease) -> WriteResult:
        """Fetch a chunk, and commit its bars and that it is done."""
        key, start_ms, end_ms = lease.key, lease.start_ms, lease.end_ms
        is_whole = start_ms is None and end_ms is None
        fetched = await self._fetch(key, start_ms, end_ms)
        if not is_whole:
            held = await self._database.run(self._store.bars.read, key, start_ms=start_ms, end_ms=end_ms)
            if held and (reason := await self._database.run(why_restated, self._store.bars, held, fetched)):
                _log.info("history_restated", series=str(key), reason=reason)
                fetched, is_whole = await self._fetch(key, None, None), True
        return await self._database.run(self._store.fetched.write, fetched, replace=is_whole, lease=lease)

    async def _renew(self, lease: ChunkLease) -> NoReturn:
        while True:
            await asyncio.sleep(self._policy.lease_s / 3)
            with suppress(FinstageError):
                await self._database.run(self._store.jobs.renew_lease, lease, lease_s=self._policy.lease_s)

    async def _give_back(self, lease: ChunkLease) -> None:
        """Give a chunk back; when that fails, it comes up again when its lease runs out."""
        try:
            await self._database.run(self._store.jobs.return_chunk, lease)
        except LeaseLost:
            pass
        except Exception:
            _log.exception("chunk_not_given_back", job=lease.job_id, chunk=lease.chunk)

    async def _fail(self, lease: ChunkLease, error: Exception) -> None:
        """Give the chunk back as failed: to be tried again when that can help."""
        retry_in_s: float | None = None
        if isinstance(error, FinstageError):
            reason, message = error.reason, error.message
            tries = self._policy.max_attempts if isinstance(error, RateLimited | Unavailable) else 1
            tell = _log.warning
        else:
            reason, message = Reason.INTERNAL, f"internal error: {type(error).__name__}"
            tries = self._policy.max_faults
            tell = partial(_log.error, exc_info=error)
        if lease.attempt < tries:
            max_wait_s = min(self._policy.retry_base_s * 2 ** (lease.attempt - 1), self._policy.max_retry_s)
            retry_in_s = max(random.uniform(0, max_wait_s), getattr(error, "retry_after_s", None) or 0.0)
        tell(
            "chunk_failed",
            job=lease.job_id,
            chunk=lease.chunk,
            series=str(lease.key),
            reason=reason,
            detail=message,
            retry_in_s=retry_in_s,
        )
        with suppress(LeaseLost):
            await self._database.run(
                self._store.jobs.fail_chunk, lease, reason=reason, message=message, retry_in_s=retry_in_s
            )
