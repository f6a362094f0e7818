"""Whether what is held answers a call."""

import math
from collections.abc import Callable
from enum import Enum, auto

from .answer import Held
from .policy import Policy


class Verdict(Enum):
    """What may be done with what is held."""

    FRESH = auto()
    """Answer with it."""
    EARLY = auto()
    """Answer with it, and refresh it now, before everyone needs to."""
    STALE = auto()
    """Answer with it, marked, and refresh it."""
    FALLBACK = auto()
    """Load; answer with it, marked, if that fails."""
    GONE = auto()
    """Load."""


def judge(held: Held | None, policy: Policy, random: Callable[[], float]) -> Verdict:
    """The verdict on `held` under the reading call's policy; `random` gives numbers in [0, 1)."""
    if held is None:
        return Verdict.GONE
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
        return Verdict.EARLY if early else Verdict.FRESH
    if not too_old and age < answer.fresh_for + min(answer.stale_s, policy.stale_s):
        return Verdict.STALE
    if age < min(answer.error_for, answer.fresh_for + policy.stale_on_error_s):
        return Verdict.FALLBACK
    return Verdict.GONE
