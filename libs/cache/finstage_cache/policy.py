"""Policies: how long an answer is fresh, and how long it may be served after that."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

MAX_S = 1e9
"""The longest lifetime: about 31 years. Data that must live longer belongs in a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy of one call. All times are seconds, up to `MAX_S`; stale times begin when freshness ends.

    The storing call's policy decides how long an answer is kept; a reading call's can only shorten that.
    """

    fresh_s: float
    """The answer is a HIT for this long (> 0)."""
    stale_s: float = 0.0
    """After that it is served as STALE for this long, while one refresh runs."""
    stale_on_error_s: float = 0.0
    """It is served as STALE for this long after its freshness if the load fails; 0: the error is raised."""
    negative_s: float = 0.0
    """An absence is fresh for this long; 0: it is not kept."""
    jitter: float = 0.0
    """Freshness is shortened by a random share up to this (0 to 1), to spread out equal lifetimes."""
    max_age_s: float | None = None
    """Reading: an older answer is neither fresh nor served during a refresh. 0: always load, still once for
    callers who ask together."""
    early: bool = True
    """Refresh in the background shortly before freshness ends, with a chance that grows towards the end and
    with the duration of the load (XFetch with beta 1: Vattani, Chierichetti, Lowenstein, VLDB 2015)."""
    retry_s: float = 1.0
    """After a failed load the next one waits this long, as long as the old answer may be served on error."""
    patience_s: float | None = None
    """Reading: from this long after a load began, the old answer is served as STALE if it may be served on
    error, and the load goes on. None: callers wait for the end of the load."""
    load_timeout_s: float = 30.0
    """A load, and the wait for another process's load, may take this long (> 0)."""

    max_stale_s: float = field(init=False, repr=False)
    """The longer of the two stale times."""

    def __post_init__(self) -> None:
        for name in ("fresh_s", "load_timeout_s"):
            _check(name, getattr(self, name), "above 0", lambda x: x > 0)
        for name in ("stale_s", "stale_on_error_s", "negative_s", "retry_s"):
            _check(name, getattr(self, name), "0 or above", lambda x: x >= 0)
        _check("jitter", self.jitter, "from 0 to below 1", lambda x: 0 <= x < 1)
        for name in ("max_age_s", "patience_s"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), "0 or above, or None", lambda x: x >= 0)
        object.__setattr__(self, "max_stale_s", max(self.stale_s, self.stale_on_error_s))

    def replace(self, **changes: Any) -> "Policy":
        """This policy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


def _check(name: str, value: Any, accepted: str, ok: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"Policy.{name} must be a number of seconds, {accepted}, not {value!r}")
    if not (math.isfinite(value) and value <= MAX_S and ok(value)):
        raise ValueError(f"Policy.{name} must be {accepted}, and at most {MAX_S:g}, not {value!r}")
