"""Opening caches: valid URLs and policies work; invalid ones are errors at the line that has them."""

import asyncio
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finstage_cache import Cache, MemoryBackend, NullBackend, Policy, Status, backend_from_url, open_cache
from finstage_cache.redis import RedisBackend
from finstage_cache.tiered import TieredBackend

LIBRARY = Path(__file__).resolve().parents[3] / "libs" / "cache"


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
        ("", "scheme must be one of memory, null, redis"),
        ("memcached://x", "not 'memcached'"),
        ("memory+null://", r"not 'memory\+null'"),
        ("redis+sentinel://x", r"not 'redis\+sentinel'"),
        ("memory://?entires=1", "option 'entires' is unknown; accepted here: entries, size"),
        ("memory://?entries=many", "entries must be a whole number, not 'many'"),
        ("memory://?entries=0", "entries must be a whole number above 0"),
        ("memory://host", "takes only options"),
        ("null://?entries=1", "accepted here: none"),
        ("redis://x?lag_s=1", "option 'lag_s' is unknown"),
        ("redis://x?timeout_s=soon", "timeout_s must be a number, not 'soon'"),
        ("redis://x?timeout_s=0", "timeout_s must be seconds above 0"),
        ("redis://x?timeout_s=nan", "timeout_s must be seconds above 0"),
        ("redis://x?connections=0", "connections must be a whole number above 0"),
        ("redis://x?entry_size=0", "entry_size must be a whole number above 0"),
        ("redis://x?prefix=a*", "prefix must be 1 to 80 letters"),
        ("memory+redis://x?lag_s=100", "lag_s must be seconds from"),
        ("redis://x:port", "[Pp]ort"),
        ("redis://x/one", "database"),
    ],
)
def test_a_wrong_url_is_an_error_that_names_the_part_and_the_accepted_values(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        backend_from_url(url)


@pytest.mark.parametrize("name", ["", "a:b", "a*"])
def test_an_invalid_cache_name_for_redis_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a cache in Redis must be letters"):
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
def test_a_time_that_is_not_a_number_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"Policy\.fresh_s must be a number of seconds"):
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


async def test_a_cache_is_its_own_context(url_of: Callable[..., str]) -> None:
    async with open_cache(url_of("redis"), name="quotes") as cache:
        assert isinstance(cache, Cache)
        assert cache.name == "quotes"


def test_the_readmes_example_runs() -> None:
    readme = (LIBRARY / "README.md").read_text()
    example = readme.partition("```python\n")[2].partition("```")[0]
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[1] == "AAPL over 30 days AAPL over 30 days"


def test_it_works_without_any_extra_and_says_what_redis_needs() -> None:
    code = """
import asyncio, sys
for extra in ("google", "numpy", "prometheus_client", "redis"):
    sys.modules[extra] = None
import finstage_cache
asyncio.run(finstage_cache.open_cache("memory://").get("k"))
finstage_cache.open_cache("redis://localhost")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (
        "a cache in Redis needs redis-py: pip install 'finstage-cache[redis]'" in ran.stderr.splitlines()[-1]
    )
