"""Backfills over the wire: progress, retries, cancelling, and workers that die or race."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import pytest
import structlog

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage.ingest.v1 import jobs_pb2
from finstage.market.v1 import series_pb2
from finstage_market.errors import (
    AlreadyExists,
    InvalidRequest,
    NotFound,
    RateLimited,
    Reason,
    no_data,
    symbol_not_found,
)
from finstage_market.interval import Interval
from finstage_market.statuses import from_status
from finstage_market.times import milliseconds, timestamp
from finstage_runtime.clock import SYSTEM, Clock
from services.ingest.jobs.runner import JobPolicy
from services.ingest.series import FetchedBars, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.errors import LeaseLost
from services.ingest.store.values import ChunkLease, JobSpec
from tests.ingest.conftest import Reopen
from tests.ingest.ingest_server import Ingest, failed, running_ingest
from tests.ingest.stores import bars, closes, day, fetched, tail

D1, W1 = "1d", "1w"
QUICK = JobPolicy(idle_s=0.02, retry_base_s=0.01, max_attempts=5, lease_s=60)


def backfill_of(symbols: Sequence[str], **more: Any) -> pb.CreateBackfillRequest:
    """Return a request for these symbols."""
    return pb.CreateBackfillRequest(symbol_list=pb.SymbolList(symbols=symbols), **more)


@pytest.fixture
def clock() -> Clock:
    """Let time pass, for leases and retries."""
    return SYSTEM


async def three_days(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
    """A provider with the days 0, 1 and 2 of any series."""
    return fetched(bars({0: 10, 1: 11, 2: 12}), key=key)


async def until_ended(ingest: Ingest, job_id: str) -> list[jobs_pb2.Job]:
    """Return the messages of WatchJob until it ends."""
    call = ingest.stub.WatchJob(pb.WatchJobRequest(job_id=job_id))
    return [answer.job async for answer in call]


async def test_a_backfill_stores_every_series_and_reports_progress(store: Store) -> None:
    async with running_ingest(store, clock=SYSTEM, fetch=three_days, policy=QUICK) as ingest:
        request = backfill_of(["aapl", "MSFT", "AAPL"], intervals=[D1, W1])
        job = (await ingest.stub.CreateBackfill(request)).job
        assert (list(job.symbols), list(job.intervals), job.chunks_total) == (["AAPL", "MSFT"], [D1, W1], 4)
        seen = await until_ended(ingest, job.id)
    last = seen[-1]
    assert last.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert (last.chunks_done, last.chunks_failed, last.rows.sent, last.rows.inserted) == (4, 0, 12, 12)
    assert last.rows_per_second > 0
    assert not last.HasField("remaining")
    assert milliseconds(last.ended_at) >= milliseconds(last.started_at) >= milliseconds(last.created_at)
    assert closes(tail(store, SeriesKey("MSFT", Interval.W1), 9)) == {0: 10, 1: 11, 2: 12}


async def test_the_range_is_passed_to_the_provider(store: Store) -> None:
    asked: list[tuple[int | None, int | None]] = []

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        asked.append((start_ms, end_ms))
        return await three_days(key, start_ms, end_ms)

    async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=QUICK) as ingest:
        request = backfill_of(
            ["A"], intervals=[D1], range=series_pb2.BarRange(start=timestamp(day(0)), end=timestamp(day(3)))
        )
        job = (await ingest.stub.CreateBackfill(request)).job
        await until_ended(ingest, job.id)
    assert asked == [(day(0), day(3))]


async def test_a_range_that_differs_from_the_stored_bars_fetches_the_whole_series_again(store: Store) -> None:
    key = SeriesKey("A", Interval.D1)
    store.fetched.write(fetched(bars({0: 40, 1: 44, 2: 48}), key=key))

    async def after_the_split(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        if start_ms is None:
            return await three_days(key, None, None)
        return fetched(bars({2: 12}), key=key, first_day=2)

    async with running_ingest(store, clock=SYSTEM, fetch=after_the_split, policy=QUICK) as ingest:
        request = backfill_of(["A"], intervals=[D1], range=series_pb2.BarRange(start=timestamp(day(2))))
        job = (await ingest.stub.CreateBackfill(request)).job
        await until_ended(ingest, job.id)
    assert closes(tail(store, key, 9)) == {0: 10, 1: 11, 2: 12}


async def test_a_worker_survives_an_internal_error(reopen: Reopen, monkeypatch: pytest.MonkeyPatch) -> None:
    store = reopen()
    lease_chunk, faults = store.jobs.lease_chunk, iter([RuntimeError("broken")] * 8)

    def faulty(**arguments: Any) -> ChunkLease | None:
        for fault in faults:
            raise fault
        return lease_chunk(**arguments)

    monkeypatch.setattr(store.jobs, "lease_chunk", faulty)
    async with running_ingest(store, clock=SYSTEM, fetch=three_days, policy=QUICK) as ingest:
        request = backfill_of(["AAPL"], intervals=[D1])
        job = (await ingest.stub.CreateBackfill(request)).job
        assert (await until_ended(ingest, job.id))[-1].state == jobs_pb2.JOB_STATE_SUCCEEDED


async def test_a_passing_failure_is_retried_and_a_lasting_one_is_reported(store: Store) -> None:
    tries: list[str] = []

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        tries.append(key.symbol)
        if key.symbol == "NOSUCH":
            raise symbol_not_found("NOSUCH")
        if key.symbol == "BUG":
            raise RuntimeError("a secret")
        if tries.count(key.symbol) < 3:
            raise RateLimited(Reason.UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=0.01)
        return await three_days(key, start_ms, end_ms)

    async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=QUICK) as ingest:
        request = backfill_of(["A", "NOSUCH", "BUG"], intervals=[D1])
        job = (await ingest.stub.CreateBackfill(request)).job
        last = (await until_ended(ingest, job.id))[-1]
    assert last.state == jobs_pb2.JOB_STATE_FAILED
    assert (last.chunks_done, last.chunks_failed) == (1, 2)
    assert (tries.count("A"), tries.count("NOSUCH"), tries.count("BUG")) == (3, 1, QUICK.max_faults)
    assert [(f.symbol, f.error.message) for f in last.failures] == [
        ("NOSUCH", "no provider knows the symbol NOSUCH"),
        ("BUG", "internal error: RuntimeError"),
    ]


async def test_a_repeated_request_retries_the_failed_chunks_of_its_job(store: Store) -> None:
    tries: list[str] = []

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        tries.append(key.symbol)
        if tries.count("LATE") == 1:
            raise symbol_not_found("LATE")
        return await three_days(key, start_ms, end_ms)

    request = backfill_of(["A", "LATE"], intervals=[D1], idempotency_key="monday")
    async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=QUICK) as ingest:
        job = (await ingest.stub.CreateBackfill(request)).job
        failed_job = (await until_ended(ingest, job.id))[-1]
        assert (failed_job.state, failed_job.chunks_failed) == (jobs_pb2.JOB_STATE_FAILED, 1)
        again = (await ingest.stub.CreateBackfill(request)).job
        assert (again.id, again.chunks_done, again.chunks_failed) == (job.id, 1, 0)
        last = (await until_ended(ingest, job.id))[-1]
        assert (last.state, last.chunks_done) == (jobs_pb2.JOB_STATE_SUCCEEDED, 2)
        assert (await ingest.stub.CreateBackfill(request)).job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert sorted(tries) == ["A", "LATE", "LATE"]


async def test_a_failure_has_the_details_of_its_reason(store: Store) -> None:
    errors = {
        "NOSUCH": symbol_not_found("NOSUCH"),
        "EMPTY": no_data("EMPTY", Interval.D1),
        "BUSY": RateLimited(Reason.UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=0.01),
    }

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        raise errors[key.symbol]

    async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=QUICK) as ingest:
        request = backfill_of(list(errors), intervals=[D1])
        job = (await ingest.stub.CreateBackfill(request)).job
        last = (await until_ended(ingest, job.id))[-1]
    nosuch, empty, busy = [from_status(failure.error) for failure in last.failures]
    assert isinstance(nosuch, NotFound)
    assert (nosuch.resource_type, nosuch.resource_name) == ("symbol", "NOSUCH")
    assert isinstance(empty, NotFound)
    assert (empty.resource_type, empty.resource_name) == ("series", "EMPTY/1d")
    assert isinstance(busy, RateLimited)
    assert busy.retry_after_s == 60.0


async def test_a_cancelled_job_ends_and_its_commits_stay(store: Store) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        if key.symbol == "B":
            reached.set()
            await go_on.wait()
        return await three_days(key, start_ms, end_ms)

    one = JobPolicy(workers=1, idle_s=0.02)
    async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=one) as ingest:
        request = backfill_of(["A", "B", "C"], intervals=[D1])
        job = (await ingest.stub.CreateBackfill(request)).job
        await reached.wait()
        cancelled = (await ingest.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))).job
        assert cancelled.state == jobs_pb2.JOB_STATE_CANCELLED
        go_on.set()
        again = (await ingest.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))).job
        assert again.state == jobs_pb2.JOB_STATE_CANCELLED
        other = (await ingest.stub.CreateBackfill(backfill_of(["D"], intervals=[D1]))).job
        await until_ended(ingest, other.id)
        last = (await ingest.stub.GetJob(pb.GetJobRequest(job_id=job.id))).job
    assert (last.chunks_done, last.chunks_total) == (1, 3)
    assert closes(tail(store, SeriesKey("A", Interval.D1), 9)) == {0: 10, 1: 11, 2: 12}
    assert store.bars.state(SeriesKey("B", Interval.D1)) is None
    assert store.bars.state(SeriesKey("C", Interval.D1)) is None


async def test_another_process_continues_a_job_when_the_lease_of_a_dead_one_ends(
    store: Store, reopen: Reopen
) -> None:
    job = store.jobs.create(JobSpec(("A", "B"), (Interval.D1,)))
    dead = reopen()
    lease = dead.jobs.lease_chunk(worker="dead", lease_s=0.3)
    assert lease is not None
    assert lease.key.symbol == "A"
    async with running_ingest(store, clock=SYSTEM, fetch=three_days, policy=QUICK) as ingest:
        last = (await until_ended(ingest, job.id))[-1]
    assert (last.state, last.chunks_done) == (jobs_pb2.JOB_STATE_SUCCEEDED, 2)


async def test_a_job_created_while_a_worker_looks_is_seen_at_once(
    reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker looks again by itself during the test."""
    store = reopen()
    lease_chunk, loop = store.jobs.lease_chunk, asyncio.get_running_loop()
    looked, go_on = asyncio.Event(), threading.Event()

    def slow(**arguments: Any) -> ChunkLease | None:
        lease = lease_chunk(**arguments)
        loop.call_soon_threadsafe(looked.set)
        go_on.wait(30)
        return lease

    monkeypatch.setattr(store.jobs, "lease_chunk", slow)
    rarely = JobPolicy(workers=1, idle_s=3600)
    async with running_ingest(store, clock=SYSTEM, fetch=three_days, policy=rarely) as ingest:
        await looked.wait()
        request = backfill_of(["A"], intervals=[D1])
        job = (await ingest.stub.CreateBackfill(request)).job
        go_on.set()
        async with asyncio.timeout(30):
            await until_ended(ingest, job.id)


