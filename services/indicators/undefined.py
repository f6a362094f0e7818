"""The rule of undefined values, and the divisors that it is about.

A value is undefined where its definition divides by zero. A divisor is judged from the bars, never from a
rounded sum:

- A sum over a window (of volume, ranges or changes) is zero when each of its terms is. A range or a variance
  over a window is zero when all its values are equal.
- A running average (Wilder's, an EMA) is zero until its first term that is not, and again once nothing else
  came in for 37 periods: no digit of a double is left of the last one then.
- A change or a range below 1e-14 of the prices themselves is rounding, and counts as zero. So does a range of
  RSI values below 1e-9.
- An average is undefined while an undefined value is in its window; a running average starts again after one.
- A term that divides by zero inside a running total (ad, adosc, cmf, nvi, pvi, pvt) adds nothing, by its
  definition. kama follows at its fastest where nothing moved, and Ehlers' indicators (ht_*, mama) keep their
  last period for a while, both by definition.
- A flat stretch has no cycle: the period is undefined where all that its filters read is equal, and what is
  measured over a cycle (phase, sine, trend mode) where the longest one is. TA-Lib's number there is rounding.
"""

from collections.abc import Callable

import numpy as np
import talib

from services.indicators.catalogue import Params
from services.indicators.inputs import Inputs, Source
from services.indicators.overrides import DECAYING_MA
from services.indicators.terms import (
    Mask,
    Term,
    any_of,
    bar_range,
    body,
    change,
    either,
    equal,
    equal_window,
    flat_window,
    from_row,
    later,
    money_flow,
    movement,
    true_range,
    value,
    within,
)

Zeros = Callable[[Inputs, Source, Params], Mask | None]
"""Where the divisor of an indicator is zero; None: nowhere."""

SMALLEST_AVERAGE = 1.000001e-14
"""TA-Lib takes a slow average below 1e-14 for zero in PPO and PVO."""
SMALLEST_RSI_RANGE = 1e-9
# Of the dominant cycle: what its filters read, and its longest period, 50, of means of 4 values.
_CYCLE_FILTERS, _LONGEST_CYCLE = 33, 53
# Averages of weights above zero: of positive values they are no smaller than the least of them.
_POSITIVE_MA = {0, 1, 2, 5, 6, 13}


def _changes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return change(inputs, "source", source).window(int(params["timeperiod"]))


def _running_changes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return change(inputs, "source", source).running(params["timeperiod"])


def _double_running_changes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    periods = params["firstperiod"] + params["secondperiod"]
    return change(inputs, "source", source).running(periods, terms=periods - 1)


