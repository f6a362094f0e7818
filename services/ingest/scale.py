"""Scale: prices that are off by a factor, within a bar or beside a listed split."""

from collections.abc import Iterator, Sequence

import numpy as np

from finstage_market.columns import Columns, Int64s
from services.ingest.series import BarFlag, Event, EventKind, FlagReason

# A high, low or open so many times away from the bar's other prices is a slip of the decimal point, or pence
# among pounds: the known factors are 10 and 100.
SCALE_FACTOR = 5.0
# Smaller splits than this are lost among ordinary moves.
MIN_SPLIT = 1.1
# A move is of a split's size when it differs from it by less than this, in natural logarithms.
_SAME_SIZE = 0.1
# Moves of the size of a split of less than this happen on ordinary days, so only those near the split count.
_STRIKING_SPLIT = 1.5
# How many bars away from its day a split may have been applied.
_NEAR_BARS = 5


def out_of_scale(columns: Columns) -> Iterator[BarFlag]:
    """A flag for each bar whose high, low or open is out of scale beside its other prices.

    The open is measured against the close and the close before, so that a true gap is none.
    """
    top, bottom = np.maximum(columns.open, columns.close), np.minimum(columns.open, columns.close)
    before = np.concatenate([columns.close[:1], columns.close[:-1]])
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


def split_jumps(columns: Columns, days: Int64s, events: Sequence[tuple[int, Event]]) -> Iterator[BarFlag]:
    """A flag for each bar at which the closes move as by a listed split, which should not show in them.

    Args:
        days: int64[n], the bars' local dates; grows.
        events: corporate actions with their local dates; only splits count.
    """
    closes = columns.close
    if len(closes) < 2 or not (closes > 0).all():
        return
    moves = np.log(closes[:-1] / closes[1:])  # of the bars from the second on
    for day, event in events:
        ratio = (event.numerator or 1.0) / (event.denominator or 1.0)
        if event.kind is not EventKind.SPLIT or not max(ratio, 1 / ratio) >= MIN_SPLIT:
            continue
        size = float(np.log(ratio))
        at = int(np.searchsorted(days, day)) - 1  # the move into the first bar of the split's day
        near = np.abs(np.arange(len(moves)) - at) <= _NEAR_BARS
        alike = np.abs(moves - size) < min(_SAME_SIZE, abs(size) / 4)
        if max(ratio, 1 / ratio) >= _STRIKING_SPLIT:
            # Anywhere else: a part of the history was adjusted once too often, or not at all.
            alike = np.abs(np.abs(moves) - abs(size)) < _SAME_SIZE
        else:
            alike &= near
        if 0 <= at < len(moves):
            alike[at] |= abs(moves[at] - size) < abs(moves[at])
        for row in np.flatnonzero(alike).tolist():
            detail = (
                f"close {float(closes[row])!r} to {float(closes[row + 1])!r}, and a split of "
                f"{event.numerator:g}:{event.denominator:g} is listed: it may not be applied"
            )
            yield BarFlag(int(columns.open_time_ms[row + 1]), FlagReason.SUSPICIOUS_JUMP, detail)
