"""Our own definitions, against a slow and obvious implementation."""

import re

import numpy as np
import pytest
import talib

from finstage_market.columns import Columns
from services.indicators import overrides
from services.indicators.catalogue import Catalogue, IndicatorClass
from services.indicators.compute import compute
from services.indicators.inputs import Inputs
from services.indicators.variants import EHLERS

from .conftest import one_spec, over_all_bars


def test_cutler_s_rsi_is_the_share_of_gains_in_the_window(catalogue: Catalogue, daily: Columns) -> None:
    [values] = compute(Inputs(daily), one_spec(catalogue, "rsi", variant="cutler", timeperiod=14))
    changes = np.diff(daily.close)
    for t in range(14, len(daily)):
        window = changes[t - 14 : t]
        up, down = window[window > 0].sum(), -window[window < 0].sum()
        assert values[t - 14] == pytest.approx(100 * up / (up + down), abs=1e-9)


def test_ema_rsi_smooths_gains_and_losses_with_2_over_n_plus_1(catalogue: Catalogue, daily: Columns) -> None:
    [values] = compute(Inputs(daily), one_spec(catalogue, "rsi", variant="ema", timeperiod=14))
    changes = np.diff(daily.close)
    up, down = np.maximum(changes[:14], 0).mean(), np.maximum(-changes[:14], 0).mean()
    for t in range(14, len(daily)):
        if t > 14:
            up += (max(changes[t - 1], 0) - up) * 2 / 15
            down += (max(-changes[t - 1], 0) - down) * 2 / 15
        assert values[t - 14] == pytest.approx(100 * up / (up + down), abs=1e-9)


def test_session_vwap_starts_anew_each_day(catalogue: Catalogue, minutes: Columns) -> None:
    """Each of the four sessions has the VWAP that TA-Lib gives for it alone."""
    [values] = compute(Inputs(minutes), one_spec(catalogue, "vwap", variant="session"))
    days = minutes.open_time_ms // 86_400_000
    assert len(np.unique(days)) == 4
    for day in np.unique(days):
        bars = minutes[days == day]
        expected = talib.VWAP(bars.high, bars.low, bars.close, bars.volume)
        np.testing.assert_allclose(values[days == day], expected, rtol=1e-15)


def test_session_vwap_s_day_is_the_exchange_s(catalogue: Catalogue) -> None:
    """01:00 in Tokyo is another day, and in UTC still the day before."""
    times = np.array(["2024-03-05T14:30", "2024-03-05T15:30", "2024-03-05T16:30"], dtype="datetime64[ms]")
    prices, volume = np.array([1.0, 2.0, 4.0]), np.ones(3)
    bars = Columns.of(times.astype(np.int64), prices, prices, prices, prices, volume)
    spec = one_spec(catalogue, "vwap", variant="session")
    assert compute(Inputs(bars), spec)[0].tolist() == pytest.approx([1, 1.5, 7 / 3])
    assert compute(Inputs(bars, time_zone="Asia/Tokyo"), spec)[0].tolist() == [1, 2, 3]


