"""The pace: how many requests a second one host of an upstream gets, learnt from its refusals.

The rate halves when the host says 429, at most once a second, because the requests under way then are refused
too, and grows back in a straight line. A Retry-After stops all requests until its time; after a long one a
single request goes first, as a probe. The bucket is pyrate-limiter's GCRA. The learnt pace is kept beside it,
in memory or, for all replicas, in Redis.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

from pyrate_limiter import GCRA, Decision, InMemoryStateStore, Rate, StateStore

from finstage_runtime.clock import Clock
from services.ingest.upstream.outcomes import Failure, Outcome
from services.ingest.upstream.waits import may_wait

HALVE_AT_MOST_EVERY_S = 1.0
# Seconds until the next probe, when nothing has come of the last one.
PROBE_S = 10.0


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """The greatest and least requests a second, the burst after a rest, and how long recovery takes.

    recovery_s: from least to most.
    """

    max_rate_per_s: float
    min_rate_per_s: float
    burst: int
    recovery_s: float = 60.0

    def scaled_to(self, max_rate_per_s: float) -> "PacePolicy":
        """Return the same in proportion, with another greatest rate."""
        by = max_rate_per_s / self.max_rate_per_s
        burst = max(1, round(self.burst * by))
        return replace(
            self, max_rate_per_s=max_rate_per_s, min_rate_per_s=self.min_rate_per_s * by, burst=burst
        )


@dataclass(frozen=True, slots=True)
class Learnt:
    """What refusals have taught.

    rate_per_s: the rate at changed_s, from which it grows; None: never refused.
    retry_at_s: nothing is sent before this.
    reason: the outcome that asked for it.
    must_probe: whether one request goes first after retry_at_s, before all others.
    """

    rate_per_s: float | None = None
    changed_s: float = 0.0
    retry_at_s: float = 0.0
    reason: Outcome = Outcome.RATE_LIMITED
    must_probe: bool = False

    def rate_at(self, now_s: float, policy: PacePolicy) -> float:
        """Return the requests a second at a time."""
        if self.rate_per_s is None:
            return policy.max_rate_per_s
        growth = (policy.max_rate_per_s - policy.min_rate_per_s) / policy.recovery_s
        return min(policy.max_rate_per_s, self.rate_per_s + growth * max(0.0, now_s - self.changed_s))

    def refused(self, now_s: float, policy: PacePolicy) -> "Learnt":
        """Return what is known after a 429."""
        if self.rate_per_s is not None and now_s - self.changed_s < HALVE_AT_MOST_EVERY_S:
            return self
        rate = max(policy.min_rate_per_s, self.rate_at(now_s, policy) / 2)
        return replace(self, rate_per_s=rate, changed_s=now_s)

    def told_to_wait(self, retry_at_s: float, reason: Outcome, *, must_probe: bool) -> "Learnt":
        """Return what is known after a Retry-After."""
        if retry_at_s <= self.retry_at_s:
            return self
        return replace(self, retry_at_s=retry_at_s, reason=reason, must_probe=must_probe)

    def resumed(self) -> "Learnt":
        """Return what is known once nothing is waited for."""
        return replace(self, retry_at_s=0.0, must_probe=False)


class PaceStore(Protocol):
    """Where the pace of one host is kept. Safe to use from many threads."""

    def learnt(self) -> Learnt:
        """Return what is known now."""
        ...

    def learn(self, change: Callable[[Learnt], Learnt]) -> None:
        """Change it, as one step. `change` may be called more than once."""
        ...

    def take(self, rate: Rate, now_ms: int) -> int:
        """Take a place in the bucket: 0, or milliseconds after which to ask again."""
        ...


class MemoryPaceStore:
    """Keeps the pace of one process."""

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
    """Implement PaceStore.take() with a bucket of pyrate-limiter."""
    decision = cast(Decision, bucket.check(GCRA(), [rate], now_ms, 1))
    return 0 if decision.allowed else max(1, decision.retry_after_ms or 1)


class Pace:
    """Holds requests of one host back until they may be sent."""

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
            now: seconds on the clock of the store's times: a monotonic one, which nobody sets back, for one
                process; the wall's where replicas share them.
            longest_wait_s: of requests without a deadline. After a longer Retry-After a probe goes first.
        """
        self.policy = policy
        self._store = store
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._longest_wait_s = longest_wait_s

    @property
    def rate_per_s(self) -> float:
        """The requests a second that are allowed now."""
        return self._store.learnt().rate_at(self._now(), self.policy)

    @property
    def retry_after_s(self) -> float | None:
        """Seconds left of the wait that the host asked for; None: none."""
        left_s = self._store.learnt().retry_at_s - self._now()
        return left_s if left_s > 0 else None

    def acquire(self, deadline: float | None) -> Failure | None:
        """Wait until a request may be sent. Return at once why it may not, when that cannot be in time."""
        started = self._clock.monotonic()
        until = started + self._longest_wait_s if deadline is None else deadline
        while True:
            now_s = self._now()
            learnt = self._store.learnt()
            asked_s = learnt.retry_at_s - now_s
            if asked_s <= 0 and learnt.must_probe:
                if self._is_probe(now_s):
                    return None
                continue
            if asked_s > 0:
                late = Failure(learnt.reason, "the upstream asked us to wait", asked_s)
            else:
                rate = learnt.rate_at(now_s, self.policy)
                wait_s = self._store.take(self._bucket_rate(rate), round(now_s * 1000)) / 1000
                if wait_s <= 0:
                    return None
                slowed = rate < self.policy.max_rate_per_s
                outcome = Outcome.RATE_LIMITED if slowed else Outcome.OWN_LIMIT
                late = Failure(
                    outcome,
                    f"{rate:.3g} requests/s are allowed now, and the turn of this one comes too late",
                    wait_s,
                )
            wait_s = late.retry_after_s or 0.0
            if self._clock.monotonic() + wait_s >= until or not may_wait(late, wait_s):
                return late
            self._sleep(wait_s)

    def refused(self) -> None:
        """Note a 429."""
        now_s = self._now()
        self._store.learn(lambda learnt: learnt.refused(now_s, self.policy))

    def told_to_wait(self, wait_s: float, reason: Outcome) -> None:
        """Note a Retry-After of an answer with that outcome."""
        retry_at_s, is_long = self._now() + wait_s, wait_s > self._longest_wait_s
        self._store.learn(lambda learnt: learnt.told_to_wait(retry_at_s, reason, must_probe=is_long))

    def answered(self) -> None:
        """Note that the host is well: after a probe, all others may go."""
        if self._store.learnt().must_probe:
            self.resume()

    def resume(self) -> None:
        """Wait no more for what the host asked for."""
        self._store.learn(Learnt.resumed)

    def _is_probe(self, now_s: float) -> bool:
        """Whether this request is the probe; for others the wait is then PROBE_S longer."""
        claimed = False

        def claim(learnt: Learnt) -> Learnt:
            nonlocal claimed
            claimed = learnt.must_probe and learnt.retry_at_s <= now_s
            return replace(learnt, retry_at_s=now_s + PROBE_S) if claimed else learnt

        self._store.learn(claim)
        return claimed

    def _bucket_rate(self, per_s: float) -> Rate:
        """The rate in the bucket's whole units, thousandths of a request a second.

        The burst shrinks with the rate, so that it takes as long to earn: a refusal must not set one free.
        """
        burst = max(1, round(self.policy.burst * per_s / self.policy.max_rate_per_s))
        return Rate(max(1, round(per_s * 1000)), 1_000_000, burst)
