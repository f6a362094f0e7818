"""Values: TA-Lib's own, bit for bit, for every cut."""

from typing import Any

import numpy as np
import pytest
import talib

from finstage_market.columns import Columns, Float64s
from services.indicators.catalogue import Catalogue
from services.indicators.compute import compute, cut
from services.indicators.inputs import Inputs, Source, first_fault

from .conftest import every_definition, one_spec, over_all_bars


def directly(name: str, bars: Columns, **params: float) -> tuple[Any, ...]:
    """Call TA-Lib's plain function with the columns that TA-Lib itself names."""
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
    """With defaults, and with every whole-number parameter moved: bit for bit from TA-Lib's first value."""
    for row in catalogue:
        if row.name == "ichimoku":
            continue
        params = {p.name: p.default + step for p in row.parameters if isinstance(p.default, int) and p.name}
        params = {name: value for name, value in params.items() if "matype" not in name}
        spec = one_spec(catalogue, row.name, **params)
        expected = directly(row.name.upper(), long_daily, **params)
        raw = one_spec(catalogue, row.name, variant="talib", **params)
        first = max(spec.lookbacks)
        outputs = zip(over_all_bars(spec, long_daily), over_all_bars(raw, long_daily), expected, strict=True)
        for described, (ours, as_it_is, theirs) in zip(row.outputs, outputs, strict=True):
            theirs = theirs[first:].astype(np.float64)
            # An average of a stochastic passes its bounds by rounding; ours is clamped.
            np.testing.assert_allclose(as_it_is[first:], theirs, rtol=0, atol=1e-9, err_msg=row.name)
            theirs = np.clip(theirs, described.minimum, described.maximum)
            np.testing.assert_array_equal(as_it_is[first:], theirs, err_msg=row.name)
            np.testing.assert_array_equal(ours[first:], theirs, err_msg=row.name)


def test_an_output_starts_before_the_average_that_follows_it(catalogue: Catalogue, daily: Columns) -> None:
    """TA-Lib withholds it until the last output has a value; here each output has its own first bar."""
    firsts = {
        name: one_spec(catalogue, name).lookbacks
        for name in ("macd", "macdext", "macdfix", "kdj", "smi", "stoch", "stochf", "stochrsi", "ichimoku")
    }
    assert firsts == {
        "macd": (25, 33, 33),
        "macdext": (25, 33, 33),
        "macdfix": (25, 33, 33),
        "kdj": (10, 12, 12),
        "smi": (37, 45),
        "stoch": (6, 8),
        "stochf": (4, 6),
        "stochrsi": (18, 20),
        "ichimoku": (8, 25, 51, 77, 0, 25, 51),
    }
    for name, lookbacks in firsts.items():
        for values, first in zip(over_all_bars(one_spec(catalogue, name), daily), lookbacks, strict=True):
            assert np.isnan(values[:first]).all()
            assert np.isfinite(values[first:]).all()


def test_the_early_values_equal_those_of_a_shorter_signal(catalogue: Catalogue, daily: Columns) -> None:
    """The line does not depend on the length of its signal."""
    [line, _, _] = over_all_bars(one_spec(catalogue, "macd", signalperiod=50), daily)
    np.testing.assert_array_equal(line[33:], talib.MACD(daily.close)[0][33:])
    [slow_k, _] = over_all_bars(one_spec(catalogue, "stoch", slowd_period=40), daily)
    np.testing.assert_array_equal(slow_k[8:], talib.STOCH(daily.high, daily.low, daily.close)[0][8:])


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
def test_the_source_is_the_column_named_by_the_contract(
    catalogue: Catalogue, daily: Columns, source: str, column: Any
) -> None:
    [values] = compute(Inputs(daily), one_spec(catalogue, "ema", source=source))
    np.testing.assert_array_equal(values, talib.EMA(column(daily))[29:])


def test_a_cut_has_the_same_numbers_at_the_same_places() -> None:
    values = np.array([10.0, 11, 12, 13, 14])  # for rows 3 to 7
    part = cut(values, lookback=3, axis=slice(0, 8))
    assert (part.first_index, part.values.tolist(), part.undefined.tolist()) == (3, values.tolist(), [])
    part = cut(values, lookback=3, axis=slice(5, 8))
    assert (part.first_index, part.values.tolist()) == (0, [12, 13, 14])
    part = cut(values, lookback=3, axis=slice(2, 5))
    assert (part.first_index, part.values.tolist()) == (1, [10, 11])
    part = cut(values, lookback=3, axis=slice(8, 8))
    assert (part.first_index, part.values.tolist()) == (0, [])


def test_an_undefined_value_has_its_index_listed_and_the_number_0() -> None:
    values = np.array([1.0, np.nan, 3, np.inf, -np.inf])
    part = cut(values, lookback=2, axis=slice(1, 7))
    assert part.first_index == 1
    assert part.values.tolist() == [1, 0, 3, 0, 0]
    assert part.undefined.tolist() == [2, 4, 5]
    assert np.isnan(values[1])  # the cached array is unchanged


def test_a_series_as_long_as_the_lookback_has_no_value(catalogue: Catalogue, daily: Columns) -> None:
    for spec in every_definition(catalogue):
        values = compute(Inputs(daily[: spec.lookback]), spec)
        assert [len(v) for v in values] == [0] * len(spec.lookbacks)


def test_a_short_series_has_the_outputs_that_it_is_long_enough_for(
    catalogue: Catalogue, daily: Columns
) -> None:
    """A short series has the same values as the long one, whatever follows."""
    for spec in every_definition(catalogue):
        whole = over_all_bars(spec, daily[:120])
        for length in {first + more for first in spec.lookbacks for more in (1, 2) if first < 118}:
            values = compute(Inputs(daily[:length]), spec)
            assert [len(v) for v in values] == [max(0, length - first) for first in spec.lookbacks], spec.id
            for part, expected in zip(over_all_bars(spec, daily[:length]), whole, strict=True):
                np.testing.assert_array_equal(part, expected[:length], err_msg=spec.id)


def flat(price: float, n: int = 200) -> Columns:
    return Columns.of(np.arange(n) * 60_000, *(np.full(n, price) for _ in range(4)), np.zeros(n))


@pytest.mark.parametrize("price", [0.0, 1.0, 1e12])
def test_a_flat_series_has_values_or_lists_undefined_ones(catalogue: Catalogue, price: float) -> None:
    """Prices are constant and volume is 0: no definition fails, and a cut has no NaN or infinity."""
    bars = flat(price)
    for row in catalogue:
        for variant in row.variants:
            spec = one_spec(catalogue, row.name, variant=variant.name)
            for values in compute(Inputs(bars), spec):
                part = cut(values, lookback=len(bars) - len(values), axis=slice(0, len(bars)))
                assert np.isfinite(part.values).all()
                assert len(part.values) == len(bars) - part.first_index


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