def test_session_vwap_has_no_value_before_the_first_volume(catalogue: Catalogue, minutes: Columns) -> None:
    """Providers send the first bar of a session without volume; TA-Lib's VWAP is 0 there."""
    day = minutes[minutes.open_time_ms // 86_400_000 == minutes.open_time_ms[0] // 86_400_000]
    bars = Columns.of(
        day.open_time_ms, day.open, day.high, day.low, day.close, np.concatenate(([0.0, 0.0], day.volume[2:]))
    )
    [values] = compute(Inputs(bars), one_spec(catalogue, "vwap", variant="session"))
    assert np.isnan(values[:2]).all()
    assert np.isfinite(values[2:]).all()
    assert np.isnan(compute(Inputs(bars), one_spec(catalogue, "vwap"))[0][:2]).all()
    assert compute(Inputs(bars), one_spec(catalogue, "vwap", variant="talib"))[0][0] == 0.0


def test_session_vwap_of_daily_bars_is_the_typical_price(catalogue: Catalogue, daily: Columns) -> None:
    [values] = compute(Inputs(daily), one_spec(catalogue, "vwap", variant="session"))
    np.testing.assert_allclose(values, talib.TYPPRICE(daily.high, daily.low, daily.close), rtol=1e-15)


def test_ichimoku_is_lines_of_midpoints(catalogue: Catalogue, daily: Columns) -> None:
    spec = one_spec(catalogue, "ichimoku", tenkanperiod=3, kijunperiod=8, senkouperiod=5, displacement=4)
    assert spec.lookbacks == (2, 7, 11, 8, 0, 7, 4)
    lines = over_all_bars(spec, daily)

    def middle(t: int, n: int) -> float:
        return float((daily.high[t - n + 1 : t + 1].max() + daily.low[t - n + 1 : t + 1].min()) / 2)

    for t in range(11, len(daily)):
        expected = (
            middle(t, 3),
            middle(t, 8),
            (middle(t - 4, 3) + middle(t - 4, 8)) / 2,
            middle(t - 4, 5),
            daily.close[t],
            (middle(t, 3) + middle(t, 8)) / 2,
            middle(t, 5),
        )
        assert [line[t] for line in lines] == pytest.approx(expected)


def test_ichimoku_gives_the_cloud_ahead_of_the_last_bar(catalogue: Catalogue, daily: Columns) -> None:
    """The last 26 values of the spans ahead are known now and drawn at later bars."""
    spec = one_spec(catalogue, "ichimoku")
    now, later = over_all_bars(spec, daily[:400]), over_all_bars(spec, daily[:426])
    for drawn, ahead in ((2, 5), (3, 6)):
        np.testing.assert_array_equal(now[ahead][-26:], later[drawn][-26:])


def test_ichimoku_without_displacement_stands_on_its_own_bar(catalogue: Catalogue, daily: Columns) -> None:
    tenkan, kijun, senkou_a, *_ = over_all_bars(one_spec(catalogue, "ichimoku", displacement=0), daily)
    np.testing.assert_array_equal(senkou_a, (tenkan + kijun) / 2)


def test_the_stochastic_rsi_of_charts_smooths_k_too(catalogue: Catalogue, daily: Columns) -> None:
    """14, 14, 3, 3: where the RSI lies in its range of 14 values, averaged over 3, and again."""
    spec = one_spec(catalogue, "stochrsi", variant="chart")
    assert spec.lookbacks == (29, 31)
    rsi = talib.RSI(daily.close, 14)
    raw = np.full(len(daily), np.nan)
    for t in range(27, len(daily)):
        window = rsi[t - 13 : t + 1]
        raw[t] = 100 * (rsi[t] - window.min()) / (window.max() - window.min())
    k = np.array([raw[t - 2 : t + 1].mean() if t >= 29 else np.nan for t in range(len(daily))])
    d = np.array([k[t - 2 : t + 1].mean() if t >= 31 else np.nan for t in range(len(daily))])
    for ours, expected in zip(over_all_bars(spec, daily), (k, d), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_chande_s_cmo_is_not_smoothed(catalogue: Catalogue, daily: Columns) -> None:
    [ours] = over_all_bars(one_spec(catalogue, "cmo", variant="chande"), daily)
    [cmou] = over_all_bars(one_spec(catalogue, "cmou"), daily)
    np.testing.assert_array_equal(ours, cmou)
    changes = np.diff(daily.close[:15])
    up, down = changes[changes > 0].sum(), -changes[changes < 0].sum()
    assert ours[14] == pytest.approx(100 * (up - down) / (up + down))


@pytest.mark.parametrize("name", EHLERS)
def test_ehlers_definitions_are_of_the_middle_of_the_range(
    catalogue: Catalogue, daily: Columns, name: str
) -> None:
    ours = over_all_bars(one_spec(catalogue, name, variant="ehlers"), daily)
    for values, expected in zip(
        ours, over_all_bars(one_spec(catalogue, name, source="HL2"), daily), strict=True
    ):
        np.testing.assert_array_equal(values, expected)
    of_open = over_all_bars(one_spec(catalogue, name, variant="ehlers", source="OPEN"), daily)
    assert not np.array_equal(of_open[0], ours[0], equal_nan=True)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("cci", {"timeperiod": 20}),
        ("kama", {"timeperiod": 10}),
        ("stoch", {"fastk_period": 14}),
        ("stochf", {"fastk_period": 14}),
        ("trix", {"timeperiod": 15}),
    ],
)
def test_the_variant_chart_has_the_parameters_of_charts(
    catalogue: Catalogue, daily: Columns, name: str, params: dict[str, float]
) -> None:
    ours = over_all_bars(one_spec(catalogue, name, variant="chart"), daily)
    for values, expected in zip(ours, over_all_bars(one_spec(catalogue, name, **params), daily), strict=True):
        np.testing.assert_array_equal(values, expected)


def test_what_differs_from_charts_is_said_and_is_there_as_a_variant(catalogue: Catalogue) -> None:
    """A text that names a variant names one of the row."""
    for name, text in overrides.CHARTS.items():
        row = catalogue.find(name)
        assert row is not None
        assert text in row.variants[0].description
        for named in re.findall(r"variant (\w+)", text):
            assert named in {variant.name for variant in row.variants}, name


@pytest.mark.parametrize(
    ("name", "variant", "class_"),
    [
        ("rsi", "cutler", IndicatorClass.WINDOW),
        ("rsi", "ema", IndicatorClass.DECAYING),
        ("macd", "independent", IndicatorClass.DECAYING),
        ("kc", "close", IndicatorClass.DECAYING),
        ("vwap", "session", IndicatorClass.DECAYING),
        ("ichimoku", "hosoda", IndicatorClass.WINDOW),
        ("cmo", "chande", IndicatorClass.WINDOW),
        ("adx", "wilder", IndicatorClass.DECAYING),
        ("adxr", "wilder", IndicatorClass.DECAYING),
        ("dx", "wilder", IndicatorClass.DECAYING),
        ("plus_di", "wilder", IndicatorClass.DECAYING),
        ("minus_di", "wilder", IndicatorClass.DECAYING),
        ("stochrsi", "chart", IndicatorClass.DECAYING),
    ],
)
def test_a_variant_s_class_matches_the_numbers(
    catalogue: Catalogue, minutes: Columns, name: str, variant: str, class_: IndicatorClass
) -> None:
    spec = one_spec(catalogue, name, variant=variant)
    assert spec.class_ is class_
    whole = [values[-1] for values in compute(Inputs(minutes), spec)]
    first = len(minutes) - max(spec.lookbacks) - 1
    window = [v[-1] for v in compute(Inputs(minutes[first:]), spec)]
    longer = [v[-1] for v in compute(Inputs(minutes[len(minutes) - 1000 :]), spec)]
    assert np.allclose(whole, window, rtol=1e-9) == (class_ is IndicatorClass.WINDOW)
    assert np.allclose(whole, longer, rtol=1e-9)
