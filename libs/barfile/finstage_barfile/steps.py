"""Factors of events, each of which applies to all times before its event."""

from dataclasses import dataclass

import numpy as np

from finstage_market.columns import Float64s, Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """times_ms: when the events are, ascending. factors: the factor of each, for all times before it."""

    times_ms: Int64s
    factors: Float64s

    def at(self, times_ms: Int64s) -> Float64s:
        """The product of the factors of the events after each time."""
        after = np.append(np.cumprod(self.factors[::-1])[::-1], 1.0)
        return after[np.searchsorted(self.times_ms, times_ms, side="right")]


NO_STEPS = Steps(np.empty(0, dtype=np.int64), np.empty(0))
