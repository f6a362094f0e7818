"""The catalogue: which providers there are, by name. A new one is a file beside this one and a line below."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from libs.cache.clock import Clock
from services.ingest.providers.api import Provider
from services.ingest.providers.yahoo import YahooProvider
from services.ingest.upstream.client import DEFAULT_USER_AGENT, TIMEOUT_S, UpstreamClient
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.retry import Retrier, RetryPolicy
from services.ingest.upstream.transport import RequestsTransport

# The only place that names hosts.
YAHOO_URL = "https://query1.finance.yahoo.com"
SIM_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How upstreams are asked.

    url: instead of the provider's own address; empty: that.
    max_in_flight: requests of one provider at once.
    """

    url: str = ""
    user_agent: str = DEFAULT_USER_AGENT
    timeout_s: float = TIMEOUT_S
    max_in_flight: int = 16
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class Parts:
    """What providers are built of."""

    settings: UpstreamSettings
    clock: Clock
    metrics: UpstreamMetrics
    sleep: Callable[[float], None] = time.sleep
    rng: random.Random = field(default_factory=random.Random)

    def client(self, name: str, default_url: str) -> UpstreamClient:
        """An HTTP client for the provider `name`."""
        settings = self.settings
        return UpstreamClient(
            name=name,
            base_url=settings.url or default_url,
            transport=RequestsTransport(clock=self.clock, connections=settings.max_in_flight),
            retrier=Retrier(settings.retry, clock=self.clock, sleep=self.sleep, rng=self.rng, provider=name),
            clock=self.clock,
            metrics=self.metrics,
            user_agent=settings.user_agent,
            timeout_s=settings.timeout_s,
        )


PROVIDERS: dict[str, Callable[[Parts], Provider]] = {
    "yahoo": lambda parts: YahooProvider(parts.client("yahoo", YAHOO_URL), clock=parts.clock),
    "sim": lambda parts: YahooProvider(parts.client("sim", SIM_URL), clock=parts.clock),
}


def open_provider(name: str, parts: Parts) -> Provider:
    """The provider of that name.

    Raises:
        KeyError: there is none.
    """
    return PROVIDERS[name](parts)
