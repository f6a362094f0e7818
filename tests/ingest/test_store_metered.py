"""Metrics of the store's writes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from finstage_runtime.clock import ManualClock
from services.ingest.series import CheckedBars
from services.ingest.store.api import Store
from services.ingest.store.metrics import StoreMetrics
from services.ingest.store.sql import open_store
from services.ingest.store.values import Batch, WriteHeader, WriteMode
from tests.ingest.stores import KEY, bars

README = Path(__file__).resolve().parents[2] / "services/ingest/README.md"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metered(tmp_path: Path, clock: ManualClock, registry: CollectorRegistry) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/finstage.db", clock=clock, metrics=StoreMetrics(registry))
    yield store
    store.close()


def test_rows_are_counted_once_by_outcome(metered: Store, registry: CollectorRegistry) -> None:
    header = WriteHeader("key", WriteMode.UPSERT, "client:test")
    metered.writes.open(header)
    columns = bars({0: 10, 1: 11})
    batch = Batch(sequence=1, key=KEY, sent=2, digest=b"d", bars=CheckedBars(columns))
    for _ in range(2):  # the second time it is repeated
        metered.writes.write(header, [batch])

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"finstage_store_{name}", {"path": "client", **labels})

    assert value("rows_total", outcome="inserted") == 2
    assert value("rows_total", outcome="rejected") == 0
    assert value("commit_seconds_count") == 2


def test_the_readme_names_every_family(registry: CollectorRegistry) -> None:
    StoreMetrics(registry)
    families = {f.name + ("_total" if f.type == "counter" else "") for f in registry.collect()}
    assert set(re.findall(r"`(finstage_store_\w+)", README.read_text())) == families
