"""MarketStoreServicer: finstage.store.v1.MarketStoreService, from the contract to the domain and back."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol

from finstage.market.v1 import instrument_pb2, series_pb2
from finstage.store.v1 import market_store_service_pb2 as store_pb2
from finstage_market.errors import FinstageError, NotFound, no_data
from finstage_market.times import timestamp
from finstage_market.wire import columns_parts, field_parts, joined
from finstage_rpc.call import Context
from finstage_rpc.deadline import MARGIN_S, time_left_s
from finstage_rpc.errors import to_status
from finstage_rpc.fields import Fields, shown
from finstage_runtime.executor import BoundedExecutor
from services.ingest import market_store_messages as messages
from services.ingest.fetching.lookups import Lookups
from services.ingest.reading.commit_feed import CommitFeed
from services.ingest.series import Attempt, Instrument, SeriesKey, SeriesState
from services.ingest.store.api import Store
from services.ingest.store.values import Adjustment

SERVICE = store_pb2.DESCRIPTOR.services_by_name["MarketStoreService"]
MAX_SYMBOLS = 500
MAX_TOKEN = 128
DEFAULT_HEARTBEAT_S = 15.0
_COLUMNS_PART = store_pb2.ReadBarsResponse.DESCRIPTOR.fields_by_name["columns"].number


class Refreshes(Protocol):
    """What ReadBars needs of the refresher."""

    async def ensure(
        self, key: SeriesKey, *, max_age_s: float, deadline: float | None
    ) -> tuple[SeriesState, FinstageError | None]:
        """The series, refreshed where it was refreshed longer than max_age_s ago; and why that failed.

        deadline: in time.monotonic() seconds. Raises the failure where the store has nothing.
        """
        ...

    def trail(self, key: SeriesKey) -> tuple[Attempt, ...]:
        """Who was asked when the series was last fetched; empty when the first one answered."""
        ...


class MarketStoreServicer:
    """The contract's comments say what each RPC does.

    database: where the store's calls block. wall: the clock, epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        refreshes: Refreshes,
        commits: CommitFeed,
        *,
        database: BoundedExecutor,
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._lookups = lookups
        self._refreshes = refreshes
        self._commits = commits
        self._wall = wall
        self._database = database

    async def FetchQuotes(
        self, request: store_pb2.FetchQuotesRequest, context: Context
    ) -> store_pb2.FetchQuotesResponse:
        fields = Fields()
        symbols = fields.symbols("symbols", request.symbols, most=MAX_SYMBOLS)
        fields.done()
        found = await self._lookups.quotes(symbols, deadline=_deadline())
        response = store_pb2.FetchQuotesResponse()
        for symbol, each in zip(symbols, found, strict=True):
            result = response.results.add(symbol=symbol)
            if isinstance(each, FinstageError):
                result.error.CopyFrom(to_status(each))
            else:
                result.quote.CopyFrom(messages.quote(each))
        return response

    async def ReadBars(
        self, request: store_pb2.ReadBarsRequest, context: Context
    ) -> AsyncIterator[store_pb2.ReadBarsResponse | bytes]:
        fields = Fields()
        key = _key(fields, request)
        adjustment = fields.adjustment("adjustment", request.adjustment)
        bars = fields.bars(request, most=2**31 - 1, default_limit=None)
        max_age_s = fields.max_age_s(request, default_s=None)
        fields.done()
        error = None if max_age_s is None else await self._refresh(key, max_age_s)
        wanted: Adjustment = "ALL" if adjustment == series_pb2.ADJUSTMENT_ALL else "SPLITS"
        read = await self._database.run(
            self._store.bars.read_chunks,
            key,
            start_ms=bars.start_ms,
            end_ms=bars.end_ms,
            limit=bars.limit,
            adjustment=wanted,
        )
        if read is None:
            raise no_data(key.symbol, key.interval)
        series = messages.series_header(
            read.state, read.coverage, read.instrument, adjustment, last_is_final=read.last_is_final
        )
        series.provenance.attempts.extend(messages.attempts(self._refreshes.trail(key)))
        header = store_pb2.ReadBarsHeader(
            series=series, refresh_error=None if error is None else to_status(error)
        )
        yield store_pb2.ReadBarsResponse(header=header)
        while (chunk := await self._database.run(next, read.chunks, None)) is not None:
            yield joined(field_parts(_COLUMNS_PART, columns_parts(chunk)))

    async def WatchCommits(
        self, request: store_pb2.WatchCommitsRequest, context: Context
    ) -> AsyncIterator[store_pb2.WatchCommitsResponse]:
        fields = Fields()
        heartbeat_s = fields.heartbeat_s(request, default_s=DEFAULT_HEARTBEAT_S)
        token = fields.text("resume_token", request.resume_token, least=0, most=MAX_TOKEN)
        fields.done()
        last_data_at = None
        try:
            async with aclosing(self._commits.watch(token or None, heartbeat_s=heartbeat_s)) as watching:
                async for each in watching:
                    if isinstance(each, str):
                        now = timestamp(int(self._wall() * 1000))
                        beat = series_pb2.Heartbeat(sent_at=now, last_data_at=last_data_at)
                        yield store_pb2.WatchCommitsResponse(heartbeat=beat, resume_token=each)
                    else:
                        last_data_at = timestamp(each.last_changed_ms)
                        yield store_pb2.WatchCommitsResponse(
                            commit=messages.commit(each), resume_token=each.token
                        )
        except ValueError:
            fields.wrong("resume_token", f"{shown(token)} was not returned by an earlier call")
            fields.done()

    async def GetInstrument(
        self, request: store_pb2.GetInstrumentRequest, context: Context
    ) -> store_pb2.GetInstrumentResponse:
        fields = Fields()
        symbol = fields.symbol("symbol", request.symbol)
        fields.done()
        found = await self._database.run(self._store.instruments.get, symbol)
        if found is None:
            found = await self._lookups.instrument(symbol, deadline=_deadline())
            await self._database.run(self._store.instruments.put, found)
        return store_pb2.GetInstrumentResponse(instrument=messages.instrument(found))

    async def SearchInstruments(
        self, request: store_pb2.SearchInstrumentsRequest, context: Context
    ) -> store_pb2.SearchInstrumentsResponse:
        fields = Fields()
        query = fields.text("query", request.query, least=1, most=64)
        for i, kind in enumerate(request.types):
            fields.enum(f"types[{i}]", instrument_pb2.InstrumentType, kind)
        limit = fields.integer("limit", request, least=1, most=50, default=None) or 10
        fields.done()
        types = [
            instrument_pb2.InstrumentType.Name(kind).removeprefix("INSTRUMENT_TYPE_")
            for kind in request.types
        ]
        stored = await self._database.run(self._store.instruments.search, query, types=types, limit=limit)
        try:
            upstream = await self._lookups.search(query, limit=50, deadline=_deadline())
        except FinstageError:
            if not stored:
                raise
            upstream = []
        return store_pb2.SearchInstrumentsResponse(
            instruments=[messages.instrument(each) for each in _merged(upstream, stored, types)[:limit]]
        )

    async def _refresh(self, key: SeriesKey, max_age_s: float) -> FinstageError | None:
        """Refresh a series that is older than max_age_s; return why that failed where something is stored."""
        state, error = await self._refreshes.ensure(key, max_age_s=max_age_s, deadline=_deadline())
        if isinstance(error, NotFound) and state.fetched_at_ms is None:
            # Clients wrote this series and no provider has it: it cannot lag behind one.
            return None
        return error


def _key(fields: Fields, request: store_pb2.ReadBarsRequest) -> SeriesKey:
    symbol = fields.symbol("symbol", request.symbol)
    return SeriesKey(symbol, fields.interval("interval", request.interval))


def _deadline() -> float | None:
    """When the caller stops waiting, in time.monotonic() seconds, less what it takes to answer."""
    left = time_left_s()
    return None if left is None else time.monotonic() + left - MARGIN_S


def _merged(upstream: list[Instrument], stored: tuple[Instrument, ...], types: list[str]) -> list[Instrument]:
    """In the provider's order, then what only the store has. The store knows more of what both have."""
    known = {each.symbol: each for each in stored}
    found = [known.pop(each.symbol, each) for each in upstream if not types or each.type in types]
    return [*found, *known.values()]
