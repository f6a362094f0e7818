"""An outside opinion: expected values of another library, for 502 daily bars.

Where it and TA-Lib differ, the test says how: another variant, a shift, a constant, or a seed that fades.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from finstage_market.columns import Columns, Float64s
from services.indicators.catalogue import Catalogue

from .conftest import one_spec, over_all_bars


class Opinion:
    """The expected values, and ours over all bars, with NaN before the first one."""

    def __init__(self, folder: Path, bars: Columns, catalogue: Catalogue) -> None:
        self._folder, self._bars, self._catalogue = folder, bars, catalogue

    def expected(self, file: str, field: str) -> Float64s:
        rows = json.loads((self._folder / f"{file}.json").read_text())
        return np.array([np.nan if row.get(field) is None else row[field] for row in rows], dtype=float)

    def ours(self, name: str, output: str, *, variant: str = "", **params: float) -> Float64s:
        spec = one_spec(self._catalogue, name, variant=variant, **params)
        index = [each.name for each in spec.indicator.outputs].index(output)
        return over_all_bars(spec, self._bars)[index]


@pytest.fixture(scope="session")
def opinion(fixtures: Path, daily: Columns, catalogue: Catalogue) -> Opinion:
    return Opinion(fixtures / "indicators", daily, catalogue)


@pytest.mark.parametrize(
    ("file", "field", "name", "output", "params"),
    [
        ("atr", "atr", "atr", "real", {"timeperiod": 14}),
        ("atr", "atrp", "natr", "real", {"timeperiod": 14}),
        ("bb", "upperBand", "bbands", "upperband", {"timeperiod": 20}),
        ("bb", "sma", "bbands", "middleband", {"timeperiod": 20}),
        ("bb", "lowerBand", "bbands", "lowerband", {"timeperiod": 20}),
        ("ema", "ema", "ema", "real", {"timeperiod": 20}),
        ("hma", "hma", "hma", "real", {"timeperiod": 14}),
        ("roc", "roc", "roc", "real", {"timeperiod": 14}),
        ("roc", "momentum", "mom", "real", {"timeperiod": 14}),
        ("rsi", "rsi", "rsi", "real", {"timeperiod": 14}),
        ("sma", "sma", "sma", "real", {"timeperiod": 20}),
        ("stoch", "d", "stoch", "slowd", {"fastk_period": 14}),
        ("stoch", "k", "stoch", "slowk", {"fastk_period": 14}),
        ("supertrend", "superTrend", "supertrend", "supertrend", {"timeperiod": 10, "multiplier": 3}),
        ("tr", "tr", "trange", "real", {}),
        ("vwap", "vwap", "vwap", "real", {}),
        ("willr", "williamsR", "willr", "real", {"timeperiod": 14}),
        ("wma", "wma", "wma", "real", {"timeperiod": 14}),
    ],
)
def test_talib_agrees(
    opinion: Opinion, file: str, field: str, name: str, output: str, params: dict[str, float]
) -> None:
    """They agree from the same bar on, to the twelfth digit."""
    np.testing.assert_allclose(
        opinion.ours(name, output, **params), opinion.expected(file, field), rtol=1e-12, atol=1e-10
    )


@pytest.mark.parametrize(
    ("output", "field"),
    [
        ("tenkan", "tenkanSen"),
        ("kijun", "kijunSen"),
        ("senkou_a", "senkouSpanA"),
        ("senkou_b", "senkouSpanB"),
    ],
)
def test_ichimoku_agrees_from_each_line_s_own_first_bar(opinion: Opinion, output: str, field: str) -> None:
    """The leading spans stand where they are drawn."""
    np.testing.assert_array_equal(opinion.ours("ichimoku", output), opinion.expected("ichimoku", field))


def test_ichimoku_s_lagging_span_is_given_when_it_is_known(opinion: Opinion) -> None:
    """The other library gives the close of 26 bars later; ours never depends on a later bar."""
    ours, expected = opinion.ours("ichimoku", "chikou"), opinion.expected("ichimoku", "chikouSpan")
    np.testing.assert_array_equal(ours[26:], expected[:-26])


def test_the_independent_macd_is_that_of_most_charts(opinion: Opinion) -> None:
    for output, field in (("macd", "macd"), ("macdsignal", "signal"), ("macdhist", "histogram")):
        ours = opinion.ours("macd", output, variant="independent")
        np.testing.assert_allclose(ours, opinion.expected("macd", field), rtol=1e-11, atol=1e-12)


def test_talib_s_macd_converges_to_it(opinion: Opinion) -> None:
    """TA-Lib delays the seed of the fast EMA."""
    off = np.abs(opinion.ours("macd", "macd") - opinion.expected("macd", "macd"))
    assert off[33] > 0.01
    assert off[60] < 0.01
    assert off[150:].max() < 1e-8


def test_keltner_around_the_close_is_the_variant_close(opinion: Opinion) -> None:
    for output, field in (
        ("upperband", "upperBand"),
        ("middleband", "centerline"),
        ("lowerband", "lowerBand"),
    ):
        ours, expected = opinion.ours("kc", output, variant="close"), opinion.expected("keltner", field)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
        assert np.nanmax(np.abs(opinion.ours("kc", output) - expected)) > 0.1  # TA-Lib: the typical price


def test_donchian_includes_the_bar_itself(opinion: Opinion) -> None:
    """The other library's channel excludes the bar."""
    for output, field in (
        ("upperband", "upperBand"),
        ("middleband", "centerline"),
        ("lowerband", "lowerBand"),
    ):
        ours, expected = opinion.ours("donchian", output), opinion.expected("donchian", field)
        np.testing.assert_array_equal(ours[19:-1], expected[20:])


