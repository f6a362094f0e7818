"""The guard of one host: its pace, breaker, retry budget and bound on requests in flight."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from finstage_runtime.breaker import Breaker, BreakerPolicy, BreakerState
from finstage_runtime.clock import Clock
from services.ingest.upstream.budget import RetryBudget
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.outcomes import Failure, Outcome
from services.ingest.upstream.pace import Pace

T = TypeVar("T")
_log = structlog.get_logger(__name__)

MAX_ERRORS = 10


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """A recent failure. detail holds no secret."""

    at_ms: int
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """How one provider fares: finstage.ingest.v1.ProviderStatus, with None for its unset fields."""

    provider: str
    rate_per_s: float
    max_rate_per_s: float
    breaker: BreakerState
    breaker_retry_in_s: float | None
    retry_budget: float
    in_flight: int
    max_in_flight: int
    retry_after_s: float | None
    outcomes: dict[str, int]
    last_errors: tuple[UpstreamError, ...]


class Guard:
    """Asked before each request and told of each outcome. Safe to use from many threads."""

    def __init__(
        self,
        name: str,
        *,
        pace: Pace,
        breaker: BreakerPolicy,
        budget: RetryBudget,
        max_in_flight: int,
        clock: Clock,
        metrics: UpstreamMetrics,
    ) -> None:
        self.name = name
        self._pace = pace
        self._breaker = Breaker(breaker, monotonic=clock.monotonic, changed=self._breaker_changed)
        self._budget = budget
        self._max_in_flight = max_in_flight
        self._places = threading.BoundedSemaphore(max_in_flight)
        self._in_flight = 0
        self._clock = clock
        self._metrics = metrics
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._errors: deque[UpstreamError] = deque(maxlen=MAX_ERRORS)

    def ask(self, send: Callable[[], T], *, deadline: float | None) -> T | Failure:
        """Return what `send()` does, once it may be sent; a Failure at once when that cannot be in time.

        The result, which is data unless it is a Failure, is counted and learnt from.
        """
        refused = self._admit(deadline)
        if refused is not None:
            _log.debug("request_held_back", provider=self.name, detail=refused.detail)
            return refused
        result: T | None = None
        try:
            result = send()
            return result
        finally:
            self._settle(result)

    def may_retry(self) -> bool:
        """Whether a retry may be made, which this pays for."""
        if not self._budget.take():
            _log.warning("retry_budget_empty", provider=self.name)
            return False
        self._metrics.retries.labels(self.name).inc()
        return True

    def resume(self) -> None:
        """Ask again from now on: forget what the host asked us to wait, and close the breaker."""
        self._pace.resume()
        self._breaker.succeeded()

    def status(self) -> ProviderStatus:
        """Return how the provider fares now."""
        with self._lock:
            outcomes, errors = dict(self._outcomes), tuple(reversed(self._errors))
        return ProviderStatus(
            provider=self.name,
            rate_per_s=self._pace.rate_per_s,
            max_rate_per_s=self._pace.policy.max_rate_per_s,
            breaker=self._breaker.state,
            breaker_retry_in_s=self._breaker.retry_in_s(),
            retry_budget=self._budget.left,
            in_flight=self._in_flight,
            max_in_flight=self._max_in_flight,
            retry_after_s=self._pace.retry_after_s,
            outcomes=outcomes,
            last_errors=errors,
        )

    def _admit(self, deadline: float | None) -> Failure | None:
        """Wait for a turn and a place; return why there is none. The caller settles an admitted request."""
        if (wait_s := self._breaker.retry_in_s()) is not None:
            return self._open(wait_s)
        if (late := self._pace.acquire(deadline)) is not None:
            self._metrics.refused.labels(self.name, "pace").inc()
            return late
        left_s = None if deadline is None else max(0.0, deadline - self._clock.monotonic())
        if not self._places.acquire(timeout=left_s):
            self._metrics.refused.labels(self.name, "in_flight").inc()
            return Failure(Outcome.OWN_LIMIT, f"{self._max_in_flight} requests are under way", 1.0)
        if not self._breaker.allow():
            self._places.release()
            return self._open(self._breaker.retry_in_s() or 0.0)
        with self._lock:
            self._in_flight += 1
        return None

    def _open(self, wait_s: float) -> Failure:
        self._metrics.refused.labels(self.name, "breaker").inc()
        with self._lock:
            last = f", last with: {self._errors[-1].detail}" if self._errors else ""
        detail = f"{self.name} is not asked for now, after repeated failures{last}"
        return Failure(Outcome.UNAVAILABLE, detail, wait_s)

    def _settle(self, result: object) -> None:
        failure = result if isinstance(result, Failure) else None
        outcome = failure.outcome if failure else Outcome.DATA if result is not None else Outcome.UNAVAILABLE
        probing = self._breaker.state is BreakerState.HALF_OPEN
        if outcome is Outcome.UNAVAILABLE or (outcome is Outcome.OUT_OF_TIME and probing):
            self._breaker.failed()
        elif outcome is not Outcome.OUT_OF_TIME:
            self._breaker.succeeded()
        if outcome is Outcome.DATA:
            self._budget.earn()
        if outcome not in (Outcome.RATE_LIMITED, Outcome.UNAVAILABLE, Outcome.OUT_OF_TIME):
            self._pace.answered()
        if outcome is Outcome.RATE_LIMITED:
            self._pace.refused()
            wait_s = failure.retry_after_s if failure else None
            _log.warning("rate_limit_hit", provider=self.name, retry_after_s=wait_s)
        if failure and failure.retry_after_s is not None:
            self._pace.told_to_wait(failure.retry_after_s, failure.outcome)
        self._metrics.requests.labels(self.name, outcome.value).inc()
        self._metrics.rate.labels(self.name).set(self._pace.rate_per_s)
        with self._lock:
            self._in_flight -= 1
            self._outcomes[outcome.value] += 1
            if failure and outcome not in (Outcome.NOT_FOUND, Outcome.NO_DATA):
                at_ms = round(self._clock.wall() * 1000)
                self._errors.append(UpstreamError(at_ms, outcome, failure.detail))
        self._places.release()

    def _breaker_changed(self, _: BreakerState, state: BreakerState) -> None:
        self._metrics.breaker_open.labels(self.name).set(state is not BreakerState.CLOSED)
        _log.warning("breaker_changed", provider=self.name, state=state.value)
