"""compute: one spec over one series."""

from dataclasses import dataclass

import numpy as np

from finstage_market.columns import Float64s, Int64s
from services.indicators.anchors import run_anchored
from services.indicators.inputs import Inputs
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
    """Return the outputs of `spec`, one number a bar from the output's own lookback on.

    An array is float64[n - lookback], NaN or infinite where the indicator has no value, and empty where the
    series is too short for it.
    """
    if len(inputs) <= spec.lookback:
        return tuple(np.empty(0) for _ in spec.indicator.outputs)
    run, source = spec.variant.run, spec.read_source
    if spec.is_anchored:
        outputs = run_anchored(
            run, inputs, source, spec.params, columns=spec.columns, lookback=max(spec.lookbacks)
        )
    else:
        outputs = run(inputs, source, spec.params)
    return tuple(
        np.ascontiguousarray(values[lookback:], dtype=np.float64)
        for values, lookback in zip(outputs, spec.lookbacks, strict=True)
    )


def cut(values: Float64s, *, lookback: int, axis: slice) -> OutputSlice:
    """Return the part on `axis` (rows of the series) of one output that starts at row `lookback`."""
    first = min(max(axis.start, lookback), axis.stop)
    part = values[max(0, first - lookback) : max(0, axis.stop - lookback)]
    first_index = first - axis.start
    finite = np.isfinite(part)
    if finite.all():
        return OutputSlice(first_index, part, np.empty(0, dtype=np.int64))
    return OutputSlice(first_index, np.where(finite, part, 0.0), np.flatnonzero(~finite) + first_index)
