"""Shared fixtures: recorded bars, a price over real gRPC, and the service itself."""

import asyncio
import csv
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from finstage.indicators.v1 import indicator_service_pb2 as pb
from finstage.market.v1 import provenance_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as price_pb2
from finstage_cache import Cache, open_cache
from finstage_market.columns import Columns, Float64s
from finstage_market.errors import FinstageError, symbol_not_found
from finstage_market.interval import Interval
from finstage_market.times import timestamp
from finstage_market.wire import columns_parts, field_parts, joined
from finstage_rpc.channel import Channel, open_channel
from finstage_rpc.fields import Fields
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from finstage_runtime.executor import BoundedExecutor
from services.indicators.bars import PRICE, PriceBars
from services.indicators.catalogue import Catalogue
from services.indicators.compute import compute
from services.indicators.engine import Engine
from services.indicators.inputs import Inputs
from services.indicators.servicer import IndicatorServicer, indicator_service
from services.indicators.specs import Spec, read_specs
from services.indicators.variants import whole_catalogue

SERVICE = "/finstage.indicators.v1.IndicatorService"


def read_csv(path: Path, date: str, form: str) -> Columns:
    """Return the bars of a CSV file with UTC times in the column `date`."""
    with path.open(encoding="utf-8-sig") as file:
        rows = [{name.lower(): text for name, text in row.items()} for row in csv.DictReader(file)]
    times = [int(datetime.strptime(row[date], form).replace(tzinfo=UTC).timestamp() * 1000) for row in rows]
    names = ("open", "high", "low", "close", "volume")
    return Columns.of(times, *([float(row[name]) for row in rows] for name in names))


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return whole_catalogue()


@pytest.fixture(scope="session")
def daily(fixtures: Path) -> Columns:
    """502 daily bars: the input of the expected values."""
    return read_csv(fixtures / "indicators" / "quotes_502_daily.csv", "date", "%Y-%m-%d")


@pytest.fixture(scope="session")
def long_daily(fixtures: Path) -> Columns:
    """3,000 daily bars of the S&P 500, to 2022."""
    whole = read_csv(fixtures / "ohlcv" / "spx_daily_1990_2022.csv", "date", "%m/%d/%Y")
    return whole[len(whole) - 3000 :]


@pytest.fixture(scope="session")
def minutes(fixtures: Path) -> Columns:
    """Four sessions of minutes, their New York times read as UTC."""
    return read_csv(fixtures / "ohlcv" / "spy_1m_2020-12.csv", "date", "%Y-%m-%d %H:%M")


def one_spec(
    catalogue: Catalogue, name: str, *, variant: str = "", source: str = "", **params: float
) -> Spec:
    """Return a resolved spec, even of a row that clients may not ask for yet."""
    row = catalogue.find(name)
    if row is not None and row.refusal:
        catalogue = Catalogue([replace(row, refusal="")])
    fields = Fields()
    message = pb.IndicatorSpec(name=name, variant=variant, params=params)
    if source:
        message.source = pb.PriceSource.Value(f"PRICE_SOURCE_{source}")
    [spec] = read_specs(fields, [message], catalogue)
    fields.done()
    return spec


def every_definition(catalogue: Catalogue) -> list[Spec]:
    """Return each variant of each row, with its defaults."""
    return [one_spec(catalogue, row.name, variant=each.name) for row in catalogue for each in row.variants]


def over_all_bars(spec: Spec, bars: Columns) -> list[Float64s]:
    """Return the outputs of `spec`, one number per bar; NaN before the first one and where undefined."""
    outputs = zip(compute(Inputs(bars), spec), spec.lookbacks, strict=True)
    return [np.concatenate((np.full(min(first, len(bars)), np.nan), values)) for values, first in outputs]


