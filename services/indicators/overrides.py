"""What TA-Lib's metadata does not say: bounds, order, classes, outputs. Data only, by TA-Lib's names.

Bounds are those that TA-Lib itself enforces (ta_func.h); its Python wrapper does not give them. Tests compare
every bound with what TA-Lib accepts, and every class with what the numbers do.
"""

from services.indicators.catalogue import Ordered

LEFT_OUT = {"MAVP": "its second input is a series of periods, which a spec cannot carry"}

TWO_SERIES = (
    "it compares two series, and a spec can name one only; nothing is computed until a second can be given"
)
REFUSED = {"BETA": TWO_SERIES, "CORREL": TWO_SERIES}
"""Why no spec may ask for a function: TA-Lib would compare a series' own highs with its lows."""

# Moving averages that never quite forget their start. DEFAULT is the function's own.
MA_DEFAULT = 11
MA_NAMES = {
    0: "SMA",
    1: "EMA",
    2: "WMA",
    3: "DEMA",
    4: "TEMA",
    5: "TRIMA",
    6: "KAMA",
    7: "MAMA",
    8: "T3",
    9: "HMA",
    10: "DISABLED (none)",
    11: "DEFAULT (the indicator's own)",
    12: "ZLEMA",
    13: "RMA (Wilder)",
}
DECAYING_MA = {1, 3, 4, 6, 7, 8, 12, 13}

# --- bounds -------------------------------------------------------------------------------------------

MAX_PERIOD = 100_000
"""The maximum of every whole-number parameter."""

MIN = {
    "timeperiod": 2,
    "fastperiod": 2,
    "slowperiod": 2,
    "firstperiod": 2,
    "secondperiod": 2,
    "stddevperiod": 2,
}
"""The minimum of whole-number parameters; 1 for those not here."""

MIN_OF = {
    ("AC", "signalperiod"): 2,
    ("SMI", "signalperiod"): 2,
    **{
        (function, "timeperiod"): 1
        for function in (
            *("ADR", "ATR", "BETA", "CORREL", "DEMA", "EFI", "EMA", "ERI", "HMA", "KAMA", "MA", "MINUS_DI"),
            *("MINUS_DM", "MOM", "NATR", "PLUS_DI", "PLUS_DM", "QSTICK", "RMA", "ROC", "ROCP", "ROCR"),
            *("ROCR100", "RVI", "RVOL", "SMA", "T3", "TEMA", "TRIMA", "TRIX", "VAR", "VORTEX", "VWMA", "WMA"),
            "ZLEMA",
        )
    },
}
"""Where a function has another minimum."""

REAL_LIMIT = 3e37
REAL = {
    "fastlimit": (0.01, 0.99),
    "nbdev": (-REAL_LIMIT, REAL_LIMIT),
    "nbdevdn": (-REAL_LIMIT, REAL_LIMIT),
    "nbdevup": (-REAL_LIMIT, REAL_LIMIT),
    "percentile": (0.0, 100.0),
    "slowlimit": (0.01, 0.99),
    "startvalue": (-REAL_LIMIT, REAL_LIMIT),
    "vfactor": (0.0, 1.0),
}
"""The bounds of parameters that are real numbers; 0 to REAL_LIMIT for those not here."""

# --- order --------------------------------------------------------------------------------------------

_FAST_SLOW = (Ordered("fastperiod", "slowperiod"),)

# TA-Lib swaps or clamps what is out of order without a word; the parameters in the answer would be untrue.
ORDERED = {
    "AC": _FAST_SLOW,
    "ADOSC": _FAST_SLOW,
    "AO": _FAST_SLOW,
    "APO": _FAST_SLOW,
    "MACD": _FAST_SLOW,
    "MACDEXT": _FAST_SLOW,
    "MAMA": (Ordered("slowlimit", "fastlimit", or_equal=True),),
    "PPO": _FAST_SLOW,
    "PVO": _FAST_SLOW,
    "SAR": (Ordered("acceleration", "maximum", or_equal=True),),
    "SAREXT": tuple(
        Ordered(f"acceleration{part}{side}", f"accelerationmax{side}", or_equal=True)
        for side in ("long", "short")
        for part in ("init", "")
    ),
}

