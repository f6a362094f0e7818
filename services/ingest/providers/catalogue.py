"""The catalogue of providers, by name. A new one is a file beside this one and a line below."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from finstage_runtime.breaker import BreakerPolicy
from finstage_runtime.clock import Clock
from services.ingest.hours.calendars import Calendars
from services.ingest.providers.api import Provider
from services.ingest.providers.fallback import Providers
from services.ingest.providers.file import FileProvider
from services.ingest.providers.yahoo import YahooProvider
from services.ingest.providers.yahoo_batch import BatchQuotes, Crumbs
from services.ingest.upstream.budget import RetryBudget
from services.ingest.upstream.client import DEFAULT_USER_AGENT, TIMEOUT_S, UpstreamClient
from services.ingest.upstream.guard import Guard
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.pace import MemoryPaceStore, Pace, PacePolicy
from services.ingest.upstream.pace_redis import RedisPaceStore
from services.ingest.upstream.retry import Retrier, RetryPolicy
from services.ingest.upstream.shutdown import Shutdown
from services.ingest.upstream.transport import RequestsTransport, Transport

# Hosts are named here only.
YAHOO_URL = "https://query1.finance.yahoo.com"
YAHOO_COOKIE_URL = "https://fc.yahoo.com"
SIM_URL = "http://127.0.0.1:8080"
# The providers whose address UpstreamSettings.url replaces.
MOVABLE = frozenset({"yahoo"})


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How upstreams are asked.

    url: the address of the provider of MOVABLE; empty: its own.
    sim_url: the address of the local market, apart from `url` so that no other provider is aimed at it.
    max_rate_per_s: requests a second at most; None: the provider's own.
    max_in_flight: requests of one provider at once.
    files: the folder of the provider "file".
    impersonate: look like a browser, by curl_cffi (the extra `impersonate`).
    """

    url: str = ""
    sim_url: str = SIM_URL
    user_agent: str = DEFAULT_USER_AGENT
    timeout_s: float = TIMEOUT_S
    max_rate_per_s: float | None = None
    max_in_flight: int = 16
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    files: Path = Path("var/files")
    impersonate: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that providers are built of.

    sleep: how to wait; None: until the client is closed at most.
    redis: where replicas share the pace of their requests; None: each process has its own.
    calendars: explain gaps.
    """

    settings: UpstreamSettings
    clock: Clock
    metrics: UpstreamMetrics
    sleep: Callable[[float], None] | None = None
    rng: random.Random = field(default_factory=random.Random)
    redis: Redis | None = None
    calendars: Calendars = field(default_factory=Calendars)

    def client(
        self, name: str, url: str, pace: PacePolicy, *, transport: Transport | None = None
    ) -> UpstreamClient:
        """Return an HTTP client of one host, with a pace, a breaker and a budget of its own.

        name: the provider's, or of a second host of it.
        transport: shared with the provider's other host, as cookies are; None: a new one.
        """
        settings, clock, shutdown = self.settings, self.clock, Shutdown()
        sleep = self.sleep or shutdown.sleep
        if settings.max_rate_per_s is not None:
            pace = pace.scaled_to(settings.max_rate_per_s)
        store = MemoryPaceStore() if self.redis is None else RedisPaceStore(self.redis, name, clock=clock)
        guard = Guard(
            name,
            pace=Pace(
                pace,
                store,
                clock=clock,
                now=clock.monotonic if self.redis is None else clock.wall,
                sleep=sleep,
                longest_wait_s=settings.retry.max_wait_s,
            ),
            breaker=settings.breaker,
            budget=RetryBudget(),
            max_in_flight=settings.max_in_flight,
            clock=clock,
            metrics=self.metrics,
        )
        return UpstreamClient(
            name=name,
            base_url=url,
            transport=transport or self.transport(),
            retrier=Retrier(settings.retry, clock=clock, sleep=sleep, rng=self.rng, provider=name),
            guard=guard,
            shutdown=shutdown,
            clock=clock,
            metrics=self.metrics,
            user_agent=settings.user_agent,
            timeout_s=settings.timeout_s,
        )

    def transport(self) -> Transport:
        """Return a new transport, with cookies and connections of its own."""
        if self.settings.impersonate:
            # Imported here because only those who opted in have it installed.
            from services.ingest.upstream.transport_curl import CurlTransport

            return CurlTransport(clock=self.clock)
        return RequestsTransport(clock=self.clock, connections=self.settings.max_in_flight)


def _yahoo(parts: Parts) -> Provider:
    pace = PacePolicy(max_rate_per_s=5.0, min_rate_per_s=0.5, burst=20)
    transport, url = parts.transport(), parts.settings.url
    client = parts.client("yahoo", url or YAHOO_URL, pace, transport=transport)
    cookies = client if url else parts.client("yahoo-cookie", YAHOO_COOKIE_URL, pace, transport=transport)
    batch = BatchQuotes(client, Crumbs(client, cookies, clock=parts.clock))
    return YahooProvider(client, clock=parts.clock, batch=batch)


def _sim(parts: Parts) -> Provider:
    pace = PacePolicy(max_rate_per_s=500.0, min_rate_per_s=20.0, burst=500)
    client = parts.client("sim", parts.settings.sim_url, pace)
    return YahooProvider(client, clock=parts.clock, batch=BatchQuotes(client, None))


PROVIDERS: dict[str, Callable[[Parts], Provider]] = {
    "yahoo": _yahoo,
    "sim": _sim,
    "file": lambda parts: FileProvider(parts.settings.files, clock=parts.clock),
}


def open_provider(name: str, parts: Parts) -> Provider:
    """Return the provider of that name.

    Raises:
        KeyError: there is none of that name.
    """
    return PROVIDERS[name](parts)


def open_providers(names: Sequence[str], parts: Parts) -> Providers:
    """Return providers that are asked in this order until one has an answer.

    Raises:
        KeyError: there is none of one of the names.
    """
    return Providers([open_provider(name, parts) for name in names], parts.calendars)
