"""What is wrong is an error where it is written: URLs, policies; and what opens, opens."""

import asyncio
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finstage_cache import Cache, MemoryBackend, NullBackend, Policy, Status, backend_from_url, open_cache
from finstage_cache.breaker import Breaker
from finstage_cache.redis import RedisBackend
from finstage_cache.tiered import TieredBackend


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryBackend),
        ("memory://?entries=10&size=1000", MemoryBackend),
        ("null://", NullBackend),
        (
            "redis://localhost:6390/1?prefix=p:&timeout_s=0.1&retry_s=2&claim_s=1&connections=4&entry_size=9",
            RedisBackend,
        ),
        ("rediss://user:secret@example:6390", RedisBackend),
        ("redis+cluster://localhost:6390", RedisBackend),
        ("memory+redis://localhost:6390?entries=10&size=1000&lag_s=1&prefix=p:", TieredBackend),
        ("memory+rediss+cluster://localhost:6390", TieredBackend),
    ],
)
async def test_a_url_opens_its_backend_and_connects_to_nothing(url: str, kind: type) -> None:
    assert type(backend_from_url(url)) is kind


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "scheme is one of memory, null, redis"),
        ("memcached://x", "not 'memcached'"),
        ("memory+null://", r"not 'memory\+null'"),
        ("redis+sentinel://x", r"not 'redis\+sentinel'"),
        ("memory://?entires=1", "option 'entires' is unknown; accepted here: entries, size"),
        ("memory://?entries=many", "entries is a whole number, not 'many'"),
        ("memory://?entries=0", "entries must be a whole number above 0"),
        ("memory://host", "options only"),
        ("null://?entries=1", "accepted here: none"),
        ("redis://x?lag_s=1", "option 'lag_s' is unknown"),
        ("redis://x?timeout_s=soon", "timeout_s is a number, not 'soon'"),
        ("redis://x?timeout_s=0", "timeout_s is seconds above 0"),
        ("redis://x?timeout_s=nan", "timeout_s is seconds above 0"),
        ("redis://x?connections=0", "connections is a whole number above 0"),
        ("redis://x?entry_size=0", "entry_size is a whole number above 0"),
        ("redis://x?prefix=a*", "prefix is letters"),
        ("memory+redis://x?lag_s=100", "lag_s is seconds from"),
        ("redis://x:port", "[Pp]ort"),
        ("redis://x/one", "database"),
    ],
)
def test_a_wrong_url_is_an_error_that_names_what_and_what_is_accepted(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        backend_from_url(url)


@pytest.mark.parametrize("name", ["", "a:b", "a*"])
def test_a_wrong_name_of_a_cache_in_redis_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a cache in Redis is letters"):
        open_cache("redis://x", name=name)


def test_an_error_about_a_url_does_not_tell_its_password() -> None:
    with pytest.raises(ValueError, match="unknown") as caught:
        backend_from_url("redis://user:secret@host/0?wrong=1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["fresh_s", "load_timeout_s"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, 1e10])
def test_lifetimes_of_zero_or_below_or_without_end_are_errors(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Policy\.{name} must be above 0, and at most 1e\+09"):
        Policy(**{"fresh_s": 1.0, name: value})


@pytest.mark.parametrize("name", ["stale_s", "stale_on_error_s", "negative_s", "retry_s", "max_age_s"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_other_times_are_finite_and_not_negative(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Policy\.{name} must be 0 or above"):
        Policy(**{"fresh_s": 1.0, name: value})


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_jitter_is_a_share(value: float) -> None:
    with pytest.raises(ValueError, match=r"Policy\.jitter must be from 0 to below 1"):
        Policy(fresh_s=1, jitter=value)


@pytest.mark.parametrize("value", ["60", None, True])
def test_a_time_that_is_no_number_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"Policy\.fresh_s is seconds as a number"):
        Policy(fresh_s=value)  # type: ignore[arg-type]


def test_a_changed_policy_is_checked_again() -> None:
    policy = Policy(fresh_s=1)
    assert policy.replace(max_age_s=5) == Policy(fresh_s=1, max_age_s=5)
    with pytest.raises(ValueError, match="fresh_s"):
        policy.replace(fresh_s=0)


async def test_the_null_backend_holds_nothing_and_still_loads_once() -> None:
    calls = 0

    async def load() -> bytes:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return b"v"

    async with open_cache("null://") as cache:
        answers = await asyncio.gather(*[cache.get_or_load("k", load, Policy(fresh_s=60)) for _ in range(9)])
        assert calls == 1
        assert [answer.status for answer in answers].count(Status.COALESCED) == 8
        assert await cache.set("k", b"v", Policy(fresh_s=60)) is False
        assert await cache.get("k") is None
        assert await cache.delete("k") is False
        await cache.clear()
        await cache.get_or_load("k", load, Policy(fresh_s=60))
        assert calls == 2


@given(st.lists(st.tuples(st.sampled_from(["ask", "ok", "fail"]), st.floats(0, 3)), max_size=60))
def test_the_breaker_is_open_exactly_after_failures_in_a_row(steps: list[tuple[str, float]]) -> None:
    """And open, it lets one probe through per retry time."""
    now = 0.0
    changes: list[bool] = []
    breaker = Breaker(failures=3, retry_s=1.0, monotonic=lambda: now, changed=changes.append)
    failures, probe_at = 0, 0.0
    for what, passed in steps:
        now += passed
        was_open = failures >= 3
        match what:
            case "ask":
                assert breaker.allows() == (not was_open or now >= probe_at)
                if was_open and now >= probe_at:
                    probe_at = now + 1.0
            case "ok":
                breaker.succeeded()
                failures = 0
            case "fail":
                breaker.failed()
                failures += 1
                if failures == 3:
                    probe_at = now + 1.0
        assert breaker.open == (failures >= 3)
    assert changes == [i % 2 == 0 for i in range(len(changes))]


async def test_a_cache_is_its_own_context(url_of: Callable[..., str]) -> None:
    async with open_cache(url_of("redis"), name="quotes") as cache:
        assert isinstance(cache, Cache)
        assert cache.name == "quotes"
