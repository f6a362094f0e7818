"""Metrics of asking upstreams."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class UpstreamMetrics:
    """The metric families of all providers; one instance a registry. Outcomes are those of outcomes.py."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix, by = "finstage_upstream", ("provider",)
        self.requests = Counter(
            f"{prefix}_requests", "Requests sent, by outcome.", (*by, "outcome"), registry=registry
        )
        self.seconds = Histogram(
            f"{prefix}_request_seconds",
            "Time from a request's sending to the end of its reply.",
            by,
            buckets=BUCKETS_S,
            registry=registry,
        )
        self.retries = Counter(f"{prefix}_retries", "Requests sent again.", by, registry=registry)
        self.refused = Counter(
            f"{prefix}_refused",
            "Requests not sent, by the reason: breaker, pace or in_flight.",
            (*by, "by"),
            registry=registry,
        )
        self.rate = Gauge(
            f"{prefix}_rate_per_second", "Requests a second that the limiter allows.", by, registry=registry
        )
        self.breaker_open = Gauge(
            f"{prefix}_breaker_open", "1 while the breaker is open or half open.", by, registry=registry
        )
