"""Our own rows and variants: indicators that TA-Lib does not have, and other definitions of those it has."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import talib

from finstage_market.columns import Float64s
from services.indicators.catalogue import (
    Catalogue,
    Indicator,
    IndicatorClass,
    Output,
    Parameter,
    ParameterType,
    Params,
    Run,
    Variant,
)
from services.indicators.inputs import Inputs, Source
from services.indicators.overrides import MOST_BARS
from services.indicators.talib_rows import talib_rows


def whole_catalogue() -> Catalogue:
    """TA-Lib's rows, with our variants, and our own rows."""
    rows = talib_rows()
    for name, variants in _variants(rows).items():
        rows[name] = replace(rows[name], variants=(*rows[name].variants, *variants))
    return Catalogue([*rows.values(), _ICHIMOKU])


def _variants(rows: dict[str, Indicator]) -> dict[str, list[Variant]]:
    def like_talib(name: str, variant: str, description: str, run: Run, class_: IndicatorClass) -> Variant:
        lookback = rows[name].variants[0].lookback
        return Variant(variant, description, run, lookback, lambda params: class_)

    window, decaying = IndicatorClass.WINDOW, IndicatorClass.DECAYING
    return {
        "rsi": [
            like_talib("rsi", "cutler", _CUTLER_TEXT, rsi_cutler, window),
            like_talib("rsi", "ema", _EMA_TEXT, rsi_ema, decaying),
        ],
        "macd": [like_talib("macd", "independent", _INDEPENDENT_TEXT, macd_independent, decaying)],
        "vwap": [like_talib("vwap", "session", _SESSION_TEXT, vwap_session, decaying)],
        "kc": [Variant("close", _CLOSE_TEXT, keltner_close, keltner_close_lookback, lambda params: decaying)],
    }


# --- RSI ----------------------------------------------------------------------------------------------

_CUTLER_TEXT = (
    "Cutler's: gains and losses of the last timeperiod changes, equally weighted (a simple average), instead "
    "of Wilder's smoothing; so it does not depend on where the series starts. 50 where nothing moved."
)
_EMA_TEXT = (
    "Gains and losses smoothed by an EMA (weight 2 / (timeperiod + 1)) instead of Wilder's (1 / timeperiod). "
    "50 where nothing moved."
)


def rsi_cutler(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Cutler's RSI, 100 U / (U + D): (CMO + 100) / 2 of the unsmoothed CMO, 100 (U − D) / (U + D)."""
    return ((talib.CMOU(inputs.read("source", source), **params) + 100.0) / 2.0,)


def rsi_ema(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """100 U / (U + D), where U and D are EMAs of gains and losses, seeded by their simple average."""
    changes = np.diff(inputs.read("source", source))
    up = talib.EMA(np.maximum(changes, 0.0), **params)
    down = talib.EMA(np.maximum(-changes, 0.0), **params)
    moved = up + down
    values = np.full(len(inputs), 50.0)
    np.divide(100.0 * up, moved, out=values[1:], where=moved != 0.0)
    return (values,)


# --- MACD ---------------------------------------------------------------------------------------------

_INDEPENDENT_TEXT = (
    "Each EMA is seeded by the simple average of its own first bars, as most charts do; TA-Lib delays the "
    "fast EMA's seed to the slow one's. The difference fades within some hundred bars."
)


def macd_independent(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """MACD of two EMAs that know nothing of each other, and the EMA of their difference."""
    values = inputs.read("source", source)
    macd = talib.EMA(values, params["fastperiod"]) - talib.EMA(values, params["slowperiod"])
    signal = np.zeros(len(macd))
    start = int(params["slowperiod"]) - 1
    signal[start:] = talib.EMA(macd[start:], params["signalperiod"])
    return macd, signal, macd - signal


# --- VWAP ---------------------------------------------------------------------------------------------

_SESSION_TEXT = (
    "Starts anew with each session: at midnight in the exchange's time zone (UTC for a client's own bars). "
    "No value until the session's first volume."
)


def vwap_session(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """The mean typical price since the local day began, by volume; NaN before the day's first volume."""
    bars = inputs.columns
    local = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True).tz_convert(inputs.time_zone)
    days = local.tz_localize(None).to_numpy().astype("datetime64[D]")
    starts = np.concatenate(([0], np.flatnonzero(days[1:] != days[:-1]) + 1, [len(bars)]))
    traded, volume = talib.TYPPRICE(bars.high, bars.low, bars.close) * bars.volume, bars.volume.copy()
    # Day by day: a difference of running sums over all days would lose digits.
    for start, end in itertools.pairwise(starts.tolist()):
        if end - start > 1:
            np.cumsum(traded[start:end], out=traded[start:end])
            np.cumsum(volume[start:end], out=volume[start:end])
    return (np.divide(traded, volume, out=np.full(len(bars), np.nan), where=volume > 0.0),)


# --- Keltner ------------------------------------------------------------------------------------------

_CLOSE_TEXT = (
    "The middle band is the EMA of the close, as most charts have it; TA-Lib's is that of the typical price."
)


def keltner_close(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """The EMA of the close, and nbdev average true ranges (of atrperiod) above and below it."""
    bars = inputs.columns
    middle = talib.EMA(bars.close, params["timeperiod"])
    width = params["nbdev"] * talib.ATR(bars.high, bars.low, bars.close, params["atrperiod"])
    return middle + width, middle, middle - width


def keltner_close_lookback(params: Params) -> int:
    """The EMA has its first value at timeperiod − 1, the average true range at atrperiod."""
    return max(int(params["timeperiod"]) - 1, int(params["atrperiod"]))


# --- Ichimoku -----------------------------------------------------------------------------------------


def ichimoku(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Hosoda's five lines, each at the bar where it is drawn, but for chikou (see its output).

    Midpoints of highest high and lowest low; the senkou spans are those of `displacement` bars before.
    """
    bars = inputs.columns
    tenkan, kijun, wide = (
        talib.MIDPRICE(bars.high, bars.low, params[name])
        for name in ("tenkanperiod", "kijunperiod", "senkouperiod")
    )
    shift = int(params["displacement"])
    forward = [
        np.concatenate((np.zeros(shift), line[: len(line) - shift])) for line in ((tenkan + kijun) / 2, wide)
    ]
    return tenkan, kijun, *forward, bars.close


def ichimoku_lookback(params: Params) -> int:
    """All five lines have a value when the last of the senkou spans has."""
    longest = max(params["tenkanperiod"], params["kijunperiod"], params["senkouperiod"])
    return int(longest - 1 + params["displacement"])


def _periods(**periods: tuple[int, int, str]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(name, ParameterType.INTEGER, default, least, MOST_BARS, text)
        for name, (default, least, text) in periods.items()
    )


_ICHIMOKU = Indicator(
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
            "The leading span B drawn at this bar: the middle of senkouperiod bars' range, displacement bars "
            "before",
        ),
        Output(
            "chikou",
            "The lagging span: this bar's close. Draw it displacement bars earlier (given there, it would "
            "be a look ahead)",
        ),
    ),
    variants=(
        Variant(
            name="hosoda",
            description="Goichi Hosoda's five lines. TA-Lib has none.",
            run=ichimoku,
            lookback=ichimoku_lookback,
            class_of=lambda params: IndicatorClass.WINDOW,
        ),
    ),
)
