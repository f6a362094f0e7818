"""Factors that hold for all times before each of some events."""

from dataclasses import dataclass

import numpy as np

from finstage_market.columns import Float64s, Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """times_ms: of events, growing. factors: that of each, which holds for what is before it."""

    times_ms: Int64s
    factors: Float64s

    def at(self, times_ms: Int64s) -> Float64s:
        """The product of the factors of the events after each time."""
        after = np.append(np.cumprod(self.factors[::-1])[::-1], 1.0)
        return after[np.searchsorted(self.times_ms, times_ms, side="right")]


NO_STEPS = Steps(np.empty(0, dtype=np.int64), np.empty(0))
