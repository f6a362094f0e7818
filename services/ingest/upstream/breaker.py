"""A circuit breaker: after failures in a row the upstream is left alone, but for one probe at a time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """finstage.ingest.v1.BreakerState without its prefix."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """It opens after `failures` in a row for open_s, doubled with each probe that fails up to max_open_s."""

    failures: int = 5
    open_s: float = 2.0
    max_open_s: float = 30.0


class Breaker:
    """Safe to use from many threads.

    Each request that allow() lets through must end in succeeded() or failed(), whatever becomes of it.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        *,
        monotonic: Callable[[], float],
        changed: Callable[[BreakerState], None],
    ) -> None:
        """changed: told of each change of state, from the thread that caused it."""
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
        """Where it stands. OPEN also while a probe is due and nobody has come to make it."""
        return self._state

    def retry_in_s(self) -> float | None:
        """Seconds until a request may pass; None: now. While a probe is under way: the time of the next."""
        with self._lock:
            return self._retry_in_s()

    def allow(self) -> bool:
        """Whether a request may be sent now. While open, the first one after the wait is the probe."""
        with self._lock:
            if self._retry_in_s() is not None:
                return False
            if self._state is BreakerState.OPEN:
                # A probe that is never heard of again must not keep it half open for good.
                self._retry_at = self._monotonic() + self._policy.max_open_s
                self._enter(BreakerState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """The upstream answered."""
        with self._lock:
            self._failures = 0
            self._open_s = self._policy.open_s
            if self._state is not BreakerState.CLOSED:
                self._enter(BreakerState.CLOSED)

    def failed(self) -> None:
        """The upstream did not answer, or only that it cannot."""
        with self._lock:
            self._failures += 1
            if self._state is BreakerState.HALF_OPEN:
                self._open_s = min(2 * self._open_s, self._policy.max_open_s)
            elif self._state is BreakerState.OPEN or self._failures < self._policy.failures:
                return  # one that was sent before it opened, or not enough
            self._retry_at = self._monotonic() + self._open_s
            self._enter(BreakerState.OPEN)

    def _retry_in_s(self) -> float | None:
        left_s = self._retry_at - self._monotonic()
        return None if self._state is BreakerState.CLOSED or left_s <= 0 else left_s

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._changed(state)
