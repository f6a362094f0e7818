"""PriceServicer: finstage.price.v1.PriceService, from the contract to the domain and back."""

from collections.abc import AsyncIterator, Callable

from finstage.market.v1 import instrument_pb2, provenance_pb2, quote_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as price_pb2
from finstage_market.errors import FinstageError, PreconditionFailed, Reason
from finstage_market.interval import Interval
from finstage_market.wire import columns_parts, field_parts, joined, message_parts, series_parts
from finstage_rpc.call import Context
from finstage_rpc.errors import to_status
from finstage_rpc.fields import BarRange, Fields
from services.price.held_series import HeldSeries
from services.price.market_cache import Freshness, MarketCache
from services.price.page_token import PageToken, request_digest

SERVICE = price_pb2.DESCRIPTOR.services_by_name["PriceService"]
MAX_SYMBOLS = 500
MAX_LIMIT = 1_000_000
DEFAULT_LIMIT = 500
MAX_PAGE_BARS = 50_000
CHUNK_BARS = 16_384
_COLUMNS_PART = price_pb2.StreamBarsResponse.DESCRIPTOR.fields_by_name["columns"].number


class PriceServicer:
    """Answers PriceService; the contract's comments say what each RPC does.

    quote_fresh_s, bars_fresh_s: the max_age of requests without one. now_s: the clock, in epoch seconds.
    """

    def __init__(
        self,
        market: MarketCache,
        *,
        quote_fresh_s: float,
        bars_fresh_s: float,
        now_s: Callable[[], float],
    ) -> None:
        self._market = market
        self._now_s = now_s
        self._quote_fresh_s = quote_fresh_s
        self._bars_fresh_s = bars_fresh_s

    async def GetQuote(
        self, request: price_pb2.GetQuoteRequest, context: Context
    ) -> price_pb2.GetQuoteResponse:
        fields = Fields()
        symbol = fields.symbol("symbol", request.symbol)
        freshness = _freshness(fields, request, self._quote_fresh_s)
        fields.done()
        return price_pb2.GetQuoteResponse(quote=_quote(*await self._market.quote(symbol, freshness)))

    async def BatchGetQuotes(
        self, request: price_pb2.BatchGetQuotesRequest, context: Context
    ) -> price_pb2.BatchGetQuotesResponse:
        fields = Fields()
        # A malformed symbol is an error in its own result; the other symbols are answered.
        fields.count("symbols", request.symbols, least=1, most=MAX_SYMBOLS, what="symbols")
        freshness = _freshness(fields, request, self._quote_fresh_s)
        fields.done()
        checked = [_symbol_or_error(text) for text in request.symbols]
        symbols = [each for each in checked if isinstance(each, str)]
        found_all = await self._market.quotes(symbols, freshness)
        quotes = dict(zip(symbols, found_all, strict=True))
        response = price_pb2.BatchGetQuotesResponse()
        for text, each in zip(request.symbols, checked, strict=True):
            found = quotes[each] if isinstance(each, str) else each
            result = response.results.add(symbol=text)
            if isinstance(found, FinstageError):
                result.error.CopyFrom(to_status(found))
            else:
                result.quote.CopyFrom(_quote(*found))
        return response

    async def GetBars(self, request: price_pb2.GetBarsRequest, context: Context) -> bytes:
        fields = Fields()
        symbol, interval, adjustment, freshness = self._series_fields(fields, request)
        bars = fields.bars(request, most=MAX_LIMIT, default_limit=DEFAULT_LIMIT)
        page_bars = fields.page_size(request.page_size, most=MAX_PAGE_BARS, default=MAX_PAGE_BARS)
        digest = request_digest(symbol, interval.value, int(adjustment), bars, request.final_only)
        token = _page_token(fields, request.page_token, digest)
        fields.done()
        held, status = await self._market.series(symbol, interval, adjustment, freshness)
        rows = _rows(held, bars, request.final_only)
        total = rows.stop - rows.start
        start_ms, end_ms = bars.start_ms, bars.end_ms
        if token is not None:
            if token.epoch != held.header.version.epoch:
                raise PreconditionFailed(
                    Reason.PAGE_EXPIRED,
                    f"{symbol} was restated (epoch {token.epoch}, now {held.header.version.epoch}) since the "
                    "first page; ask again without page_token",
                )
            # Later pages keep the first page's range, even if bars were added since.
            start_ms, total = token.next_ms, token.total
            rows = held.columns.range_slice(start_ms=token.next_ms, end_ms=token.last_ms + 1, limit=None)
        page = slice(rows.start, min(rows.stop, rows.start + page_bars))
        rest = price_pb2.GetBarsResponse(total_bars=total)
        times = held.columns.open_time_ms
        if page.stop < rows.stop:
            end_ms = int(times[page.stop])
            last_ms = int(times[rows.stop - 1])
            rest.next_page_token = PageToken(
                held.header.version.epoch, end_ms, last_ms, total, digest
            ).encode()
        header = self._header(held, page, start_ms, end_ms, status)
        return joined(message_parts(rest, "series", series_parts(header, held.columns[page])))

    async def StreamBars(
        self, request: price_pb2.StreamBarsRequest, context: Context
    ) -> AsyncIterator[price_pb2.StreamBarsResponse | bytes]:
        fields = Fields()
        symbol, interval, adjustment, freshness = self._series_fields(fields, request)
        bars = fields.bars(request, most=2**31 - 1, default_limit=None)
        fields.done()
        held, status = await self._market.series(symbol, interval, adjustment, freshness)
        rows = _rows(held, bars, request.final_only)
        yield price_pb2.StreamBarsResponse(
            header=self._header(held, rows, bars.start_ms, bars.end_ms, status)
        )
        for start in range(rows.start, rows.stop, CHUNK_BARS):
            chunk = held.columns[start : min(rows.stop, start + CHUNK_BARS)]
            yield joined(field_parts(_COLUMNS_PART, columns_parts(chunk)))

    async def GetInstrument(
        self, request: price_pb2.GetInstrumentRequest, context: Context
    ) -> price_pb2.GetInstrumentResponse:
        fields = Fields()
        symbol = fields.symbol("symbol", request.symbol)
        fields.done()
        found, status = await self._market.instrument(symbol)
        return price_pb2.GetInstrumentResponse(instrument=_instrument(found, status))

    async def SearchInstruments(
        self, request: price_pb2.SearchInstrumentsRequest, context: Context
    ) -> price_pb2.SearchInstrumentsResponse:
        fields = Fields()
        query = fields.text("query", request.query, least=1, most=64)
        for i, kind in enumerate(request.types):
            fields.enum(f"types[{i}]", instrument_pb2.InstrumentType, kind)
        limit = fields.integer("limit", request, least=1, most=50, default=10) or 10
        fields.done()
        found, status = await self._market.search(query, request.types, limit)
        return price_pb2.SearchInstrumentsResponse(instruments=[_instrument(each, status) for each in found])

    def _series_fields(
        self, fields: Fields, request: price_pb2.GetBarsRequest | price_pb2.StreamBarsRequest
    ) -> tuple[str, Interval, series_pb2.Adjustment, Freshness]:
        symbol = fields.symbol("symbol", request.symbol)
        interval = fields.interval("interval", request.interval)
        adjustment = fields.adjustment("adjustment", request.adjustment)
        # A series of minutes is stale after a minute, whatever the setting.
        default_s = min(self._bars_fresh_s, interval.nominal_ms / 1000)
        return symbol, interval, adjustment, _freshness(fields, request, default_s)

    def _header(
        self,
        held: HeldSeries,
        rows: slice,
        start_ms: int | None,
        end_ms: int | None,
        status: provenance_pb2.CacheStatus,
    ) -> series_pb2.BarSeries:
        header = held.part(rows, start_ms=start_ms, end_ms=end_ms, now_ms=int(self._now_s() * 1000))
        header.provenance.cache = status
        return header


