"""compute: one spec over one series."""

from dataclasses import dataclass

import numpy as np

from finstage_market.columns import Float64s, Int64s
from services.indicators.inputs import Inputs, Source
from services.indicators.specs import Spec


@dataclass(frozen=True, slots=True, eq=False)
class OutputSlice:
    """One output on a part of the series, the time axis of an answer.

    first_index: where on the axis `values` starts.
    values: float64, one a bar from there to the axis' end; 0 where there is no value.
    undefined: int64, the indexes on the axis where there is none.
    """

    first_index: int
    values: Float64s
    undefined: Int64s


def compute(inputs: Inputs, spec: Spec) -> tuple[Float64s, ...]:
    """The outputs of `spec`, one number a bar from the lookback on: arrays of float64[n - lookback], NaN or
    infinite where the indicator has no value. Empty arrays where the series is too short."""
    if len(inputs) <= spec.lookback:
        return tuple(np.empty(0) for _ in spec.indicator.outputs)
    outputs = spec.variant.run(inputs, spec.source or Source.CLOSE, spec.params)
    return tuple(np.ascontiguousarray(values[spec.lookback :], dtype=np.float64) for values in outputs)


def cut(values: Float64s, *, lookback: int, axis: slice) -> OutputSlice:
    """The part on `axis` (rows of the series) of one output that starts at row `lookback`."""
    first = min(max(axis.start, lookback), axis.stop)
    part = values[max(0, first - lookback) : max(0, axis.stop - lookback)]
    first_index = first - axis.start
    finite = np.isfinite(part)
    if finite.all():
        return OutputSlice(first_index, part, np.empty(0, dtype=np.int64))
    return OutputSlice(first_index, np.where(finite, part, 0.0), np.flatnonzero(~finite) + first_index)
