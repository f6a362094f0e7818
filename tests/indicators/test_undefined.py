"""A value is undefined where its definition divides by zero, in every row of the catalogue, by one rule."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import talib

from finstage_market.columns import Columns, Float64s
from services.indicators.catalogue import Catalogue
from services.indicators.compute import compute
from services.indicators.inputs import Inputs
from services.indicators.specs import Spec
from services.indicators.undefined import DIVISORS

from .conftest import every_definition, one_spec, over_all_bars
from .series import flat, halted, joined, rise, walk, with_columns, without_volume

# The arc sine of a price of 5 does not exist.
NEVER = {"acos", "asin"}

FLAT = {
    *("adx", "adxr", "beta", "bop", "cci", "cmf", "cmo", "cmou", "correl", "cvi", "dx", "er", "imi", "kdj"),
    *("ht_dcperiod", "ht_dcphase", "ht_sine", "ht_trendmode"),
    *("marketfi", "massi", "mfi", "minus_di", "plus_di", "pvo", "rsi", "rvi", "rvol", "smi", "stoch"),
    *("stochf", "stochrsi", "tsi", "ultosc", "vhf", "vortex", "vwap", "vwma", "willr"),
}
NO_VOLUME = {"cmf", "marketfi", "mfi", "pvo", "rvol", "vwap", "vwma"}


def definitions(catalogue: Catalogue) -> list[Spec]:
    """Return every definition, without the variant `talib` where there is a `standard` one."""
    return [
        spec
        for spec in every_definition(catalogue)
        if spec.variant.name != "talib" or len(spec.indicator.variants) == 1
    ]


def undefined_rows(catalogue: Catalogue, bars: Columns) -> tuple[set[str], set[str]]:
    """Return the rows without any value past their lookbacks, and those without some."""
    whole, some = set(), set()
    for spec in definitions(catalogue):
        for values, first in zip(over_all_bars(spec, bars), spec.lookbacks, strict=True):
            finite = np.isfinite(values[first:])
            if not finite.any():
                whole.add(spec.indicator.name)
            elif not finite.all():
                some.add(spec.indicator.name)
    return whole - NEVER, some


def test_indicators_that_divide_by_movement_are_undefined_on_a_flat_series(catalogue: Catalogue) -> None:
    """All variants of a row agree; an indicator that does not divide has a value at every bar."""
    for price in (5.0, 0.1 + 0.2, 1e-9, 123.45):
        assert undefined_rows(catalogue, flat(300, price)) == (FLAT, set()), price


def test_indicators_that_divide_by_volume_are_undefined_without_volume(catalogue: Catalogue) -> None:
    assert undefined_rows(catalogue, without_volume(walk(300))) == (NO_VOLUME, set())


def test_a_flat_series_with_volume_has_its_price_as_average(catalogue: Catalogue) -> None:
    whole, some = undefined_rows(catalogue, flat(300, 5.0, 1e3))
    assert (whole, some) == (FLAT - NO_VOLUME | {"mfi"}, set())
    for name in ("vwap", "vwma"):
        [values] = compute(Inputs(flat(300, 5.0, 1e3)), one_spec(catalogue, name))
        assert values == pytest.approx(5.0)


def test_a_rise_without_a_fall_has_no_stochastic_rsi(catalogue: Catalogue) -> None:
    """The RSI is 100 at every bar, so its place in its own range is 0/0."""
    bars = rise(300)
    assert set(compute(Inputs(bars), one_spec(catalogue, "rsi"))[0].tolist()) == {100.0}
    assert undefined_rows(catalogue, bars) == ({"stochrsi"}, set())


def test_a_division_by_a_price_of_zero_is_undefined(catalogue: Catalogue) -> None:
    bars = flat(300, 0.0)
    of_zero = {"accbands", "coppock", "div", "fosc", "natr", "ppo", "roc", "rocp", "rocr", "rocr100", "trix"}
    of_zero |= {"ln", "log10"}
    assert undefined_rows(catalogue, bars) == (FLAT | of_zero, set())


def test_talib_s_own_number_is_there_as_the_variant_talib(catalogue: Catalogue, daily: Columns) -> None:
    """It is equal bit for bit, even where nothing moved, but for a bound that it passes by rounding."""
    bars = joined(flat(60), walk(100), flat(100), daily[:100])
    for spec in every_definition(catalogue):
        if spec.variant.name != "talib":
            continue
        arrays = [Inputs(bars).read(name, spec.read_source) for name in spec.indicator.inputs]
        theirs = getattr(talib, spec.indicator.name.upper())(*arrays, **spec.params)
        theirs = theirs if isinstance(theirs, tuple) else (theirs,)
        first = max(spec.lookbacks)
        described = spec.indicator.outputs
        for ours, expected, of in zip(over_all_bars(spec, bars), theirs, described, strict=True):
            bounded = np.clip(expected[first:].astype(float), of.minimum, of.maximum)
            np.testing.assert_array_equal(ours[first:], bounded, err_msg=spec.id)
            np.testing.assert_allclose(ours[first:], expected[first:], rtol=0, atol=1e-9, err_msg=spec.id)


def test_no_variant_passes_its_bounds_by_rounding(catalogue: Catalogue) -> None:
    """TA-Lib's stochastic and its stochastic RSI do so on prices in cents, by 1e-14."""
    passed = False
    for seed in range(6):
        bars = with_ties(400, seed)
        for spec in every_definition(catalogue):
            for values, of in zip(compute(Inputs(bars), spec), spec.indicator.outputs, strict=True):
                finite = values[np.isfinite(values)]
                assert ((finite >= of.minimum) & (finite <= of.maximum)).all(), (spec.id, of.name)
        passed |= bool((talib.STOCH(bars.high, bars.low, bars.close)[0] < 0).any())
    assert passed


