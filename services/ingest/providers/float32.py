"""Prices that went through a float32 at their source, back as the decimals that they were.

The chart API sends 285.14 as 285.1400146484375 in one place and as 285.14 in another. Each such value becomes
the number of the instrument's precision that a float32 cannot tell from it; where there is none, the shortest
decimal that is the same float32, so that nothing is lost.
"""

import numpy as np

from finstage_market.columns import Float64s, Int64s

# Some replies print a float32 with 16 digits, which is not quite the double that equals it.
_PRINTED = 1e-14
_EPSILON = float(np.finfo(np.float32).eps)
# Every decimal of 6 significant digits survives a float32, and 9 tell all float32 apart.
_DIGITS = (6, 7, 8, 9)
_SMALLEST, _GREATEST = 1e-25, 1e25
_ZEROTH = 40
_POWERS = 10.0 ** np.arange(-_ZEROTH, _ZEROTH)


def decimals(values: Float64s, precision: int | None) -> Float64s:
    """Return float64 values of any shape without the noise of a float32. NaN, and other doubles, stay.

    precision: digits after the point of the instrument's prices; None: not known.
    """
    flat = values.ravel()
    size = np.abs(flat)
    with np.errstate(over="ignore", invalid="ignore"):
        single = flat.astype(np.float32)
        todo = (np.abs(flat - single) <= _PRINTED * size) & (size > _SMALLEST) & (size < _GREATEST)
        found = flat
        if precision is not None:
            scale = 10.0**precision
            rounded = np.rint(flat * scale) / scale
            near = todo & (np.abs(rounded - flat) <= _EPSILON * size)
            found = np.where(near, rounded, flat)
            todo &= ~near
    rest = np.flatnonzero(todo)
    if len(rest):
        found = found.copy()
        magnitudes = _magnitudes(size[rest])
    for digits in _DIGITS:
        if not len(rest):
            break
        scales = _POWERS[digits - 1 - magnitudes + _ZEROTH]
        rounded = np.rint(flat[rest] * scales) / scales
        same = rounded.astype(np.float32) == single[rest]
        found[rest[same]] = rounded[same]
        rest, magnitudes = rest[~same], magnitudes[~same]
    return found.reshape(values.shape)


def decimal(value: float | None, precision: int | None) -> float | None:
    """As decimals(), of one value."""
    return None if value is None else float(decimals(np.array([value]), precision)[0])


def _magnitudes(sizes: Float64s) -> Int64s:
    """int64[n]: floor(log10(size)), exact at powers of ten."""
    lowest, highest = (int(np.floor(np.log10(size))) for size in (sizes.min(), sizes.max()))
    found = np.full(len(sizes), lowest, dtype=np.int64)
    for power in range(lowest + 1, highest + 1):
        found += sizes >= _POWERS[power + _ZEROTH]
    return found
