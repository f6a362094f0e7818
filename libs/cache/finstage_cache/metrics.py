"""Prometheus metrics of caches, read from their statistics when scraped. Needs prometheus-client.

    REGISTRY.register(CacheCollector([cache]))

Every metric has the label `cache`, the name of the cache:

    cache_requests_total{status="hit|miss|stale|coalesced|negative"}     requests by key
    cache_loads_total, cache_load_errors_total, cache_load_seconds_total
    cache_sets_total, cache_deletes_total, cache_invalidations_total
    cache_evictions_total, cache_expirations_total
    cache_rejected_total{reason="too_large|damaged|other_schema"}
    cache_backend_errors_total                                           calls that the backend did not answer
    cache_entries, cache_bytes                                           in this process's memory
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .api import Cache
from .stats import Stats

_REQUESTS = {
    "hit": "hits",
    "miss": "misses",
    "stale": "stale",
    "coalesced": "coalesced",
    "negative": "negative",
}
_REJECTED = {"too_large": "refused", "damaged": "damaged", "other_schema": "other_schema"}
_COUNTERS = {
    "cache_loads": ("loads", "Keys that loaders were asked for."),
    "cache_load_errors": ("load_errors", "Keys whose load failed."),
    "cache_load_seconds": ("load_seconds", "Seconds spent in loaders."),
    "cache_sets": ("sets", "Entries stored."),
    "cache_deletes": ("deletes", "Entries deleted."),
    "cache_invalidations": (
        "invalidations",
        "Entries dropped from memory after a change elsewhere.",
    ),
    "cache_evictions": ("evictions", "Entries that left memory to make room."),
    "cache_expirations": ("expirations", "Entries that left memory because they expired."),
    "cache_backend_errors": ("errors", "Calls that the backend did not answer."),
}
_GAUGES = {
    "cache_entries": ("entries", "Entries in this process's memory."),
    "cache_bytes": ("bytes", "Weight of the entries in this process's memory."),
}


class CacheCollector(Collector):
    """The metrics of some caches, whose names must differ. `clear_stats` does not reset them."""

    def __init__(self, caches: Iterable[Cache]) -> None:
        self._caches = list(caches)

    def collect(self) -> Iterator[Metric]:
        stats = [(cache.name, cache.total_stats()) for cache in self._caches]
        yield _labelled(
            "cache_requests", "Requests by key, by how the answer was found.", "status", _REQUESTS, stats
        )
        yield _labelled(
            "cache_rejected",
            "Entries too large to store, or unreadable.",
            "reason",
            _REJECTED,
            stats,
        )
        for metric, (field, text) in _COUNTERS.items():
            counter = CounterMetricFamily(metric, text, labels=["cache"])
            for name, values in stats:
                counter.add_metric([name], getattr(values, field))
            yield counter
        for metric, (field, text) in _GAUGES.items():
            gauge = GaugeMetricFamily(metric, text, labels=["cache"])
            for name, values in stats:
                gauge.add_metric([name], getattr(values, field))
            yield gauge


def _labelled(
    metric: str, text: str, label: str, fields: dict[str, str], stats: list[tuple[str, Stats]]
) -> CounterMetricFamily:
    counter = CounterMetricFamily(metric, text, labels=["cache", label])
    for name, values in stats:
        for kind, field in fields.items():
            counter.add_metric([name, kind], getattr(values, field))
    return counter
