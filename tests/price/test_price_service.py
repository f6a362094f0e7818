"""price over the wire: a real server and channel, in front of a market store that the test controls."""

from collections.abc import Sequence

import pytest
from google.protobuf.duration_pb2 import Duration

from finstage.market.v1 import provenance_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import InvalidRequest, NotFound, PreconditionFailed, Reason
from finstage_market.statuses import from_status
from finstage_market.times import timestamp
from tests.price.conftest import DAY_MS, NOW_MS, Price


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


async def test_a_batch_keeps_order_and_loads_all_missing_quotes_in_one_call(price: Price) -> None:
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
    series = (await price.bars(range=series_pb2.BarRange(start=timestamp(start), end=timestamp(end)))).series
    assert list(series.columns.open_time_ms) == [start, start + DAY_MS, start + 2 * DAY_MS]
    assert series.last_is_final
    assert series.provenance.as_of.ToMilliseconds() == end
    assert (series.coverage.start.ToMilliseconds(), series.coverage.end.ToMilliseconds()) == (start, end)
    [gap] = series.coverage.gaps
    assert gap.reason == series_pb2.GAP_REASON_PROVIDER_MISSING
    elsewhere = (await price.bars(range=series_pb2.BarRange(start=timestamp(end)))).series
    assert not elsewhere.coverage.gaps


async def test_an_empty_range_is_not_an_error(price: Price) -> None:
    response = await price.bars(range=series_pb2.BarRange(end=timestamp(0)))
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
    request = pb.StreamBarsRequest(symbol="A", interval="1d")
    path = "/finstage.price.v1.PriceService/StreamBars"
    parts = [part async for part in price.channel.stream(path, request, pb.StreamBarsResponse)]
    assert parts[0].header.symbol == "A"
    assert not parts[0].header.columns.close
    assert [c for part in parts[1:] for c in part.columns.close] == list(range(1, 1001))


BAD_BARS = {
    "symbol: empty": ({"symbol": ""}, ["symbol"]),
    "symbol: a path": ({"symbol": "../../x?y=1"}, ["symbol"]),
    "interval: none": ({"interval": ""}, ["interval"]),
    "interval: unknown": ({"interval": "7h"}, ["interval"]),
    "adjustment: unknown": ({"adjustment": 9}, ["adjustment"]),
    "start after end": (
        {"range": series_pb2.BarRange(start=timestamp(2), end=timestamp(1))},
        ["range.start"],
    ),
    "limit: 0": ({"limit": 0}, ["limit"]),
    "limit: too many": ({"limit": 1_000_001}, ["limit"]),
    "page size: below 0": ({"page_size": -1}, ["page_size"]),
    "page token: not ours": ({"page_token": "?"}, ["page_token"]),
    "max_age: negative": ({"max_age": Duration(seconds=-1)}, ["max_age"]),
    "all that is wrong, at once": (
        {"symbol": "", "interval": "", "limit": -1},
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
