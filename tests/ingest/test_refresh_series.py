"""Refreshing series from the simulated market over HTTP into SQLite, while its clock moves."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import requests
from prometheus_client import CollectorRegistry

from finstage_market.columns import VALUES
from finstage_market.errors import NotFound, RateLimited, Reason, Unavailable
from finstage_market.interval import Interval
from finstage_runtime.breaker import BreakerPolicy
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.lookups import Lookups
from services.ingest.fetching.refresh import Refresher
from services.ingest.hours.calendars import Calendars
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.providers.fallback import Providers
from services.ingest.providers.file import FileProvider
from services.ingest.series import EventKind, Quote, SeriesKey, SeriesState
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from services.ingest.store.values import SeriesRead, WriteHeader, WriteMode
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.retry import RetryPolicy
from sim.clock import FakeClock, epoch
from sim.faults import Fault
from sim.server import Sim, start
from tests.ingest.stores import bars, batch

# A Wednesday before a change to daylight saving in New York (9 March), an hour after the open.
BEGIN = epoch("2025-03-05T15:30:07Z")
HOUR_S, DAY_S = 3600, 86_400


class MarketClock:
    """A clock with the market's wall time and the machine's monotonic time."""

    def __init__(self, market: FakeClock) -> None:
        self._market = market

    def wall(self) -> float:
        return self._market()

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class World:
    """A market, a store, and the refresher between them."""

    sim: Sim
    market: FakeClock
    store: Store
    provider: Providers
    refresher: Refresher
    lookups: Lookups

    async def refresh(self, key: SeriesKey, max_age_s: float = 0.0) -> SeriesState:
        state, error = await self.refresher.ensure(key, max_age_s=max_age_s, deadline=None)
        assert error is None
        return state

    def read(self, key: SeriesKey) -> SeriesRead:
        found = self.store.bars.read(key)
        assert found is not None
        return found

    def asked(self, symbol: str = "") -> list[dict[str, list[str]]]:
        """Return the queries of all requests, oldest first."""
        log = self.sim.stats.summary(symbol=symbol)["log"]
        return [parse_qs(entry["query"]) for entry in log]

    def admin(self, path: str) -> None:
        requests.get(f"{self.sim.url}/admin/{path}", timeout=5).raise_for_status()

    def assert_store_has_all(self, key: SeriesKey) -> None:
        """Check that refreshes gave the same series as one fetch of everything."""
        whole = self.provider.fetch_bars(key, None, None, deadline=None)
        stored = self.read(key)
        first = int(np.searchsorted(stored.columns.open_time_ms, whole.bars.columns.open_time_ms[0]))
        kept = stored.columns[first:]
        for name in ("open_time_ms", *VALUES):
            np.testing.assert_array_equal(
                getattr(kept, name), getattr(whole.bars.columns, name), err_msg=str(key)
            )
        assert stored.last_is_final is whole.bars.last_is_final


@pytest.fixture(scope="module")
def market() -> Iterator[tuple[Sim, FakeClock]]:
    clock = FakeClock(BEGIN)
    with start(clock=clock) as sim:
        yield sim, clock


@pytest.fixture
async def world(market: tuple[Sim, FakeClock], tmp_path: Path) -> AsyncIterator[World]:
    sim, fake = market
    fake.set(BEGIN)
    sim.faults.clear()
    clock = MarketClock(fake)
    settings = UpstreamSettings(
        sim_url=sim.url, retry=RetryPolicy(base_s=0.01), breaker=BreakerPolicy(failures=100)
    )
    parts = Parts(settings, clock, UpstreamMetrics(CollectorRegistry()))
    provider = open_providers(["sim"], parts)
    store = open_store(f"sqlite:///{tmp_path}/finstage.db", clock=clock)
    upstream = BoundedExecutor(threads=8, queued=2000, name="upstream")
    database = BoundedExecutor(threads=4, queued=2000, name="database")
    refresher = Refresher(
        store, provider, upstream=upstream, database=database, writing=database, clock=clock
    )
    world = World(sim, fake, store, provider, refresher, Lookups(provider, upstream=upstream, clock=clock))
    world.admin("restate/clear")
    sim.stats.clear()
    yield world
    upstream.close()
    database.close()
    provider.close()
    store.close()


APPLE = SeriesKey("AAPL", Interval.D1)


async def test_a_series_nobody_asked_for_is_fetched_whole(world: World) -> None:
    state = await world.refresh(APPLE)
    assert (state.epoch, state.revision, state.source, state.last_is_final) == (1, 1, "sim", False)
    assert state.count > 10_000
    [query] = world.asked("AAPL")
    assert int(query["period1"][0]) < 0
    world.assert_store_has_all(APPLE)


async def test_a_fresh_series_sends_no_request_and_an_old_one_fetches_its_tail(world: World) -> None:
    first = await world.refresh(APPLE)
    assert await world.refresh(APPLE, max_age_s=60.0) == first
    world.market.advance(59)
    assert await world.refresh(APPLE, max_age_s=60.0) == first
    assert len(world.asked("AAPL")) == 1
    world.market.advance(2)
    later = await world.refresh(APPLE, max_age_s=60.0)
    assert later.fetched_at_ms == round(world.market() * 1000)
    [_, query] = world.asked("AAPL")
    assert BEGIN - 10 * DAY_S < int(query["period1"][0]) < BEGIN - 4 * DAY_S


@pytest.mark.parametrize("interval", list(Interval))
async def test_refreshes_give_the_same_series_as_one_fetch(world: World, interval: Interval) -> None:
    """It passes a weekend, a change to daylight saving, opens and closes; nothing looks restated."""
    keys = [SeriesKey(symbol, interval) for symbol in ("AAPL", "BTC-USD", "7203.T", "VOD.L", "GC=F")]
    for step_s in (0, 40, 7 * HOUR_S, 2 * HOUR_S, 14 * HOUR_S, 2 * DAY_S, 19 * HOUR_S, 3 * DAY_S):
        world.market.advance(step_s)
        for key in keys:
            await world.refresh(key)
    for key in keys:
        world.assert_store_has_all(key)
        state = world.store.bars.state(key)
        assert state is not None
        assert state.epoch == 1, str(key)


@pytest.mark.parametrize("interval", [Interval.M5, Interval.D1, Interval.W1, Interval.MO1])
async def test_a_split_restates_the_history(world: World, interval: Interval) -> None:
    key = SeriesKey("MSFT", interval)
    before = await world.refresh(key)
    world.admin("restate?symbol=MSFT&kind=split&ratio=4:1")
    after = await world.refresh(key)
    assert after.epoch == before.epoch + 1
    world.assert_store_has_all(key)
    again = await world.refresh(key)
    assert again.epoch == after.epoch
    assert EventKind.SPLIT in {event.kind for event in world.store.bars.events("MSFT")}


async def test_a_dividend_restates_adjusted_closes(world: World) -> None:
    """Each interval notices it by its own changed adjusted closes.

    The store also bumps the epoch of all intervals when it first learns of a dividend, so an epoch may grow
    twice.
    """
    keys = [SeriesKey("MSFT", interval) for interval in (Interval.D1, Interval.W1, Interval.MO1)]
    before = [await world.refresh(key) for key in keys]
    world.admin("restate?symbol=MSFT&kind=dividend&amount=5")
    after = [await world.refresh(key) for key in keys]
    assert all(now.epoch > then.epoch for now, then in zip(after, before, strict=True))
    for key in keys:
        world.assert_store_has_all(key)
        whole = world.provider.fetch_bars(key, None, None, deadline=None)
        read = world.store.bars.read(key, adjustment="ALL")
        assert read is not None
        assert whole.bars.adjusted_close is not None
        np.testing.assert_allclose(read.columns.close, whole.bars.adjusted_close, rtol=1e-9)
    settled = [await world.refresh(key) for key in keys]
    again = [await world.refresh(key) for key in keys]
    assert [state.epoch for state in again] == [state.epoch for state in settled]


async def test_a_correction_of_a_final_bar_is_fetched_whole_and_written_once(world: World) -> None:
    before = await world.refresh(APPLE)
    world.admin("restate?symbol=AAPL&kind=correction&days=3&factor=1.01")
    after = await world.refresh(APPLE)
    assert (after.epoch, after.revision) == (before.epoch + 1, before.revision + 1)
    world.assert_store_has_all(APPLE)


async def test_many_who_ask_for_one_series_cause_one_request(world: World) -> None:
    states = await asyncio.gather(*(world.refresh(APPLE) for _ in range(1000)))
    assert len({state.revision for state in states}) == 1
    assert len(world.asked()) == 1


async def test_many_who_ask_for_one_quote_cause_one_request(world: World) -> None:
    answers = await asyncio.gather(*(world.lookups.quotes(["AAPL"], deadline=None) for _ in range(1000)))
    assert all(isinstance(answer, Quote) for [answer] in answers)
    assert len(world.asked()) == 1


async def test_quotes_of_a_batch_keep_their_order_and_their_errors(world: World) -> None:
    symbols = ["MSFT", "NOSUCH", "AAPL", "MSFT"]
    first, unknown, third, again = await world.lookups.quotes(symbols, deadline=None)
    assert isinstance(first, Quote)
    assert isinstance(third, Quote)
    assert (first.symbol, third.symbol, again) == ("MSFT", "AAPL", first)
    assert isinstance(unknown, NotFound)
    assert len(world.asked()) == 3


async def test_a_caller_that_leaves_does_not_stop_the_others(world: World) -> None:
    world.sim.faults.add(Fault("latency", seconds=0.2))
    first = asyncio.create_task(world.refresh(APPLE))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(world.refresh(APPLE))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).count > 10_000
    assert len(world.asked()) == 1


async def test_while_the_upstream_is_away_stored_bars_are_served(world: World) -> None:
    before = await world.refresh(APPLE)
    world.sim.faults.add(Fault("server_error", status=503))
    state, error = await world.refresher.ensure(APPLE, max_age_s=0.0, deadline=None)
    assert state == before
    assert isinstance(error, Unavailable)
    assert error.reason is Reason.UPSTREAM_UNAVAILABLE
    with pytest.raises(Unavailable):
        await world.refresher.ensure(SeriesKey("MSFT", Interval.D1), max_age_s=0.0, deadline=None)


async def test_a_caller_with_more_time_asks_again_after_one_with_less(world: World) -> None:
    """The first caller's deadline is too short for the upstream's wait; the second caller's is not."""
    world.sim.faults.add(Fault("rate_limited", form="seconds", retry_after=1, count=1))
    world.sim.faults.add(Fault("latency", seconds=0.1))
    short = asyncio.create_task(world.refresher.ensure(APPLE, max_age_s=0.0, deadline=time.monotonic() + 0.5))
    while not world.asked():  # noqa: ASYNC110 - it is the server that must have heard
        await asyncio.sleep(0.001)
    long = asyncio.create_task(world.refresher.ensure(APPLE, max_age_s=0.0, deadline=time.monotonic() + 30))
    with pytest.raises(RateLimited) as error:
        await short
    assert error.value.reason is Reason.UPSTREAM_RATE_LIMITED
    state, failure = await long
    assert failure is None
    assert state.count > 10_000


