"""IndicatorServicer: finstage.indicators.v1.IndicatorService, from the contract to the domain and back."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import blake2b

from google.protobuf.duration_pb2 import Duration

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_market.columns import VALUES
from finstage_market.coverage import cut_coverage
from finstage_market.interval import Interval
from finstage_market.times import milliseconds
from finstage_market.wire import Parts, joined, message_parts
from finstage_rpc.call import Context
from finstage_rpc.errors import to_status
from finstage_rpc.fields import BarRange, Fields
from finstage_rpc.service import Service
from services.indicators.bars import BarsSource, Series, SeriesQuery
from services.indicators.catalogue import Catalogue
from services.indicators.engine import Engine
from services.indicators.inputs import Inputs
from services.indicators.own_bars import read_bars, read_time_zone, split_request
from services.indicators.reply import MAX_BARS, catalogue_to_messages, check_size, frame_parts
from services.indicators.specs import Spec, read_specs
from services.indicators.talib_rows import ENGINE

MAX_SYMBOLS = 500
DEFAULT_LIMIT = 500


@dataclass(frozen=True, slots=True)
class _Asked:
    """What ComputeIndicators asks of a symbol."""

    interval: Interval
    adjustment: series_pb2.Adjustment
    range: BarRange
    specs: list[Spec]
    max_age: Duration | None
    allow_stale: bool
    final_only: bool


class IndicatorServicer:
    """The contract's comments say what each RPC does.

    batch_concurrency: how many symbols of a batch are worked on at once.
    """

    def __init__(
        self, catalogue: Catalogue, engine: Engine, bars: BarsSource, *, batch_concurrency: int
    ) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._bars = bars
        self._batch_concurrency = batch_concurrency
        self._infos = catalogue_to_messages(catalogue)

    async def ListIndicators(
        self, request: pb.ListIndicatorsRequest, context: Context
    ) -> pb.ListIndicatorsResponse:
        found = self._catalogue.search(query=request.query, group=request.group)
        return pb.ListIndicatorsResponse(indicators=[self._infos[row.name] for row in found], engine=ENGINE)

    async def ComputeIndicators(self, request: pb.ComputeIndicatorsRequest, context: Context) -> bytes:
        fields = Fields()
        symbol = fields.symbol("symbol", request.symbol)
        asked = self._asked(fields, request)
        fields.done()
        return joined(
            message_parts(pb.ComputeIndicatorsResponse(), "frame", await self._frame(symbol, asked))
        )

    async def BatchComputeIndicators(
        self, request: pb.BatchComputeIndicatorsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        fields = Fields()
        fields.count("symbols", request.symbols, least=1, most=MAX_SYMBOLS, what="symbols")
        asked = self._asked(fields, request)
        fields.done()
        waiting = iter(enumerate(request.symbols))
        running: set[asyncio.Task[bytes]] = set()
        try:
            while True:
                # No more are begun than the client takes: what it has not taken yet is not kept for it.
                for index, text in itertools.islice(waiting, self._batch_concurrency - len(running)):
                    running.add(asyncio.create_task(self._one_of_batch(index, text, asked)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def ComputeOnBars(self, request: bytes, context: Context) -> bytes:
        message, arrays = split_request(request)
        fields = Fields()
        specs = read_specs(fields, message.specs, self._catalogue)
        columns = read_bars(fields, arrays, specs)
        limit = fields.integer("limit", message, least=1, most=MAX_BARS, default=MAX_BARS)
        time_zone = read_time_zone(fields, message.time_zone, specs)
        fields.done()
        axis = slice(max(0, len(columns) - limit), len(columns))
        check_size(axis.stop - axis.start, specs, times=None)
        inputs = Inputs(columns, time_zone=time_zone)
        results = await self._engine.compute(inputs, specs, identity=None)
        frame = pb.IndicatorFrame(last_is_final=True)
        parts = frame_parts(frame, columns.open_time_ms, axis, specs, results)
        return joined(message_parts(pb.ComputeOnBarsResponse(), "frame", parts))

    def _asked(
        self, fields: Fields, request: pb.ComputeIndicatorsRequest | pb.BatchComputeIndicatorsRequest
    ) -> _Asked:
        fields.max_age_s(request, default_s=0.0)
        return _Asked(
            interval=fields.interval("interval", request.interval),
            adjustment=fields.adjustment("adjustment", request.adjustment),
            range=fields.bars(request, most=MAX_BARS, default_limit=DEFAULT_LIMIT),
            specs=read_specs(fields, request.specs, self._catalogue),
            max_age=request.max_age if request.HasField("max_age") else None,
            allow_stale=fields.flag("allow_stale", request, default=True),
            final_only=request.final_only,
        )

    async def _one_of_batch(self, index: int, text: str, asked: _Asked) -> bytes:
        response = pb.BatchComputeIndicatorsResponse(index=index, symbol=text)
        try:
            fields = Fields()
            symbol = fields.symbol(f"symbols[{index}]", text)
            fields.done()
            return joined(message_parts(response, "frame", await self._frame(symbol, asked)))
        except Exception as error:
            response.error.CopyFrom(to_status(error))
            return response.SerializeToString()

    async def _frame(self, symbol: str, asked: _Asked) -> Parts:
        """Return the serialised IndicatorFrame of one symbol, from one read of its bars."""
        bars = asked.range
        query = SeriesQuery(
            symbol=symbol,
            interval=asked.interval,
            adjustment=asked.adjustment,
            end_ms=bars.end_ms,
            max_age=asked.max_age,
            allow_stale=asked.allow_stale,
            final_only=asked.final_only,
        )
        series = await self._bars.read(query)
        times = series.columns.open_time_ms
        axis = series.columns.range_slice(start_ms=bars.start_ms, end_ms=bars.end_ms, limit=bars.limit)
        check_size(axis.stop - axis.start, asked.specs, times=times)
        inputs = Inputs(series.columns, time_zone=series.header.time_zone or "UTC")
        results = await self._engine.compute(inputs, asked.specs, identity=_identity(series))
        frame = pb.IndicatorFrame(
            symbol=series.header.symbol,
            interval=series.header.interval,
            adjustment=series.header.adjustment,
            version=series.header.version,
            last_is_final=series.header.last_is_final,
            coverage=_coverage(series, bars.start_ms, axis),
            provenance=series.header.provenance,
        )
        return frame_parts(frame, times, axis, asked.specs, results)


def indicator_service(servicer: IndicatorServicer) -> Service:
    """Return the service of a server. ComputeOnBars takes its request as bytes, for its columns' sake."""
    descriptor = pb.DESCRIPTOR.services_by_name["IndicatorService"]
    return Service(descriptor, servicer, raw_requests=frozenset({"ComputeOnBars"}))


def _coverage(series: Series, start_ms: int | None, axis: slice) -> series_pb2.Coverage:
    """Return what the bars cover from `start_ms`, or from the first bar of `axis`."""
    whole = series.header.coverage
    if start_ms is None:
        if axis.start == 0:
            return whole
        start_ms = int(series.columns.open_time_ms[axis.start])
    end_ms = milliseconds(whole.end)
    return cut_coverage(whole, start_ms=min(start_ms, end_ms), end_ms=end_ms)


def _identity(series: Series) -> tuple[object, ...]:
    """Return a key of the bars. A version speaks of final bars only, so the last bar is a part of it."""
    header, columns = series.header, series.columns
    last = [columns.open_time_ms[-1:].tobytes(), *(getattr(columns, name)[-1:].tobytes() for name in VALUES)]
    return (
        header.symbol,
        header.interval,
        header.adjustment,
        header.version.epoch,
        header.version.revision,
        header.time_zone,
        len(columns),
        blake2b(b"".join(last), digest_size=16).digest(),
    )