def _freshness(
    fields: Fields,
    request: price_pb2.GetQuoteRequest
    | price_pb2.BatchGetQuotesRequest
    | price_pb2.GetBarsRequest
    | price_pb2.StreamBarsRequest,
    default_s: float,
) -> Freshness:
    return Freshness(
        max_age_s=fields.max_age_s(request, default_s=default_s),
        allow_stale=fields.flag("allow_stale", request, default=True),
    )


def _symbol_or_error(text: str) -> str | FinstageError:
    fields = Fields()
    symbol = fields.symbol("symbol", text)
    try:
        fields.done()
    except FinstageError as error:
        return error
    return symbol


def _page_token(fields: Fields, text: str, digest: int) -> PageToken | None:
    if not text:
        return None
    try:
        token = PageToken.decode(text)
    except ValueError as error:
        fields.wrong("page_token", str(error))
        return None
    if token.request != digest:
        fields.wrong("page_token", "belongs to a request with other fields; repeat them as they were")
    return token


def _rows(held: HeldSeries, bars: BarRange, final_only: bool) -> slice:
    return held.rows(start_ms=bars.start_ms, end_ms=bars.end_ms, limit=bars.limit, final_only=final_only)


def _quote(quote: quote_pb2.Quote, status: provenance_pb2.CacheStatus) -> quote_pb2.Quote:
    # The cached message is shared, so copy it.
    marked = quote_pb2.Quote()
    marked.CopyFrom(quote)
    marked.provenance.cache = status
    return marked


def _instrument(
    instrument: instrument_pb2.Instrument, status: provenance_pb2.CacheStatus
) -> instrument_pb2.Instrument:
    marked = instrument_pb2.Instrument()
    marked.CopyFrom(instrument)
    marked.provenance.cache = status
    return marked
