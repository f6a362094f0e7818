"""After one absurd value a computation starts over; later values do not depend on it."""

import numpy as np
import pytest

from finstage_cache import open_cache
from finstage_market.columns import Columns
from finstage_market.errors import over_limit
from finstage_runtime.executor import BoundedExecutor
from services.indicators.anchors import anchors
from services.indicators.catalogue import Catalogue, IndicatorClass
from services.indicators.compute import compute
from services.indicators.engine import Engine
from services.indicators.inputs import Inputs

from .conftest import every_definition, one_spec, over_all_bars
from .series import walk, with_columns
from .test_catalogue import periods

PRICES = ("open", "high", "low", "close")


def with_print(bars: Columns, columns: tuple[str, ...], value: float, row: int = 300) -> Columns:
    """Return `bars` with `value` at one row."""
    changed = {name: getattr(bars, name).copy() for name in columns}
    for values in changed.values():
        values[row] = value
    return with_columns(bars, **changed)


@pytest.mark.parametrize("value", [1e9, 1e15, 1e160, 1e300])
@pytest.mark.parametrize("columns", [PRICES, ("high",), ("volume",), ("close",)])
def test_a_window_forgets_an_absurd_print(
    catalogue: Catalogue, columns: tuple[str, ...], value: float
) -> None:
    """This holds for every definition of class WINDOW: a value depends only on the last lookback + 1 bars."""
    bars = walk(800)
    spoilt = with_print(bars, columns, value)
    for spec in every_definition(catalogue):
        if spec.class_ is not IndicatorClass.WINDOW:
            continue
        after = 301 + max(spec.lookbacks)
        for ours, expected in zip(over_all_bars(spec, spoilt), over_all_bars(spec, bars), strict=True):
            kept = expected[np.isfinite(expected)]
            scale = np.abs(kept).max() if len(kept) else 1.0
            np.testing.assert_allclose(
                ours[after:], expected[after:], rtol=1e-9, atol=1e-9 * scale, err_msg=spec.id
            )


@pytest.mark.parametrize("value", [1e15, 1e300])
def test_a_window_of_any_kind_forgets_it(catalogue: Catalogue, value: float) -> None:
    """With the shortest periods, odd ones, and every kind of moving average."""
    bars = walk(500)
    spoilt = with_print(bars, (*PRICES, "volume"), value)
    for spec in periods(catalogue):
        if spec.class_ is IndicatorClass.WINDOW:
            after = 301 + max(spec.lookbacks)
            for ours, expected in zip(over_all_bars(spec, spoilt), over_all_bars(spec, bars), strict=True):
                kept = expected[np.isfinite(expected)]
                scale = np.abs(kept).max() if len(kept) else 1.0
                np.testing.assert_allclose(
                    ours[after:], expected[after:], rtol=1e-9, atol=1e-9 * scale, err_msg=spec.id
                )


@pytest.mark.parametrize("value", [1e15, 1e300])
def test_running_sums_start_over_with_the_first_window_after_it(catalogue: Catalogue, value: float) -> None:
    bars = with_print(walk(800), (*PRICES, "volume"), value)
    for spec in every_definition(catalogue):
        if not spec.is_anchored or spec.class_ is IndicatorClass.WINDOW:
            continue
        first = max(spec.lookbacks)
        for ours, fresh in zip(over_all_bars(spec, bars), over_all_bars(spec, bars[301:]), strict=True):
            np.testing.assert_array_equal(ours[301 + first :], fresh[first:], err_msg=spec.id)


def test_up_to_the_print_and_in_its_window_the_values_are_talib_s(catalogue: Catalogue) -> None:
    bars = walk(800)
    for spec in every_definition(catalogue):
        before = over_all_bars(spec, bars[:300])
        for ours, expected in zip(over_all_bars(spec, with_print(bars, PRICES, 1e15)), before, strict=True):
            np.testing.assert_array_equal(ours[:300], expected, err_msg=spec.id)


def test_an_anchor_does_not_depend_on_later_bars() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(3000) + 1.0
    values[rng.integers(0, 3000, 40)] = 1e12
    for lookback in (1, 2, 13, 50):
        whole = anchors([values], lookback)
        assert len(whole) > 3
        for length in (100, 777, 2048):
            expected = [start for start in whole if start + lookback < length]
            assert anchors([values[:length]], lookback) == expected


def test_a_millionfold_rise_does_not_restart_a_computation() -> None:
    """A coin that rose from 0.05 to 100,000 has larger values in each window than before it."""
    assert anchors([np.geomspace(1e-9, 1e9, 5000)], 20) == [0]


def test_windows_without_volume_do_not_restart_a_computation() -> None:
    volume = np.where(np.arange(1000) % 100 < 50, 0.0, 1e8)
    assert anchors([volume], 5) == [0]


async def test_a_series_full_of_absurd_values_is_computed_off_the_event_loop(catalogue: Catalogue) -> None:
    """It is computed in thousands of parts, which takes too long for the event loop."""
    close = np.ones(20_000)
    close[::5] = 1e12
    bars = with_columns(walk(20_000), close=close)
    spec = one_spec(catalogue, "sma", timeperiod=2)
    async with open_cache("memory://", name="indicators") as cache:
        executor = BoundedExecutor(threads=1, queued=1, name="compute", overloaded=over_limit)
        try:
            await Engine(cache, executor, fresh_s=600.0).compute(Inputs(bars), [spec], identity=("X",))
            assert cache.stats().loads == 1
        finally:
            executor.close()
    [values] = compute(Inputs(bars), spec)
    assert set(values[1::5].tolist()) == {1.0}
