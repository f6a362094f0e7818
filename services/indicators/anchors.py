"""Anchors: where a computation starts over, so that an absurd value does not spoil what comes after it.

TA-Lib keeps running sums. A print of 1e15 among prices of 100 takes their digits with it, and leaves an error
in every later average, also when it has long left the window. So a computation starts over at a bar whose
window holds nothing larger than a millionth of what the sums have held: from there on a value depends on its
window alone again. Ordinary series never do, and have TA-Lib's numbers bit for bit.
"""

import itertools
from functools import partial

import numpy as np
import talib

from finstage_market.columns import Float64s
from services.indicators.catalogue import Params, Run
from services.indicators.inputs import Inputs, Source

ABSURD = 2.0**20
_FIRST_BLOCK = 256


def run_anchored(
    run: Run, inputs: Inputs, source: Source, params: Params, *, columns: frozenset[str], lookback: int
) -> tuple[Float64s, ...]:
    """Return the outputs of `run`, started over wherever the values in `columns` say so.

    lookback: how many bars before the bar itself a value depends on.
    """
    # Without a window and without a period there is no sum.
    if (lookback == 0 and not params) or is_tame(inputs, columns):
        return run(inputs, source, params)
    starts = anchors([inputs.read(name, source) for name in sorted(columns)], lookback)
    if len(starts) == 1:
        return run(inputs, source, params)
    parts = []
    for start, end in itertools.pairwise([*starts, len(inputs)]):
        # The part starts where its first window does, which is before its first value.
        stop = min(end + lookback, len(inputs))
        outputs = run(inputs[start:stop], source, params)
        parts.append([values[lookback if start else 0 :] for values in outputs])
    return tuple(np.concatenate(values) for values in zip(*parts, strict=True))


def is_tame(inputs: Inputs, columns: frozenset[str]) -> bool:
    """Return whether no value can be absurd beside another: where the largest is not, beside the least."""

    return all(inputs.once(("tame", name), partial(_is_tame, inputs, name)) for name in columns)


def _is_tame(inputs: Inputs, name: str) -> bool:
    values = inputs.read(name, Source.CLOSE)
    smallest, largest = values.min(), values.max()
    if smallest < 0.0:
        sizes = np.abs(values)
        smallest, largest = sizes.min(), sizes.max()
    return bool(largest <= ABSURD * smallest)


def anchors(columns: list[Float64s], lookback: int) -> list[int]:
    """Return the rows at which a computation starts over, the first row first.

    At each bar the largest value since the last anchor is compared with the largest in the bar's window, so
    an anchor does not depend on later bars.
    """
    sizes = [np.abs(values) for values in columns]
    windows = [talib.MAX(size, lookback + 1) if lookback else size for size in sizes]
    starts = [0]
    while (next_start := _next_anchor(sizes, windows, starts[-1], lookback)) is not None:
        starts.append(next_start)
    return starts


def _next_anchor(sizes: list[Float64s], windows: list[Float64s], start: int, lookback: int) -> int | None:
    count, block = len(sizes[0]), _FIRST_BLOCK
    while True:
        end = min(start + lookback + block, count)
        spoilt = np.zeros(max(0, end - start - lookback), dtype=bool)
        for size, window in zip(sizes, windows, strict=True):
            largest = np.maximum.accumulate(size[start:end])[lookback:]
            here = window[start + lookback : end]
            spoilt |= (largest > ABSURD * here) & (here > 0.0)
        if spoilt.any():
            return start + int(np.argmax(spoilt))
        if end == count:
            return None
        block *= 2
