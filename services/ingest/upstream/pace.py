"""The pace: how many requests a second an upstream gets, learnt from its refusals.

The rate halves when the upstream says 429, at most once a second, because what was under way then is refused
with it; and grows back in a straight line. A Retry-After stops all requests until its time. The bucket is
pyrate-limiter's GCRA; what is learnt lies beside it, in memory or, for all replicas, in Redis.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

from pyrate_limiter import GCRA, Decision, InMemoryStateStore, Rate, StateStore

from finstage_runtime.clock import Clock
from services.ingest.upstream.outcomes import Failure, Outcome

HALVE_AT_MOST_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """Requests a second at most and at least, so many at once after a rest, and how long recovery takes.

    recovery_s: from least to most.
    """

    max_rate_per_s: float
    min_rate_per_s: float
    burst: int
    recovery_s: float = 60.0

    def scaled_to(self, max_rate_per_s: float) -> "PacePolicy":
        """The same in proportion, with another greatest rate."""
        by = max_rate_per_s / self.max_rate_per_s
        burst = max(1, round(self.burst * by))
        return replace(
            self, max_rate_per_s=max_rate_per_s, min_rate_per_s=self.min_rate_per_s * by, burst=burst
        )


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the upstream's refusals taught.

    rate_per_s: the rate at changed_s; None: never refused. It grows from there.
    retry_at_s: before this nothing is sent.
    """

    rate_per_s: float | None = None
    changed_s: float = 0.0
    retry_at_s: float = 0.0

    def rate_at(self, now_s: float, policy: PacePolicy) -> float:
        """Requests a second at a time."""
        if self.rate_per_s is None:
            return policy.max_rate_per_s
        growth = (policy.max_rate_per_s - policy.min_rate_per_s) / policy.recovery_s
        return min(policy.max_rate_per_s, self.rate_per_s + growth * max(0.0, now_s - self.changed_s))

    def refused(self, now_s: float, policy: PacePolicy) -> "Learnt":
        """After a 429."""
        if self.rate_per_s is not None and now_s - self.changed_s < HALVE_AT_MOST_EVERY_S:
            return self
        rate = max(policy.min_rate_per_s, self.rate_at(now_s, policy) / 2)
        return replace(self, rate_per_s=rate, changed_s=now_s)

    def told_to_wait(self, retry_at_s: float) -> "Learnt":
        """After a Retry-After."""
        return replace(self, retry_at_s=max(self.retry_at_s, retry_at_s))


class PaceStore(Protocol):
    """Where the pace of one upstream is kept. Safe to use from many threads."""

    def learnt(self) -> Learnt:
        """What is known now."""
        ...

    def learn(self, change: Callable[[Learnt], Learnt]) -> None:
        """Changes it, as one step."""
        ...

    def take(self, rate: Rate, now_ms: int) -> int:
        """Takes a place in the bucket: 0, or milliseconds after which to ask again."""
        ...


class MemoryPaceStore:
    """For one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learnt = Learnt()
        self._bucket = InMemoryStateStore()

    def learnt(self) -> Learnt:
        return self._learnt

    def learn(self, change: Callable[[Learnt], Learnt]) -> None:
        with self._lock:
            self._learnt = change(self._learnt)

    def take(self, rate: Rate, now_ms: int) -> int:
        return bucket_take(self._bucket, rate, now_ms)


def bucket_take(bucket: StateStore, rate: Rate, now_ms: int) -> int:
    """PaceStore.take() of a bucket of pyrate-limiter."""
    decision = cast(Decision, bucket.check(GCRA(), [rate], now_ms, 1))
    return 0 if decision.allowed else max(1, decision.retry_after_ms or 1)


class Pace:
    """Holds requests back until they may be sent."""

    def __init__(
        self,
        policy: PacePolicy,
        store: PaceStore,
        *,
        clock: Clock,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        longest_wait_s: float,
    ) -> None:
        """
        Args:
            now: seconds on the clock that the store's times are of: a monotonic one, which nobody sets back,
                for one process; the wall's where replicas share it.
            longest_wait_s: of requests without a deadline.
        """
        self.policy = policy
        self._store = store
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._longest_wait_s = longest_wait_s

    @property
    def rate_per_s(self) -> float:
        """Requests a second that are allowed now."""
        return self._store.learnt().rate_at(self._now(), self.policy)

    @property
    def retry_after_s(self) -> float | None:
        """What is left of the wait that the upstream asked for; None: nothing."""
        left_s = self._store.learnt().retry_at_s - self._now()
        return left_s if left_s > 0 else None

    def acquire(self, deadline: float | None) -> Failure | None:
        """Waits until a request may be sent; why it may not, at once, when the wait cannot end in time."""
        started = self._clock.monotonic()
        until = started + self._longest_wait_s if deadline is None else deadline
        while True:
            now_s = self._now()
            learnt = self._store.learnt()
            asked_s = learnt.retry_at_s - now_s
            if asked_s > 0:
                wait_s, outcome, detail = asked_s, Outcome.RATE_LIMITED, "the upstream asked us to wait"
            else:
                rate = learnt.rate_at(now_s, self.policy)
                wait_s = self._store.take(self._bucket_rate(rate), round(now_s * 1000)) / 1000
                if wait_s <= 0:
                    return None
                slowed = rate < self.policy.max_rate_per_s
                outcome = Outcome.RATE_LIMITED if slowed else Outcome.OWN_LIMIT
                detail = f"at {rate:.3g} requests/s there is no room in time"
            if self._clock.monotonic() + wait_s >= until:
                return Failure(outcome, detail, wait_s)
            self._sleep(wait_s)

    def refused(self) -> None:
        """The upstream said 429."""
        now_s = self._now()
        self._store.learn(lambda learnt: learnt.refused(now_s, self.policy))

    def told_to_wait(self, wait_s: float) -> None:
        """The upstream sent a Retry-After."""
        retry_at_s = self._now() + wait_s
        self._store.learn(lambda learnt: learnt.told_to_wait(retry_at_s))

    def _bucket_rate(self, per_s: float) -> Rate:
        """In the bucket's whole units: thousandths of a request a second.

        The burst shrinks with the rate, so that it takes as long to earn: a refusal must not set one free.
        """
        burst = max(1, round(self.policy.burst * per_s / self.policy.max_rate_per_s))
        return Rate(max(1, round(per_s * 1000)), 1_000_000, burst)
