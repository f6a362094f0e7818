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
  last period, both by definition.

Each function returns where a divisor is zero: a bool a bar, True where there is no value, or None where every
bar has one. A window needs its last bars, and a running average needs how long nothing has come in: so
a new bar costs the same at any length of the series.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import talib

from finstage_market.columns import Float64s
from services.indicators.catalogue import Params
from services.indicators.inputs import Inputs, Source
from services.indicators.overrides import DECAYING_MA

Mask = npt.NDArray[np.bool_]
Zeros = Callable[[Inputs, Source, Params], Mask | None]
"""Where the divisor of an indicator is zero."""

ROUNDING = 1e-14
MEMORY = 37
"""Periods: (1 − 1/n)^(37 n) < 2^-53."""
SMALLEST_AVERAGE = 1.000001e-14
"""TA-Lib takes a slow average below 1e-14 for zero in PPO and PVO."""
SMALLEST_RSI_RANGE = 1e-9
# Averages of weights above zero: of positive values they are no smaller than the least of them.
_POSITIVE_MA = {0, 1, 2, 5, 6, 13}


# --- where a divisor is zero, from where its terms are ------------------------------------------------


def window(zero: Mask, length: int) -> Mask | None:
    """Return where the last `length` terms are zero."""
    if np.count_nonzero(zero) < length:
        return None
    return _run_lengths(zero) >= length


def running(zero: Mask, first: int, period: float) -> Mask | None:
    """Return where a running average of `period`, whose terms begin at row `first`, is zero."""
    memory = 1 if period == 1 else int(MEMORY * period)
    if not zero[first] and np.count_nonzero(zero) < memory:
        return None
    lengths = _run_lengths(zero[first:])
    return _from_row(first, lengths >= np.minimum(np.arange(1, len(lengths) + 1), memory))


def within(undefined: Mask | None, length: int) -> Mask | None:
    """Return where one of the last `length` values is undefined."""
    if undefined is None or length == 1:
        return undefined
    index = np.arange(len(undefined))
    last = np.maximum.accumulate(np.where(undefined, index, -length))
    return index - last < length


def later(undefined: Mask | None, rows: int) -> Mask | None:
    """Return where the value `rows` before is undefined."""
    return None if undefined is None else _from_row(rows, undefined[: len(undefined) - rows])


def either(*masks: Mask | None) -> Mask | None:
    """Return where one of them is."""
    found = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(found) if found else None


def any_of(zero: Mask) -> Mask | None:
    """Return `zero`, or None where it is nowhere so."""
    return zero if zero.any() else None


def _run_lengths(zero: Mask) -> npt.NDArray[np.int64]:
    """Return, at each row, how many True in a row end there."""
    index = np.arange(len(zero))
    return index - np.maximum.accumulate(np.where(zero, -1, index))


def _from_row(first: int, mask: Mask) -> Mask:
    return np.concatenate((np.zeros(first, dtype=bool), mask)) if first else mask


# --- where a term is zero -----------------------------------------------------------------------------


def _equal(a: Float64s, b: Float64s) -> Mask:
    equal: Mask = np.abs(a - b) <= ROUNDING * (np.abs(a) + np.abs(b))
    return equal


def still(inputs: Inputs, name: str, source: Source = Source.CLOSE) -> Mask:
    """Return where the column did not change; False at the first bar."""
    values = inputs.read(name, source)

    def make() -> Mask:
        return _from_row(1, _equal(values[1:], values[:-1]))

    return inputs.once(("still", source if name == "source" else name), make)


def no_range(inputs: Inputs) -> Mask:
    """Return where high equals low."""
    return inputs.once("no range", lambda: _equal(inputs.columns.high, inputs.columns.low))


def no_true_range(inputs: Inputs) -> Mask:
    """Return where high, low and the close before are equal; False at the first bar."""

    def make() -> Mask:
        bars = inputs.columns
        return no_range(inputs) & _from_row(1, _equal(bars.high[1:], bars.close[:-1]))

    return inputs.once("no true range", make)


def no_movement(inputs: Inputs) -> Mask:
    """Return where neither high nor low moved outwards alone: +DM and −DM are both 0."""

    def make() -> Mask:
        bars = inputs.columns
        up, down = np.diff(bars.high), -np.diff(bars.low)
        return _from_row(1, ((up <= 0) & (down <= 0)) | (up == down))

    return inputs.once("no movement", make)


def no_volume(inputs: Inputs) -> Mask:
    """Return where nothing was traded."""
    return inputs.once("no volume", lambda: inputs.columns.volume == 0.0)


def flat_window(inputs: Inputs, length: int) -> Mask | None:
    """Return where the highest high of `length` bars equals the lowest low."""
    one = window(no_range(inputs), length)
    if one is None or length == 1:
        return one
    unchanged = window(still(inputs, "low"), length - 1)
    return None if unchanged is None else one & unchanged


def equal_window(inputs: Inputs, name: str, source: Source, length: int) -> Mask | None:
    """Return where `length` values are equal."""
    if length == 1:
        return np.ones(len(inputs), dtype=bool)
    return window(still(inputs, name, source), length - 1)


