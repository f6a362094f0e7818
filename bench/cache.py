"""libs/cache against the alternatives: python -m bench.cache

Times are per operation, sequentially, over keys that are all held. Redis is a private server over loopback.
Hit ratios come from bench/cache_traces.py.
"""

import asyncio
import dataclasses
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import redis
import redis.asyncio

from bench import cache_peers, cache_traces, report
from bench.report import sized
from finstage_cache import Cache, MemoryBackend, Policy, open_cache
from finstage_cache.tiered import TieredBackend
from tests.redis_server import RedisServer

KEYS = [f"price:v1:quote:S{number}" for number in range(1000)]
POLICY = Policy(fresh_s=cache_peers.TTL_S)
VALUE = cache_peers.VALUE
MANY = 200
SETS = sized(20_000, 500)
PEER_ENTRIES = 10_000
SHARE = 0.01
EQUAL = report.Goal("equal (ratio ≤ 1.05)", lambda value, ratio: ratio is not None and ratio <= 1.05)


def timed(get: Callable[[str], object], keys: Sequence[str], turns: int) -> Callable[[], float]:
    """Return the seconds per call."""

    def run() -> float:
        began = time.perf_counter()
        for _ in range(turns):
            for key in keys:
                get(key)
        return (time.perf_counter() - began) / (turns * len(keys))

    return run


def timed_async(
    get: Callable[[str], Awaitable[object]], keys: Sequence[str], turns: int
) -> Callable[[], Awaitable[float]]:
    """Return the seconds per awaited call."""

    async def run() -> float:
        began = time.perf_counter()
        for _ in range(turns):
            for key in keys:
                await get(key)
        return (time.perf_counter() - began) / (turns * len(keys))

    return run


async def load() -> bytes:
    return VALUE


async def hits(url: str) -> list[report.Row]:
    """Measure the cost of a hit in memory."""
    async with Cache(MemoryBackend()) as memory, open_cache(f"memory+{url}") as tiered:
        assert isinstance(tiered.backend, TieredBackend)
        await tiered.backend.ready()
        for cache in (memory, tiered):
            await cache.set_many(dict.fromkeys(KEYS, VALUE), POLICY)
        while any(tiered.backend.peek(key) is None for key in KEYS):
            await asyncio.sleep(0.05)
            await tiered.get_many(KEYS)
        cases: dict[str, Callable[[], Awaitable[float] | float]] = {}
        for name, get in cache_peers.sync_gets(KEYS).items():
            cases[name] = timed(get, KEYS, 10)
        for name, get_async in (await cache_peers.async_gets(KEYS)).items():
            cases[name] = timed_async(get_async, KEYS, 3)
        for name, cache in (("memory", memory), ("tiered", tiered)):
            cases[f"{name}: get"] = timed_async(cache.get, KEYS, 10)

            async def get_or_load(key: str, cache: Cache = cache) -> object:
                return await cache.get_or_load(key, load, POLICY)

            cases[f"{name}: get_or_load"] = timed_async(get_or_load, KEYS, 10)
        cases["a coroutine that does nothing"] = timed_async(nothing, KEYS, 10)
        times = await report.interleaved_async(cases, rounds=9)
    base = times["dict with expiry"]
    goals = {"memory: get": report.at_most(3), "memory: get_or_load": report.at_most(6)}
    rows = []
    for name, figure in times.items():
        if name.startswith("tiered"):
            against = name.replace("tiered", "memory")
            rows.append(
                report.row(name, figure, "ns", scale=1e9, against=against, base=times[against], goal=EQUAL)
            )
        else:
            against = "dict with expiry"
            rows.append(
                report.row(name, figure, "ns", scale=1e9, against=against, base=base, goal=goals.get(name))
            )
    return rows


async def nothing(key: str) -> None:
    pass


