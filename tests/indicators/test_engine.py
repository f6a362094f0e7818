"""Where computations run: short ones at once; long ones in a thread, once, and cached."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import numpy as np
import pytest

from finstage_cache import Cache, open_cache
from finstage_market.columns import Columns
from finstage_market.errors import RateLimited, over_limit
from finstage_runtime.executor import BoundedExecutor
from services.indicators.catalogue import Catalogue
from services.indicators.compute import compute
from services.indicators.engine import INLINE_STEPS, Engine
from services.indicators.inputs import Inputs
from services.indicators.specs import Spec

from .conftest import one_spec


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    async with open_cache("memory://", name="indicators") as opened:
        yield opened


def bars(n: int) -> Inputs:
    close = 100 + np.cumsum(np.random.default_rng(1).normal(size=n)) * 0.01
    return Inputs(Columns.of(np.arange(n), close, close + 1, close - 1, close, np.ones(n)))


@pytest.fixture
def long_spec(catalogue: Catalogue) -> Spec:
    """Over 20,000 bars, this is too long for the event loop."""
    spec = one_spec(catalogue, "avgdev", timeperiod=1000)
    assert 20_000 * spec.lookback > INLINE_STEPS
    return spec


@pytest.fixture
async def executor() -> AsyncIterator[BoundedExecutor]:
    opened = BoundedExecutor(threads=1, queued=1, name="compute", overloaded=over_limit)
    yield opened
    opened.close()


async def test_a_long_computation_is_cached_and_a_short_one_is_not(
    cache: Cache, executor: BoundedExecutor, catalogue: Catalogue, long_spec: Spec
) -> None:
    engine = Engine(cache, executor, fresh_s=600.0)
    inputs, short_spec = bars(20_000), one_spec(catalogue, "sma")
    specs = [short_spec, long_spec, short_spec]
    for _ in range(3):
        results = await engine.compute(inputs, specs, identity=("QQQ", 1))
        for spec, outputs in zip(specs, results, strict=True):
            for ours, expected in zip(outputs, compute(inputs, spec), strict=True):
                np.testing.assert_array_equal(ours, expected)
    assert (cache.stats().loads, cache.stats().hits) == (1, 2)


async def test_other_bars_parameters_or_variants_have_other_results(
    cache: Cache, executor: BoundedExecutor, catalogue: Catalogue
) -> None:
    engine = Engine(cache, executor, fresh_s=600.0)
    inputs = bars(60_000)
    specs = [
        one_spec(catalogue, "rsi", timeperiod=100),
        one_spec(catalogue, "rsi", timeperiod=101),
        one_spec(catalogue, "rsi", timeperiod=100, variant="cutler"),
        one_spec(catalogue, "rsi", timeperiod=100, source="OPEN"),
    ]
    for identity in (("QQQ", 1), ("QQQ", 2)):
        for spec in specs:
            await engine.compute(inputs, [spec], identity=identity)
    assert cache.stats().loads == 8


async def test_the_same_long_computation_runs_once_for_all_callers(
    cache: Cache, executor: BoundedExecutor, long_spec: Spec
) -> None:
    engine = Engine(cache, executor, fresh_s=600.0)
    inputs = bars(20_000)
    calls = (engine.compute(inputs, [long_spec], identity=("QQQ", 1)) for _ in range(20))
    results = await asyncio.gather(*calls)
    assert cache.stats().loads == 1
    assert all(np.array_equal(outputs[0], results[0][0][0]) for [outputs] in results)


async def test_results_of_a_client_s_own_bars_are_not_cached(
    cache: Cache, executor: BoundedExecutor, long_spec: Spec
) -> None:
    engine = Engine(cache, executor, fresh_s=600.0)
    for _ in range(2):
        await engine.compute(bars(20_000), [long_spec], identity=None)
    assert cache.stats().loads == 0


async def test_computations_past_the_queue_are_refused(
    cache: Cache, executor: BoundedExecutor, long_spec: Spec
) -> None:
    """With one thread and one place in the queue, the third concurrent computation is refused."""
    engine = Engine(cache, executor, fresh_s=600.0)
    calls = (engine.compute(bars(20_000), [long_spec], identity=None) for _ in range(3))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [list, list, RateLimited]


async def test_the_event_loop_goes_on_while_a_long_computation_runs(
    cache: Cache, executor: BoundedExecutor, long_spec: Spec
) -> None:
    engine = Engine(cache, executor, fresh_s=600.0)
    running = asyncio.create_task(engine.compute(bars(50_000), [long_spec], identity=None))
    turns = 0
    while not running.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100


async def test_a_replica_finds_another_s_results_in_redis(
    redis_url: str, executor: BoundedExecutor, long_spec: Spec
) -> None:
    """The numbers are equal, including undefined ones."""
    inputs = bars(20_000)
    [expected] = compute(inputs, long_spec)
    url = f"{redis_url}?prefix=test-{secrets.token_hex(8)}:"
    loads = 0
    for _ in range(2):
        async with open_cache(url, name="indicators") as cache:
            [[values]] = await Engine(cache, executor, fresh_s=30.0).compute(
                inputs, [long_spec], identity=("QQQ", 1)
            )
            loads += cache.stats().loads
        np.testing.assert_array_equal(values, expected)
    assert loads == 1