# --- the divisors of each indicator -------------------------------------------------------------------


def _changes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return window(still(inputs, "source", source), int(params["timeperiod"]))


def _running_changes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return running(still(inputs, "source", source), 1, params["timeperiod"])


def _double_running_changes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return running(still(inputs, "source", source), 1, params["firstperiod"] + params["secondperiod"])


def _directional(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return running(no_movement(inputs), 1, params["timeperiod"])


def _running_true_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return running(no_true_range(inputs), 1, params["timeperiod"])


def _true_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return window(no_true_range(inputs), int(params["timeperiod"]))


def _shortest_true_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return window(no_true_range(inputs), int(min(params.values())))


def _volume(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return window(no_volume(inputs), int(params["timeperiod"]))


def _volume_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return later(_volume(inputs, source, params), 1)


def _volume_so_far(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    zero = no_volume(inputs)
    return np.logical_and.accumulate(zero) if zero[0] else None


def _money_flow(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    typical = inputs.read("source", Source.HLC3)
    none = still(inputs, "source", Source.HLC3) | no_volume(inputs) | (typical == 0.0)
    return window(none, int(params["timeperiod"]))


def _bodies(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    bars = inputs.columns
    return window(_equal(bars.open, bars.close), int(params["timeperiod"]))


def _extremes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return flat_window(
        inputs, int(params["timeperiod"] if "timeperiod" in params else params["fastk_period"])
    )


def _smoothed_extremes(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    first = int(params["timeperiod"]) - 1
    zero = flat_window(inputs, first + 1)
    return None if zero is None else running(zero, first, params["fastperiod"] + params["slowperiod"])


def _rsi_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    first, length = int(params["timeperiod"]), int(params["fastk_period"])
    if length == 1:
        return np.ones(len(inputs), dtype=bool)
    rsi = talib.RSI(inputs.read("source", source), first)[first:]
    equal = _from_row(first, talib.MAX(rsi, length) - talib.MIN(rsi, length) < SMALLEST_RSI_RANGE)
    return either(any_of(equal), within(_running_changes(inputs, source, params), length))


def _typical_prices(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return equal_window(inputs, "source", Source.HLC3, int(params["timeperiod"]))


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
    equal = _from_row(2, _equal(returns[1:], returns[:-1]))
    return either(window(equal, length - 1), within(later(any_of(high == 0.0), 1), length))


def _value_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return later(any_of(inputs.read("source", source) == 0.0), int(params["timeperiod"]))


def _coppock(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    zero = any_of(inputs.read("source", source) == 0.0)
    before = (later(zero, int(params[name])) for name in ("roc1period", "roc2period"))
    return within(either(*before), int(params["wmaperiod"]))


def _value(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return any_of(inputs.read("source", source) == 0.0)


def _close(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return any_of(inputs.columns.close == 0.0)


def _triple_average_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    zero = inputs.read("source", source) == 0.0
    return later(running(zero, 0, 3 * params["timeperiod"]), 1)


def _slow_average(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    values = inputs.read("source", source)
    period, kind = int(params["slowperiod"]), int(params["matype"])
    if kind in _POSITIVE_MA and values.min() > SMALLEST_AVERAGE:
        return None
    small = np.abs(talib.MA(values, period, kind)) < SMALLEST_AVERAGE
    # A running sum keeps a residue of what has left it, so the terms are asked too.
    zero = values == 0.0
    empty = running(zero, 0, period) if kind in DECAYING_MA else window(zero, period)
    return either(any_of(small), empty)


def _slow_average_of_volume(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return _slow_average(inputs, Source.VOLUME, params)


def _sum_of_high_and_low(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    bars = inputs.columns
    return within(any_of(bars.high + bars.low == 0.0), int(params["timeperiod"]))


def _average_range(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    ratio = running(no_range(inputs), 0, 2 * params["fastperiod"])
    return within(ratio, int(params["slowperiod"]))


def _average_range_before(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    return later(running(no_range(inputs), 0, params["timeperiod"]), int(params["rocperiod"]))


def _deviations(inputs: Inputs, source: Source, params: Params) -> Mask | None:
    first = int(params["stddevperiod"]) - 1
    return running(still(inputs, "source", source), first, params["timeperiod"])


DIVISORS: dict[str, tuple[Zeros, str]] = {
    "ACCBANDS": (
        _sum_of_high_and_low,
        "high + low is 0 at a bar of the window (the middle band has a value)",
    ),
    "ADX": (_directional, "highs and lows have not moved outwards"),
    "ADXR": (_directional, "highs and lows have not moved outwards"),
    "BETA": (_returns_of_high, "the returns in the window are equal"),
    "BOP": (lambda inputs, *_: any_of(no_range(inputs)), "high equals low"),
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
    "IMI": (_bodies, "open equals close in the whole window"),
    "KDJ": (_extremes, "the highest high equals the lowest low"),
    "MARKETFI": (lambda inputs, *_: any_of(no_volume(inputs)), "nothing was traded"),
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
