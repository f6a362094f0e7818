"""How far apart bars are, and which interval that is."""

from dataclasses import dataclass

import numpy as np

from finstage_barfile.errors import Unreadable
from finstage_market.columns import Int64s
from finstage_market.interval import Interval

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_STEPS_MS = tuple(
    _MINUTE_MS * minutes for minutes in (1, 2, 3, 5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720)
)
# Days between bars of a week, a month, a quarter and a year: at least these.
_LONG = ((300, "1y"), (80, "3mo"), (27, "1mo"), (6, "1w"), (0, "1d"))
_MOST, _FEW, _MANY = 0.95, 3, 9
_STRETCHES, _STRETCH = 20, 10_000


@dataclass(frozen=True, slots=True)
class Spacing:
    """How far apart n bars are.

    name: the interval that this is, as people write it. is_sure: whether enough bars show it.
    median_ms: half of the distances are at least this.
    """

    name: str
    is_sure: bool
    median_ms: int
    count: int

    @property
    def interval(self) -> Interval | None:
        """The interval, where it is supported."""
        return Interval(self.name) if self.name in tuple(Interval) else None


def of(clocks: Int64s) -> Spacing | None:
    """The spacing of times in milliseconds, in any order; None for fewer than two."""
    distances = _distances(clocks)
    if not len(distances):
        return None
    values, counts = np.unique(distances, return_counts=True)
    usual, is_usual = int(values[counts.argmax()]), 2 * int(counts.max()) > len(distances)
    low = int(np.quantile(distances, 1 - _MOST, method="lower"))

    def named(name: str, *, is_sure: bool) -> Spacing:
        return Spacing(name, is_sure, int(np.median(distances)), len(distances) + 1)

    if low >= 20 * 60 * _MINUTE_MS:
        name = next(name for least, name in _LONG if low >= least * _DAY_MS)
        # Months differ by some days.
        is_even = is_usual or int(distances.max()) <= 1.2 * int(distances.min())
        return named(name, is_sure=len(distances) > (1 if is_even else _FEW))
    if is_usual and usual in _STEPS_MS:
        return named(_step_name(usual), is_sure=len(distances) > 1)
    fits = [step for step in _STEPS_MS if float((distances % step == 0).mean()) >= _MOST]
    return named(_step_name(max(fits)) if fits else f"{usual / 1000:g}s", is_sure=len(distances) > _MANY)


def _distances(clocks: Int64s) -> Int64s:
    """The distances above 0 between times; of many, those in some stretches of them."""
    ordered = clocks if (clocks[1:] >= clocks[:-1]).all() else np.sort(clocks)
    starts = range(0, len(ordered), max(_STRETCH, len(ordered) // _STRETCHES))
    found = np.concatenate([ordered[:0], *(np.diff(ordered[start : start + _STRETCH]) for start in starts)])
    return found[found > 0]


def inferred(spacing: Spacing | None, *, are_midnights: bool) -> Interval:
    """The interval of a file's bars.

    Raises:
        Unreadable: it is not supported, or cannot be told.
    """
    if spacing is None or (are_midnights and spacing.count < _FEW):
        if are_midnights:
            return Interval.D1
        raise Unreadable("one bar does not tell its interval", settled_by="interval")
    if spacing.interval is None:
        raise Unreadable(f"its bars look like {spacing.name}; {_supported()}")
    return spacing.interval


def check(spacing: Spacing | None, interval: Interval) -> None:
    """Check that bars can be those of an interval.

    Raises:
        Unreadable: most are closer to each other than it is long, or further apart as those of a longer one.
    """
    if spacing is None:
        return
    if (spacing.is_sure or spacing.count > _MANY + 1) and 2 * spacing.median_ms < interval.nominal_ms:
        told = f"its times are {spacing.median_ms / _MINUTE_MS:,g} min apart, and {interval} bars cannot be"
        raise Unreadable(told, settled_by="interval")
    if spacing.is_sure and _nominal_ms(spacing.name) > 1.5 * interval.nominal_ms:
        told = f"its bars look like {spacing.name}, not {interval}"
        if spacing.interval is None:
            raise Unreadable(f"{told}; {_supported()}")
        raise Unreadable(told, settled_by="interval")


def _nominal_ms(name: str) -> int:
    long = {"1d": 1, "1w": 7, "1mo": 30, "3mo": 91, "1y": 365}
    return long[name] * _DAY_MS if name in long else _short_ms(name)


def _short_ms(name: str) -> int:
    return next((step for step in _STEPS_MS if _step_name(step) == name), 0)


def _step_name(step_ms: int) -> str:
    minutes = step_ms // _MINUTE_MS
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h"


def _supported() -> str:
    return f"intervals are {', '.join(Interval)}"
