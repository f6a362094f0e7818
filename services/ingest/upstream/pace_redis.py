"""The pace of one host of an upstream, shared by all replicas in Redis."""

from collections.abc import Callable
from typing import TypeVar, cast

import structlog
from pyrate_limiter import Rate, RedisStateStore
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from finstage_runtime.clock import Clock
from services.ingest.upstream.outcomes import Outcome
from services.ingest.upstream.pace import Learnt, MemoryPaceStore, bucket_take

T = TypeVar("T")
_log = structlog.get_logger(__name__)

# Seconds for which each replica keeps its own pace when Redis is away, before it is tried again.
AWAY_S = 5.0
# Seconds after which what was learnt is of no use.
_TTL_S = 3600
_FIELDS = ("rate_per_s", "changed_s", "retry_at_s", "reason", "must_probe")


class RedisPaceStore:
    """Implements pace.PaceStore. While Redis is away, which is logged, the pace is this process's own, from
    what it last knew: nothing is slowed, and nothing fails.

    redis: with short timeouts, because requests wait for it.
    """

    def __init__(self, redis: Redis, name: str, *, clock: Clock) -> None:
        self._redis = redis
        self._key = f"finstage:upstream:{{{name}}}:learnt"
        self._bucket = RedisStateStore(redis, f"finstage:upstream:{{{name}}}:bucket")
        self._own = MemoryPaceStore()
        self._clock = clock
        self._away_until = 0.0

    def learnt(self) -> Learnt:
        def read() -> Learnt:
            learnt = _learnt(cast("list[bytes | None]", self._redis.hmget(self._key, list(_FIELDS))))
            self._own.learn(lambda _: learnt)
            return learnt

        return self._try(read, self._own.learnt)

    def learn(self, change: Callable[[Learnt], Learnt]) -> None:
        def update(pipe: Pipeline) -> None:
            before = _learnt(cast("list[bytes | None]", pipe.hmget(self._key, list(_FIELDS))))
            after = change(before)
            pipe.multi()
            rate = "" if after.rate_per_s is None else repr(after.rate_per_s)
            values = (
                rate,
                repr(after.changed_s),
                repr(after.retry_at_s),
                after.reason.value,
                str(int(after.must_probe)),
            )
            pipe.hset(self._key, mapping=dict(zip(_FIELDS, values, strict=True)))
            pipe.expire(self._key, _TTL_S + int(max(0.0, after.retry_at_s - self._clock.wall())))

        self._own.learn(change)
        self._try(lambda: self._redis.transaction(update, self._key), lambda: None)

    def take(self, rate: Rate, now_ms: int) -> int:
        return self._try(
            lambda: bucket_take(self._bucket, rate, now_ms), lambda: self._own.take(rate, now_ms)
        )

    def _try(self, shared: Callable[[], T], own: Callable[[], T]) -> T:
        if self._clock.monotonic() < self._away_until:
            return own()
        try:
            return shared()
        except RedisError as error:
            self._away_until = self._clock.monotonic() + AWAY_S
            _log.warning("shared_pace_away", key=self._key, error=type(error).__name__)
            return own()


def _learnt(values: list[bytes | None]) -> Learnt:
    rate, changed_s, retry_at_s, reason, must_probe = values
    return Learnt(
        float(rate) if rate else None,
        float(changed_s or 0),
        float(retry_at_s or 0),
        Outcome(reason.decode()) if reason else Outcome.RATE_LIMITED,
        must_probe == b"1",
    )