# --- classes ------------------------------------------------------------------------------------------

# Beside those that TA-Lib flags "path-dependent". The index of a bar is counted from the first bar.
PATH_DEPENDENT = {"MAXINDEX", "MININDEX", "MINMAXINDEX"}

# Beside those that TA-Lib flags as having an unstable period, and those with such a moving average. ADOSC is
# flagged path-dependent, but the constant by which two starts of its A/D line differ drops out of it.
DECAYING = {
    *("ADOSC", "ADXR", "CVI", "DEMA", "EFI", "ERI", "KC", "MACD", "MACDFIX", "MASSI", "SMI", "STOCHRSI"),
    *("TEMA", "TRIX", "TSI", "ZLEMA"),
}

# Beside those of class WINDOW: what keeps running sums inside, which an absurd value would spoil for good.
RUNNING_SUMS = {
    *("ADOSC", "HT_DCPERIOD", "HT_DCPHASE", "HT_PHASOR", "HT_SINE", "HT_TRENDLINE", "HT_TRENDMODE", "KAMA"),
    *("MAMA", "RVI"),
}
RUNNING_SUM_MA = {6, 7}

# --- names --------------------------------------------------------------------------------------------

DISPLAY_NAMES = {
    "AVGDEV": "Average Deviation",
    "MA": "Moving Average",
    "MACDFIX": "MACD fixed at 12/26",
    "ROC": "Rate of Change, percent",
    "ROCP": "Rate of Change, fraction",
    "ROCR": "Rate of Change, ratio",
    "ROCR100": "Rate of Change, ratio times 100",
    "TRIX": "Rate of Change of a triple-smoothed EMA",
}
"""Where TA-Lib's is a formula or unclear."""

_BANDS = {
    "upperband": "The upper band, in the unit of its input",
    "middleband": "The middle band, in the unit of its input",
    "lowerband": "The lower band, in the unit of its input",
}
_MACD = {
    "macd": "Fast less slow average, in the unit of its input",
    "macdsignal": "Average of macd",
    "macdhist": "macd less macdsignal",
}
_INDEX = (
    "as a bar's number, counted from the series' first bar as 0. On the time axis of an answer of k bars it "
    "is that number − (bars_used − k)"
)
_PERCENT = "0 to 100"

PATTERN = (
    "Above 0: the bullish pattern; below 0: the bearish one; 0: none. 100 as a rule, 200 when confirmed, 80 "
    "when weak"
)

