"""The calls from price to ingest, over the wire."""

from collections.abc import AsyncIterator

from finstage.market.v1 import series_pb2
from finstage.store.v1 import market_store_service_pb2 as pb
from finstage_market.errors import Reason, Unavailable
from finstage_market.interval import Interval
from finstage_market.statuses import to_status
from finstage_rpc.call import Context
from finstage_rpc.channel import open_channel
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from services.price.market_store import SERVICE, IngestMarketStore


class Ingest:
    """A store that answers with one page of a series that it could not refresh."""

    def __init__(self) -> None:
        self.requests: list[pb.ReadBarsRequest] = []

    async def ReadBars(
        self, request: pb.ReadBarsRequest, context: Context
    ) -> AsyncIterator[pb.ReadBarsResponse]:
        self.requests.append(request)
        error = to_status(Unavailable(Reason.UPSTREAM_UNAVAILABLE, "no answer"))
        series = series_pb2.BarSeries(symbol="A", interval="1d")
        yield pb.ReadBarsResponse(header=pb.ReadBarsHeader(series=series, refresh_error=error))
        one = [1.0]
        columns = series_pb2.BarColumns(open_time_ms=[0], open=one, high=one, low=one, close=one, volume=one)
        yield pb.ReadBarsResponse(columns=columns)


async def test_a_series_is_one_call_that_refreshes_and_reads() -> None:
    ingest = Ingest()
    server = Server(ServerSettings(), [Service(SERVICE, ingest)])
    await server.start()
    channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="ingest")
    held = await IngestMarketStore(channel).series(
        "A", Interval.D1, series_pb2.ADJUSTMENT_SPLITS, max_age_s=60, timeout_s=5.0
    )
    [request] = ingest.requests
    assert request.max_age.seconds == 60
    assert (held.header.symbol, list(held.columns.close)) == ("A", [1.0])
    assert held.refresh_error is not None
    assert held.refresh_error.reason is Reason.UPSTREAM_UNAVAILABLE
    await channel.close()
    await server.stop()
