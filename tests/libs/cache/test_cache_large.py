"""Entries too large for Redis: they are not stored there, and do not harm others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from finstage_cache import Cache, Policy, Status, open_cache
from tests.redis_server import RedisServer

from .conftest import SHARED_KINDS
from .test_cache_tiered import warm

POLICY = Policy(fresh_s=60, stale_on_error_s=600, early=False)
LARGE = b"x" * 1001
Open = Callable[..., Awaitable[Cache]]


class Loader:
    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> bytes:
        self.calls += 1
        return LARGE


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_the_bound_is_the_last_size_that_is_stored(open_kind: Open, kind: str) -> None:
    here, there = await open_kind(kind, entry_size=1000), await open_kind(kind, entry_size=1000)
    assert await here.set_many({"small": LARGE[:1000], "large": LARGE}, POLICY) == (
        2 if kind.startswith("memory") else 1
    )
    assert list(await there.get_many(["small", "large"])) == ["small"]
    assert here.stats().refused == 1


@pytest.mark.parametrize("kind", SHARED_KINDS)
@pytest.mark.parametrize("how", ["set", "load"])
async def test_the_replaced_entry_is_gone(open_kind: Open, kind: str, how: str) -> None:
    here, there = await open_kind(kind, entry_size=1000), await open_kind(kind, entry_size=1000)
    await here.set("k", b"small", POLICY)
    if how == "set":
        await here.set("k", LARGE, POLICY)
    else:
        await here.get_or_load("k", Loader(), POLICY.replace(max_age_s=0))
    assert await there.get("k", stale=True) is None


@pytest.mark.parametrize("kind", ["redis", "redis+cluster"])
async def test_over_redis_alone_each_call_loads_it(open_kind: Open, kind: str) -> None:
    cache, load = await open_kind(kind, entry_size=1000, claim_s=60), Loader()
    for _ in range(5):
        assert (await cache.get_or_load("k", load, POLICY)).value == LARGE
    stats = cache.stats()
    assert (load.calls, stats.refused, stats.sets, stats.errors) == (5, 5, 0, 0)


@pytest.mark.parametrize("kind", ["memory+redis", "memory+redis+cluster"])
async def test_the_memory_over_redis_holds_it(open_kind: Open, kind: str) -> None:
    cache, load = await open_kind(kind, entry_size=1000), Loader()
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.MISS
    await warm(cache, "k")
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.HIT
    assert await cache.expire("k", lambda value: False) is True
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.MISS
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.HIT
    await cache.delete("k")
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.MISS
    assert load.calls == 3


@pytest.mark.parametrize("prefix", ["", "memory+"])
async def test_an_entry_too_large_to_arrive_in_time_is_not_sent(prefix: str) -> None:
    """With five series of a million bars at once, the breaker stays closed and other keys are served."""
    with RedisServer() as server:
        async with open_cache(f"{prefix}{server.url}?timeout_s=0.25") as cache:
            series = bytes(48_000_000)

            async def load() -> bytes:
                return series

            await cache.set("k", b"v", POLICY)
            loading = [cache.get_or_load(f"series{number}", load, POLICY) for number in range(5)]
            for answer in await asyncio.gather(*loading):
                assert len(answer.value) == len(series)
            found = await cache.get("k")
            assert found is not None
            assert found.value == b"v"
            assert cache.stats().errors == 0
