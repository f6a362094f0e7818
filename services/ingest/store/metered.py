"""The store with metrics of what is written."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from finstage_runtime.clock import Clock
from services.ingest.series import FetchedBars
from services.ingest.store.database import Database
from services.ingest.store.sql import SqlStore
from services.ingest.store.values import Batch, BatchResult, ChunkLease, RowCounts, WriteHeader, WriteResult

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class StoreMetrics:
    """The families; one instance a registry. path: "client" (WriteBars) or "provider"."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "finstage_store"
        self.rows = Counter(
            f"{prefix}_rows",
            "Rows committed, by what became of them: inserted, updated, unchanged or rejected.",
            ("path", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            f"{prefix}_commit_seconds",
            "Time of a transaction that wrote bars, waiting for its locks included.",
            ("path",),
            buckets=BUCKETS_S,
            registry=registry,
        )


class MeteredStore(SqlStore):
    """services.ingest.store.api.Store, which counts what it writes."""

    def __init__(self, database: Database, clock: Clock, metrics: StoreMetrics) -> None:
        super().__init__(database, clock)
        self._metrics = metrics

    def write_fetched(
        self, fetched: FetchedBars, *, replace: bool = False, lease: ChunkLease | None = None
    ) -> WriteResult:
        with self._metrics.seconds.labels("provider").time():
            result = super().write_fetched(fetched, replace=replace, lease=lease)
        self._count("provider", [result.rows])
        return result

    def write_batches(self, header: WriteHeader, batches: Sequence[Batch]) -> list[BatchResult]:
        with self._metrics.seconds.labels("client").time():
            results = super().write_batches(header, batches)
        self._count("client", (result.rows for result in results if not result.repeated))
        return results

    def _count(self, path: str, written: Iterable[RowCounts]) -> None:
        total = sum(written, RowCounts())
        for outcome in ("inserted", "updated", "unchanged", "rejected"):
            self._metrics.rows.labels(path, outcome).inc(getattr(total, outcome))
