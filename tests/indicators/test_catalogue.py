"""The catalogue against TA-Lib itself."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import talib

from finstage_market.columns import Columns
from services.indicators import overrides
from services.indicators.averages import CHAINS, ma_lookback
from services.indicators.catalogue import Catalogue, IndicatorClass, ParameterType, Params
from services.indicators.compute import compute
from services.indicators.inputs import Inputs, Source
from services.indicators.specs import Spec
from services.indicators.undefined import DIVISORS

from .conftest import one_spec, over_all_bars


def test_every_function_is_in_the_catalogue_but_those_left_out_with_a_reason(catalogue: Catalogue) -> None:
    own = {"ichimoku"}
    assert {row.name.upper() for row in catalogue} == set(talib.get_functions()) - set(overrides.LEFT_OUT) | {
        name.upper() for name in own
    }


def test_every_row_is_described(catalogue: Catalogue) -> None:
    for row in catalogue:
        assert row.name == row.name.lower()
        assert row.display_name
        assert row.group
        assert set(row.inputs) <= {"open", "high", "low", "close", "volume", "source"}
        assert all(output.name and output.description for output in row.outputs)
        assert all(variant.name and variant.description for variant in row.variants)
        for parameter in row.parameters:
            assert parameter.description
            assert parameter.minimum <= parameter.default <= parameter.maximum
            assert bool(parameter.choices) == (parameter.type is ParameterType.CHOICE)
        for variant in row.variants:
            assert all(order.holds(row.default_params(variant)) for order in row.ordered)
            assert set(variant.defaults) <= {parameter.name for parameter in row.parameters}


def test_overrides_name_only_existing_functions() -> None:
    functions = set(talib.get_functions())
    named = {name for name, _ in overrides.MIN_OF} | overrides.DECAYING | overrides.PATH_DEPENDENT
    named |= overrides.RUNNING_SUMS | set(DIVISORS) | set(CHAINS)
    for table in (overrides.ORDERED, overrides.OUTPUTS, overrides.DISPLAY_NAMES, overrides.BOUNDS):
        named |= set(table)
    assert named | set(overrides.CHARTS) | set(overrides.REFUSED) <= functions


def test_described_outputs_match_talib(catalogue: Catalogue) -> None:
    for name, described in overrides.OUTPUTS.items():
        row = catalogue.find(name)
        assert row is not None
        assert {output.name for output in row.outputs} == set(described)


def test_bounds_match_those_that_talib_enforces(catalogue: Catalogue, daily: Columns) -> None:
    """TA-Lib computes at the catalogue's bounds, and refuses one step beyond."""
    inputs = Inputs(daily)
    wrong = []
    for row in catalogue:
        raw = {variant.name: variant for variant in row.variants}.get("talib")
        if raw is None:
            continue
        for parameter in row.parameters:
            if parameter.type is ParameterType.REAL:
                beyond = (
                    np.nextafter(parameter.minimum, -math.inf) - 1e-9,
                    np.nextafter(parameter.maximum, math.inf) * (1 + 1e-9),
                )
            else:
                beyond = (parameter.minimum - 1, parameter.maximum + 1)
            for value, accepted in (
                (parameter.minimum, True),
                (parameter.maximum, True),
                (beyond[0], False),
                (beyond[1], False),
            ):
                params: Params = row.default_params() | {parameter.name: value}
                try:
                    function = getattr(talib, row.name.upper())
                    function(*(inputs.read(name, Source.CLOSE) for name in row.inputs), **params)
                    error = ""
                except Exception as raised:
                    error = str(raised)
                if accepted != (error == "") or (error and "Bad Parameter" not in error):
                    wrong.append((row.name, parameter.name, value))
    assert not wrong