async def test_an_unknown_symbol_is_not_found_and_not_kept(world: World) -> None:
    key = SeriesKey("NOSUCH", Interval.D1)
    with pytest.raises(NotFound) as error:
        await world.refresh(key)
    assert error.value.reason is Reason.SYMBOL_NOT_FOUND
    assert world.store.bars.state(key) is None


async def test_a_symbol_without_bars_has_no_data(world: World) -> None:
    with pytest.raises(NotFound) as error:
        await world.refresh(SeriesKey("X-NODATA", Interval.D1))
    assert error.value.reason is Reason.NO_DATA


async def test_a_reply_of_rejected_rows_alone_is_no_data_and_its_reasons_are_kept(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "BAD_1d.csv").write_text("Date,Open,High,Low,Close\n2024-01-02,1,0,1,1\n2024-01-03,1,x,1,1\n")
    clock, threads = MarketClock(world.market), BoundedExecutor(threads=2, queued=10, name="threads")
    provider = Providers([FileProvider(tmp_path, clock=clock)], Calendars())
    refresher = Refresher(
        world.store, provider, upstream=threads, database=threads, writing=threads, clock=clock
    )
    for max_age_s in (0.0, 0.0, 3600.0):
        with pytest.raises(NotFound) as error:
            await refresher.ensure(SeriesKey("BAD", Interval.D1), max_age_s=max_age_s, deadline=None)
        assert error.value.reason is Reason.NO_DATA
        assert "BAD is known, but its 1d data were refused: " in error.value.message
    threads.close()
    kept = world.store.rejections.find(symbol="BAD")
    assert [(each.row.row, each.row.reason.value) for each in kept] == [
        (3, "NOT_FINITE"),
        (2, "HIGH_BELOW_LOW"),
    ]