OUTPUTS: dict[str, dict[str, str]] = {
    "ACCBANDS": _BANDS,
    "ADX": {"real": f"Strength of the trend, whichever way, {_PERCENT}"},
    "ADXR": {"real": f"Mean of ADX now and timeperiod − 1 bars before, {_PERCENT}"},
    "AROON": {
        "aroondown": f"How lately the lowest low was, {_PERCENT} (100: this bar)",
        "aroonup": f"How lately the highest high was, {_PERCENT} (100: this bar)",
    },
    "AROONOSC": {"real": "aroonup less aroondown, −100 to 100"},
    "ATR": {"real": "Wilder's average of the true range, in the prices' currency"},
    "BBANDS": _BANDS,
    "BOP": {"real": "(close − open) / (high − low), −1 to 1"},
    "CMF": {"real": "Money flow volume over volume, −1 to 1"},
    "CMO": {"real": "Chande momentum, −100 to 100"},
    "CMOU": {"real": "Chande momentum, −100 to 100"},
    "CORREL": {"real": "Correlation of two series, −1 to 1"},
    "DONCHIAN": {
        "upperband": "The highest high of the last timeperiod bars, this one included",
        "middleband": "The mean of the two bands",
        "lowerband": "The lowest low of the last timeperiod bars, this one included",
    },
    "DX": {"real": f"Directional movement, {_PERCENT}"},
    "ER": {"real": "Net change over the path's length, 0 to 1"},
    "ERI": {
        "bullpower": "High less the EMA, in the prices' currency",
        "bearpower": "Low less the EMA, in the prices' currency",
    },
    "FRACTAL": {
        "swinghigh": "100 at the bar that confirms a swing high, which was rightbars bars before; else 0",
        "swinglow": "100 at the bar that confirms a swing low, which was rightbars bars before; else 0",
    },
    "HA": {
        "haopen": "The Heikin-Ashi open",
        "hahigh": "The Heikin-Ashi high",
        "halow": "The Heikin-Ashi low",
        "haclose": "The Heikin-Ashi close",
    },
    "HT_DCPERIOD": {"real": "The dominant cycle's period, in bars"},
    "HT_DCPHASE": {"real": "The dominant cycle's phase, in degrees"},
    "HT_PHASOR": {"inphase": "The in-phase component", "quadrature": "The quadrature component"},
    "HT_SINE": {"sine": "The sine of the phase, −1 to 1", "leadsine": "The sine 45 degrees ahead, −1 to 1"},
    "HT_TRENDMODE": {"integer": "1: a trend; 0: a cycle"},
    "IMI": {"real": _PERCENT},
    "KC": _BANDS,
    "KDJ": {
        "k": f"The smoothed stochastic, {_PERCENT}",
        "d": f"The average of k, {_PERCENT}",
        "j": "3 k − 2 d; may pass 0 and 100",
    },
    "LINEARREG_ANGLE": {"real": "The slope as an angle, in degrees"},
    "LINEARREG_SLOPE": {"real": "The change per bar of the fitted line"},
    "MACD": _MACD,
    "MACDEXT": _MACD,
    "MACDFIX": _MACD,
    "MAMA": {"mama": "The adaptive average", "fama": "The average that follows it"},
    "MAXINDEX": {"integer": f"Where the highest value is, {_INDEX}"},
    "MFI": {"real": f"Money flow, {_PERCENT}"},
    "MININDEX": {"integer": f"Where the lowest value is, {_INDEX}"},
    "MINMAX": {"min": "The lowest value", "max": "The highest value"},
    "MINMAXINDEX": {
        "minidx": f"Where the lowest value is, {_INDEX}",
        "maxidx": f"Where the highest value is, {_INDEX}",
    },
    "MINUS_DI": {"real": _PERCENT},
    "NATR": {"real": "The average true range, in percent of the close"},
    "OBV": {"real": "Volume so far, counted with the sign of the change; starts at the first bar's volume"},
    "PERCENTRANK": {"real": f"Percent of the last timeperiod values that are below this one, {_PERCENT}"},
    "PLUS_DI": {"real": _PERCENT},
    "PPO": {"real": "Fast less slow average, in percent of the slow one"},
    "PVO": {"real": "Fast less slow average of volume, in percent of the slow one"},
    "ROC": {"real": "(value / value timeperiod bars before − 1) × 100"},
    "ROCP": {"real": "value / value timeperiod bars before − 1"},
    "ROCR": {"real": "value / value timeperiod bars before"},
    "ROCR100": {"real": "value / value timeperiod bars before × 100"},
    "RSI": {"real": _PERCENT},
    "RVI": {"real": _PERCENT},
    "RVOL": {"real": "Volume over the mean of the timeperiod bars before"},
    "SAREXT": {"real": "The stop, in the prices' currency; negative while short"},
    "SMI": {"smi": "−100 to 100", "smisignal": "The average of smi"},
    "STOCH": {"slowk": f"The smoothed fast K, {_PERCENT}", "slowd": f"The average of slowk, {_PERCENT}"},
    "STOCHF": {
        "fastk": f"Where the close lies between lowest low and highest high, {_PERCENT}",
        "fastd": f"The average of fastk, {_PERCENT}",
    },
    "STOCHRSI": {
        "fastk": f"Where the RSI lies between its lowest and highest, {_PERCENT}",
        "fastd": f"The average of fastk, {_PERCENT}",
    },
    "SUPERTREND": {"supertrend": "The stop, in the prices' currency", "trend": "1: up; −1: down"},
    "TRIX": {"real": "Change per bar, in percent"},
    "TSI": {"real": "−100 to 100"},
    "ULTOSC": {"real": _PERCENT},
    "VORTEX": {"plusvi": "Movement upwards over true range", "minusvi": "Movement downwards over true range"},
    "VWAP": {"real": "In the prices' currency"},
    "WILLR": {"real": "−100 to 0"},
}
"""What outputs are, where their name and the indicator's do not say enough."""

BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("BOP", "CMF", "CORREL", "HT_SINE"), (-1.0, 1.0)),
    **dict.fromkeys(("AROONOSC", "CMO", "CMOU", "SMI", "TSI"), (-100.0, 100.0)),
    **dict.fromkeys(
        ("ADX", "ADXR", "AROON", "DX", "IMI", "KDJ", "MFI", "MINUS_DI", "PERCENTRANK"), (0.0, 100.0)
    ),
    **dict.fromkeys(("PLUS_DI", "RSI", "RVI", "STOCH", "STOCHF", "STOCHRSI", "ULTOSC"), (0.0, 100.0)),
    "ER": (0.0, 1.0),
    "WILLR": (-100.0, 0.0),
}
"""What outputs cannot pass by their definition. An average whose weights are not all above zero (DEMA,
TEMA, T3, HMA, ZLEMA) may pass them."""
UNBOUNDED = {("KDJ", "j")}

# --- what charts show ---------------------------------------------------------------------------------

_FIRST_SUMS = "TA-Lib's first sums have one bar less than Wilder's. The variant wilder follows him"
_SAME = "Charts show the same"

CHARTS = {
    "AD": "A bar whose high equals its low adds nothing",
    "ADOSC": "A bar whose high equals its low adds nothing",
    "ADX": f"{_FIRST_SUMS}; the two meet after about 150 bars",
    "ADXR": f"{_FIRST_SUMS}, and averages with ADX one bar further back",
    "APO": "Charts show the same (EMAs)",
    "AROON": "Charts use timeperiod 14 or 25",
    "BBANDS": _SAME,
    "CCI": "Lambert and charts use timeperiod 20: the variant chart",
    "CMF": "A bar whose high equals its low adds its volume only",
    "CMO": "Smoothed as in Wilder's RSI. Chande and charts sum over the window: the variant chande, and cmou",
    "DX": _FIRST_SUMS,
    "EMA": "Seeded with the mean of the first timeperiod values; some charts seed it with the first value",
    "KAMA": "Kaufman and charts use 10: the variant chart. Where nothing moved it follows at its fastest",
    "KC": "Around the EMA of the typical price. Most charts use the close: the variant close",
    "KDJ": _SAME,
    "MACD": "TA-Lib delays the fast EMA's seed to the slow one's. Most charts do not: variant independent",
    "MACDEXT": "Simple averages by default. Charts use EMAs: the indicator macd",
    "MFI": _SAME,
    "MINUS_DI": _FIRST_SUMS,
    "OBV": "Starts at the first bar's volume; most charts start at 0",
    "PLUS_DI": _FIRST_SUMS,
    "ROC": "Charts use timeperiod 9 to 12",
    "RSI": _SAME,
    "SAR": "Charts guess the first trend in different ways, and meet after a turn or two",
    "STOCH": "TA-Lib's default is 5, 3, 3. Charts show 14, 3, 3 (the variant chart) or 14, 1, 3",
    "STOCHF": "TA-Lib's default is 5, 3. Charts show 14, 3: the variant chart",
    "STOCHRSI": "14, 5, 3 without a smoothed K. Charts show 14, 14, 3, 3 with one: the variant chart",
    "TRIX": "TA-Lib's default is 30. Charts use 15 (the variant chart) or 18, some of the logarithm",
    "VWAP": "Since the series' first bar. Charts start over each day: the variant session",
    **dict.fromkeys(
        ("HT_DCPERIOD", "HT_DCPHASE", "HT_PHASOR", "HT_SINE", "HT_TRENDLINE", "HT_TRENDMODE", "MAMA"),
        "Of the close. Ehlers and charts use (high + low) / 2: the variant ehlers",
    ),
}
"""What charts show, where it differs or is worth a word; and what a definition says of a division by zero."""