def periods(catalogue: Catalogue) -> list[Spec]:
    """Return every definition with its defaults, shortest periods, odd periods, and each moving average."""
    found = []
    for row in catalogue:
        integers = [p for p in row.parameters if p.type is ParameterType.INTEGER]
        choices = [p for p in row.parameters if p.type is ParameterType.CHOICE]
        sets: list[Params] = [{}]
        sets.append({p.name: p.minimum + rank for rank, p in enumerate(integers)})
        sets.append({p.name: 5 + 4 * rank for rank, p in enumerate(integers)})
        for value, _ in choices[0].choices if choices else ():
            sets.append(
                {p.name: value for p in choices} | {p.name: 4 + 3 * r for r, p in enumerate(integers)}
            )
        for params in sets:
            if all(order.holds(row.default_params() | params) for order in row.ordered):
                found += [
                    one_spec(catalogue, row.name, variant=variant.name, **params) for variant in row.variants
                ]
    return found


def test_the_lookback_is_the_number_of_bars_before_the_first_value(
    catalogue: Catalogue, long_daily: Columns
) -> None:
    """With exactly lookback bars TA-Lib has no value; with one more it has one.

    It holds for every definition and many parameters.
    """
    specs = periods(catalogue)
    assert len(specs) > 500
    for spec in specs:
        arguments = (spec.read_source, spec.params)
        for index, lookback in enumerate(spec.lookbacks):
            values = spec.variant.run(Inputs(long_daily[: lookback + 1]), *arguments)[index]
            assert len(values) == lookback + 1, spec.id
            # The range and the variance of one value are 0.
            never = (spec.indicator.name, 1) in {
                ("stochrsi", spec.params.get("fastk_period")),
                ("beta", spec.params.get("timeperiod")),
                ("correl", spec.params.get("timeperiod")),
            }
            if lookback and spec.indicator.name not in {"acos", "asin"} and values.dtype == np.float64:
                assert np.isfinite(values[-1]) != (never and spec.variant.name != "talib"), spec.id
            if lookback and spec.variant.name == "talib":
                short = spec.variant.run(Inputs(long_daily[:lookback]), *arguments)[index]
                assert not (np.isfinite(short) if short.dtype == np.float64 else short).any(), spec.id


def test_all_outputs_have_a_value_where_talib_s_first_is(catalogue: Catalogue) -> None:
    for spec in periods(catalogue):
        if spec.variant.name == "talib":
            function = talib.abstract.Function(spec.indicator.name)
            function.set_parameters(spec.params)
            assert max(spec.lookbacks) == function.lookback, spec.id


def test_an_average_s_lookback_is_talib_s() -> None:
    for kind in overrides.MA_NAMES:
        for period in (1, 2, 3, 4, 5, 9, 14, 15, 16, 17, 30, 101):
            if kind != overrides.MA_DEFAULT:
                expected = talib.abstract.Function("MA", timeperiod=period, matype=kind).lookback
                assert ma_lookback(period, kind) == expected, (kind, period)


# They usually meet at a turn of the trend, but there may be no turn.
TURNS = {"sar", "sarext", "supertrend"}


def last_values(bars: Columns, spec: Spec, rows: slice) -> list[float]:
    """Return the last value of each output, computed from `rows` of `bars` alone."""
    return [float(values[-1]) for values in compute(Inputs(bars[rows]), spec)]


