"""Scale: prices that are off by a factor, within a bar or beside a listed split."""

from collections.abc import Iterator, Sequence

import numpy as np

from finstage_market.columns import Columns, Int64s
from services.ingest.series import BarFlag, Event, FlagReason

# A high, low or open so many times away from the bar's other prices is a slip of the decimal point, or pence
# among pounds: the known factors are 10 and 100.
SCALE_FACTOR = 5.0
# Sizes of splits are natural logarithms of their ratios. Smaller ones are lost among ordinary moves.
_MIN_SIZE = np.log(1.1)
# A move is of a split's size when it differs from it by less than this.
_SAME_SIZE = 0.1
# Moves of a smaller size happen on ordinary days, so they count near the split only. Up to a factor of three
# they happen in a crash: then only such a move counts that is very like the split.
_STRIKING_SIZE, _STRANGE_SIZE = np.log(2.0) - 1e-9, np.log(3.0) - 1e-9
_VERY_LIKE = 0.03
# How many bars away from its day a split may have been applied.
_NEAR_BARS = 5


def out_of_scale(columns: Columns) -> Iterator[BarFlag]:
    """A flag for each bar whose high, low or open is out of scale beside its other prices.

    The open is measured against the close and the close before, so that a real gap is not flagged.
    """
    top, bottom = np.maximum(columns.open, columns.close), np.minimum(columns.open, columns.close)
    before = np.concatenate([columns.open[:1], columns.close[:-1]])
    positive = columns.low > 0
    wrong = {
        "high": columns.high > top * SCALE_FACTOR,
        "low": columns.low * SCALE_FACTOR < bottom,
        "open": (columns.open > SCALE_FACTOR * np.maximum(columns.close, before))
        | (columns.open * SCALE_FACTOR < np.minimum(columns.close, before)),
    }
    for row in np.flatnonzero(positive & np.logical_or.reduce(list(wrong.values()))).tolist():
        values = ", ".join(
            f"{name} {float(getattr(columns, name)[row])!r}" for name in wrong if wrong[name][row]
        )
        detail = f"{values} beside a close of {float(columns.close[row])!r}"
        yield BarFlag(int(columns.open_time_ms[row]), FlagReason.SUSPICIOUS_JUMP, detail)


def split_jumps(
    columns: Columns, days: Int64s, splits: Sequence[tuple[int, Event]], *, anywhere: bool
) -> Iterator[BarFlag]:
    """A flag for each bar at which the closes move as by a listed split, which should not show in them.

    Args:
        days: int64[n], the day, week or month of each bar; grows.
        splits: with theirs.
        anywhere: whether moves of a split's size far from it count too: a part of the history was adjusted
            once too often, or not at all.
    """
    closes = columns.close
    if len(closes) < 2 or not (closes > 0).all():
        return
    moves = np.log(closes[:-1] / closes[1:])  # into the bars from the second on
    for day, split in splits:
        size = float(np.log((split.numerator or 1.0) / (split.denominator or 1.0)))
        if abs(size) < _MIN_SIZE:
            continue
        at = int(np.searchsorted(days, day)) - 1  # the move into the first bar of the split's day
        near = np.abs(np.arange(len(moves)) - at) <= _NEAR_BARS
        alike = near & (np.abs(moves - size) < min(_SAME_SIZE, abs(size) / 4))
        if anywhere and abs(size) >= _STRIKING_SIZE:
            within = _SAME_SIZE if abs(size) >= _STRANGE_SIZE else _VERY_LIKE
            alike |= np.abs(np.abs(moves) - abs(size)) < within
        if 0 <= at < len(moves):
            alike[at] |= abs(moves[at] - size) < abs(moves[at])
        for row in np.flatnonzero(alike).tolist():
            detail = (
                f"close {float(closes[row])!r} to {float(closes[row + 1])!r}; a split of "
                f"{split.numerator:g}:{split.denominator:g} is listed and may not be applied here"
            )
            yield BarFlag(int(columns.open_time_ms[row + 1]), FlagReason.SUSPICIOUS_JUMP, detail)
