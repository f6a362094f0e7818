"""What price asks of ingest, over the wire."""

import asyncio
from collections.abc import AsyncIterator

from finstage.ingest.v1 import market_store_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_market.interval import Interval
from finstage_rpc.call import Context
from finstage_rpc.channel import open_channel
from finstage_rpc.deadline import time_left_s
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from services.price.market_store import SERVICE, IngestMarketStore

ENSURE_S = 0.3


class SlowIngest:
    """It takes ENSURE_S to make sure of a series, which has no bars."""

    def __init__(self) -> None:
        self.left_s: list[float | None] = []

    async def EnsureBars(self, request: pb.EnsureBarsRequest, context: Context) -> pb.EnsureBarsResponse:
        self.left_s.append(time_left_s())
        await asyncio.sleep(ENSURE_S)
        return pb.EnsureBarsResponse()

    async def ReadBars(
        self, request: pb.ReadBarsRequest, context: Context
    ) -> AsyncIterator[pb.ReadBarsResponse]:
        self.left_s.append(time_left_s())
        yield pb.ReadBarsResponse()


async def test_the_timeout_of_a_series_is_for_both_calls_that_it_takes() -> None:
    ingest = SlowIngest()
    server = Server(ServerSettings(), [Service(SERVICE, ingest)])
    await server.start()
    channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="ingest")
    await IngestMarketStore(channel).series(
        "A", Interval.D1, series_pb2.ADJUSTMENT_SPLITS, max_age_s=60, timeout_s=5.0
    )
    ensured_s, read_s = ingest.left_s
    assert ensured_s is not None
    assert read_s is not None
    assert read_s <= ensured_s - ENSURE_S + 0.05, "the wire rounds up, a little"
    await channel.close()
    await server.stop()
