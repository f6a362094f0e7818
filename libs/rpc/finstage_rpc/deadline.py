"""Deadlines: how long the caller still waits, and how much of that a call to another service gets."""

import time

from finstage_market.errors import DeadlineTooShort
from finstage_rpc import call
from finstage_rpc.call import Context

# Held back from a call to another service, so that there is time to pass its error on.
MARGIN_S = 0.01


def time_left_s(context: Context | None = None) -> float | None:
    """Return the seconds that the caller of `context`, or of the current call, still waits.

    0 when its time is over; None when it set no deadline, and outside a call.
    """
    if context is not None:
        remaining: float | None = context.time_remaining()
        return remaining
    serving = call.current()
    if serving is None or serving.deadline is None:
        return None
    return max(0.0, serving.deadline - time.monotonic())


def downstream_timeout_s(own_s: float | None) -> float | None:
    """Return the timeout of a call to another service: the caller's time less MARGIN_S, at most `own_s`.

    Raises:
        DeadlineTooShort: no time is left.
    """
    left = time_left_s()
    if left is None:
        return own_s
    left -= MARGIN_S
    if left <= 0:
        raise DeadlineTooShort("the deadline leaves no time to ask")
    return left if own_s is None else min(left, own_s)
