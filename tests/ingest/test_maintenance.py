"""Maintenance deletes old records that are not in use, and makes bars final when their time is over."""

import asyncio

import pytest

from finstage_market.errors import NotFound, PreconditionFailed, Reason
from finstage_market.interval import Interval
from finstage_runtime.clock import ManualClock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.jobs.maintenance import COMMITS_S, keep_finalized, keep_pruned
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
    store.writes.open(header(key))
    store.writes.write(header(key), [batch(1, bars({0: 10}), rejected=(BAD,))])


def next_sequence(store: Store, key: str) -> int:
    return store.writes.open(header(key)).next_sequence


def test_old_records_go_and_young_ones_and_bars_stay(store: Store, clock: ManualClock) -> None:
    written(store, "old")
    written(store, "continued")
    ended, running = store.jobs.create(SPEC, idempotency_key="a"), store.jobs.create(SPEC)
    store.jobs.cancel(ended.id)
    clock.advance(100)
    written(store, "young")
    assert next_sequence(store, "continued") == 2
    before_ms = NOW_MS + 50_000
    assert store.maintenance.prune(commits_before_ms=0, records_before_ms=before_ms)
    assert not store.maintenance.prune(commits_before_ms=0, records_before_ms=before_ms)
    assert [each.rejected_at_ms for each in store.rejections.find()] == [NOW_MS + 100_000]
    assert [next_sequence(store, key) for key in ("old", "continued", "young")] == [1, 2, 2]
    with pytest.raises(NotFound) as caught:
        store.jobs.get(ended.id)
    assert caught.value.reason is Reason.JOB_NOT_FOUND
    assert [job.id for job in store.jobs.find()] == [running.id]
    assert store.jobs.create(SPEC, idempotency_key="a").id != ended.id
    lease = store.jobs.lease_chunk(worker="w", lease_s=60)
    assert lease is not None
    assert lease.job_id == running.id
    assert closes(tail(store, KEY, 9)) == {0: 10}


async def test_it_goes_on_until_nothing_old_is_left(store: Store, clock: ManualClock) -> None:
    start = store.commits.token()
    jobs = [store.jobs.create(SPEC).id for _ in range(150)]
    for each in jobs:
        store.jobs.cancel(each)
    written(store, "old")
    clock.advance(COMMITS_S + 1)
    database = BoundedExecutor(threads=1, queued=10, name="database")
    keeping = asyncio.create_task(
        keep_pruned(store.maintenance, database=database, clock=clock, records_s=DAY_MS / 1000)
    )
    await until(lambda: not store.jobs.find() and not store.rejections.find())
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    database.close()
    with pytest.raises(PreconditionFailed) as caught:
        store.commits.after(start)
    assert caught.value.reason is Reason.RESUME_EXPIRED


async def test_a_client_s_forming_bar_becomes_final_when_its_time_is_over(
    store: Store, clock: ManualClock
) -> None:
    store.writes.open(header("k"))
    forming = bars({0: 10})
    forming.open_time_ms[:] = NOW_MS
    store.writes.write(header("k"), [batch(1, forming, last_is_final=False)])
    of_provider = fetched(bars({0: 10}), key=OTHER, last_is_final=False)
    store.fetched.write(of_provider)
    store.maintenance.finalize()
    before, start = store.bars.state(KEY), store.commits.token()
    assert before is not None
    assert not before.last_is_final
    clock.advance(DAY_MS / 1000)
    database = BoundedExecutor(threads=1, queued=10, name="database")
    keeping = asyncio.create_task(keep_finalized(store.maintenance, database=database))
    await until(lambda: store.bars.state(KEY).last_is_final)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    database.close()
    after, of_provider_now = store.bars.state(KEY), store.bars.state(OTHER)
    assert after is not None
    assert of_provider_now is not None
    assert (after.epoch, after.revision) == (before.epoch, before.revision + 1)
    assert [commit.key for commit in store.commits.after(start)] == [KEY]
    assert not of_provider_now.last_is_final
    # The same write again changes nothing.
    (again,) = store.writes.write(header("k"), [batch(2, forming)])
    assert (again.rows.unchanged, again.revision) == (1, after.revision)
