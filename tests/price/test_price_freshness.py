"""The age of price's answers, and the errors when none is young enough."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from finstage.market.v1 import provenance_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage_cache import Cache, ManualClock, MemoryBackend, open_cache
from finstage_market.errors import DeadlineTooShort, FinstageError, NotFound, Reason, Unavailable
from finstage_market.interval import Interval
from finstage_market.statuses import from_rpc_error
from tests.libs.cache.waiting import settled, until
from tests.price.conftest import NOW_MS, Price, running_price

HIT, MISS = provenance_pb2.CACHE_STATUS_HIT, provenance_pb2.CACHE_STATUS_MISS
STALE, COALESCED = provenance_pb2.CACHE_STATUS_STALE, provenance_pb2.CACHE_STATUS_COALESCED
AWAY = Unavailable(Reason.SERVICE_UNAVAILABLE, "ingest does not answer", retry_after_s=1)
NO_ANSWER = Unavailable(Reason.UPSTREAM_UNAVAILABLE, "the upstream does not answer")


async def bars(price: Price, max_age_s: float | None = None, **more: object) -> series_pb2.BarSeries:
    """Return the last bars of A."""
    if max_age_s is not None:
        more["max_age"] = Duration(seconds=int(max_age_s))
    return (await price.bars(limit=3, **more)).series


@pytest.fixture(params=["memory", "redis", "memory+redis"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Price]:
    """price over each kind of cache."""
    url = "memory://"
    if request.param != "memory":
        server = request.getfixturevalue("redis_url").partition(":")[2].partition("?")[0]
        url = f"{request.param}:{server}?prefix={id(request)}:&timeout_s=5"
    clock = ManualClock(NOW_MS / 1000)
    async with open_cache(url, name="price", clock=clock) as cache, running_price(cache, clock) as price:
        yield price
        await cache.clear()


async def test_the_age_of_a_series_is_that_of_its_data_not_of_its_cache_entry(shared: Price) -> None:
    shared.store.fetched_ms = NOW_MS - 3_000_000
    assert (await bars(shared, 3600)).provenance.cache == MISS
    assert (await bars(shared, 3600)).provenance.cache == HIT
    younger = await bars(shared, 60)
    assert younger.provenance.cache == MISS
    assert younger.provenance.fetched_at.ToMilliseconds() == NOW_MS
    assert (await bars(shared, 60)).provenance.cache == HIT
    shared.clock.advance(61)
    assert (await bars(shared, 60)).provenance.fetched_at.ToMilliseconds() == NOW_MS + 61_000


async def test_a_series_loaded_old_is_fresh_only_for_the_remaining_time(price: Price) -> None:
    price.store.fetched_ms = NOW_MS - 40_000
    assert (await bars(price)).provenance.cache == MISS
    price.clock.advance(19)
    assert (await bars(price)).provenance.cache == HIT
    price.clock.advance(2)
    fetched_at = (await bars(price)).provenance.fetched_at
    assert fetched_at.ToMilliseconds() == NOW_MS + 21_000


async def test_a_caller_that_joined_the_load_of_a_laxer_one_asks_again(price: Price) -> None:
    price.store.fetched_ms = NOW_MS - 3_000_000
    price.store.gate.clear()
    lax = asyncio.create_task(bars(price, 3600))
    await until(lambda: len(price.store.calls) == 1)
    strict = [asyncio.create_task(bars(price, 0)) for _ in range(3)]
    equal = asyncio.create_task(bars(price, 3600))
    await asyncio.sleep(0.05)
    price.store.gate.set()
    old, new = NOW_MS - 3_000_000, NOW_MS
    assert (await lax).provenance.fetched_at.ToMilliseconds() == old
    assert (await equal).provenance.fetched_at.ToMilliseconds() == old
    answers = [await each for each in strict]
    assert {answer.provenance.fetched_at.ToMilliseconds() for answer in answers} == {new}
    assert sorted(answer.provenance.cache for answer in answers) == [MISS, COALESCED, COALESCED]
    assert price.store.calls == ["series A 1d"] * 2


async def test_a_series_that_clients_wrote_is_as_old_as_its_load(price: Price) -> None:
    price.store.fetched_ms = None
    assert (await bars(price)).provenance.cache == MISS
    price.clock.advance(59)
    assert (await bars(price)).provenance.cache == HIT
    price.clock.advance(2)
    assert (await bars(price)).provenance.cache == MISS


async def test_a_clock_of_ingest_that_is_behind_does_not_make_every_call_a_load(price: Price) -> None:
    price.store.fetched_ms = NOW_MS - 600_000
    price.store.clock = ManualClock(NOW_MS / 1000 - 600)
    assert (await bars(price)).provenance.cache == MISS
    assert (await bars(price)).provenance.cache == HIT


async def test_while_ingest_is_away_cached_series_are_served_as_stale(price: Price) -> None:
    await price.quote()
    await price.bars()
    price.store.down = AWAY
    stale = provenance_pb2.CACHE_STATUS_STALE
    assert (await price.quote(max_age=Duration())).provenance.cache == stale
    assert (await price.bars(max_age=Duration())).series.provenance.cache == stale
    with pytest.raises(Unavailable) as raised:
        await price.bars(max_age=Duration(), allow_stale=False)
    assert raised.value.retry_after_s is not None
    with pytest.raises(Unavailable) as raised:
        await price.quote("B")
    assert raised.value.reason is Reason.SERVICE_UNAVAILABLE
    assert raised.value.retry_after_s == 1


async def test_a_series_that_ingest_could_not_refresh_is_stale_once_it_is_older_than_asked(
    price: Price,
) -> None:
    price.store.refresh_error = NO_ANSWER
    price.store.fetched_ms = NOW_MS - 100_000
    assert (await price.bars()).series.provenance.cache == provenance_pb2.CACHE_STATUS_STALE
    young_enough = await price.bars(max_age=Duration(seconds=200))
    assert young_enough.series.provenance.cache == provenance_pb2.CACHE_STATUS_HIT
    with pytest.raises(Unavailable) as raised:
        await price.bars(allow_stale=False)
    assert raised.value.reason is Reason.TOO_STALE


async def test_a_failed_refresh_is_not_repeated_by_every_call(price: Price) -> None:
    price.store.refresh_error = NO_ANSWER
    price.store.fetched_ms = NOW_MS - 100_000
    for _ in range(5):
        assert (await bars(price)).provenance.cache == STALE
    assert price.store.refreshes == 1
    price.store.refresh_error = None
    price.clock.advance(11)
    assert (await bars(price)).provenance.cache == MISS
    assert price.store.refreshes == 2


async def test_a_committed_revision_is_loaded_by_the_next_call_and_only_then(price: Price) -> None:
    assert (await price.bars()).series.version.revision == 1
    price.store.epoch = 2
    await price.market.outdate("A", Interval.D1, 1)
    assert (await price.bars()).series.version.revision == 1, "the cached series has that revision"
    await price.market.outdate("A", Interval.D1, 2)
    price.clock.advance(1)
    price.store.down = Unavailable(Reason.SERVICE_UNAVAILABLE, "ingest does not answer")
    assert (await price.bars()).series.provenance.cache == provenance_pb2.CACHE_STATUS_STALE
    price.store.down = None
    price.clock.advance(2)  # a failed load is not repeated at once
    assert (await price.bars()).series.version.revision == 2


async def test_an_error_about_an_old_series_names_its_time(price: Price) -> None:
    """Neither a commit nor a failed refresh makes it look younger."""
    price.store.fetched_ms = NOW_MS - 30_000
    await bars(price)
    price.clock.advance(10)
    await price.market.outdate("A", Interval.D1, 2)
    price.store.down = AWAY
    told = datetime.fromtimestamp(NOW_MS / 1000 - 30, UTC).isoformat(timespec="seconds")
    with pytest.raises(Unavailable, match=f"is from {told.replace('+', '.')}") as raised:
        await bars(price, allow_stale=False)
    assert raised.value.reason is Reason.TOO_STALE
    price.clock.advance(5)
    price.store.down, price.store.refresh_error = None, NO_ANSWER
    await bars(price, 0)
    price.store.down = AWAY
    price.clock.advance(15)
    with pytest.raises(Unavailable, match=f"is from {told.replace('+', '.')}"):
        await bars(price, allow_stale=False)


async def test_commits_do_not_prolong_the_life_of_a_cached_series(price: Price) -> None:
    await bars(price)
    price.store.down = AWAY
    for revision in range(2, 9):
        price.clock.advance(500)
        await price.market.outdate("A", Interval.D1, revision)
        assert (await bars(price)).provenance.cache == STALE
    price.clock.advance(170)
    with pytest.raises(Unavailable) as raised:
        await bars(price)
    assert raised.value.reason is Reason.SERVICE_UNAVAILABLE


async def test_a_load_that_commits_is_not_thrown_away(shared: Price) -> None:
    await bars(shared)
    shared.clock.advance(61)
    shared.store.gate.clear()
    shared.store.epoch = 2
    refreshing = asyncio.create_task(bars(shared))
    await until(lambda: len(shared.store.calls) == 2)
    await shared.market.outdate("A", Interval.D1, 2)
    shared.clock.advance(1)
    shared.store.gate.set()
    assert (await refreshing).version.revision == 2
    assert (await bars(shared)).provenance.cache == HIT
    assert len(shared.store.calls) == 2


async def test_a_load_that_read_before_a_commit_is_not_kept(shared: Price) -> None:
    shared.store.gate.clear()
    reading = asyncio.create_task(bars(shared))
    await until(lambda: len(shared.store.calls) == 1)
    shared.store.epoch = 2
    await shared.market.outdate("A", Interval.D1, 2)
    after = asyncio.create_task(bars(shared))
    await asyncio.sleep(0.05)
    shared.store.gate.set()
    assert (await reading).version.revision == 1
    assert (await after).version.revision == 2, "it was asked for after the commit"
    assert (await bars(shared)).version.revision == 2
    assert len(shared.store.calls) == 2


async def test_a_new_symbol_is_no_longer_unknown(price: Price) -> None:
    price.store.symbols = {"B"}
    with pytest.raises(NotFound):
        await bars(price)
    price.store.symbols = {"A"}
    await price.market.outdate("A", Interval.D1, 1)
    assert (await bars(price)).provenance.cache == MISS


async def test_an_early_refresh_brings_a_newer_series() -> None:
    """An early refresh is the likelier the longer the last load took; here it is certain."""
    clock = ManualClock(NOW_MS / 1000)
    surely_early = Cache(MemoryBackend(clock=clock), clock=clock, random=lambda: 0.99)
    async with surely_early as cache, running_price(cache, clock) as price:
        price.store.gate.clear()
        slow = asyncio.create_task(bars(price))
        await until(lambda: len(price.store.calls) == 1)
        clock.advance(2)
        price.store.gate.set()
        await slow
        clock.advance(56)
        assert (await bars(price)).provenance.cache == HIT
        await settled(cache)
        fetched_at = (await bars(price)).provenance.fetched_at
        assert fetched_at.ToMilliseconds() == NOW_MS + 58_000


async def test_a_quote_is_as_old_as_its_load(price: Price) -> None:
    """ingest stores no quotes: each load fetches one."""
    await price.quote(max_age=Duration(seconds=3600))
    price.clock.advance(59)
    assert (await price.quote()).provenance.cache == HIT
    price.clock.advance(2)
    assert (await price.quote()).provenance.cache == MISS


async def test_a_caller_gets_the_cached_series_before_its_deadline(price: Price) -> None:
    await price.bars()
    price.store.gate.clear()
    request = pb.GetBarsRequest(symbol="A", interval="1d", limit=3, max_age=Duration())
    path = "/finstage.price.v1.PriceService/GetBars"
    reply = await price.channel.call(path, request, pb.GetBarsResponse, timeout_s=0.4)
    assert reply.series.provenance.cache == provenance_pb2.CACHE_STATUS_STALE
    price.store.gate.set()


async def test_a_caller_without_a_cached_series_gets_the_reason_before_its_deadline(price: Price) -> None:
    price.store.gate.clear()
    ask = price.channel.grpc.unary_unary("/finstage.price.v1.PriceService/GetBars")
    request = pb.GetBarsRequest(symbol="A", interval="1d").SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(request, timeout=0.4)
    assert isinstance(from_rpc_error(raised.value), DeadlineTooShort)
    assert "ask again" in str(raised.value.details()), "it is the service's answer, not gRPC's own"
    price.store.gate.set()


async def test_a_caller_with_more_time_outlasts_the_load_of_one_with_less(price: Price) -> None:
    price.store.gate.clear()
    path = "/finstage.price.v1.PriceService/GetBars"
    request = pb.GetBarsRequest(symbol="A", interval="1d", limit=3)
    hasty = asyncio.create_task(price.channel.call(path, request, pb.GetBarsResponse, timeout_s=0.2))
    await until(lambda: bool(price.store.calls))
    patient = asyncio.create_task(price.channel.call(path, request, pb.GetBarsResponse, timeout_s=5))
    with pytest.raises(FinstageError):
        await hasty
    price.store.gate.set()
    assert len((await patient).series.columns.close) == 3
