"""Ichimoku, which TA-Lib does not have."""

import numpy as np
import talib

from finstage_market.columns import Float64s
from services.indicators.catalogue import (
    Indicator,
    IndicatorClass,
    Output,
    Parameter,
    ParameterType,
    Params,
    Variant,
)
from services.indicators.inputs import Inputs, Source
from services.indicators.overrides import MAX_PERIOD


def ichimoku(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return Hosoda's lines: midpoints of the highest high and the lowest low, and the close.

    A leading span is given twice: at the bar that it is computed from (ahead), and at the bar where it is
    drawn, `displacement` later.
    """
    bars = inputs.columns
    tenkan, kijun, ahead_b = (
        talib.MIDPRICE(bars.high, bars.low, params[name])
        for name in ("tenkanperiod", "kijunperiod", "senkouperiod")
    )
    ahead_a = (tenkan + kijun) / 2
    shift = min(int(params["displacement"]), len(bars))
    drawn = [
        np.concatenate((np.full(shift, np.nan), line[: len(line) - shift])) for line in (ahead_a, ahead_b)
    ]
    return tenkan, kijun, *drawn, bars.close, ahead_a, ahead_b


def ichimoku_lookbacks(params: Params) -> tuple[int, ...]:
    """Return those of the lines."""
    tenkan, kijun, ahead_b = (int(params[f"{name}period"]) - 1 for name in ("tenkan", "kijun", "senkou"))
    ahead_a, shift = max(tenkan, kijun), int(params["displacement"])
    return tenkan, kijun, ahead_a + shift, ahead_b + shift, 0, ahead_a, ahead_b


def _periods(**periods: tuple[int, int, str]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(name, ParameterType.INTEGER, default, minimum, MAX_PERIOD, text)
        for name, (default, minimum, text) in periods.items()
    )


ICHIMOKU = Indicator(
    name="ichimoku",
    display_name="Ichimoku Kinko Hyo",
    group="Overlap Studies",
    inputs=("high", "low", "close"),
    parameters=_periods(
        tenkanperiod=(9, 2, "Number of bars of the conversion line"),
        kijunperiod=(26, 2, "Number of bars of the base line"),
        senkouperiod=(52, 2, "Number of bars of the second leading span"),
        displacement=(26, 0, "Number of bars by which the leading spans are drawn ahead"),
    ),
    outputs=(
        Output("tenkan", "The conversion line: the middle of the last tenkanperiod bars' range"),
        Output("kijun", "The base line: the middle of the last kijunperiod bars' range"),
        Output(
            "senkou_a",
            "The leading span A drawn at this bar: the mean of tenkan and kijun, displacement bars before",
        ),
        Output(
            "senkou_b",
            "The leading span B drawn at this bar: the middle of senkouperiod bars' range, displacement "
            "bars before",
        ),
        Output(
            "chikou",
            "The lagging span: this bar's close. Draw it displacement bars earlier (given there, it would "
            "be a look "
            "ahead)",
        ),
        Output(
            "senkou_a_ahead",
            "The leading span A that this bar gives, to be drawn displacement bars later: the last "
            "displacement values "
            "are the cloud ahead of the last bar",
        ),
        Output(
            "senkou_b_ahead", "The leading span B that this bar gives, to be drawn displacement bars later"
        ),
    ),
    variants=(
        Variant(
            name="hosoda",
            description="Goichi Hosoda's lines. Some charts draw the spans one bar less ahead.",
            run=ichimoku,
            lookbacks=ichimoku_lookbacks,
            class_of=lambda params: IndicatorClass.WINDOW,
        ),
    ),
)
