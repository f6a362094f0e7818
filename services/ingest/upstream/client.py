"""The HTTP client of one upstream: an address, a transport, retries, and the count of what came of it."""

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

import structlog

from libs.cache.clock import Clock
from libs.market.errors import DeadlineTooShort
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.outcomes import Failure, Outcome
from services.ingest.upstream.retry import Retrier, retry_after_s
from services.ingest.upstream.transport import Reply, Transport

T = TypeVar("T")
_log = structlog.get_logger(__name__)

DEFAULT_USER_AGENT = "finstage (+https://pypi.org/project/finstage/)"
TIMEOUT_S = 10.0


class UpstreamClient:
    """GETs of one provider. Safe to use from many threads.

    name: the provider's, for logs and metrics.
    base_url: scheme and host, and a path where all paths begin with one.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        transport: Transport,
        retrier: Retrier,
        clock: Clock,
        metrics: UpstreamMetrics,
        user_agent: str = DEFAULT_USER_AGENT,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._retrier = retrier
        self._clock = clock
        self._metrics = metrics
        self._headers = {"User-Agent": user_agent, "Accept": "application/json"}
        self._timeout_s = timeout_s

    def get(
        self,
        path: str,
        params: Mapping[str, str | int],
        read: Callable[[Reply], T | Failure],
        *,
        deadline: float | None,
    ) -> T | Failure:
        """What `read` makes of the reply to a GET, tried again where that can mend it.

        Args:
            path: percent-encoded already.
            read: sees replies of any status but those that say all by themselves: 401, 403, 429 and 5xx.
            deadline: clock.monotonic() seconds by which the answer must be there; None: no deadline.

        Raises:
            DeadlineTooShort: the deadline has passed.
        """
        if deadline is not None and deadline <= self._clock.monotonic():
            raise DeadlineTooShort(f"no time is left to ask {self.name}")
        url = f"{self._base_url}{path}?{urlencode(params)}"
        return self._retrier.run(
            lambda: self._attempt(url, read, deadline), deadline=deadline, may_retry=self._may_retry
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._transport.close()

    def _may_retry(self) -> bool:
        self._metrics.retries.labels(self.name).inc()
        return True

    def _attempt(self, url: str, read: Callable[[Reply], T | Failure], deadline: float | None) -> T | Failure:
        started = self._clock.monotonic()
        timeout_s = self._timeout_s if deadline is None else min(self._timeout_s, deadline - started)
        reply = self._transport.get(url, headers=self._headers, timeout_s=timeout_s)
        result = reply if isinstance(reply, Failure) else self._read(reply, read)
        self._metrics.seconds.labels(self.name).observe(self._clock.monotonic() - started)
        self._count(result)
        return result

    def _read(self, reply: Reply, read: Callable[[Reply], T | Failure]) -> T | Failure:
        wait_s = retry_after_s(reply.headers.get("retry-after"), wall_s=self._clock.wall())
        # 999 is an old way of the upstream's edge to say 429.
        if reply.status in (429, 999):
            return Failure(Outcome.RATE_LIMITED, f"status {reply.status}", wait_s, mendable=True)
        if reply.status in (401, 403):
            return Failure(Outcome.UNAUTHORIZED, f"status {reply.status}: the upstream refuses us")
        if reply.status >= 500:
            return Failure(Outcome.UNAVAILABLE, f"status {reply.status}", wait_s, mendable=True)
        return read(reply)

    def _count(self, result: object) -> None:
        outcome = result.outcome if isinstance(result, Failure) else Outcome.DATA
        self._metrics.requests.labels(self.name, outcome.value).inc()
        if isinstance(result, Failure) and result.outcome is Outcome.RATE_LIMITED:
            _log.warning("rate_limit_hit", provider=self.name, retry_after_s=result.retry_after_s)
