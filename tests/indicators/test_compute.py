"""Values: TA-Lib's own, bit for bit, wherever the cut is."""

from typing import Any

import numpy as np
import pytest
import talib

from finstage_market.columns import Columns, Float64s
from services.indicators.catalogue import Catalogue
from services.indicators.compute import compute, cut
from services.indicators.inputs import Inputs, Source, first_fault

from .conftest import one_spec


def directly(name: str, bars: Columns, **params: float) -> tuple[Any, ...]:
    """What TA-Lib's plain function gives for the columns that TA-Lib itself names."""
    function = talib.abstract.Function(name)
    arrays = []
    for value in function.input_names.values():
        arrays += [getattr(bars, each) for each in ([value] if isinstance(value, str) else value)]
    outputs = getattr(talib, name)(*arrays, **params)
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("step", [0, 3])
def test_every_function_gives_talib_s_own_numbers(
    catalogue: Catalogue, long_daily: Columns, step: int
) -> None:
    """With defaults, and with every whole-number parameter moved: bit for bit, after the lookback."""
    for row in catalogue:
        if row.variants[0].name != "talib":
            continue
        params = {p.name: p.default + step for p in row.parameters if isinstance(p.default, int) and p.name}
        params = {name: value for name, value in params.items() if "matype" not in name}
        spec = one_spec(catalogue, row.name, **params)
        expected = directly(row.name.upper(), long_daily, **params)
        values = compute(Inputs(long_daily), spec)
        assert len(values) == len(expected) == len(row.outputs)
        for ours, theirs in zip(values, expected, strict=True):
            assert ours.dtype == np.float64
            np.testing.assert_array_equal(ours, theirs[spec.lookback :].astype(np.float64), err_msg=row.name)


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("OPEN", lambda b: b.open),
        ("HIGH", lambda b: b.high),
        ("LOW", lambda b: b.low),
        ("CLOSE", lambda b: b.close),
        ("VOLUME", lambda b: b.volume),
        ("HL2", lambda b: (b.high + b.low) / 2),
        ("HLC3", lambda b: (b.high + b.low + b.close) / 3),
        ("OHLC4", lambda b: (b.open + b.high + b.low + b.close) / 4),
    ],
)
def test_the_source_is_the_column_that_the_contract_says(
    catalogue: Catalogue, daily: Columns, source: str, column: Any
) -> None:
    [values] = compute(Inputs(daily), one_spec(catalogue, "ema", source=source))
    np.testing.assert_array_equal(values, talib.EMA(column(daily))[29:])


def test_a_cut_is_the_same_numbers_with_their_places() -> None:
    values = np.array([10.0, 11, 12, 13, 14])  # of rows 3 to 7
    part = cut(values, lookback=3, axis=slice(0, 8))
    assert (part.first_index, part.values.tolist(), part.undefined.tolist()) == (3, values.tolist(), [])
    part = cut(values, lookback=3, axis=slice(5, 8))
    assert (part.first_index, part.values.tolist()) == (0, [12, 13, 14])
    part = cut(values, lookback=3, axis=slice(2, 5))
    assert (part.first_index, part.values.tolist()) == (1, [10, 11])
    part = cut(values, lookback=3, axis=slice(8, 8))
    assert (part.first_index, part.values.tolist()) == (0, [])


def test_where_there_is_no_value_the_place_is_told_and_the_number_is_0() -> None:
    values = np.array([1.0, np.nan, 3, np.inf, -np.inf])
    part = cut(values, lookback=2, axis=slice(1, 7))
    assert part.first_index == 1
    assert part.values.tolist() == [1, 0, 3, 0, 0]
    assert part.undefined.tolist() == [2, 4, 5]
    assert np.isnan(values[1])  # what is kept is not touched


def test_a_series_as_long_as_the_lookback_has_no_value(catalogue: Catalogue, daily: Columns) -> None:
    for row in catalogue:
        spec = one_spec(catalogue, row.name)
        assert [len(v) for v in compute(Inputs(daily[: spec.lookback]), spec)] == [0] * len(row.outputs)


def flat(price: float, n: int = 200) -> Columns:
    return Columns.of(np.arange(n) * 60_000, *(np.full(n, price) for _ in range(4)), np.zeros(n))


@pytest.mark.parametrize("price", [0.0, 1.0, 1e12])
def test_a_flat_series_has_values_or_says_where_it_has_none(catalogue: Catalogue, price: float) -> None:
    """Nothing moves, nothing is traded: no definition fails, and no NaN or infinity gets through a cut."""
    bars = flat(price)
    for row in catalogue:
        for variant in row.variants:
            spec = one_spec(catalogue, row.name, variant=variant.name)
            for values in compute(Inputs(bars), spec):
                part = cut(values, lookback=spec.lookback, axis=slice(0, len(bars)))
                assert np.isfinite(part.values).all()
                assert len(part.values) == len(bars) - part.first_index


def test_flat_rsi_is_as_its_variant_says(catalogue: Catalogue) -> None:
    """TA-Lib's own convention is 0; ours, where nothing moved either way, the middle."""
    results = {
        v: compute(Inputs(flat(5.0)), one_spec(catalogue, "rsi", variant=v))
        for v in ("talib", "cutler", "ema")
    }
    assert {name: set(values.tolist()) for name, [values] in results.items()} == {
        "talib": {0.0},
        "cutler": {50.0},
        "ema": {50.0},
    }


def with_value(column: str, row: int, value: float) -> Columns:
    bars = flat(1.0, 10)
    getattr(bars, column)[row] = value
    return bars


@pytest.mark.parametrize(
    ("bars", "fault"),
    [
        (flat(1.0), None),
        (flat(1.0, 0), None),
        (with_value("high", 4, np.nan), ("high", 4)),
        (with_value("volume", 9, np.inf), ("volume", 9)),
        (with_value("open", 0, -1e301), ("open", 0)),
        (with_value("open_time_ms", 3, 0), ("open_time_ms", 3)),
        (with_value("open_time_ms", 3, 120_000), ("open_time_ms", 3)),
    ],
)
def test_the_first_bad_bar_is_found(bars: Columns, fault: tuple[str, int] | None) -> None:
    found = first_fault(bars)
    assert (found and found[:2]) == fault


def test_the_largest_numbers_make_finite_sources() -> None:
    bars = flat(1e300)
    assert first_fault(bars) is None
    inputs = Inputs(bars)
    sources: list[Float64s] = [inputs.read("source", source) for source in Source]
    assert all(np.isfinite(values).all() for values in sources)