async def sets() -> list[report.Row]:
    """Measure the cost of a store of a new key in a full cache, which evicts another key."""

    def ours(entries: int) -> Callable[[], Awaitable[float]]:
        cache = Cache(MemoryBackend(entries=entries, size=2**40))
        numbers = itertools.count()

        async def run() -> float:
            while cache.stats().entries < entries:
                await cache.set(f"k{next(numbers)}", VALUE, POLICY)
            keys = [f"k{next(numbers)}" for _ in range(SETS)]
            began = time.perf_counter()
            for key in keys:
                await cache.set(key, VALUE, POLICY)
            return (time.perf_counter() - began) / len(keys)

        return run

    def theirs(store: cache_peers.Set, entries: int) -> Callable[[], float]:
        numbers = itertools.count()
        for _ in range(entries):
            store(f"k{next(numbers)}")

        def run() -> float:
            keys = [f"k{next(numbers)}" for _ in range(SETS)]
            began = time.perf_counter()
            for key in keys:
                store(key)
            return (time.perf_counter() - began) / len(keys)

        return run

    cases: dict[str, Callable[[], Awaitable[float] | float]] = {
        f"memory at {entries:,} entries": ours(entries) for entries in (1_000, PEER_ENTRIES, 100_000)
    }
    for name, store in cache_peers.sync_sets(PEER_ENTRIES).items():
        cases[name] = theirs(store, PEER_ENTRIES)
    times = await report.interleaved_async(cases)
    us = f"memory at {PEER_ENTRIES:,} entries"
    compared = [
        (us, "theine", report.at_most(1.25)),
        (us, "cachetools.TTLCache with a lock", report.at_most(1.5)),
        ("memory at 1,000 entries", us, None),
        ("memory at 100,000 entries", us, report.at_most(1.5)),
        ("theine", "theine", None),
        ("cachetools.TTLCache with a lock", "theine", None),
    ]
    return [
        report.row(
            f"set with eviction: {name}",
            times[name],
            "µs",
            scale=1e6,
            against=against,
            base=times[against],
            goal=goal,
        )
        for name, against, goal in compared
    ]


def hit_ratios() -> list[report.Row]:
    """Measure hit ratios with room for a tenth of the keys."""
    rows = []
    traces = {"Zipf(1.0)": cache_traces.zipf(), "Zipf(1.0) with scans": cache_traces.zipf_with_scans()}
    for name, trace in traces.items():
        ratios = {policy: play(trace) for policy, play in cache_traces.POLICIES.items()}
        own = cache_traces.ours(trace)
        goal = report.value_at_least(ratios["theine"] - SHARE)
        goal = dataclasses.replace(goal, text=f"≥ theine's less {SHARE}")
        rows.append(
            report.row(
                f"hit ratio, {name}: memory", own, "", against="theine", base=ratios["theine"], goal=goal
            )
        )
        rows += [
            report.row(f"hit ratio, {name}: {policy}", ratio, "", against="theine", base=ratios["theine"])
            for policy, ratio in ratios.items()
        ]
    return rows


async def over_redis(url: str) -> list[report.Row]:
    """Measure the cost of a get from Redis."""
    keys = KEYS[:MANY]
    async with open_cache(url + "?prefix=ours:") as ours, redis.asyncio.from_url(url) as bare:
        await ours.set_many(dict.fromkeys(keys, VALUE), POLICY)
        for key in keys:
            await bare.set(key, VALUE)
        cashews_get, cashews_close = await cache_peers.cashews_over_redis(url, [f"c{key}" for key in keys])
        sync = redis.from_url(url)

        async def bare_many() -> float:
            began = time.perf_counter()
            for _ in range(20):
                await bare.mget(keys)
            return (time.perf_counter() - began) / 20

        async def our_many() -> float:
            began = time.perf_counter()
            for _ in range(20):
                assert len(await ours.get_many(keys)) == MANY
            return (time.perf_counter() - began) / 20

        times = await report.interleaved_async(
            {
                "redis.asyncio: get": timed_async(bare.get, keys, 3),
                "redis: get": timed_async(ours.get, keys, 3),
                "redis-py (blocking): get": timed(sync.get, keys, 3),
                "cashews over Redis: get": timed_async(cashews_get, [f"c{key}" for key in keys], 1),
                "redis.asyncio: mget": bare_many,
                "redis: get_many": our_many,
            },
            rounds=11,
        )
        await cashews_close()
        sync.close()
    rows = []
    for name, figure in times.items():
        against = "redis.asyncio: mget" if "many" in name or "mget" in name else "redis.asyncio: get"
        goal = {"redis: get": report.at_most(1.15), "redis: get_many": report.at_most(1.3)}.get(name)
        label = f"{name} of {MANY}" if "mget" in against else name
        rows.append(
            report.row(label, figure, "µs", scale=1e6, against=against, base=times[against], goal=goal)
        )
    return rows


async def main() -> bool:
    with RedisServer() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        rows = await hits(url)
        rows += await sets()
        rows += await over_redis(url)
        with redis.Redis(port=server.port) as client:
            version = client.info()["redis_version"]
    rows += hit_ratios()
    peers = report.versions("redis", "theine", "cachetools", "dogpile.cache", "cashews", "aiocache")
    return report.write("cache", rows, notes=[peers, f"Redis {version}"])


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
