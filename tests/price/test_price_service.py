"""price over the wire: a real server and channel before a market store that the test moves by hand."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from finstage.ingest.v1 import market_store_service_pb2 as ingest_pb2
from finstage.market.v1 import instrument_pb2, provenance_pb2, quote_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as pb
from libs.cache import Cache, ManualClock, MemoryBackend
from libs.market.columns import Columns
from libs.market.errors import (
    FinstageError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Reason,
    Unavailable,
    symbol_not_found,
)
from libs.market.interval import Interval
from libs.market.times import timestamp
from libs.rpc.channel import Channel, open_channel
from libs.rpc.errors import from_status, to_status
from libs.rpc.server import Server
from libs.rpc.service import Service
from libs.rpc.settings import ChannelSettings, ServerSettings
from services.price.held_series import HeldSeries
from services.price.market_cache import MarketCache
from services.price.servicer import SERVICE, PriceServicer

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2
COUNT = 1000


@dataclass
class HandMovedStore:
    """A market store that holds A (1000 days, the last one forming) and knows no other symbol."""

    down: FinstageError | None = None
    refresh_error: str = ""
    epoch: int = 1
    fetched_ms: int = NOW_MS
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
        if symbol != "A":
            raise symbol_not_found(symbol)
        times = NOW_MS // DAY_MS * DAY_MS - DAY_MS * np.arange(COUNT - 1, -1, -1)
        close = np.arange(COUNT, dtype=float) + 1
        header = series_pb2.BarSeries(
            symbol=symbol,
            interval=interval.proto,
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
        header.provenance.fetched_at.CopyFrom(timestamp(self.fetched_ms))
        columns = Columns.of(times, close, close + 1, close - 1, close, close * 10)
        return HeldSeries(header, columns, self.refresh_error)

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
    """The service on a port, and the way to it."""

    store: HandMovedStore
    channel: Channel
    market: MarketCache
    clock: ManualClock

    async def bars(self, **request: object) -> pb.GetBarsResponse:
        message = pb.GetBarsRequest(**({"symbol": "A", "interval": series_pb2.INTERVAL_1D} | request))
        return await self.channel.call("/finstage.price.v1.PriceService/GetBars", message, pb.GetBarsResponse)

    async def quote(self, symbol: str = "A", **request: object) -> quote_pb2.Quote:
        message = pb.GetQuoteRequest(symbol=symbol, **request)
        path = "/finstage.price.v1.PriceService/GetQuote"
        return (await self.channel.call(path, message, pb.GetQuoteResponse)).quote


@pytest.fixture
async def price() -> AsyncIterator[Price]:
    store = HandMovedStore()
    clock = ManualClock(NOW_MS / 1000)
    async with Cache(MemoryBackend(clock=clock), clock=clock, name="price") as cache:
        market = MarketCache(cache, store, fresh_s=60, stale_for_s=3600, now_s=lambda: NOW_MS / 1000)
        servicer = PriceServicer(market, quote_fresh_s=60, bars_fresh_s=60, now_s=lambda: NOW_MS / 1000)
        server = Server(ServerSettings(), [Service(SERVICE, servicer)])
        await server.start()
        channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="price")
        yield Price(store, channel, market, clock)
        await channel.close()
        await server.stop()


async def test_a_quote_is_fetched_once_and_then_a_hit(price: Price) -> None:
    first, second = await price.quote(), await price.quote("a")
    assert first.provenance.cache == provenance_pb2.CACHE_STATUS_MISS
    assert second.provenance.cache == provenance_pb2.CACHE_STATUS_HIT
    assert (second.price, second.currency, second.provenance.source) == (12.5, "USD", "sim")
    assert price.store.calls == ["quotes A"]


async def test_max_age_0_asks_again(price: Price) -> None:
    await price.quote()
    again = await price.quote(max_age=Duration())
    assert again.provenance.cache == provenance_pb2.CACHE_STATUS_MISS
    assert price.store.calls == ["quotes A", "quotes A"]


async def test_an_unknown_symbol_is_not_found_and_not_asked_again_at_once(price: Price) -> None:
    for _ in range(2):
        with pytest.raises(NotFound) as raised:
            await price.quote("NOSUCH")
        assert (raised.value.resource_type, raised.value.resource_name) == ("symbol", "NOSUCH")
    assert price.store.calls == ["quotes NOSUCH"]


async def test_a_batch_keeps_order_and_asks_once_for_all_that_is_missing(price: Price) -> None:
    await price.quote("A")
    request = pb.BatchGetQuotesRequest(symbols=["B", "NOSUCH", "a", "B", "no good"])
    path = "/finstage.price.v1.PriceService/BatchGetQuotes"
    response = await price.channel.call(path, request, pb.BatchGetQuotesResponse)
    assert [r.symbol for r in response.results] == ["B", "NOSUCH", "a", "B", "no good"]
    kinds = [r.WhichOneof("result") for r in response.results]
    assert kinds == ["quote", "error", "quote", "quote", "error"]
    assert from_status(response.results[1].error).reason is Reason.SYMBOL_NOT_FOUND
    assert from_status(response.results[4].error).reason is Reason.INVALID_FIELD
    assert price.store.calls == ["quotes A", "quotes B NOSUCH"]


async def test_while_ingest_is_away_what_is_held_is_served_as_stale(price: Price) -> None:
    await price.quote()
    await price.bars()
    price.store.down = Unavailable(Reason.SERVICE_UNAVAILABLE, "ingest does not answer", retry_after_s=1)
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
    price.store.refresh_error = "UPSTREAM_UNAVAILABLE"
    price.store.fetched_ms = NOW_MS - 100_000
    assert (await price.bars()).series.provenance.cache == provenance_pb2.CACHE_STATUS_STALE
    young_enough = await price.bars(max_age=Duration(seconds=200))
    assert young_enough.series.provenance.cache == provenance_pb2.CACHE_STATUS_HIT
    with pytest.raises(Unavailable) as raised:
        await price.bars(allow_stale=False)
    assert raised.value.reason is Reason.TOO_STALE


async def test_a_committed_revision_is_loaded_by_the_next_call_and_only_then(price: Price) -> None:
    assert (await price.bars()).series.version.revision == 1
    price.store.epoch = 2
    await price.market.outdate("A", Interval.D1, 1)
    assert (await price.bars()).series.version.revision == 1, "what is held is that revision"
    await price.market.outdate("A", Interval.D1, 2)
    price.clock.advance(1)
    price.store.down = Unavailable(Reason.SERVICE_UNAVAILABLE, "ingest does not answer")
    assert (await price.bars()).series.provenance.cache == provenance_pb2.CACHE_STATUS_STALE
    price.store.down = None
    price.clock.advance(2)  # a load that failed is not tried again at once
    assert (await price.bars()).series.version.revision == 2


async def test_the_last_bars_with_their_version_and_whether_the_last_is_final(price: Price) -> None:
    series = (await price.bars(limit=3)).series
    assert list(series.columns.close) == [998, 999, 1000]
    assert series.columns.open_time_ms[2] == NOW_MS // DAY_MS * DAY_MS
    assert (series.version.epoch, series.last_is_final) == (1, False)
    assert series.adjustment == series_pb2.ADJUSTMENT_SPLITS
    assert series.provenance.as_of.ToMilliseconds() == NOW_MS
    final = (await price.bars(limit=3, final_only=True)).series
    assert (list(final.columns.close), final.last_is_final) == ([997, 998, 999], True)


async def test_a_range_is_half_open_and_its_coverage_is_cut_to_it(price: Price) -> None:
    start, end = NOW_MS // DAY_MS * DAY_MS - 900 * DAY_MS, NOW_MS // DAY_MS * DAY_MS - 897 * DAY_MS
    series = (await price.bars(start=timestamp(start), end=timestamp(end))).series
    assert list(series.columns.open_time_ms) == [start, start + DAY_MS, start + 2 * DAY_MS]
    assert series.last_is_final
    assert series.provenance.as_of.ToMilliseconds() == end
    assert (series.coverage.start.ToMilliseconds(), series.coverage.end.ToMilliseconds()) == (start, end)
    [gap] = series.coverage.gaps
    assert gap.reason == series_pb2.GAP_REASON_PROVIDER_MISSING
    elsewhere = (await price.bars(start=timestamp(end))).series
    assert not elsewhere.coverage.gaps


async def test_an_empty_range_is_no_error(price: Price) -> None:
    response = await price.bars(end=timestamp(0))
    assert (len(response.series.columns.close), response.total_bars) == (0, 0)
    assert not response.series.provenance.HasField("as_of")


async def test_pages_make_the_whole_and_a_restatement_ends_them(price: Price) -> None:
    pages: list[Sequence[float]] = []
    token = ""
    while True:
        page = await price.bars(limit=950, page_size=400, page_token=token)
        pages.append(page.series.columns.close)
        assert page.total_bars == 950
        token = page.next_page_token
        if not token:
            break
    assert [len(p) for p in pages] == [400, 400, 150]
    assert [close for page in pages for close in page] == list(range(51, 1001))
    first = await price.bars(page_size=400)
    with pytest.raises(InvalidRequest) as invalid:
        await price.bars(limit=10, page_token=first.next_page_token)
    assert [v.field for v in invalid.value.violations] == ["page_token"]
    price.store.epoch = 2
    with pytest.raises(PreconditionFailed) as expired:
        await price.bars(page_size=400, page_token=first.next_page_token, max_age=Duration())
    assert expired.value.reason is Reason.PAGE_EXPIRED


async def test_a_stream_is_a_header_and_then_the_same_bars(price: Price) -> None:
    request = pb.StreamBarsRequest(symbol="A", interval=series_pb2.INTERVAL_1D)
    path = "/finstage.price.v1.PriceService/StreamBars"
    parts = [part async for part in price.channel.stream(path, request, pb.StreamBarsResponse)]
    assert parts[0].header.symbol == "A"
    assert not parts[0].header.columns.close
    assert [c for part in parts[1:] for c in part.columns.close] == list(range(1, 1001))


BAD_BARS = {
    "symbol: empty": ({"symbol": ""}, ["symbol"]),
    "symbol: a path": ({"symbol": "../../x?y=1"}, ["symbol"]),
    "interval: none": ({"interval": 0}, ["interval"]),
    "interval: unknown": ({"interval": 99}, ["interval"]),
    "adjustment: unknown": ({"adjustment": 9}, ["adjustment"]),
    "start after end": ({"start": timestamp(2), "end": timestamp(1)}, ["start"]),
    "both kinds of range": ({"start": timestamp(2), "limit": 1}, ["limit"]),
    "limit: 0": ({"limit": 0}, ["limit"]),
    "limit: too many": ({"limit": 1_000_001}, ["limit"]),
    "page size: 0": ({"page_size": 0}, ["page_size"]),
    "page size: too many": ({"page_size": 50_001}, ["page_size"]),
    "page token: none of ours": ({"page_token": "?"}, ["page_token"]),
    "max_age: negative": ({"max_age": Duration(seconds=-1)}, ["max_age"]),
    "all that is wrong, at once": (
        {"symbol": "", "interval": 0, "limit": -1},
        ["symbol", "interval", "limit"],
    ),
}


@pytest.mark.parametrize(("request_fields", "wrong"), BAD_BARS.values(), ids=BAD_BARS)
async def test_bad_input_names_each_field(
    price: Price, request_fields: dict[str, object], wrong: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await price.bars(**request_fields)
    assert [v.field for v in raised.value.violations] == wrong
    assert not price.store.calls


@pytest.mark.parametrize("query", ["a\x00b", "a\n", "x" * 65, " "])
async def test_a_query_is_a_short_printable_text(price: Price, query: str) -> None:
    method = "/finstage.price.v1.PriceService/SearchInstruments"
    request = pb.SearchInstrumentsRequest(query=query)
    with pytest.raises(InvalidRequest) as raised:
        await price.channel.call(method, request, pb.SearchInstrumentsResponse)
    assert [v.field for v in raised.value.violations] == ["query"]


async def test_instruments_and_search(price: Price) -> None:
    base = "/finstage.price.v1.PriceService/"
    get = pb.GetInstrumentRequest(symbol="A")
    found = await price.channel.call(f"{base}GetInstrument", get, pb.GetInstrumentResponse)
    assert found.instrument.currency == "GBp"
    search = pb.SearchInstrumentsRequest(query="a")
    many = await price.channel.call(f"{base}SearchInstruments", search, pb.SearchInstrumentsResponse)
    assert [i.symbol for i in many.instruments] == ["A"]
    with pytest.raises(InvalidRequest):
        await price.channel.call(
            f"{base}SearchInstruments", pb.SearchInstrumentsRequest(), pb.SearchInstrumentsResponse
        )
