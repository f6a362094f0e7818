"""price on a port, in front of a market store that the test controls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from finstage.market.v1 import instrument_pb2, quote_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage.store.v1 import market_store_service_pb2 as ingest_pb2
from finstage_cache import Cache, ManualClock, MemoryBackend
from finstage_market.columns import Columns
from finstage_market.errors import FinstageError, symbol_not_found
from finstage_market.interval import Interval
from finstage_market.times import timestamp
from finstage_rpc.channel import Channel, open_channel
from finstage_rpc.errors import to_status
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from services.price.held_series import HeldSeries
from services.price.market_cache import MarketCache
from services.price.servicer import SERVICE, PriceServicer

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2
COUNT = 1000


@dataclass
class HandMovedStore:
    """A market store that holds A (1000 days, the last one forming) and knows no other symbol.

    fetched_ms: when it fetched A from its provider; None: clients wrote it. It fetches A again for a caller
        that wants it younger, unless there is a refresh_error, which is then in the answer.
    gate: while it is closed, answers with a series wait, after the request to the provider.
    """

    clock: ManualClock
    down: FinstageError | None = None
    refresh_error: FinstageError | None = None
    epoch: int = 1
    fetched_ms: int | None = NOW_MS
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refreshes: int = 0
    symbols: set[str] = field(default_factory=lambda: {"A"})
    calls: list[str] = field(default_factory=list)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.down is not None:
            raise self.down

    async def quotes(self, symbols: Sequence[str], *, timeout_s: float) -> list[quote_pb2.QuoteResult]:
        self._called(f"quotes {' '.join(symbols)}")
        results = []
        for symbol in symbols:
            result = quote_pb2.QuoteResult(symbol=symbol)
            if symbol in ("A", "B"):
                result.quote.CopyFrom(quote_pb2.Quote(symbol=symbol, price=12.5, currency="USD"))
                result.quote.provenance.source = "sim"
            else:
                result.error.CopyFrom(to_status(symbol_not_found(symbol)))
            results.append(result)
        return results

    async def series(
        self,
        symbol: str,
        interval: Interval,
        adjustment: series_pb2.Adjustment,
        *,
        max_age_s: float,
        timeout_s: float,
    ) -> HeldSeries:
        self._called(f"series {symbol} {interval}")
        if symbol not in self.symbols:
            raise symbol_not_found(symbol)
        failed = self._refresh(max_age_s)
        held = self._held(interval, adjustment, failed)
        await self.gate.wait()
        return held

    def _refresh(self, max_age_s: float) -> FinstageError | None:
        now_ms = int(self.clock.wall() * 1000)
        if self.fetched_ms is None or now_ms - self.fetched_ms < max_age_s * 1000:
            return None
        self.refreshes += 1
        if self.refresh_error is None:
            self.fetched_ms = now_ms
        return self.refresh_error

    def _held(
        self, interval: Interval, adjustment: series_pb2.Adjustment, refresh_error: FinstageError | None
    ) -> HeldSeries:
        times = NOW_MS // DAY_MS * DAY_MS - DAY_MS * np.arange(COUNT - 1, -1, -1)
        close = np.arange(COUNT, dtype=float) + 1
        header = series_pb2.BarSeries(
            symbol="A",
            interval=interval,
            adjustment=adjustment,
            version=series_pb2.SeriesVersion(epoch=self.epoch, revision=self.epoch),
            last_is_final=False,
        )
        header.coverage.gaps.add(
            start=timestamp(int(times[100]) + 1),
            end=timestamp(int(times[101])),
            reason=series_pb2.GAP_REASON_PROVIDER_MISSING,
            missing_bars=1,
        )
        header.provenance.source = "sim"
        header.provenance.as_of.CopyFrom(timestamp(NOW_MS))
        if self.fetched_ms is not None:
            header.provenance.fetched_at.CopyFrom(timestamp(self.fetched_ms))
        columns = Columns.of(times, close, close + 1, close - 1, close, close * 10)
        return HeldSeries(header, columns, refresh_error)

    async def instrument(self, symbol: str, *, timeout_s: float) -> instrument_pb2.Instrument:
        self._called(f"instrument {symbol}")
        if symbol != "A":
            raise symbol_not_found(symbol)
        return instrument_pb2.Instrument(symbol=symbol, currency="GBp")

    async def search(
        self, query: str, types: Sequence[int], limit: int, *, timeout_s: float
    ) -> ingest_pb2.SearchInstrumentsResponse:
        self._called(f"search {query}")
        return ingest_pb2.SearchInstrumentsResponse(instruments=[instrument_pb2.Instrument(symbol="A")])


@dataclass
class Price:
    """The service on a port, and a channel to it."""

    store: HandMovedStore
    channel: Channel
    market: MarketCache
    clock: ManualClock

    async def bars(self, **request: object) -> pb.GetBarsResponse:
        message = pb.GetBarsRequest(**({"symbol": "A", "interval": "1d"} | request))
        return await self.channel.call("/finstage.price.v1.PriceService/GetBars", message, pb.GetBarsResponse)

    async def quote(self, symbol: str = "A", **request: object) -> quote_pb2.Quote:
        message = pb.GetQuoteRequest(symbol=symbol, **request)
        path = "/finstage.price.v1.PriceService/GetQuote"
        return (await self.channel.call(path, message, pb.GetQuoteResponse)).quote


@asynccontextmanager
async def running_price(cache: Cache, clock: ManualClock) -> AsyncIterator[Price]:
    """Run the service over a cache."""
    store = HandMovedStore(clock)
    store.gate.set()
    market = MarketCache(cache, store, fresh_s=60, stale_for_s=3600, now_s=clock.wall)
    servicer = PriceServicer(market, quote_fresh_s=60, bars_fresh_s=60, now_s=clock.wall)
    server = Server(ServerSettings(), [Service(SERVICE, servicer)])
    await server.start()
    channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="price")
    yield Price(store, channel, market, clock)
    await channel.close()
    await server.stop()


@pytest.fixture
async def price() -> AsyncIterator[Price]:
    clock = ManualClock(NOW_MS / 1000)
    async with (
        Cache(MemoryBackend(clock=clock), clock=clock, name="price") as cache,
        running_price(cache, clock) as running,
    ):
        yield running
