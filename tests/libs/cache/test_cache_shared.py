"""One load among processes: two caches over one Redis, each like another process."""

import asyncio
import functools
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from finstage_cache import BYTES, Cache, ManualClock, Policy, Status, open_cache
from finstage_cache.backend import Locks

from .conftest import SHARED_KINDS

POLICY = Policy(fresh_s=60, stale_s=30, stale_on_error_s=600, early=False)
Open = Callable[..., Awaitable[Cache]]


def locks_of(cache: Cache) -> Locks:
    locks = cache.backend.locks
    assert locks is not None
    return locks


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_two_processes_load_a_key_once(open_kind: Open, kind: str) -> None:
    caches = [await open_kind(kind), await open_kind(kind)]
    calls = 0

    async def load() -> bytes:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.05)
        return b"value"

    answers = await asyncio.gather(*[cache.get_or_load("k", load, POLICY) for cache in caches * 50])
    assert calls == 1
    assert {answer.value for answer in answers} == {b"value"}
    assert [answer.status for answer in answers].count(Status.MISS) == 1


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_overlapping_batches_load_each_key_once(open_kind: Open, kind: str) -> None:
    """Neither waits for the other while it holds keys, so there is no deadlock."""
    first, second = await open_kind(kind), await open_kind(kind)
    asked: list[str] = []

    async def load(keys: list[str]) -> dict[str, bytes]:
        asked.extend(keys)
        await asyncio.sleep(0.05)
        return {key: key.encode() for key in keys}

    left, right = [f"k{i}" for i in range(60)], [f"k{i}" for i in range(90, 30, -1)]
    one, two = await asyncio.gather(
        first.get_or_load_many(left, load, POLICY), second.get_or_load_many(right, load, POLICY)
    )
    assert not one.errors
    assert not two.errors
    assert sorted(asked) == sorted({*left, *right})


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_holder_that_dies_does_not_block_the_key(open_kind: Open, kind: str) -> None:
    """Its claim expires, and a waiter takes over."""
    cache = await open_kind(kind, claim_s=0.3)
    claims = await locks_of(cache).claim(["k"], b"dead:1", BYTES)
    assert claims["k"].ours

    async def load() -> bytes:
        return b"value"

    answer = await cache.get_or_load("k", load, POLICY)
    assert (answer.status, answer.value) == (Status.MISS, b"value")


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_slow_load_keeps_its_claim(open_kind: Open, kind: str) -> None:
    """It takes three times as long as a claim lasts, and no one else loads."""
    first, second = await open_kind(kind, claim_s=0.3), await open_kind(kind, claim_s=0.3)
    calls = 0

    async def load() -> bytes:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.9)
        return b"slow"

    answers = await asyncio.gather(*[cache.get_or_load("k", load, POLICY) for cache in (first, second)])
    assert calls == 1
    assert sorted(answer.status for answer in answers) == [Status.COALESCED, Status.MISS]


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_waiter_takes_a_stale_answer_if_there_is_one(
    open_kind: Open, kind: str, clock: ManualClock
) -> None:
    first, second = await open_kind(kind), await open_kind(kind)
    await first.set("k", b"old", POLICY)
    clock.advance(70)
    await locks_of(first).claim(["k"], b"loading:1", BYTES)

    async def load() -> bytes:
        raise AssertionError("not ours to load")

    answer = await second.get_or_load("k", load, POLICY)
    assert (answer.status, answer.value) == (Status.STALE, b"old")


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_failed_load_releases_its_claim(open_kind: Open, kind: str) -> None:
    """The other process loads at once, with its own outcome."""
    first, second = await open_kind(kind, claim_s=60), await open_kind(kind, claim_s=60)
    entered = asyncio.Event()

    async def fail() -> bytes:
        entered.set()
        await asyncio.sleep(0.05)
        raise OSError("down")

    async def load() -> bytes:
        return b"value"

    failing = asyncio.create_task(first.get_or_load("k", fail, POLICY))
    await entered.wait()
    assert (await second.get_or_load("k", load, POLICY)).value == b"value"
    with pytest.raises(OSError, match="down"):
        await failing


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_delete_elsewhere_during_a_load_is_not_undone_by_it(open_kind: Open, kind: str) -> None:
    first, second = await open_kind(kind), await open_kind(kind)
    entered, go = asyncio.Event(), asyncio.Event()

    async def load() -> bytes:
        entered.set()
        await go.wait()
        return b"outdated"

    waiter = asyncio.create_task(first.get_or_load("k", load, POLICY))
    await entered.wait()
    await second.delete("k")
    go.set()
    assert (await waiter).value == b"outdated"
    assert await second.get("k") is None
    assert await first.get("k") is None


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_claim_is_only_its_holders_to_keep_settle_and_release(open_kind: Open, kind: str) -> None:
    cache = await open_kind(kind)
    locks = locks_of(cache)
    answer = cache._lookups.loads.answer(b"mine", POLICY, BYTES)
    assert (await locks.claim(["k"], b"holder:1", BYTES))["k"].ours
    assert not (await locks.claim(["k"], b"other:1", BYTES))["k"].ours
    await locks.keep(["k"], b"other:1")
    await locks.release(["k"], b"other:1")
    assert await locks.settle({"k": answer}, b"other:1", BYTES) == set()
    assert not (await locks.claim(["k"], b"third:1", BYTES))["k"].ours
    assert await locks.settle({"k": answer}, b"holder:1", BYTES) == {"k"}
    claimed = (await locks.claim(["k"], b"third:1", BYTES))["k"]
    assert claimed.ours
    assert claimed.held is not None
    assert claimed.held[0].value == b"mine"


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_a_claim_is_overtaken_by_its_own_owner_only(open_kind: Open, kind: str) -> None:
    """A claim whose reply was lost does not block the process that made it, and can no longer settle."""
    cache = await open_kind(kind)
    locks = locks_of(cache)
    answer = cache._lookups.loads.answer(b"late", POLICY, BYTES)
    assert (await locks.claim(["k"], b"one:1", BYTES))["k"].ours
    assert (await locks.claim(["k"], b"one:2", BYTES))["k"].ours
    assert not (await locks.claim(["k"], b"one2:1", BYTES))["k"].ours
    assert not (await locks.claim(["k"], b"on:1", BYTES))["k"].ours
    assert await locks.settle({"k": answer}, b"one:1", BYTES) == set()


