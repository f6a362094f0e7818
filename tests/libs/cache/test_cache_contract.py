"""The contract of backends: one suite, run against each of them with real servers."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import pytest

from finstage.market.v1.quote_pb2 import Quote
from finstage_cache import (
    ABSENT,
    BYTES,
    JSON,
    Cache,
    CodecError,
    ManualClock,
    Policy,
    Status,
    ValueAbsent,
    protobuf,
)
from finstage_cache.arrays import ARRAYS, Arrays

POLICY = Policy(fresh_s=60, stale_s=30, stale_on_error_s=600, negative_s=10)


async def test_a_key_never_stored_is_a_miss(cache: Cache) -> None:
    assert await cache.get("k") is None
    assert cache.stats().misses == 1


async def test_a_stored_value_comes_back_with_its_times(cache: Cache, clock: ManualClock) -> None:
    assert await cache.set("k", b"value", POLICY)
    answer = await cache.get("k")
    assert answer is not None
    assert (answer.value, answer.status, answer.absent) == (b"value", Status.HIT, False)
    assert answer.stored_at == datetime.fromtimestamp(clock.wall(), UTC)
    assert (answer.fresh_for, answer.stale_s, answer.error_for) == (60, 30, 660)


async def test_setting_again_replaces(cache: Cache) -> None:
    await cache.set("k", b"old", POLICY)
    await cache.get("k")
    await cache.set("k", b"new", POLICY)
    answer = await cache.get("k")
    assert answer is not None
    assert answer.value == b"new"


@pytest.mark.parametrize(
    "key", ["k", "a:b/c d", "{tag}k", "k}{", "%7Bk", "x" * 512, "\x00\x01", "price:v1:quote:BRK.B"]
)
async def test_keys_are_independent(cache: Cache, key: str) -> None:
    """Every ASCII key is itself: braces, escapes and control characters included."""
    await cache.set(key, b"mine", POLICY)
    others = {f"{key[:500]}{end}": end.encode() for end in ("}", "{", "%", ":lock")}
    others.pop(key, None)
    await cache.set_many(others, POLICY)
    found = await cache.get_many([key, *others])
    assert {k: a.value for k, a in found.items()} == {key: b"mine", **others}


async def test_freshness_ends(cache: Cache, clock: ManualClock) -> None:
    await cache.set("k", b"value", POLICY)
    clock.advance(59.9)
    assert await cache.get("k") is not None
    clock.advance(0.2)
    assert await cache.get("k") is None


async def test_after_its_freshness_it_is_served_only_as_stale_and_then_not_at_all(
    cache: Cache, clock: ManualClock
) -> None:
    await cache.set("k", b"value", POLICY)
    clock.advance(100)
    answer = await cache.get("k", stale=True)
    assert answer is not None
    assert (answer.value, answer.status) == (b"value", Status.STALE)
    clock.advance(561)
    assert await cache.get("k", stale=True) is None


async def test_absence_is_kept_and_is_not_none(cache: Cache, clock: ManualClock) -> None:
    await cache.set("nothing", ABSENT, POLICY)
    await cache.set("null", None, POLICY, codec=JSON)
    absent = await cache.get("nothing")
    null = await cache.get("null", codec=JSON)
    assert absent is not None
    assert null is not None
    assert (absent.status, absent.absent) == (Status.NEGATIVE, True)
    assert (null.status, null.absent, null.value) == (Status.HIT, False, None)
    with pytest.raises(ValueAbsent):
        _ = absent.value
    clock.advance(10.1)
    assert await cache.get("nothing") is None


async def test_delete_deletes_and_says_whether(cache: Cache) -> None:
    await cache.set("k", b"value", POLICY)
    assert await cache.delete("k") is True
    assert await cache.delete("k") is False
    assert await cache.get("k") is None
    assert cache.stats().deletes == 1


async def test_many_keys_at_once(cache: Cache) -> None:
    values = {f"k{i}": str(i).encode() for i in range(50)}
    assert await cache.set_many(values, POLICY) == 50
    found = await cache.get_many([*values, "missing"])
    assert {key: answer.value for key, answer in found.items()} == values
    assert await cache.delete_many(["k1", "k2", "missing"]) == 2
    assert sorted(await cache.get_many(["k1", "k2", "k3"])) == ["k3"]


async def test_clear_leaves_nothing(cache: Cache) -> None:
    await cache.set_many({f"k{i}": b"" for i in range(2500)}, POLICY)
    await cache.clear()
    assert await cache.get_many([f"k{i}" for i in range(2500)]) == {}


async def test_messages_come_back_equal(cache: Cache) -> None:
    quote = Quote(symbol="AAPL", price=187.25)
    await cache.set("k", quote, POLICY, codec=protobuf(Quote))
    answer = await cache.get("k", codec=protobuf(Quote))
    assert answer is not None
    assert answer.value == quote


async def test_arrays_come_back_equal(cache: Cache) -> None:
    times = np.array([1, 2, 3], dtype="i8")
    closes = np.array([1.5, -0.0, np.nan])
    flags = np.array([True, False, True])
    await cache.set("k", Arrays(b"header", (times, closes, flags)), POLICY, codec=ARRAYS)
    answer = await cache.get("k", codec=ARRAYS)
    assert answer is not None
    assert answer.value.header == b"header"
    for got, put in zip(answer.value.arrays, (times, closes, flags), strict=True):
        assert got.dtype == put.dtype
        assert got.tobytes() == put.tobytes()


@pytest.mark.parametrize(
    ("value", "codec"),
    [("text", BYTES), (bytearray(b"x"), BYTES), ((1, 2), JSON), ({1: 2}, JSON), (float("nan"), JSON)],
)
async def test_a_value_that_the_codec_cannot_hold_is_an_error_at_the_call(
    cache: Cache, value: object, codec: object
) -> None:
    with pytest.raises(CodecError, match=" accepts "):
        await cache.set("k", value, POLICY, codec=codec)  # type: ignore[arg-type]
    assert await cache.get("k") is None


@pytest.mark.parametrize("key", ["", "x" * 513, "é", 7, b"k", None])
async def test_a_wrong_key_is_an_error_at_the_call(cache: Cache, key: object) -> None:
    async def load() -> bytes:
        raise AssertionError("not reached")

    for call in (
        cache.get(key),  # type: ignore[arg-type]
        cache.set(key, b"", POLICY),  # type: ignore[arg-type]
        cache.delete(key),  # type: ignore[arg-type]
        cache.get_or_load(key, load, POLICY),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="a key must be 1 to 512 ASCII characters"):
            await call


async def test_setting_absence_needs_a_policy_that_keeps_it(cache: Cache) -> None:
    with pytest.raises(ValueError, match="negative_s must be above 0"):
        await cache.set("k", ABSENT, Policy(fresh_s=1))


async def test_a_delete_during_a_load_is_not_undone_by_it(cache: Cache) -> None:
    """The loaded value goes to the callers who waited, and is not stored."""
    entered, go = asyncio.Event(), asyncio.Event()

    async def load() -> bytes:
        entered.set()
        await go.wait()
        return b"outdated"

    waiter = asyncio.create_task(cache.get_or_load("k", load, POLICY))
    await entered.wait()
    await cache.delete("k")
    go.set()
    assert (await waiter).value == b"outdated"
    assert await cache.get("k") is None


async def test_a_set_during_a_load_is_not_overwritten_by_it(cache: Cache) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def load() -> bytes:
        entered.set()
        await go.wait()
        return b"outdated"

    waiter = asyncio.create_task(cache.get_or_load("k", load, POLICY))
    await entered.wait()
    await cache.set("k", b"newer", POLICY)
    go.set()
    await waiter
    answer = await cache.get("k")
    assert answer is not None
    assert answer.value == b"newer"


async def test_a_clear_during_a_load_is_not_undone_by_it(cache: Cache) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def load() -> bytes:
        entered.set()
        await go.wait()
        return b"outdated"

    waiter = asyncio.create_task(cache.get_or_load("k", load, POLICY))
    await entered.wait()
    await cache.clear()
    go.set()
    await waiter
    assert await cache.get("k") is None
