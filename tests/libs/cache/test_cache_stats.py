"""Statistics: as an object, as Prometheus metrics, as log events."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import CapturingLogger

from finstage_cache import ABSENT, JSON, Absent, Cache, ManualClock, MemoryBackend, Policy
from finstage_cache.memory import ENTRY_BYTES
from finstage_cache.metrics import CacheCollector

from .waiting import settled

POLICY = Policy(fresh_s=60, stale_s=60, negative_s=60, early=False)


async def value() -> bytes:
    return b"v"


async def absent() -> Absent:
    return ABSENT


async def failing() -> bytes:
    raise OSError("down")


async def exercised(clock: ManualClock, **options: object) -> Cache:
    """A cache with one of every event, and two misses."""
    cache = Cache(MemoryBackend(clock=clock), clock=clock, name="quotes", **options)  # type: ignore[arg-type]
    await asyncio.gather(*[cache.get_or_load("k", value, POLICY) for _ in range(2)])  # miss, coalesced
    await cache.get_or_load("k", value, POLICY)  # hit
    await cache.get_or_load("n", absent, POLICY)  # miss
    await cache.get("n")  # negative
    clock.advance(70)
    await cache.get_or_load("k", failing, POLICY)  # stale, and its refresh fails
    await settled(cache)
    await cache.delete("k")
    return cache


async def test_every_answer_is_counted_as_what_it_was(clock: ManualClock) -> None:
    stats = (await exercised(clock)).stats()
    assert (stats.hits, stats.misses, stats.stale, stats.coalesced, stats.negative) == (1, 2, 1, 1, 1)
    assert (stats.loads, stats.load_errors, stats.sets, stats.deletes) == (3, 1, 2, 1)
    assert stats.requests == 6
    assert stats.hit_rate == 3 / 6
    assert (stats.entries, stats.bytes) == (1, ENTRY_BYTES + 1)


async def test_the_hit_rate_of_nothing_is_zero() -> None:
    assert Cache(MemoryBackend()).stats().hit_rate == 0.0


async def test_clear_stats_counts_from_zero_and_metrics_go_on(clock: ManualClock) -> None:
    cache = await exercised(clock)
    cache.clear_stats()
    await cache.get("missing")
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.evictions) == (0, 1, 0, 0)
    assert cache.total_stats().misses == 3


async def test_metrics_show_the_totals(clock: ManualClock) -> None:
    cache = await exercised(clock)
    cache.clear_stats()
    registry = CollectorRegistry()
    registry.register(CacheCollector([cache]))
    text = generate_latest(registry).decode()
    for line in (
        'cache_requests_total{cache="quotes",status="hit"} 1.0',
        'cache_requests_total{cache="quotes",status="miss"} 2.0',
        'cache_requests_total{cache="quotes",status="stale"} 1.0',
        'cache_requests_total{cache="quotes",status="coalesced"} 1.0',
        'cache_requests_total{cache="quotes",status="negative"} 1.0',
        'cache_loads_total{cache="quotes"} 3.0',
        'cache_load_errors_total{cache="quotes"} 1.0',
        'cache_load_seconds_total{cache="quotes"} 0.0',
        'cache_sets_total{cache="quotes"} 2.0',
        'cache_deletes_total{cache="quotes"} 1.0',
        'cache_invalidations_total{cache="quotes"} 0.0',
        'cache_evictions_total{cache="quotes"} 0.0',
        'cache_expirations_total{cache="quotes"} 0.0',
        'cache_rejected_total{cache="quotes",reason="too_large"} 0.0',
        'cache_rejected_total{cache="quotes",reason="damaged"} 0.0',
        'cache_rejected_total{cache="quotes",reason="other_schema"} 0.0',
        'cache_backend_errors_total{cache="quotes"} 0.0',
        'cache_entries{cache="quotes"} 1.0',
        f'cache_bytes{{cache="quotes"}} {ENTRY_BYTES + 1}.0',
    ):
        assert line in text.splitlines()


def logger(level: int) -> tuple[structlog.typing.FilteringBoundLogger, CapturingLogger]:
    captured = CapturingLogger()
    wrapper = structlog.make_filtering_bound_logger(level)
    return structlog.wrap_logger(captured, processors=[], wrapper_class=wrapper), captured


async def test_events_say_what_happened(clock: ManualClock) -> None:
    log, captured = logger(logging.DEBUG)
    await exercised(clock, log=log)
    events = [dict(call.kwargs) for call in captured.calls]
    assert {event.pop("cache") for event in events} == {"quotes"}
    assert events == [
        {"event": "cache_set", "key": "k", "status": "hit"},
        {"event": "cache_miss", "key": "k", "status": "miss"},
        {"event": "cache_miss", "key": "k", "status": "coalesced"},
        {"event": "cache_hit", "key": "k", "status": "hit"},
        {"event": "cache_set", "key": "n", "status": "negative"},
        {"event": "cache_miss", "key": "n", "status": "miss"},
        {"event": "cache_hit", "key": "n", "status": "negative"},
        {"event": "cache_hit", "key": "k", "status": "stale"},
        {"event": "cache_refresh_failed", "key": "k", "error": "OSError('down')"},
        {"event": "cache_delete", "key": "k"},
    ]


async def test_above_debug_only_failures_are_logged(clock: ManualClock) -> None:
    log, captured = logger(logging.INFO)
    await exercised(clock, log=log)
    assert [call.kwargs["event"] for call in captured.calls] == ["cache_refresh_failed"]


async def test_stdout_stays_clean_when_nobody_configured_logging(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    await exercised(clock)
    output = capsys.readouterr()
    assert output.out == ""
    assert "cache_refresh_failed" in output.err


async def test_damaged_and_foreign_envelopes_are_counted_misses(
    open_kind: Callable[..., Awaitable[Cache]],
) -> None:
    cache = await open_kind("redis")
    backend = cache.backend
    client, name = backend.client, backend.name  # type: ignore[attr-defined]
    await cache.set("foreign", {"a": 1}, POLICY, codec=JSON)
    await cache.set("moved", b"v", POLICY)
    await client.set(name("damaged"), b"not an envelope")
    await client.set(name("elsewhere"), await client.get(name("moved")))
    assert sorted(await cache.get_many(["foreign", "damaged", "elsewhere", "moved"])) == ["moved"]
    stats = cache.stats()
    assert (stats.damaged, stats.other_schema, stats.misses, stats.hits) == (2, 1, 3, 1)
    assert (await cache.get_or_load("damaged", value, POLICY)).value == b"v"
    await client.hset(name("hash"), "field", "value")
    assert await cache.get("hash") is None
    assert cache.stats().errors == 1
