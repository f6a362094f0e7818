"""get_or_load on every backend: one load, stale answers, failures, absence, ages, cancelled callers."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from finstage_cache import (
    ABSENT,
    JSON,
    Absent,
    Answer,
    Cache,
    CodecError,
    LoadCancelled,
    Loaded,
    LoadTimeout,
    ManualClock,
    Policy,
    Status,
)
from finstage_cache.freshness import Freshness, freshness

from .waiting import settled, until

POLICY = Policy(fresh_s=60, stale_s=30, stale_on_error_s=600, negative_s=10, early=False)


class Upstream:
    """A loader that counts its calls and does as scripted."""

    def __init__(self) -> None:
        self.calls = 0
        self.value: bytes | Absent | Loaded[bytes] = b"v1"
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bytes | Absent | Loaded[bytes]:
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.value


class NotFound(Exception):
    """An error like those of services, whose constructor takes other parameters than its args."""

    def __init__(self, *, symbol: str) -> None:
        super().__init__(f"no symbol {symbol}")
        self.symbol = symbol


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


async def test_a_miss_loads_and_the_next_call_hits(cache: Cache, upstream: Upstream) -> None:
    first = await cache.get_or_load("k", upstream, POLICY)
    second = await cache.get_or_load("k", upstream, POLICY)
    assert (first.status, first.value) == (Status.MISS, b"v1")
    assert (second.status, second.value) == (Status.HIT, b"v1")
    assert second.stored_at == first.stored_at
    assert upstream.calls == 1


async def test_a_thousand_callers_are_one_load(cache: Cache, upstream: Upstream) -> None:
    answers = await asyncio.gather(*[cache.get_or_load("k", upstream, POLICY) for _ in range(1000)])
    assert upstream.calls == 1
    assert {answer.value for answer in answers} == {b"v1"}
    statuses = [answer.status for answer in answers]
    assert statuses.count(Status.MISS) == 1
    assert statuses.count(Status.COALESCED) == 999
    stats = cache.stats()
    assert (stats.misses, stats.coalesced, stats.loads) == (1, 999, 1)


async def test_past_freshness_the_old_answer_is_served_while_one_refresh_runs(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(70)
    upstream.value = b"v2"
    upstream.gate.clear()
    answers = await asyncio.gather(*[cache.get_or_load("k", upstream, POLICY) for _ in range(20)])
    assert {(a.status, a.value) for a in answers} == {(Status.STALE, b"v1")}
    await until(lambda: upstream.calls == 2)
    upstream.gate.set()
    await settled(cache)
    fresh = await cache.get_or_load("k", upstream, POLICY)
    assert (fresh.status, fresh.value) == (Status.HIT, b"v2")
    assert upstream.calls == 2


async def test_past_the_stale_time_callers_wait(cache: Cache, upstream: Upstream, clock: ManualClock) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(95)
    upstream.value = b"v2"
    answer = await cache.get_or_load("k", upstream, POLICY)
    assert (answer.status, answer.value) == (Status.MISS, b"v2")


async def test_when_the_load_fails_the_old_answer_is_served_as_stale(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(500)
    upstream.error = NotFound(symbol="AAPL")
    answer = await cache.get_or_load("k", upstream, POLICY)
    assert (answer.status, answer.value) == (Status.STALE, b"v1")
    clock.advance(161)
    with pytest.raises(NotFound):
        await cache.get_or_load("k", upstream, POLICY)


async def test_a_caller_who_may_not_wait_for_the_load_gets_the_old_answer_and_the_load_goes_on(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(120)
    upstream.gate.clear()
    upstream.value = b"v2"
    late = await cache.get_or_load("k", upstream, POLICY, wait_s=lambda: 0.01)
    assert (late.value, late.status) == (b"v1", Status.STALE)
    upstream.gate.set()
    await settled(cache)
    assert (await cache.get_or_load("k", upstream, POLICY)).value == b"v2"
    assert upstream.calls == 2


async def test_a_caller_without_a_held_answer_gets_an_error_when_its_wait_ends(
    cache: Cache, upstream: Upstream
) -> None:
    upstream.gate.clear()
    with pytest.raises(LoadTimeout, match="goes on"):
        await cache.get_or_load("k", upstream, POLICY, wait_s=lambda: 0.01)
    upstream.gate.set()
    await settled(cache)
    assert (await cache.get_or_load("k", upstream, POLICY)).status is Status.HIT


async def test_patience_counts_from_the_begin_of_the_load_for_every_caller(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    policy = POLICY.replace(patience_s=0.05)
    await cache.get_or_load("k", upstream, policy)
    clock.advance(120)
    upstream.gate.clear()
    assert (await cache.get_or_load("k", upstream, policy)).status is Status.STALE
    clock.advance(1)
    async with asyncio.timeout(0.04):
        assert (await cache.get_or_load("k", upstream, policy)).status is Status.STALE
    upstream.gate.set()
    assert upstream.calls == 2


async def test_a_reader_may_refuse_stale_answers(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(70)
    upstream.error = NotFound(symbol="AAPL")
    with pytest.raises(NotFound):
        await cache.get_or_load("k", upstream, POLICY.replace(stale_s=0, stale_on_error_s=0))


async def test_after_a_failure_the_old_answer_is_served_without_asking_again_at_once(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    """An upstream that is down is asked once per retry_s, not once per call."""
    policy = POLICY.replace(retry_s=5)
    await cache.get_or_load("k", upstream, policy)
    clock.advance(200)
    upstream.error = OSError("down")
    for _ in range(10):
        answer = await cache.get_or_load("k", upstream, policy)
        assert answer.status is Status.STALE
    assert upstream.calls == 2
    clock.advance(5)
    await cache.get_or_load("k", upstream, policy)
    assert upstream.calls == 3


async def test_a_failed_refresh_is_not_repeated_at_once(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(70)
    upstream.error = OSError("down")
    for _ in range(10):
        assert (await cache.get_or_load("k", upstream, POLICY)).status is Status.STALE
        await settled(cache)
    assert upstream.calls == 2


async def test_a_failed_load_of_a_new_key_is_an_error(cache: Cache, upstream: Upstream) -> None:
    """Each call tries again."""
    upstream.error = OSError("down")
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await cache.get_or_load("k", upstream, POLICY)
    assert upstream.calls == 3
    assert cache.stats().load_errors == 3


async def test_followers_of_a_failed_load_get_the_same_error_without_its_traceback(
    cache: Cache, upstream: Upstream
) -> None:
    error = NotFound(symbol="AAPL")
    upstream.error = error
    results = await asyncio.gather(
        *[cache.get_or_load("k", upstream, POLICY) for _ in range(5)], return_exceptions=True
    )
    assert upstream.calls == 1
    assert [type(result) for result in results] == [NotFound] * 5
    assert {str(result) for result in results} == {"no symbol AAPL"}
    assert {result.symbol for result in results} == {"AAPL"}  # type: ignore[union-attr]
    assert sum(result is error for result in results) == 1
    assert len({id(result) for result in results}) == 5
    assert len({id(result.__traceback__) for result in results}) == 5  # type: ignore[union-attr]


async def test_absence_is_loaded_once(cache: Cache, upstream: Upstream, clock: ManualClock) -> None:
    upstream.value = ABSENT
    for _ in range(3):
        answer = await cache.get_or_load("k", upstream, POLICY)
        assert (answer.status, answer.absent) == (Status.NEGATIVE, True)
    assert upstream.calls == 1
    clock.advance(11)
    await cache.get_or_load("k", upstream, POLICY)
    assert upstream.calls == 2
    assert (cache.stats().misses, cache.stats().negative) == (2, 2)


async def test_absence_that_is_not_kept_deletes_the_older_answer(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    policy = POLICY.replace(negative_s=0)
    await cache.get_or_load("k", upstream, policy)
    clock.advance(100)
    upstream.value = ABSENT
    for calls in (2, 3):
        assert (await cache.get_or_load("k", upstream, policy)).absent
        assert upstream.calls == calls
    assert await cache.get("k", stale=True) is None


async def test_max_age_makes_older_answers_reload(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(20)
    assert (await cache.get_or_load("k", upstream, POLICY.replace(max_age_s=21))).status is Status.HIT
    upstream.value = b"v2"
    answer = await cache.get_or_load("k", upstream, POLICY.replace(max_age_s=19))
    assert (answer.status, answer.value) == (Status.MISS, b"v2")


async def test_max_age_bars_serving_during_a_refresh_but_not_on_error(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.get_or_load("k", upstream, POLICY)
    clock.advance(70)
    upstream.error = OSError("down")
    answer = await cache.get_or_load("k", upstream, POLICY.replace(max_age_s=5))
    assert (answer.status, answer.value, upstream.calls) == (Status.STALE, b"v1", 2)


async def test_max_age_zero_always_loads_and_still_once(cache: Cache, upstream: Upstream) -> None:
    policy = POLICY.replace(max_age_s=0)
    await cache.get_or_load("k", upstream, policy)
    upstream.value = b"v2"
    answers = await asyncio.gather(*[cache.get_or_load("k", upstream, policy) for _ in range(50)])
    assert {answer.value for answer in answers} == {b"v2"}
    assert upstream.calls == 2


async def test_a_loader_may_say_how_old_its_value_is(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    made = clock.wall() - 50
    upstream.value = Loaded(b"v1", stored=made)
    first = await cache.get_or_load("k", upstream, POLICY)
    assert (first.status, first.value, first.stored) == (Status.MISS, b"v1", made)
    assert (await cache.get_or_load("k", upstream, POLICY.replace(max_age_s=51))).status is Status.HIT
    assert (await cache.get_or_load("k", upstream, POLICY.replace(max_age_s=49))).status is Status.MISS
    assert upstream.calls == 2
    clock.advance(9.9)
    assert (await cache.get_or_load("k", upstream, POLICY)).status is Status.HIT
    clock.advance(0.2)
    upstream.value = Loaded(b"v2", stored=clock.wall() + 100)
    assert (await cache.get_or_load("k", upstream, POLICY)).status is Status.STALE
    await settled(cache)
    answer = await cache.get_or_load("k", upstream, POLICY)
    assert (answer.value, answer.stored) == (b"v2", clock.wall())


async def test_a_loader_may_shorten_how_long_its_value_is_fresh(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    upstream.value = Loaded(b"v1", fresh_s=5)
    answer = await cache.get_or_load("k", upstream, POLICY)
    assert (answer.fresh_for, answer.error_for) == (5, 605)
    upstream.value = Loaded(b"v2", fresh_s=1000)
    clock.advance(36)
    answer = await cache.get_or_load("k", upstream, POLICY)
    assert (answer.value, answer.fresh_for) == (b"v2", 60)


async def test_a_caller_who_joined_a_load_and_got_too_old_an_answer_asks_again(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    upstream.value = Loaded(b"old", stored=clock.wall() - 50)
    upstream.gate.clear()
    lax = asyncio.create_task(cache.get_or_load("k", upstream, POLICY.replace(max_age_s=55)))
    await until(lambda: upstream.calls == 1)
    others = {
        max_age_s: asyncio.create_task(cache.get_or_load("k", upstream, POLICY.replace(max_age_s=max_age_s)))
        for max_age_s in (None, 60, 51, 49, 0)
    }
    await asyncio.sleep(0.05)
    upstream.gate.set()
    assert (await lax).value == b"old"
    upstream.value = b"new"
    answers = {max_age_s: (await task).value for max_age_s, task in others.items()}
    assert answers == {None: b"old", 60: b"old", 51: b"old", 49: b"new", 0: b"new"}
    assert upstream.calls == 2


async def test_a_caller_who_asks_again_in_vain_gets_the_held_answer(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    upstream.value = Loaded(b"old", stored=clock.wall() - 50)
    upstream.gate.clear()
    lax = asyncio.create_task(cache.get_or_load("k", upstream, POLICY))
    await until(lambda: upstream.calls == 1)
    strict = asyncio.create_task(cache.get_or_load("k", upstream, POLICY.replace(max_age_s=10)))
    await asyncio.sleep(0.05)
    upstream.gate.set()
    await lax
    upstream.error = OSError("down")
    answer = await strict
    assert (answer.status, answer.value) == (Status.STALE, b"old")


async def test_the_storing_policy_bounds_the_reading_one(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    """A reader can shorten the times that the writer allowed, but not extend them."""
    await cache.get_or_load("k", upstream, Policy(fresh_s=10, stale_on_error_s=100))
    clock.advance(11)
    upstream.value = b"v2"
    answer = await cache.get_or_load("k", upstream, Policy(fresh_s=1000, stale_s=1000))
    assert (answer.status, answer.value) == (Status.MISS, b"v2")


async def test_jitter_shortens_freshness_and_never_lengthens_it(
    open_kind: Callable[..., "asyncio.Future[Cache]"], upstream: Upstream
) -> None:
    drawn = iter([0.0, 0.5, 0.999])
    cache: Cache = await open_kind("memory", random=lambda: next(drawn))
    policy = Policy(fresh_s=100, jitter=0.2, early=False)
    for key, expected in (("a", 100.0), ("b", 90.0), ("c", 80.02)):
        answer = await cache.get_or_load(key, upstream, policy)
        assert answer.fresh_for == pytest.approx(expected)


async def test_a_cancelled_leader_hands_over(cache: Cache, upstream: Upstream) -> None:
    upstream.gate.clear()
    leader = asyncio.create_task(cache.get_or_load("k", upstream, POLICY))
    await until(lambda: upstream.calls == 1)
    followers = [asyncio.create_task(cache.get_or_load("k", upstream, POLICY)) for _ in range(3)]
    await asyncio.sleep(0.01)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    upstream.gate.set()
    assert [(await follower).value for follower in followers] == [b"v1"] * 3
    assert upstream.calls == 1


async def test_a_load_goes_on_when_every_caller_left(cache: Cache, upstream: Upstream) -> None:
    """A caller with too little time leaves the answer to the next one."""
    upstream.gate.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await cache.get_or_load("k", upstream, POLICY)
    upstream.gate.set()
    await settled(cache)
    assert (await cache.get_or_load("k", upstream, POLICY)).status is Status.HIT
    assert upstream.calls == 1


async def test_a_load_that_takes_too_long_is_given_up(cache: Cache, upstream: Upstream) -> None:
    upstream.gate.clear()
    policy = POLICY.replace(load_timeout_s=0.05)
    results = await asyncio.gather(
        *[cache.get_or_load("k", upstream, policy) for _ in range(3)], return_exceptions=True
    )
    assert [type(result) for result in results] == [LoadTimeout] * 3
    upstream.gate.set()
    assert (await cache.get_or_load("k", upstream, POLICY)).value == b"v1"


async def test_a_loader_that_cancels_itself_fails_with_an_error_not_a_cancellation(cache: Cache) -> None:
    async def load() -> bytes:
        raise asyncio.CancelledError

    for _ in range(2):
        with pytest.raises(LoadCancelled):
            await cache.get_or_load("k", load, POLICY)


async def test_closing_ends_the_loads_under_way(
    open_kind: Callable[..., "asyncio.Future[Cache]"], upstream: Upstream
) -> None:
    cache: Cache = await open_kind("memory")
    upstream.gate.clear()
    waiter = asyncio.create_task(cache.get_or_load("k", upstream, POLICY))
    await asyncio.sleep(0.01)
    await cache.aclose()
    with pytest.raises(LoadCancelled):
        await waiter


async def test_a_blocking_loader_runs_in_the_executor(cache: Cache) -> None:
    def load() -> bytes:
        assert threading.current_thread() is not threading.main_thread()
        return b"from a thread"

    assert (await cache.get_or_load("k", load, POLICY)).value == b"from a thread"


async def test_a_plain_function_that_returns_an_awaitable_is_refused(
    cache: Cache, upstream: Upstream
) -> None:
    """It would run in another thread, where objects of the loop must not be used."""
    with pytest.raises(TypeError, match="write it as async def"):
        await cache.get_or_load("k", lambda: upstream(), POLICY)


async def test_a_loaded_value_that_the_codec_cannot_hold_is_an_error(cache: Cache) -> None:
    async def load() -> object:
        return (1, 2)

    with pytest.raises(CodecError, match="JSON codec accepts"):
        await cache.get_or_load("k", load, POLICY, codec=JSON)


async def test_the_missing_ones_of_many_keys_are_one_load(cache: Cache) -> None:
    asked: list[list[str]] = []

    async def load(keys: list[str]) -> dict[str, bytes | Absent | Exception]:
        asked.append(keys)
        values: dict[str, bytes | Absent | Exception] = {key: key.encode() for key in keys}
        if "gone" in values:
            del values["gone"]
            values["absent"] = ABSENT
            values["broken"] = NotFound(symbol="broken")
        return values

    await cache.set("held", b"held", POLICY)
    keys = ["a", "held", "gone", "absent", "broken", "a"]
    batch = await cache.get_or_load_many(keys, load, POLICY)
    assert asked == [["a", "gone", "absent", "broken"]]
    assert {key: a.status for key, a in batch.answers.items()} == {
        "held": Status.HIT,
        "a": Status.MISS,
        "gone": Status.NEGATIVE,
        "absent": Status.NEGATIVE,
    }
    assert batch["a"].value == b"a"
    with pytest.raises(NotFound, match="broken"):
        _ = batch["broken"]
    with pytest.raises(KeyError):
        _ = batch["never asked for"]
    assert sorted(batch) == ["a", "absent", "broken", "gone", "held"]
    again = await cache.get_or_load_many(keys, load, POLICY)
    assert asked[1:] == [["broken"]]
    assert again["gone"].absent


async def test_a_batch_joins_loads_that_run_already(cache: Cache, upstream: Upstream) -> None:
    async def load(keys: list[str]) -> dict[str, bytes]:
        return dict.fromkeys(keys, b"batch")

    upstream.gate.clear()
    single = asyncio.create_task(cache.get_or_load("a", upstream, POLICY))
    await until(lambda: upstream.calls == 1)
    many = asyncio.create_task(cache.get_or_load_many(["a", "b"], load, POLICY))
    await asyncio.sleep(0.05)
    upstream.gate.set()
    batch = await many
    assert (batch["a"].value, batch["a"].status) == (b"v1", Status.COALESCED)
    assert (batch["b"].value, batch["b"].status) == (b"batch", Status.MISS)
    assert (await single).status is Status.MISS


async def test_a_batch_whose_loader_fails_still_serves_held_answers(cache: Cache, clock: ManualClock) -> None:
    async def load(keys: list[str]) -> dict[str, bytes]:
        raise OSError("down")

    await cache.set("old", b"old", POLICY)
    clock.advance(200)
    await cache.set("held", b"held", POLICY)
    batch = await cache.get_or_load_many(["held", "old", "never"], load, POLICY)
    assert (batch["held"].status, batch["old"].status) == (Status.HIT, Status.STALE)
    assert list(batch.errors) == ["never"]
    with pytest.raises(OSError, match="down"):
        _ = batch["never"]


async def test_a_batch_loader_must_return_a_mapping(cache: Cache) -> None:
    async def load(keys: list[str]) -> list[bytes]:
        return [b""]

    batch = await cache.get_or_load_many(["a"], load, POLICY)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mapping"):
        _ = batch["a"]


async def test_early_refresh_draws_by_load_time_and_time_left(
    open_kind: Callable[..., "asyncio.Future[Cache]"], clock: ManualClock
) -> None:
    """XFetch: refreshed early if -load * ln(u) reaches the end; u = 1 - random, so random near 1 is early."""
    drawn = 0.0
    cache: Cache = await open_kind("memory", random=lambda: drawn)
    calls = 0

    async def load() -> bytes:
        nonlocal calls
        calls += 1
        clock.advance(2)
        return str(calls).encode()

    policy = Policy(fresh_s=60)
    await cache.get_or_load("k", load, policy)
    clock.advance(55)  # 5 s left: e^(-5/2) = 0.082 of the calls refresh early
    drawn = 0.90
    assert (await cache.get_or_load("k", load, policy)).value == b"1"
    await settled(cache)
    assert calls == 1
    drawn = 0.93
    answer = await cache.get_or_load("k", load, policy)
    assert (answer.status, answer.value) == (Status.HIT, b"1")
    await settled(cache)
    assert calls == 2
    assert (await cache.get_or_load("k", load, policy)).value == b"2"


def test_the_chance_of_an_early_refresh_is_that_of_the_paper() -> None:
    """exp(-time left / load time), over an even grid of draws."""
    answer = Answer(b"", Status.HIT, 0.0, 60.0, 0.0, 60.0, 2.0, 0)
    draws = [(i + 0.5) / 10_000 for i in range(10_000)]
    early = sum(
        freshness((answer, 57.0), Policy(fresh_s=60), lambda u=u: u) is Freshness.EARLY for u in draws
    )
    assert early == pytest.approx(10_000 * 2.718281828 ** (-3 / 2), abs=1)
    never = Policy(fresh_s=60, early=False)
    assert freshness((answer, 59.999), never, lambda: 0.999999) is Freshness.FRESH
