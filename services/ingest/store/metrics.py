"""Metrics of what the store writes."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.ingest.store.values import RowCounts

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class StoreMetrics:
    """The metric families; one instance per registry. path: "client" (WriteBars) or "provider"."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "finstage_store"
        self.rows = Counter(
            f"{prefix}_rows",
            "Rows committed, by outcome: inserted, updated, unchanged or rejected.",
            ("path", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            f"{prefix}_commit_seconds",
            "Time of a transaction that wrote bars, including the wait for its locks.",
            ("path",),
            buckets=BUCKETS_S,
            registry=registry,
        )

    def count(self, path: str, written: Iterable[RowCounts]) -> None:
        """Count rows that were committed."""
        total = sum(written, RowCounts())
        for outcome in ("inserted", "updated", "unchanged", "rejected"):
            self.rows.labels(path, outcome).inc(getattr(total, outcome))
