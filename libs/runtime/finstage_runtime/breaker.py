"""A circuit breaker: after failures in a row calls are refused, except one probe at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: every call passes. Open: none does. Half open: a probe is under way."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after `failures` in a row for open_s, doubled with each failed probe up to max_open_s."""

    failures: int = 5
    open_s: float = 2.0
    max_open_s: float = 30.0


class Breaker:
    """Counts failures and decides which calls pass. Safe to use from many threads.

    Every call that `allow` lets through should end in `succeeded` or `failed`. A probe that never does holds
    up the next one for max_open_s.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        *,
        monotonic: Callable[[], float],
        changed: Callable[[BreakerState, BreakerState], None],
    ) -> None:
        """changed: called with the states before and after each change, in the thread that caused it."""
        self._policy = policy
        self._monotonic = monotonic
        self._changed = changed
        self._lock = threading.Lock()
        self._failures = 0
        self._open_s = policy.open_s
        self._retry_at = 0.0
        self._state = BreakerState.CLOSED

    @property
    def state(self) -> BreakerState:
        """The current state. It stays OPEN when a probe is due until a call asks to be the probe."""
        return self._state

    def retry_in_s(self) -> float | None:
        """Seconds until a call may pass; None: now. During a probe: the time of the next one."""
        with self._lock:
            return self._retry_in_s()

    def allow(self) -> bool:
        """Whether a call may be made now. The first call after the wait is the probe."""
        with self._lock:
            if self._retry_in_s() is not None:
                return False
            if self._state is not BreakerState.CLOSED:
                self._retry_at = self._monotonic() + self._policy.max_open_s
                self._enter(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """A call succeeded: close."""
        with self._lock:
            self._failures = 0
            self._open_s = self._policy.open_s
            self._enter(BreakerState.CLOSED)

    def failed(self) -> None:
        """A call failed: open again after a probe, or after too many failures in a row."""
        with self._lock:
            self._failures += 1
            if self._state is BreakerState.HALF_OPEN:
                self._open_s = min(2 * self._open_s, self._policy.max_open_s)
            elif self._state is BreakerState.OPEN or self._failures < self._policy.failures:
                return  # the call began before the breaker opened, or more failures are needed
            self._retry_at = self._monotonic() + self._open_s
            self._enter(BreakerState.OPEN)

    def _retry_in_s(self) -> float | None:
        left_s = self._retry_at - self._monotonic()
        return None if self._state is BreakerState.CLOSED or left_s <= 0 else left_s

    def _enter(self, state: BreakerState) -> None:
        before, self._state = self._state, state
        if state is not before:
            self._changed(before, state)
