"""MarketStoreService over the wire: many, slow and departed readers, and resumed commits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from finstage.market.v1 import series_pb2
from finstage.store.v1 import market_store_service_pb2 as pb
from finstage.store.v1 import market_store_service_pb2_grpc
from finstage_market.columns import Columns
from finstage_market.errors import NotFound, PreconditionFailed, Reason
from finstage_market.statuses import from_rpc_error
from finstage_market.wire import columns_from_wire
from finstage_rpc.channel import open_channel
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from finstage_runtime.clock import SYSTEM, Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.lookups import Lookups
from services.ingest.fetching.refresh import Refresher
from services.ingest.hours.calendars import Calendars
from services.ingest.market_store_servicer import SERVICE, MarketStoreServicer
from services.ingest.providers.fallback import Providers
from services.ingest.providers.file import FileProvider
from services.ingest.reading.commit_feed import CommitFeed
from services.ingest.store.api import Store
from services.ingest.store.sql import CONNECTIONS, open_store
from tests.ingest.ingest_server import series_of
from tests.ingest.stores import bars, closes, fetched

DAILY = pb.ReadBarsRequest(symbol="AAPL", interval="1d")
MANY = 100_000


@dataclass
class Running:
    """The service, and a channel to it."""

    stub: Any

    async def read(self) -> tuple[series_pb2.BarSeries, Columns]:
        answers = [answer async for answer in self.stub.ReadBars(DAILY)]
        parts = [columns_from_wire(each.columns.SerializeToString()) for each in answers[1:]]
        return answers[0].header.series, Columns.concat(parts)


@pytest.fixture
def clock() -> Clock:
    return SYSTEM


@asynccontextmanager
async def running(store: Store, folder: Path) -> AsyncIterator[Running]:
    """Run the service over `store`, with an empty folder as its provider."""
    database = BoundedExecutor(threads=4, queued=1000, name="database")
    provider = Providers([FileProvider(folder, clock=SYSTEM)], Calendars())
    refresher = Refresher(
        store, provider, upstream=database, database=database, writing=database, clock=SYSTEM
    )
    feed = CommitFeed(store.commits, database=database, clock=SYSTEM)
    lookups = Lookups(provider, upstream=database, clock=SYSTEM)
    servicer = MarketStoreServicer(store, lookups, refresher, feed, database=database, wall=SYSTEM.wall)
    server = Server(ServerSettings(), [Service(SERVICE, servicer)])
    await server.start()
    feeding = asyncio.create_task(feed.run())
    channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="ingest")
    try:
        yield Running(market_store_service_pb2_grpc.MarketStoreServiceStub(channel.grpc))
    finally:
        await channel.close()
        await server.stop()
        feeding.cancel()
        await asyncio.wait([feeding])
        database.close()


async def test_a_read_is_a_header_and_the_bars_of_one_version(store: Store, tmp_path: Path) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11}), last_is_final=False))
    async with running(store, tmp_path) as ingest:
        header, columns = await ingest.read()
    assert closes(columns) == {0: 10, 1: 11}
    assert (header.symbol, header.version.epoch, header.version.revision) == ("AAPL", 1, 1)
    assert not header.last_is_final


async def test_more_readers_than_connections_are_all_served(store: Store, tmp_path: Path) -> None:
    store.fetched.write(fetched(series_of(2500)))
    async with running(store, tmp_path) as ingest:
        found = await asyncio.gather(*(ingest.read() for _ in range(3 * 2 * CONNECTIONS)))
    assert {len(columns) for _, columns in found} == {2500}


async def test_stalled_and_departed_readers_do_not_delay_others(store: Store, tmp_path: Path) -> None:
    store.fetched.write(fetched(series_of(MANY)))
    async with running(store, tmp_path) as ingest, asyncio.timeout(60):
        still = [ingest.stub.ReadBars(DAILY) for _ in range(3 * 2 * CONNECTIONS)]
        for call in still:
            await call.read()
        for call in still[::2]:
            call.cancel()
        _, columns = await ingest.read()
        assert len(columns) == MANY
        await asyncio.to_thread(store.fetched.write, fetched(bars({0: 10})))
        for call in still[1::2]:
            call.cancel()


async def test_an_unknown_series_has_no_data(store: Store, tmp_path: Path) -> None:
    async with running(store, tmp_path) as ingest:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.read()
    found = from_rpc_error(caught.value)
    assert isinstance(found, NotFound)
    assert found.reason is Reason.NO_DATA


async def test_commits_can_be_resumed_before_the_first_one(store: Store, tmp_path: Path) -> None:
    async with running(store, tmp_path) as ingest, asyncio.timeout(20):
        watching = ingest.stub.WatchCommits(pb.WatchCommitsRequest())
        first = await watching.read()
        assert first.HasField("heartbeat")
        watching.cancel()
        await asyncio.to_thread(store.fetched.write, fetched(bars({0: 10})))
        request = pb.WatchCommitsRequest(resume_token=first.resume_token)
        missed = await ingest.stub.WatchCommits(request).read()
        assert (missed.commit.symbol, missed.commit.version.revision) == ("AAPL", 1)


async def test_a_token_of_another_database_is_expired(store: Store, tmp_path: Path) -> None:
    other = open_store(f"sqlite:///{tmp_path}/other.db", clock=SYSTEM)
    token = other.commits.token()
    other.close()
    async with running(store, tmp_path) as ingest:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.WatchCommits(pb.WatchCommitsRequest(resume_token=token)).read()
    found = from_rpc_error(caught.value)
    assert isinstance(found, PreconditionFailed)
    assert found.reason is Reason.RESUME_EXPIRED
