"""What is old is forgotten, and nothing that is still in use."""

import asyncio

import pytest

from finstage_market.errors import NotFound, PreconditionFailed, Reason
from finstage_market.interval import Interval
from finstage_runtime.clock import ManualClock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.jobs.maintenance import COMMITS_S, keep_pruned, keep_settled
from services.ingest.series import RejectedRow, RejectReason, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.values import JobSpec, WriteHeader, WriteMode
from tests.ingest.stores import DAY_MS, KEY, NOW_MS, bars, batch, closes, fetched, tail
from tests.libs.cache.waiting import until

OTHER = SeriesKey("MSFT", Interval.D1)
SPEC = JobSpec(("AAPL",), (Interval.D1,), None, None)
BAD = RejectedRow(1, NOW_MS, RejectReason.IN_FUTURE, "it is not yet", "close=1")


def header(key: str) -> WriteHeader:
    return WriteHeader(key, WriteMode.UPSERT, "client:test")


def written(store: Store, key: str) -> None:
    store.open_write(header(key))
    store.write_batches(header(key), [batch(1, bars({0: 10}), rejected=(BAD,))])


def next_sequence(store: Store, key: str) -> int:
    return store.open_write(header(key)).next_sequence


def test_old_records_go_and_young_ones_and_bars_stay(store: Store, clock: ManualClock) -> None:
    written(store, "old")
    written(store, "continued")
    ended, running = store.create_job(SPEC, request_id="a"), store.create_job(SPEC)
    store.cancel_job(ended.id)
    clock.advance(100)
    written(store, "young")
    assert next_sequence(store, "continued") == 2
    before_ms = NOW_MS + 50_000
    assert store.prune(commits_before_ms=0, records_before_ms=before_ms)
    assert not store.prune(commits_before_ms=0, records_before_ms=before_ms)
    assert [each.rejected_at_ms for each in store.rejected()] == [NOW_MS + 100_000]
    assert [next_sequence(store, key) for key in ("old", "continued", "young")] == [1, 2, 2]
    with pytest.raises(NotFound) as caught:
        store.job(ended.id)
    assert caught.value.reason is Reason.JOB_NOT_FOUND
    assert [job.id for job in store.jobs()] == [running.id]
    assert store.create_job(SPEC, request_id="a").id != ended.id
    lease = store.lease_chunk(worker="w", lease_s=60)
    assert lease is not None
    assert lease.job_id == running.id
    assert closes(tail(store, KEY, 9)) == {0: 10}


async def test_it_goes_on_until_nothing_old_is_left(store: Store, clock: ManualClock) -> None:
    start = store.commit_token()
    jobs = [store.create_job(SPEC).id for _ in range(150)]
    for each in jobs:
        store.cancel_job(each)
    written(store, "old")
    clock.advance(COMMITS_S + 1)
    database = BoundedExecutor(threads=1, queued=10, name="database")
    keeping = asyncio.create_task(keep_pruned(store, database=database, clock=clock, records_s=DAY_MS / 1000))
    await until(lambda: not store.jobs() and not store.rejected())
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    database.close()
    with pytest.raises(PreconditionFailed) as caught:
        store.commits_after(start)
    assert caught.value.reason is Reason.RESUME_EXPIRED


async def test_a_client_s_forming_bar_becomes_final_when_its_time_is_over(
    store: Store, clock: ManualClock
) -> None:
    store.open_write(header("k"))
    forming = bars({0: 10})
    forming.open_time_ms[:] = NOW_MS
    store.write_batches(header("k"), [batch(1, forming, last_is_final=False)])
    of_provider = fetched(bars({0: 10}), key=OTHER, last_is_final=False)
    store.write_fetched(of_provider)
    store.settle()
    before, start = store.series(KEY), store.commit_token()
    assert before is not None
    assert not before.last_is_final
    clock.advance(DAY_MS / 1000)
    database = BoundedExecutor(threads=1, queued=10, name="database")
    keeping = asyncio.create_task(keep_settled(store, database=database))
    await until(lambda: store.series(KEY).last_is_final)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    database.close()
    after, of_provider_now = store.series(KEY), store.series(OTHER)
    assert after is not None
    assert of_provider_now is not None
    assert (after.epoch, after.revision) == (before.epoch, before.revision + 1)
    assert [commit.key for commit in store.commits_after(start)] == [KEY]
    assert not of_provider_now.last_is_final
    # Sent again, it says nothing new.
    (again,) = store.write_batches(header("k"), [batch(2, forming)])
    assert (again.rows.unchanged, again.revision) == (1, after.revision)
