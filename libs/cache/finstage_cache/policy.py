"""How long an answer may be used, and for what."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

LONGEST_S = 1e9
"""The longest lifetime: about 31 years. What should live longer belongs in a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One call's policy. All times are seconds, up to `LONGEST_S`; stale times count from the end of
    freshness.

    The storing call's policy decides how long an answer is kept; a reading call's policy can only tighten
    that.
    """

    fresh_s: float
    """Served as it is for this long (> 0)."""
    stale_s: float = 0.0
    """Then served as STALE for this long, while one refresh runs."""
    stale_on_error_s: float = 0.0
    """Served as STALE for this long after freshness if the load fails; 0: the failure is raised."""
    negative_s: float = 0.0
    """How long "absent" is fresh; 0: absence is not kept."""
    jitter: float = 0.0
    """Freshness is shortened by a random share up to this (0 to 1), so that equal lifetimes part."""
    max_age_s: float | None = None
    """Reading: anything older is neither fresh nor served during a refresh (0: always load, but still one
    load)."""
    early: bool = True
    """Refresh in the background shortly before freshness ends, the likelier the closer and the dearer the
    load (XFetch with beta 1: Vattani, Chierichetti, Lowenstein, VLDB 2015)."""
    retry_s: float = 1.0
    """After a failed load, while stale_on_error_s lets an old answer be served, the next load waits this
    long."""
    load_timeout_s: float = 30.0
    """A load, and the wait for another process's load, may take this long (> 0)."""

    longest_stale_s: float = field(init=False, repr=False)
    """The longer of the two stale times."""

    def __post_init__(self) -> None:
        for name in ("fresh_s", "load_timeout_s"):
            _check(name, getattr(self, name), "above 0", lambda x: x > 0)
        for name in ("stale_s", "stale_on_error_s", "negative_s", "retry_s"):
            _check(name, getattr(self, name), "0 or above", lambda x: x >= 0)
        _check("jitter", self.jitter, "from 0 to below 1", lambda x: 0 <= x < 1)
        if self.max_age_s is not None:
            _check("max_age_s", self.max_age_s, "0 or above, or None", lambda x: x >= 0)

        object.__setattr__(self, "longest_stale_s", max(self.stale_s, self.stale_on_error_s))

    def replace(self, **changes: Any) -> "Policy":
        """This policy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


def _check(name: str, value: Any, accepted: str, ok: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"Policy.{name} is seconds as a number ({accepted}), not {value!r}")
    if not (math.isfinite(value) and value <= LONGEST_S and ok(value)):
        raise ValueError(f"Policy.{name} must be {accepted}, and at most {LONGEST_S:g}, not {value!r}")
