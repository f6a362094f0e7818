"""Redis killed, paused and started again under load: no error reaches a caller, waits are bounded, and the
cache recovers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio

from finstage_cache import Cache, Status, open_cache
from proof.cache_faults import POLICY, Load, strike, url_of
from tests.redis_server import RedisCluster, RedisServer, free_port

from .waiting import until


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["redis", "memory+redis"])
async def cache(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Cache]:
    async with open_cache(url_of(server, tiered=request.param != "redis")) as cache:
        yield cache


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_under_load_redis_may_fail_and_return(cache: Cache, server: RedisServer, fault: str) -> None:
    """No error, no two loads of a key at once, a p99 of a few timeouts: a short `make proof-cache`."""
    load = Load(cache)
    load.start(50)
    await until(lambda: len(load.waits) > 500)
    await strike(cache, server, fault, away_s=1.5)
    await load.stop()
    assert cache.stats().errors > 0
    assert load.failures() == []


async def test_while_redis_is_away_upstream_is_still_protected(cache: Cache, server: RedisServer) -> None:
    """A thousand callers of one key cause one load in this process."""
    await cache.get("connect")
    server.kill()
    calls = 0

    async def load() -> bytes:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.1)
        return b"value"

    answers = await asyncio.gather(*[cache.get_or_load("k", load, POLICY) for _ in range(1000)])
    assert calls == 1
    assert {answer.status for answer in answers} == {Status.MISS, Status.COALESCED}


@pytest.mark.parametrize("kind", ["redis", "redis+cluster", "memory+redis", "memory+redis+cluster"])
async def test_a_redis_that_was_never_there_is_a_miss(kind: str) -> None:
    url = f"{kind}://127.0.0.1:{free_port()}?timeout_s=0.25"
    async with open_cache(url) as cache:
        assert await cache.get("k") is None
        assert await cache.get_many(["a", "b"]) == {}
        assert await cache.delete("k") is False
        assert await cache.set("k", b"v", POLICY) is False
        await cache.clear()
        assert cache.stats().errors >= 5
        assert cache.stats().misses == 3


@pytest.mark.parametrize("prefix", ["", "memory+"])
async def test_a_cluster_may_lose_a_node_and_get_it_back(prefix: str) -> None:
    with RedisCluster() as cluster:
        url = prefix + cluster.url.replace("redis:", "redis+cluster:") + "?timeout_s=0.25&retry_s=0.3"
        async with open_cache(url) as cache:
            load = Load(cache)
            load.start(20)
            await until(lambda: len(load.waits) > 200)
            await asyncio.to_thread(cluster.nodes[1].kill)
            await until(lambda: cache.stats().errors > 0)
            await asyncio.to_thread(cluster.nodes[1].start)
            await until(lambda: all_stored(cache), seconds=30)
            await load.stop()
            assert load.failures() == []


async def all_stored(cache: Cache) -> bool:
    """Return whether every node stores and returns values."""
    values = {f"probe{number}": b"v" for number in range(30)}
    if await cache.set_many(values, POLICY.replace(fresh_s=60)) < len(values):
        return False
    return len(await cache.get_many(values)) == len(values)


async def test_while_the_breaker_is_open_nothing_is_asked_of_redis(server: RedisServer) -> None:
    """After three failures, none of a hundred calls reaches a paused Redis, even when it wakes up."""
    async with open_cache(server.url + "?timeout_s=0.25&retry_s=3000") as cache:
        await cache.get("connect")
        server.pause()
        for _ in range(103):
            assert await cache.get("k") is None
        server.resume()
        assert cache.stats().errors == 103
        async with redis.asyncio.from_url(server.url) as client:
            asked = (await client.info("commandstats"))["cmdstat_get"]["calls"]
            connections = (await client.info("stats"))["total_connections_received"]
    assert asked <= 1 + 3
    assert connections <= 3 + 1 + 3, "of the start, of this test, of the cache"


async def test_a_redis_that_refuses_writes_still_answers_reads(server: RedisServer) -> None:
    """Out of memory fails that call alone: the breaker stays closed."""
    async with open_cache(server.url) as cache:
        assert await cache.set("k", b"v", POLICY.replace(fresh_s=60))
        client = cache.backend.client  # type: ignore[attr-defined]
        await client.config_set("maxmemory", "1")
        for _ in range(5):
            assert await cache.set("other", b"v", POLICY) is False
        answer = await cache.get("k")
        assert answer is not None
        assert answer.value == b"v"
        assert cache.stats().errors == 5
