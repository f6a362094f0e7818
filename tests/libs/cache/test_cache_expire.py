"""Expiring: the held answer is no longer fresh, but otherwise unchanged."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from finstage_cache import ABSENT, Cache, ManualClock, Policy, Status

POLICY = Policy(fresh_s=60, stale_on_error_s=600, negative_s=60, early=False)
Open = Callable[..., Awaitable[Cache]]


def never(value: bytes) -> bool:
    return False


def new(value: bytes) -> bool:
    return value == b"new"


async def fail() -> bytes:
    raise OSError("down")


async def test_an_expired_answer_is_loaded_by_the_next_call(cache: Cache, clock: ManualClock) -> None:
    async def load() -> bytes:
        return b"new"

    await cache.set("k", b"old", POLICY)
    assert await cache.expire("k", never) is True
    assert await cache.get("k") is None
    answer = await cache.get_or_load("k", load, POLICY)
    assert (answer.status, answer.value) == (Status.MISS, b"new")
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.HIT


async def test_it_keeps_its_times_however_often_it_is_expired(cache: Cache, clock: ManualClock) -> None:
    await cache.set("k", b"old", POLICY)
    stored = clock.wall()
    for _ in range(6):
        clock.advance(100)
        await cache.expire("k", never)
        answer = await cache.get_or_load("k", fail, POLICY)
        assert (answer.status, answer.value, answer.stored) == (Status.STALE, b"old", stored)
    clock.advance(61)
    with pytest.raises(OSError, match="down"):
        await cache.get_or_load("k", fail, POLICY)


async def test_it_is_expired_once(cache: Cache, clock: ManualClock) -> None:
    await cache.set("k", b"old", POLICY)
    clock.advance(10)
    assert [await cache.expire("k", never) for _ in range(2)] == [True, False]
    assert await cache.expire("other", never) is False


async def test_a_value_made_after_the_change_stays_fresh(cache: Cache) -> None:
    await cache.set("k", b"new", POLICY)
    assert await cache.expire("k", new) is False
    answer = await cache.get("k")
    assert answer is not None
    assert answer.status is Status.HIT


async def test_an_absence_is_gone(cache: Cache) -> None:
    await cache.set("k", ABSENT, POLICY)
    assert await cache.expire("k", new) is True
    assert await cache.get("k", stale=True) is None


@pytest.mark.parametrize("value", [b"old", b"new"])
async def test_a_load_under_way_goes_on_and_is_stored_if_its_value_is_new(cache: Cache, value: bytes) -> None:
    entered, go = asyncio.Event(), asyncio.Event()
    loads = 0

    async def load() -> bytes:
        nonlocal loads
        loads += 1
        entered.set()
        await go.wait()
        return value if loads == 1 else b"new"

    await cache.set("k", b"older", POLICY)
    before = asyncio.create_task(cache.get_or_load("k", load, POLICY.replace(max_age_s=0)))
    await entered.wait()
    await cache.expire("k", new)
    after = asyncio.create_task(cache.get_or_load("k", load, POLICY))
    await asyncio.sleep(0.05)
    go.set()
    assert (await before).value == value
    assert (await after).value == b"new"
    assert (await cache.get_or_load("k", load, POLICY)).status is Status.HIT
    assert loads == (1 if value == b"new" else 2)


@pytest.mark.parametrize("kind", ["redis", "memory+redis", "redis+cluster"])
async def test_an_answer_expired_while_it_is_stored_does_not_stay_fresh(open_kind: Open, kind: str) -> None:
    """It runs many rounds of loads that return old values, with an expiry at any moment."""
    cache = await open_kind(kind)
    chance = random.Random(5)
    entered = asyncio.Event()

    async def load() -> bytes:
        entered.set()
        return b"old"

    for _ in range(200):
        entered.clear()
        loading = asyncio.create_task(cache.get_or_load("k", load, POLICY))
        await entered.wait()
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        await cache.expire("k", new)
        await loading
        assert await cache.get("k") is None
        await cache.delete("k")