@dataclass
class RecordedPrice:
    """A price service that holds `series`, and keeps the requests that it gets."""

    series: dict[str, Columns]
    last_is_final: bool = True
    error: FinstageError | None = None
    silent_s: float = 0.0
    time_zone: str = "America/New_York"
    requests: list[price_pb2.StreamBarsRequest] = field(default_factory=list)

    async def StreamBars(self, request: price_pb2.StreamBarsRequest, context: Any) -> AsyncIterator[Any]:
        self.requests.append(request)
        await asyncio.sleep(self.silent_s)
        if self.error is not None:
            raise self.error
        if request.symbol not in self.series:
            raise symbol_not_found(request.symbol)
        fields = Fields()
        asked = fields.bars(request, most=2**31 - 1, default_limit=None)
        fields.done()
        whole = self.series[request.symbol]
        if request.final_only and not self.last_is_final:
            whole = whole[: len(whole) - 1]
        columns = whole[whole.range_slice(start_ms=asked.start_ms, end_ms=asked.end_ms, limit=asked.limit)]
        first_ms = int(whole.open_time_ms[0])
        end_ms = asked.end_ms or int(whole.open_time_ms[-1]) + Interval.D1.nominal_ms
        header = series_pb2.BarSeries(
            symbol=request.symbol,
            interval=request.interval,
            adjustment=request.adjustment or series_pb2.ADJUSTMENT_SPLITS,
            version=series_pb2.SeriesVersion(epoch=2, revision=7),
            last_is_final=self.last_is_final,
            coverage=series_pb2.Coverage(
                start=timestamp(first_ms),
                end=timestamp(end_ms),
                flags=[
                    series_pb2.BarFlag(
                        open_time=timestamp(first_ms), reason=series_pb2.FLAG_REASON_ZERO_PRICE
                    )
                ],
            ),
            provenance=provenance_pb2.Provenance(source="sim", cache=provenance_pb2.CACHE_STATUS_HIT),
            time_zone=self.time_zone,
        )
        yield price_pb2.StreamBarsResponse(header=header)
        for start in range(0, len(columns), 400):
            yield joined(field_parts(2, [joined(columns_parts(columns[start : start + 400]))]))


@dataclass
class Running:
    """The service, a channel to it, and the price behind it."""

    channel: Channel
    price: RecordedPrice
    price_server: Server
    cache: Cache

    async def compute(self, **request: Any) -> pb.IndicatorFrame:
        message = pb.ComputeIndicatorsRequest(interval="1d", **request)
        reply = await self.channel.call(f"{SERVICE}/ComputeIndicators", message, pb.ComputeIndicatorsResponse)
        return reply.frame

    async def compute_on_bars(
        self, columns: series_pb2.BarColumns, *specs: pb.IndicatorSpec, **request: Any
    ) -> Any:
        message = pb.ComputeOnBarsRequest(columns=columns, specs=specs, **request)
        reply = await self.channel.call(f"{SERVICE}/ComputeOnBars", message, pb.ComputeOnBarsResponse)
        return reply.frame


def local_settings() -> ServerSettings:
    """Return settings of a server on free ports."""
    return ServerSettings(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0")


@asynccontextmanager
async def running_service(
    price: RecordedPrice, catalogue: Catalogue, *, timeout_s: float = 30.0
) -> AsyncIterator[Running]:
    """The service over real gRPC, in front of `price` over real gRPC."""
    async with AsyncExitStack() as stack:
        price_server = Server(local_settings(), [Service(PRICE, price)])
        await price_server.start()
        stack.push_async_callback(price_server.stop)
        to_price = open_channel(f"127.0.0.1:{price_server.port}", ChannelSettings(), name="price")
        stack.push_async_callback(to_price.close)
        executor = BoundedExecutor(threads=2, queued=20, name="compute")
        stack.callback(executor.close)
        cache = await stack.enter_async_context(open_cache("memory://", name="indicators"))
        servicer = IndicatorServicer(
            catalogue,
            Engine(cache, executor, fresh_s=600.0),
            PriceBars(to_price, timeout_s=timeout_s),
            batch_concurrency=3,
        )
        server = Server(local_settings(), [indicator_service(servicer)])
        await server.start()
        stack.push_async_callback(server.stop)
        channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="indicators")
        stack.push_async_callback(channel.close)
        yield Running(channel, price, price_server, cache)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(daily: Columns, catalogue: Catalogue) -> AsyncIterator[Running]:
    """One service for all tests of a module, since starting and draining servers takes time."""
    async with running_service(RecordedPrice({"QQQ": daily, "^GSPC": daily[:100]}), catalogue) as service:
        yield service


@pytest.fixture
def running(shared: Running) -> Running:
    """The shared service, with its price reset."""
    shared.price.requests.clear()
    shared.price.error = None
    shared.price.last_is_final = True
    return shared
