"""The HTTP client of one host: an address, a transport, retries and a guard."""

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from finstage_market.errors import DeadlineTooShort
from finstage_runtime.clock import Clock
from services.ingest.upstream.guard import Guard, ProviderStatus
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.outcomes import Failure, Outcome, Trouble
from services.ingest.upstream.retry import Retrier, retry_after_s
from services.ingest.upstream.shutdown import Shutdown
from services.ingest.upstream.transport import Reply, Transport

T = TypeVar("T")

DEFAULT_USER_AGENT = "finstage (+https://pypi.org/project/finstage/)"
TIMEOUT_S = 10.0
# An upstream that does not answer in this time is not well. In less, only the caller's deadline was short.
PATIENCE_S = 2.0


class UpstreamClient:
    """GETs of one host of a provider. Safe to use from many threads.

    name: for logs and metrics.
    base_url: scheme and host, and a path where all paths begin with one.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        transport: Transport,
        retrier: Retrier,
        guard: Guard,
        shutdown: Shutdown,
        clock: Clock,
        metrics: UpstreamMetrics,
        user_agent: str = DEFAULT_USER_AGENT,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._retrier = retrier
        self._guard = guard
        self._shutdown = shutdown
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
        """Return what `read` makes of the reply to a GET, tried again where another try can help.

        Args:
            path: percent-encoded already.
            read: sees replies of every status but 401, 403, 429, 999 and 5xx, which need no reading.
            deadline: clock.monotonic() seconds by which the answer must be there; None: no deadline.

        Raises:
            DeadlineTooShort: the deadline has passed.
            Unavailable: SERVICE_UNAVAILABLE: the client is closed, or was closed during the call.
        """
        if deadline is not None and deadline <= self._clock.monotonic():
            raise DeadlineTooShort(f"no time is left to ask {self.name}")
        url = f"{self._base_url}{path}?{urlencode(params)}"

        def attempt() -> T | Failure:
            self._shutdown.check()
            return self._guard.ask(lambda: self._send(url, read, deadline), deadline=deadline)

        return self._retrier.run(attempt, deadline=deadline, may_retry=self._guard.may_retry)

    def status(self) -> ProviderStatus:
        """Return how the upstream fares."""
        return self._guard.status()

    def resume(self) -> None:
        """Ask again from now on, whatever the upstream asked us to wait."""
        self._guard.resume()

    def close(self) -> None:
        """End all waits, and close all connections."""
        self._shutdown.close()
        self._transport.close()

    def _send(self, url: str, read: Callable[[Reply], T | Failure], deadline: float | None) -> T | Failure:
        started = self._clock.monotonic()
        timeout_s = self._timeout_s if deadline is None else min(self._timeout_s, deadline - started)
        reply = self._transport.get(url, headers=self._headers, timeout_s=timeout_s)
        self._metrics.seconds.labels(self.name).observe(self._clock.monotonic() - started)
        if not isinstance(reply, Failure):
            return self._read(reply, read)
        if reply.trouble is Trouble.TIMEOUT and timeout_s < min(self._timeout_s, PATIENCE_S):
            return Failure(Outcome.OUT_OF_TIME, f"{reply.detail}, all that the deadline left")
        return reply

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
