"""Other definitions of the indicators that TA-Lib has: the ones that charts show, and their inventors'."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import talib

from finstage_market.columns import Float64s
from services.indicators import directional
from services.indicators.averages import CHAINS
from services.indicators.catalogue import Catalogue, Indicator, IndicatorClass, Params, Run, Variant
from services.indicators.ichimoku import ICHIMOKU
from services.indicators.inputs import Inputs, Source
from services.indicators.talib_rows import talib_rows, undefined_where, within_bounds
from services.indicators.undefined import DIVISORS

EHLERS = ("ht_dcperiod", "ht_dcphase", "ht_phasor", "ht_sine", "ht_trendline", "ht_trendmode", "mama")


def whole_catalogue() -> Catalogue:
    """Return TA-Lib's rows, with other definitions of them, and our own rows."""
    rows = talib_rows()
    for name, make in (("adx", directional.standard_adx), ("adxr", directional.standard_adxr)):
        standard, raw = rows[name].variants
        standard = replace(standard, run=within_bounds(make(raw.run), rows[name].outputs))
        rows[name] = replace(rows[name], variants=(standard, raw))
    for name, variants in _variants(rows).items():
        rows[name] = replace(rows[name], variants=(*rows[name].variants, *variants))
    return Catalogue([*rows.values(), ICHIMOKU])


def _variants(rows: dict[str, Indicator]) -> dict[str, list[Variant]]:
    window, decaying = IndicatorClass.WINDOW, IndicatorClass.DECAYING

    def other(
        indicator: str,
        name: str,
        description: str,
        run: Run,
        class_: IndicatorClass,
        lookbacks: Callable[[Params], tuple[int, ...]] | None = None,
    ) -> Variant:
        row = rows[indicator]
        run = within_bounds(run, row.outputs)
        lookbacks = lookbacks or row.variants[0].lookbacks
        return Variant(name, description, run, lookbacks, lambda params: class_)

    def chart(indicator: str, description: str, **defaults: float) -> Variant:
        return replace(rows[indicator].variants[0], name="chart", description=description, defaults=defaults)

    found = {
        "adx": [other("adx", "wilder", _WILDER_TEXT, directional.wilder_adx, decaying)],
        "adxr": [
            other("adxr", "wilder", _WILDER_ADXR_TEXT, directional.wilder_adxr, decaying, _adxr_lookbacks)
        ],
        "cci": [chart("cci", "timeperiod is 20 unless given, as Lambert and charts use it.", timeperiod=20)],
        "cmo": [
            other("cmo", "chande", _CHANDE_TEXT, undefined_where(DIVISORS["CMOU"][0], cmo_chande), window)
        ],
        "dx": [other("dx", "wilder", _WILDER_TEXT, directional.wilder_dx, decaying)],
        "kama": [chart("kama", "timeperiod is 10 unless given, as in Kaufman and charts.", timeperiod=10)],
        "kc": [other("kc", "close", _CLOSE_TEXT, keltner_close, decaying, keltner_close_lookbacks)],
        "macd": [other("macd", "independent", _INDEPENDENT_TEXT, _INDEPENDENT.run(None), decaying)],
        "minus_di": [other("minus_di", "wilder", _WILDER_TEXT, directional.wilder_di(-1), decaying)],
        "plus_di": [other("plus_di", "wilder", _WILDER_TEXT, directional.wilder_di(1), decaying)],
        "rsi": [
            other("rsi", "cutler", _CUTLER_TEXT, undefined_where(DIVISORS["CMOU"][0], rsi_cutler), window),
            other("rsi", "ema", _EMA_TEXT, rsi_ema, decaying),
        ],
        "stoch": [
            chart("stoch", "fastk_period is 14 unless given: 14, 3, 3, as charts show.", fastk_period=14)
        ],
        "stochf": [
            chart("stochf", "fastk_period is 14 unless given: 14, 3, as charts show.", fastk_period=14)
        ],
        "stochrsi": [
            replace(
                other(
                    "stochrsi",
                    "chart",
                    _STOCHRSI_TEXT,
                    _CHART_STOCHRSI.run(DIVISORS["STOCHRSI"][0]),
                    decaying,
                    _CHART_STOCHRSI.lookbacks,
                ),
                defaults={"fastk_period": 14},
            )
        ],
        "trix": [chart("trix", "timeperiod is 15 unless given, as many charts use it.", timeperiod=15)],
        "vwap": [replace(other("vwap", "session", _SESSION_TEXT, vwap_session, decaying), by_day=True)],
    }
    for name in EHLERS:
        where = f" Undefined where {DIVISORS[name.upper()][1]}." if name.upper() in DIVISORS else ""
        text = f"{_EHLERS_TEXT}{where}"
        ehlers = replace(rows[name].variants[0], name="ehlers", description=text, source=Source.HL2)
        found[name] = [ehlers]
    return found


