"""Redis killed, paused and started again under load: no error reaches a caller, waits are bounded, and it
recovers."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from libs.cache import Cache, Policy, Status, open_cache
from tests.redis_server import RedisServer

TIMEOUT_S = 0.25
POLICY = Policy(fresh_s=0.5, stale_s=0.5, stale_on_error_s=60)
URL = "?timeout_s=0.25&retry_s=0.3&claim_s=1&lag_s=0.5"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["", "memory+"])
async def cache(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Cache]:
    url = f"{request.param}{server.url}{URL if request.param else URL.removesuffix('&lag_s=0.5')}"
    async with open_cache(url) as cache:
        yield cache


@dataclass
class Load:
    """Callers over some keys, until `stop`; what they met."""

    cache: Cache
    waits: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    under_way: dict[str, int] = field(default_factory=dict)
    doubled: int = 0
    running: bool = True

    async def caller(self, number: int) -> None:
        turn = number
        while self.running:
            key = f"k{turn % 20}"
            turn += 1

            async def load(key: str = key) -> bytes:
                self.under_way[key] = self.under_way.get(key, 0) + 1
                self.doubled += self.under_way[key] > 1
                await asyncio.sleep(0.01)
                self.under_way[key] -= 1
                return key.encode()

            began = time.monotonic()
            try:
                answer = await self.cache.get_or_load(key, load, POLICY)
                assert answer.value == key.encode()
            except Exception as error:
                self.errors.append(error)
            self.waits.append(time.monotonic() - began)
            await asyncio.sleep(0.005)

    def bounded(self) -> None:
        """Each call is one read, one claim, one load and one store: four timeouts and the load, at the
        worst."""
        assert self.errors == []
        assert self.doubled == 0
        waits = sorted(self.waits)
        assert waits[int(len(waits) * 0.99)] < 4 * TIMEOUT_S + 0.5


async def recovered(cache: Cache, server: RedisServer) -> None:
    """What another process stores is seen here again."""
    async with open_cache(server.url) as other:
        ends = time.monotonic() + 20
        while True:
            assert time.monotonic() < ends, "it did not recover"
            stamp = str(time.monotonic()).encode()
            if await other.set("stamp", stamp, POLICY.replace(fresh_s=60)):
                await asyncio.sleep(0.1)
                answer = await cache.get("stamp")
                if answer is not None and answer.value == stamp:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_under_load_redis_may_go_and_come_back(cache: Cache, server: RedisServer, fault: str) -> None:
    load = Load(cache)
    callers = [asyncio.create_task(load.caller(number)) for number in range(50)]
    await asyncio.sleep(0.5)
    if fault == "kill":
        await asyncio.to_thread(server.kill)
    else:
        server.pause()
    await asyncio.sleep(1.5)
    assert cache.stats().errors > 0
    if fault == "kill":
        await asyncio.to_thread(server.start)
    else:
        server.resume()
    await recovered(cache, server)
    load.running = False
    await asyncio.gather(*callers)
    load.bounded()


async def test_while_redis_is_away_upstream_is_still_protected(cache: Cache, server: RedisServer) -> None:
    """A thousand callers of one key are one load in this process."""
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


async def test_a_redis_that_was_never_there_is_a_miss(server: RedisServer) -> None:
    server.kill()
    async with open_cache(server.url + "?timeout_s=0.25") as cache:
        assert await cache.get("k") is None
        assert await cache.get_many(["a", "b"]) == {}
        assert await cache.set("k", b"v", POLICY) is False
        assert await cache.delete("k") is False
        await cache.clear()
        assert cache.stats().errors == 5
        assert cache.stats().misses == 3


async def test_the_breaker_makes_calls_end_at_once(server: RedisServer) -> None:
    """After three failures nothing is asked of a paused Redis: a hundred calls take less than one timeout
    each."""
    async with open_cache(server.url + "?timeout_s=0.25&retry_s=30") as cache:
        await cache.get("connect")
        server.pause()
        for _ in range(3):
            assert await cache.get("k") is None
        began = time.monotonic()
        for _ in range(100):
            assert await cache.get("k") is None
        assert time.monotonic() - began < 100 * TIMEOUT_S / 10
        server.resume()


async def test_a_redis_that_refuses_writes_still_answers_reads(server: RedisServer) -> None:
    """Out of memory is an error of that call alone: the breaker stays closed."""
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
