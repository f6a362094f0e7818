"""Moving averages by TA-Lib's numbers for them, over values that may be undefined; and the lines they follow.

In some indicators later outputs are averages of the first one: a signal, a smoothed K and D. TA-Lib holds the
first back until the last has a value. Here each is computed by itself, to the same bits, and starts where it
can.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import talib

from finstage_market.columns import Float64s
from services.indicators.catalogue import Params, Run
from services.indicators.inputs import Inputs, Source
from services.indicators.overrides import DECAYING_MA
from services.indicators.terms import within
from services.indicators.undefined import Zeros

SMA, EMA, DEMA, TEMA, KAMA, MAMA, T3, HMA, DISABLED, ZLEMA, RMA = 0, 1, 3, 4, 6, 7, 8, 9, 10, 12, 13


def ma_lookback(period: int, kind: int) -> int:
    """Return how many values come before the first average: TA_MA_Lookback, which only one thread may ask."""
    if kind == DISABLED or period == 1:
        return 0
    lookbacks = {
        DEMA: 2 * (period - 1),
        TEMA: 3 * (period - 1),
        KAMA: period,
        MAMA: 32,
        T3: 6 * (period - 1),
        HMA: period - 1 + math.isqrt(period) - 1,
        ZLEMA: period - 1 + (period - 1) // 2,
    }
    return lookbacks.get(kind, period - 1)


def average(values: Float64s, first: int, period: int, kind: int) -> Float64s:
    """Return the moving average of `values`, which start at row `first`: NaN before its lookback from there.

    NaN is an undefined value: no average over a window that holds one has a value, and a running average
    starts again after it.
    """
    lookback = ma_lookback(period, kind)
    if len(values) - first <= lookback:
        return np.full(len(values), np.nan)
    line = values[first:]
    # The wrapper skips NaN before the first value; a sum is NaN where one of its terms is.
    if not math.isnan(line.sum()) and (first == 0 or math.isnan(values[first - 1])):
        whole: Float64s = talib.MA(values, period, kind)
        return whole
    averaged = np.full(len(values), np.nan)
    undefined = np.isnan(line)
    if kind in DECAYING_MA:
        edges = np.flatnonzero(np.diff(undefined, prepend=True, append=True))
        for start, end in edges.reshape(-1, 2).tolist():
            if end - start > lookback:
                averaged[first + start : first + end] = talib.MA(line[start:end], period, kind)
        return averaged
    # What stands in for an undefined value has left the window where a value is given.
    averaged[first:] = talib.MA(np.where(undefined, 0.0, line), period, kind)
    averaged[first:][within(undefined, lookback + 1)] = np.nan
    return averaged


@dataclass(frozen=True, slots=True)
class Chain:
    """A line, and averages each of the one before.

    line: its values over all bars; those before `first` mean nothing.
    averages: of each, the names of the parameters period and kind; or a fixed kind.
    shown: whether the line is an output.
    last: another output, made of the first two.
    """

    line: Run
    first: Callable[[Params], int]
    averages: tuple[tuple[str, str | int], ...]
    shown: bool = True
    last: Callable[[Float64s, Float64s], Float64s] | None = None

    def lookbacks(self, params: Params) -> tuple[int, ...]:
        """Return those of the outputs."""
        starts = [self.first(params)]
        for period, kind in self.averages:
            starts.append(starts[-1] + ma_lookback(int(params[period]), _kind(kind, params)))
        starts = starts if self.shown else starts[1:]
        return tuple(starts + starts[-1:] if self.last else starts)

    def run(self, zeros: Zeros | None) -> Run:
        """Return what computes the outputs. zeros: where the line is undefined; None: nowhere."""

        def run(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
            [line] = self.line(inputs, source, params)
            if zeros is not None and (zero := zeros(inputs, source, params)) is not None:
                line = np.where(zero, np.nan, line)
            outputs, first = [line], self.first(params)
            for name, kind in self.averages:
                period = int(params[name])
                outputs.append(average(outputs[-1], first, period, _kind(kind, params)))
                first += ma_lookback(period, _kind(kind, params))
            outputs = outputs if self.shown else outputs[1:]
            return (*outputs, self.last(outputs[0], outputs[1])) if self.last else tuple(outputs)

        return run


def _kind(kind: str | int, params: Params) -> int:
    return int(params[kind]) if isinstance(kind, str) else kind


def _macd(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    values = inputs.read("source", source)
    line: Float64s = talib.MACD(values, int(params["fastperiod"]), int(params["slowperiod"]), 1)[0]
    return (line,)


def _macdfix(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    line: Float64s = talib.MACDFIX(inputs.read("source", source), 1)[0]
    return (line,)


def _macdext(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    unsmoothed = params | {"signalperiod": 1, "signalmatype": SMA}
    line: Float64s = talib.MACDEXT(inputs.read("source", source), **unsmoothed)[0]
    return (line,)


def _fast_k(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    bars = inputs.columns
    line: Float64s = talib.STOCHF(bars.high, bars.low, bars.close, int(params["fastk_period"]), 1, SMA)[0]
    return (line,)


def _rsi_k(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    values = inputs.read("source", source)
    line: Float64s = talib.STOCHRSI(values, int(params["timeperiod"]), int(params["fastk_period"]), 1, SMA)[0]
    return (line,)


def _smi(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return how far the close is from the middle of the range, over half the range, both smoothed twice."""
    bars, length = inputs.columns, int(params["timeperiod"])
    high, low = talib.MAX(bars.high, length), talib.MIN(bars.low, length)
    slow, fast = int(params["slowperiod"]), int(params["fastperiod"])

    def smoothed(values: Float64s) -> Float64s:
        return average(average(values, length - 1, slow, EMA), length + slow - 2, fast, EMA)

    half = smoothed(high - low) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        off = 100.0 * smoothed(bars.close - (high + low) / 2.0) / half
    # TA-Lib's number where there is no range.
    return (np.where(half == 0.0, 0.0, off),)


def _macdext_first(params: Params) -> int:
    pairs = (("fastperiod", "fastmatype"), ("slowperiod", "slowmatype"))
    return max(ma_lookback(int(params[period]), int(params[kind])) for period, kind in pairs)


def _fast_k_first(params: Params) -> int:
    return int(params["fastk_period"]) - 1


def _difference(line: Float64s, signal: Float64s) -> Float64s:
    return line - signal


_SLOW = (("slowk_period", "slowk_matype"), ("slowd_period", "slowd_matype"))
_FAST = (("fastd_period", "fastd_matype"),)

CHAINS = {
    "KDJ": Chain(_fast_k, _fast_k_first, _SLOW, shown=False, last=lambda k, d: 3.0 * k - 2.0 * d),
    "MACD": Chain(_macd, lambda p: int(p["slowperiod"]) - 1, (("signalperiod", EMA),), last=_difference),
    "MACDEXT": Chain(_macdext, _macdext_first, (("signalperiod", "signalmatype"),), last=_difference),
    "MACDFIX": Chain(_macdfix, lambda p: 25, (("signalperiod", EMA),), last=_difference),
    "SMI": Chain(
        _smi,
        lambda p: int(p["timeperiod"] + p["fastperiod"] + p["slowperiod"]) - 3,
        (("signalperiod", EMA),),
    ),
    "STOCH": Chain(_fast_k, _fast_k_first, _SLOW, shown=False),
    "STOCHF": Chain(_fast_k, _fast_k_first, _FAST),
    "STOCHRSI": Chain(_rsi_k, lambda p: int(p["timeperiod"] + p["fastk_period"]) - 1, _FAST),
}
"""By TA-Lib's name."""