def _directional(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return movement(inputs).running(params["timeperiod"])


def _running_true_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return true_range(inputs).running(params["timeperiod"])


def _true_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return true_range(inputs).window(int(params["timeperiod"]))


def _shortest_true_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return true_range(inputs).window(int(min(params.values())))


def _volume(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return value(inputs, "volume").window(int(params["timeperiod"]))


def _volume_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return later(_volume(inputs, source, params), 1)


def _volume_so_far(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    if inputs.columns.volume[0] != 0.0:
        return None
    return np.logical_and.accumulate(value(inputs, "volume").whole())


def _money_flow(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return money_flow(inputs).window(int(params["timeperiod"]))


def _bodies(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return body(inputs).window(int(params["timeperiod"]))


def _extremes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return flat_window(
        inputs, int(params["timeperiod"] if "timeperiod" in params else params["fastk_period"])
    )


def _smoothed_extremes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    first, periods = int(params["timeperiod"]) - 1, params["fastperiod"] + params["slowperiod"]
    flat = flat_window(inputs, first + 1)
    if flat is None:
        return None
    ranges = Term(inputs, ("range", first + 1), first, lambda rows: flat[rows])
    return ranges.running(periods, terms=periods - 1)


def _rsi_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    first, length = int(params["timeperiod"]), int(params["fastk_period"])
    if length == 1:
        return np.ones(len(inputs), dtype=bool)
    rsi = talib.RSI(inputs.read("source", source), first)[first:]
    unmoved = from_row(first, talib.MAX(rsi, length) - talib.MIN(rsi, length) < SMALLEST_RSI_RANGE)
    return either(any_of(unmoved), within(_running_changes(inputs, source, params), length))


def _typical_prices(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return equal_window(inputs, "source", Source.HLC3, int(params["timeperiod"]))


def _cycle(length: int) -> Zeros:
    """Return where the last `length` values are equal."""
    return lambda inputs, source, params: equal_window(inputs, "source", source, length)


def _high_and_low(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    length = int(params["timeperiod"])
    return either(*(equal_window(inputs, name, source, length) for name in ("high", "low")))


def _returns_of_high(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    length = int(params["timeperiod"])
    if length == 1:
        return np.ones(len(inputs), dtype=bool)
    high = inputs.columns.high
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = high[1:] / high[:-1]
    repeated = from_row(2, equal(returns[1:], returns[:-1]))
    changes = Term(inputs, "change of return", 2, lambda rows: repeated[rows])
    return either(changes.window(length - 1), within(later(value(inputs, "high").anywhere(), 1), length))


def _value_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return later(value(inputs, "source", source).anywhere(), int(params["timeperiod"]))


def _coppock(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    zero = value(inputs, "source", source).anywhere()
    before = (later(zero, int(params[name])) for name in ("roc1period", "roc2period"))
    return within(either(*before), int(params["wmaperiod"]))


def _value(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return value(inputs, "source", source).anywhere()


def _close(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return value(inputs, "close").anywhere()


def _triple_average_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    periods = 3 * params["timeperiod"]
    return later(value(inputs, "source", source).running(periods, terms=periods - 2), 1)


def _slow_average(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    values = inputs.read("source", source)
    period, kind = int(params["slowperiod"]), int(params["matype"])
    if kind in _POSITIVE_MA and values.min() > SMALLEST_AVERAGE:
        return None
    small = np.abs(talib.MA(values, period, kind)) < SMALLEST_AVERAGE
    # A running sum keeps a residue of what has left it, so the terms are asked too.
    term = value(inputs, "source", source)
    empty = term.running(period, terms=1) if kind in DECAYING_MA else term.window(period)
    return either(any_of(small), empty)


def _slow_average_of_volume(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return _slow_average(inputs, Source.VOLUME, params)


def _sum_of_high_and_low(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    bars = inputs.columns
    return within(any_of(bars.high + bars.low == 0.0), int(params["timeperiod"]))


def _average_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    periods = 2 * params["fastperiod"]
    ratio = bar_range(inputs).running(periods, terms=periods - 1)
    return within(ratio, int(params["slowperiod"]))


def _average_range_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return later(bar_range(inputs).running(params["timeperiod"]), int(params["rocperiod"]))


def _deviations(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    first = int(params["stddevperiod"]) - 1
    return change(inputs, "source", source).running(params["timeperiod"], first=first)


DIVISORS: dict[str, tuple[Zeros, str]] = {
    "ACCBANDS": (
        _sum_of_high_and_low,
        "high + low is 0 at a bar of the window (the middle band has a value)",
    ),
    "ADX": (_directional, "highs and lows have not moved outwards"),
    "ADXR": (_directional, "highs and lows have not moved outwards"),
    "BETA": (_returns_of_high, "the returns in the window are equal"),
    "BOP": (lambda inputs, *_: bar_range(inputs).anywhere(), "high equals low"),
    "CCI": (_typical_prices, "the typical prices in the window are equal"),
    "CMF": (_volume, "nothing was traded in the window"),
    "CMO": (_running_changes, "nothing has moved"),
    "CMOU": (_changes, "nothing moved in the window"),
    "COPPOCK": (_coppock, "a value that a change is measured from is 0"),
    "CORREL": (_high_and_low, "either series did not move in the window"),
    "CVI": (_average_range_before, "the average range rocperiod bars before is 0"),
    "DX": (_directional, "highs and lows have not moved outwards"),
    "ER": (_changes, "nothing moved in the window"),
    "FOSC": (_value, "the value itself is 0"),
    "HT_DCPERIOD": (_cycle(_CYCLE_FILTERS), "the last 33 values are equal: no cycle"),
    **dict.fromkeys(
        ("HT_DCPHASE", "HT_SINE", "HT_TRENDMODE"),
        (_cycle(_LONGEST_CYCLE), "the last 53 values are equal: no cycle"),
    ),
    "IMI": (_bodies, "open equals close in the whole window"),
    "KDJ": (_extremes, "the highest high equals the lowest low"),
    "MARKETFI": (lambda inputs, *_: value(inputs, "volume").anywhere(), "nothing was traded"),
    "MASSI": (_average_range, "a bar of the window has no average range"),
    "MFI": (_money_flow, "no money flowed in the window: no volume, or no change of the typical price"),
    "MINUS_DI": (_running_true_range, "nothing has moved"),
    "NATR": (_close, "the close is 0"),
    "PLUS_DI": (_running_true_range, "nothing has moved"),
    "PPO": (_slow_average, "the slow average is 0 (below 1e-14)"),
    "PVO": (_slow_average_of_volume, "the slow average of volume is 0 (below 1e-14)"),
    "ROC": (_value_before, "the value timeperiod bars before is 0"),
    "ROCP": (_value_before, "the value timeperiod bars before is 0"),
    "ROCR": (_value_before, "the value timeperiod bars before is 0"),
    "ROCR100": (_value_before, "the value timeperiod bars before is 0"),
    "RSI": (_running_changes, "nothing has moved"),
    "RVI": (_deviations, "nothing has moved"),
    "RVOL": (_volume_before, "nothing was traded in the window"),
    "SMI": (_smoothed_extremes, "the highest high has equalled the lowest low"),
    "STOCH": (_extremes, "the highest high equals the lowest low"),
    "STOCHF": (_extremes, "the highest high equals the lowest low"),
    "STOCHRSI": (_rsi_range, "the RSI did not move in the window, as in a rise without a fall"),
    "TRIX": (_triple_average_before, "the average of the bar before is 0"),
    "TSI": (_double_running_changes, "nothing has moved"),
    "ULTOSC": (_shortest_true_range, "nothing moved in the shortest window"),
    "VHF": (_changes, "nothing moved in the window"),
    "VORTEX": (_true_range, "nothing moved in the window"),
    "VWAP": (_volume_so_far, "nothing has been traded yet"),
    "VWMA": (_volume, "nothing was traded in the window"),
    "WILLR": (_extremes, "the highest high equals the lowest low"),
}
"""By TA-Lib's name: where the divisor of the first output is zero, and that in words."""