async def test_a_series_that_only_clients_wrote_is_not_fetched(world: World) -> None:
    """Bars from a file are not mixed with a provider's bars of the same symbol."""
    header = WriteHeader("k", WriteMode.UPSERT, "file:real.csv")
    world.store.writes.open(header)
    world.store.writes.write(header, [batch(1, bars({0: 100.0, 1: 101.0}), key=APPLE)])
    state = await world.refresh(APPLE)
    assert (state.count, state.source, state.fetched_at_ms) == (2, "file:real.csv", None)
    assert world.asked() == []


async def test_a_client_s_correction_stays_and_is_not_a_restatement(
    world: World,
) -> None:
    """Refreshes continue, and fetch the tail alone."""
    await world.refresh(APPLE)
    last = world.read(APPLE).columns[-4:-3]
    header = WriteHeader("k", WriteMode.UPSERT, "client:desk")
    world.store.writes.open(header)
    corrected = replace(last, close=last.close + 0.5, high=last.high + 0.5)
    world.store.writes.write(header, [batch(1, corrected, key=APPLE)])
    epoch = world.read(APPLE).state.epoch
    for _ in range(2):
        world.market.advance(DAY_S)
        world.sim.stats.clear()
        state = await world.refresh(APPLE)
        assert state.epoch == epoch
        assert len(world.asked("AAPL")) == 1
    found = world.read(APPLE).columns
    at = int(np.searchsorted(found.open_time_ms, last.open_time_ms[0]))
    assert found.close[at] == corrected.close[0]
    assert state.last_ms is not None
    assert state.last_ms > last.open_time_ms[0] + 4 * DAY_S * 1000


async def test_a_backfill_asks_the_provider_that_the_series_came_from(world: World, tmp_path: Path) -> None:
    (tmp_path / "AAPL_1d.csv").write_text("Date,Open,High,Low,Close\n2024-01-02,1,1,1,1\n")
    clock, threads = MarketClock(world.market), BoundedExecutor(threads=2, queued=10, name="threads")
    providers = Providers([world.provider, FileProvider(tmp_path, clock=clock)], Calendars())
    refresher = Refresher(
        world.store, providers, upstream=threads, database=threads, writing=threads, clock=clock
    )
    assert (await refresher.fetch(APPLE, None, None)).source == "sim"
    world.store.fetched.write(providers.pinned("file").fetch_bars(APPLE, None, None, deadline=None))
    assert (await refresher.fetch(APPLE, None, None)).source == "file"
    threads.close()