def test_obv_starts_at_the_first_bar_s_volume(opinion: Opinion, daily: Columns) -> None:
    """The other library starts at 0."""
    np.testing.assert_array_equal(
        opinion.ours("obv", "real") - daily.volume[0], opinion.expected("obv", "obv")
    )


@pytest.mark.parametrize(("name", "field"), [("adx", "adx"), ("plus_di", "pdi"), ("dx", "dx")])
def test_directional_movement_converges(opinion: Opinion, name: str, field: str) -> None:
    """TA-Lib's first sums have one bar fewer."""
    off = np.abs(opinion.ours(name, "real") - opinion.expected("adx", field))
    assert np.nanmax(off) > 0.1
    assert off[-100:].max() < 1e-9


@pytest.mark.parametrize(
    ("name", "field", "rtol"),
    [("adx", "adx", 1e-11), ("dx", "dx", 1e-11), ("plus_di", "pdi", 1e-11), ("minus_di", "mdi", 1e-11)],
)
def test_wilder_s_directional_movement_agrees_from_its_first_bar(
    opinion: Opinion, name: str, field: str, rtol: float
) -> None:
    np.testing.assert_allclose(
        opinion.ours(name, "real", variant="wilder"), opinion.expected("adx", field), rtol=rtol
    )


def test_wilder_s_adxr_agrees(opinion: Opinion) -> None:
    np.testing.assert_allclose(
        opinion.ours("adxr", "real", variant="wilder"), opinion.expected("adx", "adxr"), rtol=1e-11
    )


def test_adxr_reaches_back_one_bar_less(opinion: Opinion) -> None:
    """TA-Lib's ADXR(n) is the mean of ADX now and n − 1 bars before; the other library takes n bars."""
    np.testing.assert_allclose(
        opinion.ours("adxr", "real")[-300:],
        ((adx := opinion.ours("adx", "real")) + np.roll(adx, 13))[-300:] / 2,
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        opinion.expected("adx", "adxr")[-300:], (adx + np.roll(adx, 14))[-300:] / 2, rtol=1e-5
    )


def test_parabolic_sar_meets_at_a_turn(opinion: Opinion) -> None:
    """The first trend is guessed differently; after a turn both agree.

    The bar of the turn itself is an exception: TA-Lib keeps the stop out of its range too.
    """
    off = np.abs(opinion.ours("sar", "real") - opinion.expected("psar", "sar"))
    turns = opinion.expected("psar", "isReversal") == 1
    assert np.nanmax(off) > 1
    assert off[100:][~turns[100:]].max() < 1e-9
    assert off[100:][turns[100:]].max() < 0.5
