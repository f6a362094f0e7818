"""Deadlines: how long the caller still waits, and what of it a call downstream gets."""

import time

from finstage_market.errors import DeadlineTooShort
from finstage_rpc import call
from finstage_rpc.call import Context, detached

__all__ = ["MARGIN_S", "downstream_timeout_s", "require_s", "time_left_s", "detached"]

# Kept back from what a call downstream gets, so that its error still arrives and can be answered.
MARGIN_S = 0.01


def time_left_s(context: Context | None = None) -> float | None:
    """Seconds that the caller of `context`, or of the current call, still waits.

    0 when its time is over; None when it set no deadline, and outside any call.
    """
    if context is not None:
        remaining: float | None = context.time_remaining()
        return remaining
    serving = call.current()
    if serving is None or serving.deadline is None:
        return None
    return max(0.0, serving.deadline - time.monotonic())


def require_s(needed_s: float, what: str) -> None:
    """Gives up now where waiting would be for nothing.

    Raises:
        DeadlineTooShort: `what` takes `needed_s` seconds, and the caller waits for less.
    """
    left = time_left_s()
    if left is not None and left < needed_s:
        raise DeadlineTooShort(f"{what} takes {needed_s:.3g} s, and {left:.3g} s of the deadline are left")


def downstream_timeout_s(own_s: float | None) -> float | None:
    """The timeout of a call downstream: the caller's time left less a margin, and at most `own_s`.

    Raises:
        DeadlineTooShort: nothing is left.
    """
    left = time_left_s()
    if left is None:
        return own_s
    left -= MARGIN_S
    if left <= 0:
        raise DeadlineTooShort("the deadline leaves no time to ask")
    return left if own_s is None else min(left, own_s)
