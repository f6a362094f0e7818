"""The feed of commits: resumable, in order, across replicas, with and without Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from finstage_cache.redis import connect
from finstage_market.errors import PreconditionFailed, Reason, over_limit
from finstage_runtime.clock import SYSTEM, Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.reading.commit_feed import CommitFeed
from services.ingest.store.api import Store
from services.ingest.store.values import Commit
from tests.ingest.conftest import Reopen
from tests.ingest.stores import bars, fetched
from tests.redis_server import RedisServer

LONG_S = 60.0


@pytest.fixture
def clock() -> Clock:
    return SYSTEM


@asynccontextmanager
async def running(
    store: Store, redis_url: str | None = None, *, poll_s: float = LONG_S
) -> AsyncIterator[CommitFeed]:
    database = BoundedExecutor(threads=4, queued=100, name="database", overloaded=over_limit)
    redis = connect(redis_url) if redis_url else None
    feed = CommitFeed(store.commits, database=database, clock=SYSTEM, redis=redis, poll_s=poll_s)
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.05)
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait([task])
        if redis is not None:
            await redis.aclose()
        database.close()


async def take(feed: CommitFeed, token: str | None, n: int) -> list[Commit]:
    found = []
    async with aclosing(feed.watch(token, heartbeat_s=LONG_S)) as events:
        async for event in events:
            if not isinstance(event, str):
                found.append(event)
            if len(found) == n:
                break
    return found


async def write(store: Store, i: int) -> None:
    await asyncio.to_thread(store.fetched.write, fetched(bars({i: 10}), first_day=i))


async def test_a_watcher_hears_at_once_of_a_commit_of_its_process(store: Store) -> None:
    async with running(store) as feed, asyncio.timeout(10):
        watching = asyncio.create_task(take(feed, None, 2))
        await asyncio.sleep(0.05)
        await write(store, 0)
        await write(store, 1)
        assert [c.revision for c in await watching] == [1, 2]


async def test_a_watcher_that_resumes_gets_what_it_missed_then_what_comes(store: Store) -> None:
    await write(store, 0)
    async with running(store) as feed, asyncio.timeout(10):
        start = await asyncio.to_thread(store.commits.token)
        await write(store, 1)
        await write(store, 2)
        watching = asyncio.create_task(take(feed, start, 3))
        await asyncio.sleep(0.05)
        await write(store, 3)
        assert [c.revision for c in await watching] == [2, 3, 4]


async def test_the_position_is_sent_at_once_and_in_heartbeats(store: Store) -> None:
    start = store.commits.token()
    async with running(store) as feed, aclosing(feed.watch(None, heartbeat_s=0.02)) as events:
        assert [await anext(events) for _ in range(3)] == [start] * 3
        await write(store, 0)
        found = [await anext(events) for _ in range(4)]
        (commit,) = [event for event in found if not isinstance(event, str)]
        assert found[-1] == commit.token
    async with running(store) as feed:
        assert await take(feed, start, 1) == [commit]


async def test_a_replica_s_commit_is_announced_through_redis(
    store: Store, reopen: Reopen, redis_url: str
) -> None:
    other = reopen()
    async with running(store, redis_url) as feed, running(other, redis_url), asyncio.timeout(20):
        watching = asyncio.create_task(take(feed, None, 3))
        await asyncio.sleep(0.1)
        for i in range(3):
            await write(other, i)
        assert [c.revision for c in await watching] == [1, 2, 3]


async def test_the_stream_has_each_commit_once_however_many_replicas_send_it(
    store: Store, reopen: Reopen, redis_url: str
) -> None:
    other = reopen()
    client = connect(redis_url)
    place = store.commits.token().removeprefix(f"{store.commits.identity()}.")
    start = f"({place.replace('.', '-')}"
    async with running(store, redis_url, poll_s=0.02), running(other, redis_url, poll_s=0.02):
        for i in range(5):
            await write(store if i % 2 else other, i)
        key = f"finstage:commits:{store.commits.identity()}"
        async with asyncio.timeout(10):
            while len(await client.xrange(key, start)) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        entries = await client.xrange(key, start)
    await client.aclose()
    assert len(entries) == 5


async def test_without_redis_a_replica_s_commit_is_found_in_the_database(
    store: Store, reopen: Reopen
) -> None:
    other = reopen()
    async with running(store, poll_s=0.05) as feed, asyncio.timeout(10):
        watching = asyncio.create_task(take(feed, None, 1))
        await asyncio.sleep(0.1)
        await write(other, 0)
        assert [c.revision for c in await watching] == [1]


async def test_without_redis_commits_come_later_and_none_is_lost(store: Store, reopen: Reopen) -> None:
    other = reopen()
    with RedisServer() as server:
        async with (
            running(store, server.url, poll_s=0.1) as feed,
            running(other, server.url, poll_s=0.1),
            asyncio.timeout(30),
        ):
            watching = asyncio.create_task(take(feed, None, 4))
            await asyncio.sleep(0.1)
            await write(other, 0)
            server.kill()
            await write(other, 1)
            await write(store, 2)
            server.start()
            await write(other, 3)
            assert [c.revision for c in await watching] == [1, 2, 3, 4]


async def test_a_feed_that_was_crowded_out_of_the_database_goes_on(store: Store, redis_url: str) -> None:
    database = BoundedExecutor(threads=1, queued=0, name="database", overloaded=over_limit)
    client = connect(redis_url)
    feed = CommitFeed(store.commits, database=database, clock=SYSTEM, redis=client, poll_s=0.02)
    busy = asyncio.create_task(database.run(time.sleep, 0.3))  # the feed's own calls are refused meanwhile
    await asyncio.sleep(0)
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0.2)
    assert not task.done()
    key = f"finstage:commits:{store.commits.identity()}"
    i = 0
    async with asyncio.timeout(20):
        while not await client.xlen(key):
            await write(store, i)
            i += 1
            await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([busy, task])
    await client.aclose()
    database.close()


def test_a_token_of_another_database_or_of_the_future_is_expired(store: Store) -> None:
    database, place, line = store.commits.token().split(".")
    for token in (f"{'0' * 32}.{place}.{line}", f"{database}.{place}.{int(line) + 1}"):
        with pytest.raises(PreconditionFailed) as caught:
            store.commits.after(token)
        assert caught.value.reason is Reason.RESUME_EXPIRED
    for token in (
        f"{place}.{line}",
        f"{database}.٣.٣",
        f"{database}.{place}",
        "",
        f"{database}.1.{'9' * 30}",
    ):
        with pytest.raises(ValueError, match="token"):
            store.commits.after(token)


async def test_an_invalid_or_too_old_token_is_refused(store: Store) -> None:
    start = store.commits.token()
    for i in range(3):
        await write(store, i)
    store.maintenance.prune(commits_before_ms=int(SYSTEM.wall() * 1000) + 1, records_before_ms=0)
    async with running(store) as feed:
        with pytest.raises(ValueError, match="token"):
            await take(feed, "nonsense", 1)
        with pytest.raises(PreconditionFailed) as caught:
            await take(feed, start, 1)
        assert caught.value.reason is Reason.RESUME_EXPIRED
