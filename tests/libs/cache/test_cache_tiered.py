"""Memory over Redis: hits come from memory, and changes reach every process's memory in the stated time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio

from finstage_cache import Cache, ManualClock, Policy, Status, open_cache
from finstage_cache.tiered import TieredBackend
from tests.redis_server import RedisServer

from .waiting import until

POLICY = Policy(fresh_s=60, stale_s=30, stale_on_error_s=600, early=False)
KINDS = ["memory+redis", "memory+redis+cluster"]
Open = Callable[..., Awaitable[Cache]]


async def value(cache: Cache, key: str) -> object:
    answer = await cache.get(key)
    return None if answer is None else answer.value


def in_memory(cache: Cache, key: str) -> bool:
    return cache.backend.peek(key) is not None


async def warm(cache: Cache, key: str) -> None:
    """Read until memory has it: the announcement of our own write drops it once."""
    await until(lambda: _warm(cache, key))


async def _warm(cache: Cache, key: str) -> bool:
    assert await cache.get(key) is not None
    await asyncio.sleep(0.01)
    return in_memory(cache, key)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hit_comes_from_memory(open_kind: Open, kind: str) -> None:
    """After the first read it comes from this process, without a call to Redis."""
    cache = await open_kind(kind)
    await cache.set("k", b"v", POLICY)
    await warm(cache, "k")
    first = await cache.get("k")
    assert await cache.get("k") is first


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["set", "delete", "clear", "load", "expire"])
async def test_a_change_elsewhere_reaches_memory(open_kind: Open, kind: str, change: str) -> None:
    here, there = await open_kind(kind), await open_kind(kind)
    keys = [f"k{i}" for i in range(12)]  # in a cluster: on every node
    await there.set_many(dict.fromkeys(keys, b"old"), POLICY)
    for key in keys:
        await warm(here, key)

    async def load() -> bytes:
        return b"new"

    expected: object = b"new"
    if change == "set":
        await there.set_many(dict.fromkeys(keys, b"new"), POLICY)
    elif change == "load":
        for key in keys:
            await there.get_or_load(key, load, POLICY.replace(max_age_s=0))
    elif change == "expire":
        expected = None
        for key in keys:
            await there.expire(key, lambda value: False)
    else:
        expected = None
        await (there.delete_many(keys) if change == "delete" else there.clear())

    async def all_changed() -> bool:
        return all([await value(here, key) == expected for key in keys])

    await until(all_changed)
    assert here.stats().invalidations >= len(keys)


async def test_a_change_by_another_program_reaches_memory(open_kind: Open) -> None:
    """This process hears of a delete in Redis by an operator or by eviction."""
    cache = await open_kind("memory+redis")
    backend = cache.backend
    assert isinstance(backend, TieredBackend)
    await cache.set("k", b"v", POLICY)
    await warm(cache, "k")
    await backend.remote.client.delete(backend.remote.name("k"))  # type: ignore[misc]

    async def gone() -> bool:
        return await cache.get("k") is None

    await until(gone)


async def test_flushing_redis_empties_memory() -> None:
    with RedisServer() as server:
        async with open_cache(f"memory+{server.url}") as cache:
            assert isinstance(cache.backend, TieredBackend)
            await cache.backend.ready()
            await cache.set("k", b"v", POLICY)
            await warm(cache, "k")
            async with redis.asyncio.Redis(port=server.port) as client:
                await client.flushall()

            async def gone() -> bool:
                return await cache.get("k") is None

            await until(gone)


async def test_an_entry_that_changes_while_it_is_read_does_not_stay(open_kind: Open) -> None:
    """It runs many rounds of concurrent readers and a writer; after each round all see the last value."""
    here, there = await open_kind("memory+redis"), await open_kind("memory+redis")
    for i in range(100):
        new = str(i).encode()
        await asyncio.gather(here.get("k"), there.set("k", new, POLICY), here.get("k"), there.get("k"))

        async def both_see(new: bytes = new) -> bool:
            return await value(here, "k") == new and await value(there, "k") == new

        await until(both_see)
        assert await value(here, "k") == new


async def test_memory_is_fresh_only_for_the_lag_before_changes_are_heard(
    url_of: Callable[..., str], clock: ManualClock
) -> None:
    """A cache without news asks Redis again after lag_s."""
    async with (
        open_cache(url_of("memory+redis", lag_s=0.5), clock=clock) as deaf,
        open_cache(url_of("redis"), clock=clock) as other,
    ):
        backend = deaf.backend
        assert isinstance(backend, TieredBackend)
        backend._invalidations.start = lambda: None  # type: ignore[method-assign]
        await deaf.set("k", b"old", POLICY)
        assert await value(deaf, "k") == b"old"
        await other.set("k", b"new", POLICY)
        assert await value(deaf, "k") == b"old"
        clock.advance(0.5)
        assert await value(deaf, "k") == b"new"
        await deaf.clear()


async def test_a_broken_invalidation_message_does_not_end_the_listening(
    open_kind: Open, clock: ManualClock
) -> None:
    """Another client publishes a message in that channel that Redis never sends."""
    here, there = await open_kind("memory+redis", lag_s=0.3), await open_kind("redis")
    backend = here.backend
    assert isinstance(backend, TieredBackend)
    await there.set("k", b"old", POLICY)
    await warm(here, "k")
    await backend.remote.client.publish("__redis__:invalidate", "no list of keys")
    await until(lambda: backend._listening_since is None)
    clock.advance(1)
    await asyncio.wait_for(backend.ready(), 10)
    await warm(here, "k")
    await there.set("k", b"new", POLICY)

    async def heard() -> bool:
        return await value(here, "k") == b"new"

    await until(heard)


async def test_memory_answers_without_redis_but_is_not_trusted() -> None:
    """It is fresh for lag_s; after that the old answer is served only when the load fails."""
    clock = ManualClock()
    with RedisServer() as server:
        async with open_cache(f"memory+{server.url}?lag_s=0.3", clock=clock) as cache:
            backend = cache.backend
            assert isinstance(backend, TieredBackend)
            await backend.ready()
            await cache.set("k", b"old", POLICY)
            await warm(cache, "k")
            server.kill()
            await until(lambda: backend._listening_since is None)
            clock.advance(1)

            async def fail() -> bytes:
                raise OSError("upstream is down too")

            async def load() -> bytes:
                return b"new"

            strict = POLICY.replace(stale_s=0)
            answer = await cache.get_or_load("k", fail, strict)
            assert (answer.status, answer.value) == (Status.STALE, b"old")
            clock.advance(2)
            answer = await cache.get_or_load("k", load, strict)
            assert (answer.status, answer.value) == (Status.MISS, b"new")
            assert (await cache.get_or_load("k", fail, strict)).value == b"new"
            assert cache.stats().errors > 0
            server.start()
            await backend.ready()
            clock.advance(5)

            async def usable() -> bool:
                clock.advance(1)  # the breaker's time
                await cache.set("k", b"back", POLICY)
                return await value(cache, "k") == b"back"

            await until(usable)


async def test_memory_of_a_tier_is_bounded_and_counts(open_kind: Open) -> None:
    cache = await open_kind("memory+redis", entries=10)
    await cache.set_many({f"k{i}": b"" for i in range(50)}, POLICY)
    assert len(await cache.get_many([f"k{i}" for i in range(50)])) == 50
    stats = cache.stats()
    assert stats.entries <= 10


@pytest.mark.parametrize("lag_s", [0, 0.05, 61, float("nan")])
async def test_a_wrong_lag_is_an_error(url_of: Callable[..., str], lag_s: float) -> None:
    with pytest.raises(ValueError, match=r"lag_s must be seconds from 0\.1 to 60"):
        open_cache(url_of("memory+redis", lag_s=lag_s))