def test_the_class_matches_the_numbers(catalogue: Catalogue, long_daily: Columns) -> None:
    """The class decides how many bars give the value.

    WINDOW: the last lookback + 1 bars. DECAYING: 1,400 bars, nearly. PATH_DEPENDENT: only the whole series.
    """
    wrong = []
    for row in catalogue:
        spec = one_spec(catalogue, row.name)
        whole = compute(Inputs(long_daily), spec)
        if spec.variant.name == "standard":
            spec = replace(spec, variant={each.name: each for each in row.variants}["talib"])
            whole = compute(Inputs(long_daily), spec)
        scales = [max(1e-9, float(np.nanmax(np.abs(np.where(np.isfinite(v), v, 0.0))))) for v in whole]

        def differs(length: int, row_step: int, whole=whole, scales=scales, spec=spec) -> bool:
            for t in range(len(long_daily) - 1, 1500, -row_step):
                part = last_values(long_daily, spec, slice(t + 1 - length, t + 1))
                for values, value, scale in zip(whole, part, scales, strict=True):
                    expected = float(values[t - len(long_daily)])
                    same = math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-9 * scale)
                    if not same and (math.isfinite(value) or math.isfinite(expected)):
                        return True
            return False

        expected = row.variants[0].class_of(spec.params)
        if not differs(max(spec.lookbacks) + 1, 7):
            measured = IndicatorClass.WINDOW
        elif not differs(1400, 150) and row.name not in TURNS:
            measured = IndicatorClass.DECAYING
        else:
            measured = IndicatorClass.PATH_DEPENDENT
        if measured is not expected:
            wrong.append((row.name, expected, measured))
    assert not wrong


def test_a_window_value_depends_on_its_output_s_lookback(catalogue: Catalogue, long_daily: Columns) -> None:
    """Not on that of the fastest output: slowd, fastd, macdsignal and the leading spans need more bars."""
    slower = set()
    for row in catalogue:
        spec = one_spec(catalogue, row.name)
        if spec.class_ is not IndicatorClass.WINDOW or len(row.outputs) == 1:
            continue
        whole = over_all_bars(spec, long_daily)
        for index, lookback in enumerate(spec.lookbacks):
            for t in range(len(long_daily) - 1, 1500, -101):
                part = over_all_bars(spec, long_daily[t - lookback : t + 1])[index]
                assert part[-1] == pytest.approx(whole[index][t], rel=1e-6, abs=1e-9, nan_ok=True), (
                    spec.id,
                    index,
                )
            if lookback > spec.lookback:
                slower.add(row.name)
    assert slower == {"ichimoku", "macdext", "stoch", "stochf"}


def test_the_class_follows_the_kind_of_moving_average(catalogue: Catalogue) -> None:
    ma = catalogue.find("ma")
    apo = catalogue.find("apo")
    assert ma is not None
    assert apo is not None
    classes = {value: one_spec(catalogue, "ma", matype=value).class_ for value, _ in ma.parameters[1].choices}
    assert {value for value, c in classes.items() if c is IndicatorClass.DECAYING} == overrides.DECAYING_MA
    assert one_spec(catalogue, "apo", matype=overrides.MA_DEFAULT).class_ is IndicatorClass.DECAYING
    assert one_spec(catalogue, "ma", matype=overrides.MA_DEFAULT).class_ is IndicatorClass.WINDOW
    assert one_spec(catalogue, "apo", matype=0).class_ is IndicatorClass.WINDOW


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("smaa", "sma"),
        ("bollinger", "bbands"),
        ("keltner", "kc"),
        ("stochastic", "stoch"),
        ("moving average", "ma"),
        ("RSI14", "rsi"),
        ("hull", "hma"),
    ],
)
def test_a_wrong_name_suggests_the_nearest(catalogue: Catalogue, name: str, first: str) -> None:
    assert catalogue.nearest(name)[0] == first


def test_an_unrelated_name_gets_no_suggestion(catalogue: Catalogue) -> None:
    assert catalogue.nearest("qqqqqq") == []
    assert catalogue.nearest("") == []
    assert catalogue.nearest("x" * 100_000) == []


def test_the_readme_s_table_of_classes_matches_the_catalogue(catalogue: Catalogue) -> None:
    readme = (Path(overrides.__file__).parent / "README.md").read_text()
    for class_ in (IndicatorClass.PATH_DEPENDENT, IndicatorClass.DECAYING):
        [line] = [line for line in readme.splitlines() if line.startswith(f"| `{class_}`")]
        named = line.replace("`", "").split("|")[2].replace(" ", "").split(",")
        of_class = [row.name for row in catalogue if one_spec(catalogue, row.name).class_ is class_]
        assert named == of_class