# --- directional movement -----------------------------------------------------------------------------

_WILDER_TEXT = (
    "Wilder's: his first sums have timeperiod terms, TA-Lib's one less. Undefined where it divides by zero."
)
_WILDER_ADXR_TEXT = "The mean of Wilder's ADX now and timeperiod bars before; TA-Lib's is one bar nearer."


def _adxr_lookbacks(params: Params) -> tuple[int, ...]:
    return (3 * int(params["timeperiod"]) - 1,)


# --- Ehlers -------------------------------------------------------------------------------------------

_EHLERS_TEXT = "Of (high + low) / 2 unless a source is given, as Ehlers and charts use it."

# --- RSI and CMO --------------------------------------------------------------------------------------

_CHANDE_TEXT = (
    "Chande's: gains and losses of the last timeperiod changes are summed, not smoothed, as in charts. The "
    "indicator cmou is the same."
)
_CUTLER_TEXT = (
    "Cutler's: gains and losses of the last timeperiod changes, equally weighted (a simple average), instead "
    "of Wilder's smoothing; so it does not depend on where the series starts. Undefined where nothing "
    "moved in the "
    "window."
)
_EMA_TEXT = (
    "Gains and losses are smoothed by an EMA (weight 2 / (timeperiod + 1)) instead of Wilder's (1 / "
    "timeperiod). "
    "Undefined where nothing has moved."
)


def cmo_chande(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return the unsmoothed CMO, 100 (U − D) / (U + D)."""
    return (talib.CMOU(inputs.read("source", source), **params),)


def rsi_cutler(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return Cutler's RSI, 100 U / (U + D): (CMO + 100) / 2 of the unsmoothed CMO."""
    return ((cmo_chande(inputs, source, params)[0] + 100.0) / 2.0,)


def rsi_ema(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return 100 U / (U + D), where U and D are EMAs of gains and losses, seeded by their simple average."""
    changes = np.diff(inputs.read("source", source))
    up = talib.EMA(np.maximum(changes, 0.0), **params)
    moved = up + talib.EMA(np.maximum(-changes, 0.0), **params)
    values = np.full(len(inputs), np.nan)
    np.divide(100.0 * up, moved, out=values[1:], where=moved != 0.0)
    undefined = DIVISORS["RSI"][0](inputs, source, params)
    return (values if undefined is None else np.where(undefined, np.nan, values),)


# --- stochastic RSI -----------------------------------------------------------------------------------

_STOCHRSI_TEXT = (
    "As charts show: 14, 14, 3, 3. fastk_period is 14 unless given, and fastk is smoothed over "
    "fastd_period too. "
    "Undefined where the RSI did not move in the window."
)
_SMOOTHED = ("fastd_period", "fastd_matype")
_CHART_STOCHRSI = replace(CHAINS["STOCHRSI"], averages=(_SMOOTHED, _SMOOTHED), shown=False)

# --- MACD ---------------------------------------------------------------------------------------------

_INDEPENDENT_TEXT = (
    "Each EMA is seeded by the simple average of its own first bars, as most charts do; TA-Lib delays the "
    "fast EMA's seed to the slow one's. The difference fades within some hundred bars."
)


def _independent_line(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return the difference of two EMAs, each with its own seed."""
    values = inputs.read("source", source)
    return (talib.EMA(values, params["fastperiod"]) - talib.EMA(values, params["slowperiod"]),)


_INDEPENDENT = replace(CHAINS["MACD"], line=_independent_line)

# --- VWAP ---------------------------------------------------------------------------------------------

_SESSION_TEXT = (
    "Starts over with each session, as charts do: at midnight in the exchange's time zone (in time_zone "
    "for a "
    "client's own bars). Undefined until the session's first volume."
)


def vwap_session(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return the mean typical price since the local day began, by volume; NaN before its first volume."""
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
    "The middle band is the EMA of the close, as in most charts; TA-Lib's is that of the typical price."
)


def keltner_close(inputs: Inputs, source: Source, params: Params) -> tuple[Float64s, ...]:
    """Return the EMA of the close, and nbdev average true ranges (of atrperiod) above and below it."""
    bars = inputs.columns
    middle = talib.EMA(bars.close, params["timeperiod"])
    width = params["nbdev"] * talib.ATR(bars.high, bars.low, bars.close, params["atrperiod"])
    return middle + width, middle, middle - width


def keltner_close_lookbacks(params: Params) -> tuple[int, ...]:
    """Return those of the bands: the average true range has its first value at bar atrperiod."""
    middle = int(params["timeperiod"]) - 1
    band = max(middle, int(params["atrperiod"]))
    return band, middle, band
