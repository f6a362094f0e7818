"""Wilder's directional movement: his first sums, and averages of an index that is undefined at some bars."""

import numpy as np
import talib

from finstage_market.columns import Float64s
from services.indicators.averages import RMA, average
from services.indicators.catalogue import Params, Run
from services.indicators.inputs import Inputs, Source
from services.indicators.undefined import DIVISORS


def standard_adx(talib_run: Run) -> Run:
    """Return TA-Lib's ADX where every DX is defined; where one is not, the average starts again after it."""

    def run(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
        undefined = DIVISORS["DX"][0](inputs, source, params)
        if undefined is None:
            return talib_run(inputs, source, params)
        bars, period = inputs.columns, int(params["timeperiod"])
        dx = np.where(undefined, np.nan, talib.DX(bars.high, bars.low, bars.close, period))
        return (average(dx, period, period, RMA),)

    return run


def standard_adxr(talib_run: Run) -> Run:
    """Return TA-Lib's ADXR where every DX is defined, else the mean of the standard ADX now and then."""
    adx = standard_adx(lambda inputs, source, params: (np.empty(0),))

    def run(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
        if DIVISORS["DX"][0](inputs, source, params) is None:
            return talib_run(inputs, source, params)
        [values] = adx(inputs, source, params)
        return (_mean_with(values, int(params["timeperiod"]) - 1),)

    return run


def wilder_di(sign: int) -> Run:
    """Return Wilder's +DI (sign 1) or −DI (sign −1): his first sums have timeperiod terms."""

    def run(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
        plus, minus, true_range = _averages(inputs, int(params["timeperiod"]))
        return (_percent(plus if sign > 0 else minus, true_range),)

    return run


def wilder_dx(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return Wilder's DX, 100 |+DM − −DM| / (+DM + −DM)."""
    plus, minus, _ = _averages(inputs, int(params["timeperiod"]))
    dx = _percent(np.abs(plus - minus), plus + minus)
    undefined = DIVISORS["DX"][0](inputs, source, params)
    return (dx if undefined is None else np.where(undefined, np.nan, dx),)


def wilder_adx(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return Wilder's ADX: the running average of his DX."""
    period = int(params["timeperiod"])
    [dx] = wilder_dx(inputs, source, params)
    return (average(dx, period, period, RMA),)


def wilder_adxr(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return Wilder's ADXR: the mean of ADX now and timeperiod bars before."""
    [adx] = wilder_adx(inputs, source, params)
    return (_mean_with(adx, int(params["timeperiod"])),)


def _mean_with(values: Float64s, before: int) -> Float64s:
    mean = np.full(len(values), np.nan)
    mean[before:] = (values[before:] + values[: len(values) - before]) / 2.0
    return mean


def _averages(inputs: Inputs, period: int) -> tuple[Float64s, Float64s, Float64s]:
    """Return Wilder's averages of +DM, −DM and the true range; NaN where they have no term yet."""

    def make() -> tuple[Float64s, Float64s, Float64s]:
        bars = inputs.columns
        up, down = np.diff(bars.high, prepend=np.nan), -np.diff(bars.low, prepend=np.nan)
        plus = np.where((up > down) & (up > 0.0), up, 0.0)
        minus = np.where((down > up) & (down > 0.0), down, 0.0)
        true_range = talib.TRANGE(bars.high, bars.low, bars.close)
        return (
            average(plus, 1, period, RMA),
            average(minus, 1, period, RMA),
            average(true_range, 1, period, RMA),
        )

    return inputs.once(("directional", period), make)


def _percent(part: Float64s, whole: Float64s) -> Float64s:
    """Return 100 part / whole; NaN where the whole is 0."""
    fraction: Float64s = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0.0)
    return 100.0 * fraction
