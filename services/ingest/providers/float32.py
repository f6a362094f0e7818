"""Prices that went through a float32 at their source, back as the decimals that they were.

The chart API sends 285.14 as 285.1400146484375 in one place and as 285.14 in another. Each such value becomes
the shortest decimal that is the same float32, so that nothing is lost. Where rounding to the instrument's
precision moves it by no more than a float32 can tell, it becomes that number.
"""

import numpy as np

from finstage_market.columns import Float64s

# Prices of the smallest coins have so many digits after the point.
_MAX_DIGITS = 20
# Some replies print a float32 with 16 digits, which is not quite the double that equals it.
_PRINTED = 1e-14


def decimals(values: Float64s, precision: int | None) -> Float64s:
    """Return float64 values of any shape without the noise of a float32. NaN, and other doubles, stay.

    precision: digits after the point of the instrument's prices; None: not known.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype(np.float32)
        noise = np.abs(values - single)
        todo = np.flatnonzero(np.isfinite(single) & (noise <= _PRINTED * np.abs(values)))
    if not len(todo):
        return values
    found, flat, singles = values.copy(), values.ravel(), single.ravel()
    out = found.ravel()
    if precision is not None:
        rounded = np.round(flat[todo], precision)
        near = np.abs(rounded - flat[todo]) <= np.spacing(np.abs(singles[todo]))
        out[todo[near]] = rounded[near]
        todo = todo[~near]
    for digits in range(_MAX_DIGITS + 1):
        if not len(todo):
            break
        rounded = np.round(flat[todo], digits)
        same = rounded.astype(np.float32) == singles[todo]
        out[todo[same]] = rounded[same]
        todo = todo[~same]
    return out.reshape(values.shape)


def decimal(value: float | None, precision: int | None) -> float | None:
    """As decimals(), of one value."""
    return None if value is None else float(decimals(np.array([value]), precision)[0])
