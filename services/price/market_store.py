"""MarketStore: what price needs from ingest, and the adapter that asks for it over gRPC."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Protocol

from google.protobuf.duration_pb2 import Duration

from finstage.market.v1 import instrument_pb2, quote_pb2, series_pb2
from finstage.store.v1 import market_store_service_pb2 as store_pb2
from finstage_market.columns import Columns
from finstage_market.interval import Interval
from finstage_market.wire import columns_from_wire, take_field
from finstage_rpc.channel import Channel
from services.price.held_series import HeldSeries, refresh_error

SERVICE = store_pb2.DESCRIPTOR.services_by_name["MarketStoreService"]
_COLUMNS_PART = store_pb2.ReadBarsResponse.DESCRIPTOR.fields_by_name["columns"].number


class MarketStore(Protocol):
    """What price needs from ingest. Every method raises the domain errors that its RPC names, and
    Unavailable (SERVICE_UNAVAILABLE) when ingest is away. timeout_s bounds the whole of it.
    """

    async def quotes(self, symbols: Sequence[str], *, timeout_s: float) -> list[quote_pb2.QuoteResult]:
        """Return one result per symbol, in the order asked."""
        ...

    async def series(
        self,
        symbol: str,
        interval: Interval,
        adjustment: series_pb2.Adjustment,
        *,
        max_age_s: float,
        timeout_s: float,
    ) -> HeldSeries:
        """Return the whole series, refreshed first if its last refresh is longer ago than max_age_s."""
        ...

    async def instrument(self, symbol: str, *, timeout_s: float) -> instrument_pb2.Instrument:
        """Return what the symbol names."""
        ...

    async def search(
        self, query: str, types: Sequence[int], limit: int, *, timeout_s: float
    ) -> store_pb2.SearchInstrumentsResponse:
        """Return matching instruments, best first."""
        ...


class IngestMarketStore:
    """MarketStore over the channel to ingest."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def quotes(self, symbols: Sequence[str], *, timeout_s: float) -> list[quote_pb2.QuoteResult]:
        request = store_pb2.FetchQuotesRequest(symbols=symbols)
        reply = await self._channel.call(
            _path("FetchQuotes"), request, store_pb2.FetchQuotesResponse, timeout_s=timeout_s
        )
        return list(reply.results)

    async def series(
        self,
        symbol: str,
        interval: Interval,
        adjustment: series_pb2.Adjustment,
        *,
        max_age_s: float,
        timeout_s: float,
    ) -> HeldSeries:
        max_age = Duration()
        max_age.FromMilliseconds(int(max_age_s * 1000))
        request = store_pb2.ReadBarsRequest(
            symbol=symbol, interval=interval, adjustment=adjustment, max_age=max_age
        )
        header = store_pb2.ReadBarsHeader()
        chunks: list[Columns] = []
        parts = self._channel.stream(_path("ReadBars"), request, bytes, timeout_s=timeout_s)
        async with aclosing(parts):
            async for message in parts:
                rest, columns = take_field(message, _COLUMNS_PART)
                if columns is None:
                    header = store_pb2.ReadBarsResponse.FromString(rest).header
                else:
                    chunks.append(columns_from_wire(columns))
        return HeldSeries(header.series, Columns.concat(chunks), refresh_error(header))

    async def instrument(self, symbol: str, *, timeout_s: float) -> instrument_pb2.Instrument:
        request = store_pb2.GetInstrumentRequest(symbol=symbol)
        reply = await self._channel.call(
            _path("GetInstrument"), request, store_pb2.GetInstrumentResponse, timeout_s=timeout_s
        )
        return reply.instrument

    async def search(
        self, query: str, types: Sequence[int], limit: int, *, timeout_s: float
    ) -> store_pb2.SearchInstrumentsResponse:
        request = store_pb2.SearchInstrumentsRequest(query=query, limit=limit)
        request.types.extend(types)  # type: ignore[arg-type]
        return await self._channel.call(
            _path("SearchInstruments"), request, store_pb2.SearchInstrumentsResponse, timeout_s=timeout_s
        )


def _path(method: str) -> str:
    return f"/{SERVICE.full_name}/{method}"