async def test_a_stopping_worker_gives_back_its_chunk(reopen: Reopen) -> None:
    begun = asyncio.Event()

    async def endless(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with running_ingest(reopen(), clock=SYSTEM, fetch=endless, policy=QUICK) as ingest:
        await ingest.stub.CreateBackfill(backfill_of(["A"], intervals=[D1]))
        await begun.wait()
    lease = reopen().jobs.lease_chunk(worker="next", lease_s=60)
    assert lease is not None
    assert lease.attempt == 1


async def test_a_stopping_worker_gives_back_a_chunk_that_it_is_about_to_get(
    reopen: Reopen, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = reopen()
    store.jobs.create(JobSpec(("A",), (Interval.D1,)))
    lease_chunk, loop = store.jobs.lease_chunk, asyncio.get_running_loop()
    taken, go_on = asyncio.Event(), threading.Event()

    def slow(**arguments: Any) -> ChunkLease | None:
        lease = lease_chunk(**arguments)
        loop.call_soon_threadsafe(taken.set)
        go_on.wait(30)
        return lease

    monkeypatch.setattr(store.jobs, "lease_chunk", slow)
    one = JobPolicy(workers=1)
    async with running_ingest(store, clock=SYSTEM, fetch=three_days, policy=one):
        await taken.wait()
        loop.call_later(0.2, go_on.set)
    lease = reopen().jobs.lease_chunk(worker="next", lease_s=60)
    assert lease is not None
    assert lease.attempt == 1


async def test_work_ends_when_its_lease_is_lost(store: Store) -> None:
    """The only worker is free for the next job, although the cancelled job's fetch would never end."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        if key.symbol == "A":
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.set()
        return await three_days(key, start_ms, end_ms)

    one = JobPolicy(workers=1, idle_s=0.02, lease_s=0.3)
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=one) as ingest:
        job = (await ingest.stub.CreateBackfill(backfill_of(["A"], intervals=[D1]))).job
        await begun.wait()
        await ingest.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
        other = (await ingest.stub.CreateBackfill(backfill_of(["B"], intervals=[D1]))).job
        async with asyncio.timeout(30):
            await left.wait()
            assert (await until_ended(ingest, other.id))[-1].state == jobs_pb2.JOB_STATE_SUCCEEDED
    gc.collect()
    assert unheard == []


async def test_an_internal_error_is_logged_once_with_its_traceback(store: Store) -> None:
    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        raise RuntimeError("broken")

    with structlog.testing.capture_logs() as logs:
        async with running_ingest(store, clock=SYSTEM, fetch=fetch, policy=QUICK) as ingest:
            request = backfill_of(["A"], intervals=[D1])
            job = (await ingest.stub.CreateBackfill(request)).job
            await until_ended(ingest, job.id)
    told = [log for log in logs if log["event"] == "chunk_failed"]
    assert [log["log_level"] for log in told] == ["error"] * QUICK.max_faults
    assert all(isinstance(log["exc_info"], RuntimeError) for log in told)


def test_a_chunk_given_back_is_as_if_never_taken(store: Store) -> None:
    store.jobs.create(JobSpec(("A",), (Interval.D1,)))
    first = store.jobs.lease_chunk(worker="one", lease_s=60)
    assert first is not None
    assert store.jobs.lease_chunk(worker="two", lease_s=60) is None
    store.jobs.return_chunk(first)
    second = store.jobs.lease_chunk(worker="two", lease_s=60)
    assert second is not None
    assert (second.attempt, second.fence) == (1, 2)
    with pytest.raises(LeaseLost):
        store.jobs.return_chunk(first)


async def test_two_processes_share_the_chunks_and_do_none_twice(reopen: Reopen) -> None:
    asked: list[str] = []

    async def fetch(key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        asked.append(key.symbol)
        await asyncio.sleep(0)
        return await three_days(key, start_ms, end_ms)

    symbols = [f"S{i}" for i in range(12)]
    first, second = reopen(), reopen()
    async with (
        running_ingest(first, clock=SYSTEM, fetch=fetch, policy=QUICK) as ingest,
        running_ingest(second, clock=SYSTEM, fetch=fetch, policy=QUICK),
    ):
        job = (await ingest.stub.CreateBackfill(backfill_of(symbols, intervals=[D1]))).job
        last = (await until_ended(ingest, job.id))[-1]
    assert last.rows.inserted == 36
    assert sorted(asked) == sorted(symbols)


async def test_a_request_sent_again_is_the_same_job(store: Store) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        request = backfill_of(["A"], intervals=[D1], idempotency_key="r")
        first = (await ingest.stub.CreateBackfill(request)).job
        assert (await ingest.stub.CreateBackfill(request)).job.id == first.id
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.CreateBackfill(backfill_of(["B"], intervals=[D1], idempotency_key="r"))
        assert isinstance(failed(caught.value), AlreadyExists)


async def test_jobs_are_listed_newest_first_page_by_page_and_by_state(store: Store) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        ids = []
        for symbol in "ABCDE":
            request = backfill_of([symbol], intervals=[D1])
            ids.append((await ingest.stub.CreateBackfill(request)).job.id)
        await ingest.stub.CancelJob(pb.CancelJobRequest(job_id=ids[1]))
        token, listed = "", []
        for _ in range(3):
            page = await ingest.stub.ListJobs(pb.ListJobsRequest(page_size=2, page_token=token))
            listed += [job.id for job in page.jobs]
            token = page.next_page_token
        assert listed == ids[::-1]
        assert token == ""
        request = pb.ListJobsRequest(state=jobs_pb2.JOB_STATE_CANCELLED)
        assert [job.id for job in (await ingest.stub.ListJobs(request)).jobs] == [ids[1]]


@pytest.mark.parametrize("token", ["nonsense", "a\x00b", "x" * 129])
async def test_a_page_token_that_was_not_given_is_refused(store: Store, token: str) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.ListJobs(pb.ListJobsRequest(page_token=token))
    error = failed(caught.value)
    assert isinstance(error, InvalidRequest)
    assert [v.field for v in error.violations] == ["page_token"]


@pytest.mark.parametrize("source", ["x\x00y", "x" * 129])
async def test_rejected_rows_are_listed_by_a_valid_source(store: Store, source: str) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.ListRejectedBars(pb.ListRejectedBarsRequest(source=source))
    error = failed(caught.value)
    assert isinstance(error, InvalidRequest)
    assert [v.field for v in error.violations] == ["source"]


async def test_a_universe_names_a_list_of_symbols(store: Store) -> None:
    async with running_ingest(store, clock=SYSTEM, universes={"majors": ["A", "B"]}) as ingest:
        request = pb.CreateBackfillRequest(universe="majors", intervals=[D1])
        assert list((await ingest.stub.CreateBackfill(request)).job.symbols) == ["A", "B"]


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.CreateBackfillRequest(), {"symbol_list", "intervals"}),
        (backfill_of(["a b"], intervals=["7h"]), {"symbol_list.symbols[0]", "intervals[0]"}),
        (backfill_of(["A"] * 1001, intervals=[D1]), {"symbol_list.symbols"}),
        (pb.CreateBackfillRequest(universe="x", intervals=[D1]), {"universe"}),
        (
            backfill_of(
                ["A"],
                intervals=[D1],
                range=series_pb2.BarRange(start=timestamp(day(1)), end=timestamp(day(1))),
            ),
            {"range.start"},
        ),
        (backfill_of(["A"], intervals=[D1], idempotency_key="x" * 129), {"idempotency_key"}),
        (
            backfill_of(["A"], intervals=[D1], range=series_pb2.BarRange(start=timestamp(4_000_000_000_000))),
            {"range.start"},
        ),
    ],
)
async def test_a_wrong_request_names_its_fields(
    store: Store, request_: pb.CreateBackfillRequest, fields: set[str]
) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.CreateBackfill(request_)
    error = failed(caught.value)
    assert isinstance(error, InvalidRequest)
    assert {v.field for v in error.violations} == fields


async def test_an_unknown_job_is_not_found(store: Store) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: ingest.stub.GetJob(pb.GetJobRequest(job_id="x")),
            lambda: ingest.stub.CancelJob(pb.CancelJobRequest(job_id="x")),
            lambda: until_ended(ingest, "x"),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call()
            error = failed(caught.value)
            assert isinstance(error, NotFound)
            assert (error.reason, error.resource_type) == (Reason.JOB_NOT_FOUND, "job")
