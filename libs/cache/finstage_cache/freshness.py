"""The freshness of a held answer: what a call may do with it."""

import math
from collections.abc import Callable
from enum import Enum, auto

from .answer import Held
from .policy import Policy


class Freshness(Enum):
    """What a call does with a held answer."""

    FRESH = auto()
    """Serve it."""
    EARLY = auto()
    """Serve it, and refresh it in the background before it ends for everyone."""
    STALE = auto()
    """Serve it as STALE, and refresh it in the background."""
    FALLBACK = auto()
    """Load; serve it as STALE if the load fails."""
    GONE = auto()
    """Load."""


def freshness(held: Held | None, policy: Policy, random: Callable[[], float]) -> Freshness:
    """The freshness of `held` under the reading call's policy; `random` gives numbers in [0, 1)."""
    if held is None:
        return Freshness.GONE
    answer, age = held
    too_old = policy.max_age_s is not None and age >= policy.max_age_s
    if age < answer.fresh_for and not too_old:
        # XFetch: refresh if -beta * load * ln(u) reaches the end, u uniform in (0, 1], beta = 1.
        early = (
            policy.early
            and answer.load_s > 0
            and not answer.absent
            and -answer.load_s * math.log(1.0 - random()) >= answer.fresh_for - age
        )
        return Freshness.EARLY if early else Freshness.FRESH
    if not too_old and age < answer.fresh_for + min(answer.stale_s, policy.stale_s):
        return Freshness.STALE
    if age < min(answer.error_for, answer.fresh_for + policy.stale_on_error_s):
        return Freshness.FALLBACK
    return Freshness.GONE
