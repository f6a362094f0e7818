"""Bars: where the service gets a series from."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.duration_pb2 import Duration

from finstage.market.v1 import series_pb2
from finstage.price.v1 import price_service_pb2 as price_pb2
from finstage_market.columns import Columns
from finstage_market.interval import Interval
from finstage_market.times import timestamp
from finstage_market.wire import columns_from_wire, take_field
from finstage_rpc.channel import Channel
from services.indicators.inputs import first_fault

PRICE = price_pb2.DESCRIPTOR.services_by_name["PriceService"]
_STREAM_BARS = f"/{PRICE.full_name}/StreamBars"
_COLUMNS_PART = price_pb2.StreamBarsResponse.DESCRIPTOR.fields_by_name["columns"].number


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """A series to read, from its first bar to the last that opened before end_ms, and how fresh it must be.

    max_age: as in GetBarsRequest; None: price's own. final_only: leave the forming bar out.
    """

    symbol: str
    interval: Interval
    adjustment: series_pb2.Adjustment
    end_ms: int | None
    max_age: Duration | None
    allow_stale: bool
    final_only: bool


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The bars of a query, and what is known of them.

    header: all of finstage.market.v1.BarSeries but the columns.
    columns: finite numbers, in strictly growing order of time.
    """

    header: series_pb2.BarSeries
    columns: Columns


class BarsSource(Protocol):
    """The part of price that the service needs."""

    async def read(self, query: SeriesQuery) -> Series:
        """Return the series.

        Raises:
            FinstageError: as GetBars, or Unavailable (SERVICE_UNAVAILABLE) when price is away.
        """
        ...


class PriceBars:
    """BarsSource over a channel to price: each read is one StreamBars of at most timeout_s."""

    def __init__(self, channel: Channel, *, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s

    async def read(self, query: SeriesQuery) -> Series:
        request = price_pb2.StreamBarsRequest(
            symbol=query.symbol,
            interval=query.interval,
            adjustment=query.adjustment,
            range=None if query.end_ms is None else series_pb2.BarRange(end=timestamp(query.end_ms)),
            max_age=query.max_age,
            allow_stale=query.allow_stale,
            final_only=query.final_only,
        )
        header = series_pb2.BarSeries()
        chunks: list[Columns] = []
        parts = self._channel.stream(_STREAM_BARS, request, bytes, timeout_s=self._timeout_s)
        async with aclosing(parts):
            async for message in parts:
                rest, columns = take_field(message, _COLUMNS_PART)
                if columns is None:
                    header = price_pb2.StreamBarsResponse.FromString(rest).header
                else:
                    chunks.append(columns_from_wire(columns))
        series = Series(header, Columns.concat(chunks))
        if fault := first_fault(series.columns):
            column, row, problem = fault
            raise ValueError(f"price sent {query.symbol}/{query.interval} with {column}[{row}]: {problem}")
        return series