@pytest.mark.parametrize("kind", SHARED_KINDS)
async def test_caches_of_two_names_share_nothing(url_of: Callable[..., str], kind: str) -> None:
    async with open_cache(url_of(kind), name="p") as one, open_cache(url_of(kind), name="price") as other:
        for cache in (one, other):
            await cache.set_many({"k": cache.name.encode(), "l": b""}, POLICY)
        await one.delete("l")
        assert (await locks_of(one).claim(["k"], b"one:1", BYTES))["k"].ours
        assert (await locks_of(other).claim(["k"], b"other:1", BYTES))["k"].ours
        await one.clear()
        assert await one.get("k") is None
        found = await other.get_many(["k", "l"])
        assert {key: answer.value for key, answer in found.items()} == {"k": b"price", "l": b""}
        assert not (await locks_of(other).claim(["k"], b"third:1", BYTES))["k"].ours
        await other.clear()


@pytest.mark.parametrize("kind", ["redis", "memory+redis"])
async def test_a_thousand_loads_in_three_processes_are_one(
    url_of: Callable[..., str], kind: str, tmp_path: Path
) -> None:
    """Real processes start together; the loader adds a line to a file each time it runs."""
    lines = tmp_path / "loads"
    start = functools.partial(asyncio.create_subprocess_exec, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    script = str(Path(__file__).with_name("load_process.py"))
    processes = [await start(sys.executable, script, url_of(kind), str(lines), "1000") for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await process.stdin.drain()
    counts: dict[str, int] = {}
    for process in processes:
        output, _ = await process.communicate()
        assert process.returncode == 0
        for status, count in json.loads(output).items():
            counts[status] = counts.get(status, 0) + count
    assert lines.read_text() == "load\n"
    assert counts["miss"] == 1
    assert sum(counts.values()) == 3000
    assert set(counts) <= {"miss", "coalesced", "hit"}