def test_a_flat_stretch_has_no_cycle(catalogue: Catalogue) -> None:
    """TA-Lib's numbers there are rounding: the same series three times as dear has others."""
    bars = joined(walk(200), flat(200, 100.0), walk(200, seed=4))
    for name, length in (("ht_dcperiod", 33), ("ht_dcphase", 53), ("ht_sine", 53), ("ht_trendmode", 53)):
        for values in over_all_bars(one_spec(catalogue, name), bars):
            undefined = np.flatnonzero(~np.isfinite(values[100:])) + 100
            assert undefined.tolist() == list(range(200 + length - 1, 400)), name


def test_each_row_that_divides_describes_where_it_is_undefined(catalogue: Catalogue) -> None:
    for row in catalogue:
        names = [variant.name for variant in row.variants]
        if row.name.upper() in DIVISORS:
            assert names[:2] == ["standard", "talib"]
            assert DIVISORS[row.name.upper()][1] in row.variants[0].description
        else:
            assert "standard" not in names


# --- the divisors, worked out exactly -----------------------------------------------------------------


def with_ties(n: int, seed: int) -> Columns:
    """Return prices of a few cents and volumes of a few shares: many bars have no change, range or volume."""
    rng = np.random.default_rng(seed)
    still = rng.random(n) < np.repeat(rng.random(n // 20 + 1), 20)[:n]
    close = 1.1 + np.cumsum(np.where(still, 0, rng.integers(-2, 3, n))) * 0.1
    quiet = rng.random(n) < np.repeat(rng.random(n // 20 + 1), 20)[:n]
    high = close + np.where(quiet, 0, rng.integers(0, 2, n)) * 0.1
    low = close - np.where(quiet, 0, rng.integers(0, 2, n)) * 0.1
    volume = np.where(rng.random(n) < np.repeat(rng.random(n // 20 + 1), 20)[:n], 0.0, rng.integers(0, 9, n))
    bars = [np.round(values, 1) for values in (close, high, low, close)]
    return Columns.of(np.arange(n), *bars, volume)


class Exact:
    """The bars as fractions, and the divisors by their definitions in exact arithmetic."""

    def __init__(self, bars: Columns) -> None:
        def exact(values: Float64s) -> list[Fraction]:
            return [Fraction(round(value * 10), 10) for value in values.tolist()]

        self.open, self.high, self.low = exact(bars.open), exact(bars.high), exact(bars.low)
        self.close, self.volume = exact(bars.close), exact(bars.volume)

    def change(self, t: int) -> Fraction:
        return abs(self.close[t] - self.close[t - 1])

    def true_range(self, t: int) -> Fraction:
        return max(self.high[t], self.close[t - 1]) - min(self.low[t], self.close[t - 1])

    def typical(self, t: int) -> Fraction:
        return (self.high[t] + self.low[t] + self.close[t]) / 3

    def flow(self, t: int) -> Fraction:
        return self.typical(t) * self.volume[t] if self.typical(t) != self.typical(t - 1) else Fraction(0)

    def extremes(self, t: int, n: int) -> Fraction:
        return max(self.high[t - n + 1 : t + 1]) - min(self.low[t - n + 1 : t + 1])

    def deviation(self, t: int, n: int) -> Fraction:
        window = [self.typical(i) for i in range(t - n + 1, t + 1)]
        return sum((abs(value - sum(window) / n) for value in window), Fraction(0))

    def movement(self, t: int) -> Fraction:
        up, down = self.high[t] - self.high[t - 1], self.low[t - 1] - self.low[t]
        return (up if up > down and up > 0 else Fraction(0)) + (
            down if down > up and down > 0 else Fraction(0)
        )


def windowed(n: int, term: Callable[[Exact, int], Fraction]) -> Callable[[Exact, int], Fraction]:
    """Return the sum of the last n terms."""
    return lambda exact, t: sum((term(exact, i) for i in range(t - n + 1, t + 1)), Fraction(0))


def so_far(term: Callable[[Exact, int], Fraction], first: int = 1) -> Callable[[Exact, int], Fraction]:
    """Return the sum of all terms, which is zero when their running average is."""
    return lambda exact, t: sum((term(exact, i) for i in range(first, t + 1)), Fraction(0))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("name", "params", "divisor"),
    [
        ("bop", {}, lambda e, t: e.high[t] - e.low[t]),
        ("cci", {"timeperiod": 5}, lambda e, t: e.deviation(t, 5)),
        ("cmf", {"timeperiod": 4}, windowed(4, lambda e, t: e.volume[t])),
        ("cmo", {"timeperiod": 3}, so_far(Exact.change)),
        ("cmou", {"timeperiod": 3}, windowed(3, Exact.change)),
        ("dx", {"timeperiod": 3}, so_far(Exact.movement)),
        ("er", {"timeperiod": 4}, windowed(4, Exact.change)),
        ("marketfi", {}, lambda e, t: e.volume[t]),
        ("mfi", {"timeperiod": 4}, windowed(4, Exact.flow)),
        ("plus_di", {"timeperiod": 3}, so_far(Exact.true_range)),
        ("plus_di", {"timeperiod": 1}, Exact.true_range),
        ("rsi", {"timeperiod": 5}, so_far(Exact.change)),
        ("rvol", {"timeperiod": 3}, lambda e, t: windowed(3, lambda f, i: f.volume[i])(e, t - 1)),
        ("stochf", {"fastk_period": 4}, lambda e, t: e.extremes(t, 4)),
        ("stochf", {"fastk_period": 1}, lambda e, t: e.extremes(t, 1)),
        (
            "ultosc",
            {"timeperiod1": 2, "timeperiod2": 5, "timeperiod3": 9},
            windowed(2, Exact.true_range),
        ),
        ("vhf", {"timeperiod": 4}, windowed(4, Exact.change)),
        ("vortex", {"timeperiod": 3}, windowed(3, Exact.true_range)),
        ("vwap", {}, so_far(lambda e, t: e.volume[t], 0)),
        ("vwma", {"timeperiod": 3}, windowed(3, lambda e, t: e.volume[t])),
        ("willr", {"timeperiod": 3}, lambda e, t: e.extremes(t, 3)),
    ],
)
def test_a_value_is_undefined_exactly_where_its_divisor_is_zero(
    catalogue: Catalogue,
    name: str,
    params: dict[str, float],
    divisor: Callable[[Exact, int], Fraction],
    seed: int,
) -> None:
    """Prices are not exact in binary; where the divisor is not zero, the value is TA-Lib's bit for bit."""
    bars = with_ties(300, seed)
    exact = Exact(bars)
    spec = one_spec(catalogue, name, **params)
    raw = one_spec(catalogue, name, variant="talib", **params)
    first = spec.lookbacks[0]
    zero = np.array([divisor(exact, t) == 0 for t in range(first, len(bars))])
    ours, theirs = over_all_bars(spec, bars)[0][first:], over_all_bars(raw, bars)[0][first:]
    np.testing.assert_array_equal(np.isnan(ours), zero)
    described = spec.indicator.outputs[0]
    clipped = np.clip(theirs, described.minimum, described.maximum)
    np.testing.assert_array_equal(ours[~zero], clipped[~zero])


def test_the_series_of_those_tests_have_divisors_of_both_kinds() -> None:
    share = [np.mean(np.diff(with_ties(300, seed).close) == 0) for seed in range(8)]
    assert min(share) > 0.2
    assert max(share) < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_a_value_does_not_depend_on_later_bars(catalogue: Catalogue, seed: int) -> None:
    """Nor do undefined places, nor the restart after an absurd print."""
    bars = with_ties(260, seed)
    close, high = bars.close.copy(), bars.high.copy()
    close[100] = high[100] = 1e12
    for spec in every_definition(catalogue):
        for each in (bars, with_columns(bars, close=close, high=high)):
            whole = over_all_bars(spec, each)
            for length in (99, 101, 131, 259):
                for part, expected in zip(over_all_bars(spec, each[:length]), whole, strict=True):
                    np.testing.assert_array_equal(part, expected[:length], err_msg=spec.id)


# --- a halt -------------------------------------------------------------------------------------------


def test_a_value_that_is_undefined_in_a_halt_stays_so(catalogue: Catalogue) -> None:
    """It does not flicker with rounding, even if prices and averages are not exact in binary."""
    for price_scale in (1.0, 1e-7, 1e9):
        traded = walk(200)
        scaled = with_columns(
            traded, **{n: getattr(traded, n) * price_scale for n in ("open", "high", "low", "close")}
        )
        bars = halted(scaled, 700)
        for spec in definitions(catalogue):
            for values in over_all_bars(spec, bars):
                undefined = np.flatnonzero(~np.isfinite(values[200:]))
                if len(undefined) and spec.indicator.name not in NEVER | {"ht_dcphase"}:
                    assert len(undefined) == 700 - undefined[0], spec.id


def test_a_running_average_remembers_a_halt_s_last_move_for_37_periods(catalogue: Catalogue) -> None:
    """Gains and losses shrink alike, so the RSI stays until no digit of them is left."""
    bars = halted(walk(200), 37 * 14 + 10)
    for name in ("rsi", "cmo", "dx", "plus_di", "minus_di", "adx"):
        [values] = over_all_bars(one_spec(catalogue, name, timeperiod=14), bars)
        undefined = np.flatnonzero(np.isnan(values[100:])) + 100
        assert undefined[0] == 200 + 37 * 14 - 1, name
        assert undefined[-1] == len(bars) - 1
    [rsi] = over_all_bars(one_spec(catalogue, "rsi"), bars)
    np.testing.assert_allclose(rsi[200 : 200 + 37 * 14 - 1], rsi[199], rtol=1e-12)


def test_an_average_of_undefined_values_is_undefined_while_one_is_in_its_window(catalogue: Catalogue) -> None:
    bars = joined(walk(50), flat(9), walk(50, seed=4))
    [fast_k, fast_d] = over_all_bars(one_spec(catalogue, "stochf", fastk_period=5, fastd_period=3), bars)
    assert np.flatnonzero(np.isnan(fast_k)).tolist() == [0, 1, 2, 3, *range(54, 59)]
    assert np.flatnonzero(np.isnan(fast_d)).tolist() == [*range(6), *range(54, 61)]
    theirs = talib.STOCHF(bars.high, bars.low, bars.close, 5, 3)[1]
    np.testing.assert_array_equal(fast_d[61:], np.clip(theirs[61:], 0, 100))


def test_a_running_average_starts_again_after_an_undefined_value(catalogue: Catalogue) -> None:
    before, after = walk(50), walk(60, seed=4)
    bars = joined(before, flat(15, float(before.close[-1])), after)
    spec = one_spec(catalogue, "kdj", fastk_period=5)
    [k, d, j] = over_all_bars(spec, bars)
    first = 50 + 15  # the first bar whose window of five moved
    assert np.isnan(k[first - 1])
    assert np.flatnonzero(np.isfinite(k[first:]))[0] == 2
    assert np.flatnonzero(np.isfinite(d[first:]))[0] == 4
    fast_k = talib.STOCHF(bars.high, bars.low, bars.close, 5, 1, 0)[0]
    np.testing.assert_array_equal(k[first:], talib.RMA(fast_k[first:].copy(), 3))
    np.testing.assert_array_equal(j[first + 4 :], (3 * k - 2 * d)[first + 4 :])


def test_adx_starts_when_its_directional_index_does(catalogue: Catalogue) -> None:
    """TA-Lib counts bars without movement as an index of 0, so its ADX is too low for some hundred bars."""
    bars = joined(flat(40, 100.0, 1.0), walk(300))
    for variant in ("standard", "wilder"):
        [dx] = over_all_bars(one_spec(catalogue, "dx", variant=variant), bars)
        [adx] = over_all_bars(one_spec(catalogue, "adx", variant=variant), bars)
        assert np.flatnonzero(np.isfinite(dx))[0] == 40
        assert np.flatnonzero(np.isfinite(adx))[0] == 53
        assert adx[53] == pytest.approx(dx[40:54].mean())
        for t in range(54, len(bars)):
            assert adx[t] == pytest.approx((13 * adx[t - 1] + dx[t]) / 14)
    [adxr] = over_all_bars(one_spec(catalogue, "adxr"), bars)
    assert np.flatnonzero(np.isfinite(adxr))[0] == 66


def test_small_prices_are_not_taken_for_zero(catalogue: Catalogue) -> None:
    """A coin at a hundred-millionth moves like one at a hundred."""
    bars = walk(300)
    small = with_columns(bars, **{n: getattr(bars, n) * 2.0**-60 for n in ("open", "high", "low", "close")})
    for spec in definitions(catalogue):
        if spec.indicator.name in NEVER | {"ppo"}:
            continue  # TA-Lib's own limit: an average below 1e-14
        for ours, expected in zip(over_all_bars(spec, small), over_all_bars(spec, bars), strict=True):
            np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(expected), err_msg=spec.id)


def test_rounding_is_not_movement(catalogue: Catalogue) -> None:
    """A client's own series may alternate between 0.3 and 0.1 + 0.2."""
    noise = np.where(np.arange(200) % 2 == 0, 0.3, 0.1 + 0.2)
    bars = Columns.of(np.arange(200), noise, np.full(200, 0.1 + 0.2), np.full(200, 0.3), noise, np.ones(200))
    whole, _ = undefined_rows(catalogue, bars)
    assert whole >= {"rsi", "stoch", "willr", "cci", "er", "cmo", "adx", "ultosc", "mfi", "stochrsi", "vhf"}


def test_values_stay_within_their_bounds(catalogue: Catalogue) -> None:
    """TA-Lib's running sums pass them by rounding."""
    bars = walk(2000)
    theirs = talib.STOCHRSI(bars.close)
    assert np.nanmin(theirs[1]) < 0.0
    for bars in (walk(2000), rise(300), halted(walk(200), 30), with_ties(2000, 1)):
        for spec in every_definition(catalogue):
            if spec.variant.name == "talib" and len(spec.indicator.variants) > 1:
                continue
            for described, values in zip(spec.indicator.outputs, compute(Inputs(bars), spec), strict=True):
                kept = values[np.isfinite(values)]
                assert (kept >= described.minimum).all(), (spec.id, described.name, kept.min())
                assert (kept <= described.maximum).all(), (spec.id, described.name, kept.max())
