"""Each RPC as a value: what is sent, and how the answer is read. The clients only carry them out.

Messages are bytes on both sides, because columns are read and written by libs/market/wire.py.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, Literal, TypedDict, TypeVar

import pandas as pd
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from finstage.indicators.v1 import indicator_service_pb2 as indicators_pb
from finstage.ingest.v1 import ingest_service_pb2 as ingest_pb
from finstage.ingest.v1 import jobs_pb2
from finstage.market.v1 import instrument_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as price_pb
from finstage_client import frames, specs
from finstage_client.values import (
    Catalogue,
    Instrument,
    Job,
    ProviderStatus,
    Quote,
    QuoteResult,
    RejectedBar,
    decode,
)
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.interval import Interval
from finstage_rpc.settings import ChannelSettings

T = TypeVar("T")

Service = Literal["price", "indicators", "ingest"]
When = datetime | date | str
"""A moment: a datetime, a date, or ISO 8601 text; without a zone it is UTC."""

PRICE_TARGET, INDICATORS_TARGET, INGEST_TARGET = "127.0.0.1:50051", "127.0.0.1:50052", "127.0.0.1:50053"

SERVICES = (
    price_pb.DESCRIPTOR.services_by_name["PriceService"],
    indicators_pb.DESCRIPTOR.services_by_name["IndicatorService"],
    ingest_pb.DESCRIPTOR.services_by_name["IngestService"],
)
"""Their reads are tried again when they are UNAVAILABLE."""

# More than a page of GetBars holds is streamed.
PAGE_BARS = 50_000
REJECTED_PAGE = 1000

_PRICE = "/finstage.price.v1.PriceService/"
_INDICATORS = "/finstage.indicators.v1.IndicatorService/"
_INGEST = "/finstage.ingest.v1.IngestService/"
WRITE_BARS = _INGEST + "WriteBars"


class SeriesOptions(TypedDict, total=False):
    """Which bars of a series, and how fresh.

    start (inclusive), end (exclusive): a range; limit: the newest N instead.
    adjustment: "splits" (the default) or "all" (dividends too).
    max_age_s: how old the data may be without asking the source again; the default is the service's.
    allow_stale: whether older data is better than an error; the default is the service's (yes).
    final_only: leave the forming bar out.
    """

    start: When | None
    end: When | None
    limit: int | None
    adjustment: str | None
    max_age_s: float | None
    allow_stale: bool | None
    final_only: bool


@dataclass(frozen=True, slots=True)
class Unary(Generic[T]):
    """A call with one answer."""

    service: Service
    method: str
    request: bytes
    read: Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class Collected(Generic[T]):
    """A call whose stream of answers is read as one."""

    service: Service
    method: str
    request: bytes
    read: Callable[[Iterable[bytes]], T]


@dataclass(frozen=True, slots=True)
class Watched(Generic[T]):
    """A call whose answers are read one by one, as they come."""

    service: Service
    method: str
    request: bytes
    read: Callable[[bytes], T]


def targets(**given: str | None) -> dict[Service, str]:
    """Where each service is: as given, else as the environment says, else where it is on this machine."""
    usual: dict[Service, str] = {
        "price": PRICE_TARGET,
        "indicators": INDICATORS_TARGET,
        "ingest": INGEST_TARGET,
    }
    return {
        service: given.get(service) or os.environ.get(f"FINSTAGE_{service.upper()}_TARGET") or target
        for service, target in usual.items()
    }


def environment() -> ChannelSettings:
    """The API key and TLS files that the environment names."""
    return ChannelSettings()  # type: ignore[call-arg]  # all have defaults


def metadata(settings: ChannelSettings) -> tuple[tuple[str, str], ...]:
    """What every call carries."""
    key = settings.api_key
    return () if key is None else (("authorization", f"Bearer {key.get_secret_value()}"),)


def quote(symbol: str, *, max_age_s: float | None, allow_stale: bool | None) -> Unary[Quote]:
    request = price_pb.GetQuoteRequest(symbol=symbol, max_age=_duration(max_age_s), allow_stale=allow_stale)
    return _unary(
        "price",
        _PRICE + "GetQuote",
        request,
        lambda data: decode(Quote, price_pb.GetQuoteResponse.FromString(data).quote),
    )


def quotes(
    symbols: Iterable[str], *, max_age_s: float | None, allow_stale: bool | None
) -> Unary[list[QuoteResult]]:
    request = price_pb.BatchGetQuotesRequest(
        symbols=symbols, max_age=_duration(max_age_s), allow_stale=allow_stale
    )

    def read(data: bytes) -> list[QuoteResult]:
        return [decode(QuoteResult, r) for r in price_pb.BatchGetQuotesResponse.FromString(data).results]

    return _unary("price", _PRICE + "BatchGetQuotes", request, read)


def bars(
    symbol: str, interval: Interval | str, options: SeriesOptions
) -> Unary[pd.DataFrame] | Collected[pd.DataFrame]:
    limit = options.get("limit")
    asked = _series(symbol, interval, options)
    if limit is not None and limit <= PAGE_BARS:
        return _unary("price", _PRICE + "GetBars", price_pb.GetBarsRequest(**asked), frames.bars_of_page)
    stream = price_pb.StreamBarsRequest(**asked)
    return Collected("price", _PRICE + "StreamBars", stream.SerializeToString(), frames.bars_of_stream)


def instrument(symbol: str) -> Unary[Instrument]:
    def read(data: bytes) -> Instrument:
        return decode(Instrument, price_pb.GetInstrumentResponse.FromString(data).instrument)

    return _unary("price", _PRICE + "GetInstrument", price_pb.GetInstrumentRequest(symbol=symbol), read)


def search(query: str, *, types: Iterable[str], limit: int | None) -> Unary[list[Instrument]]:
    wanted = [enum_number("types", instrument_pb2.InstrumentType, "INSTRUMENT_TYPE_", t) for t in types]
    request = price_pb.SearchInstrumentsRequest(query=query, types=wanted, limit=limit)

    def read(data: bytes) -> list[Instrument]:
        found = price_pb.SearchInstrumentsResponse.FromString(data).instruments
        return [decode(Instrument, each) for each in found]

    return _unary("price", _PRICE + "SearchInstruments", request, read)


def indicators(query: str, *, group: str) -> Unary[Catalogue]:
    request = indicators_pb.ListIndicatorsRequest(query=query, group=group)

    def read(data: bytes) -> Catalogue:
        return decode(Catalogue, indicators_pb.ListIndicatorsResponse.FromString(data))

    return _unary("indicators", _INDICATORS + "ListIndicators", request, read)


def compute(
    symbol: str,
    wanted: Sequence[specs.IndicatorSpec],
    interval: Interval | str,
    catalogue: Catalogue | None,
    options: SeriesOptions,
) -> Unary[pd.DataFrame]:
    request = indicators_pb.ComputeIndicatorsRequest(
        **_series(symbol, interval, options), specs=specs.to_messages(wanted, catalogue)
    )

    def read(data: bytes) -> pd.DataFrame:
        return frames.indicators_frame(indicators_pb.ComputeIndicatorsResponse.FromString(data).frame)

    return _unary("indicators", _INDICATORS + "ComputeIndicators", request, read)


def create_backfill(
    symbols: Iterable[str],
    intervals: Iterable[Interval | str],
    *,
    start: When | None,
    end: When | None,
    request_id: str,
    universe: str,
) -> Unary[Job]:
    request = ingest_pb.CreateBackfillRequest(
        symbols=symbols,
        intervals=[_interval(each, "intervals") for each in intervals],
        start=_timestamp("start", start),
        end=_timestamp("end", end),
        request_id=request_id,
        universe=universe,
    )
    return _unary(
        "ingest",
        _INGEST + "CreateBackfill",
        request,
        lambda data: decode(Job, ingest_pb.CreateBackfillResponse.FromString(data).job),
    )


def job(job_id: str) -> Unary[Job]:
    return _unary(
        "ingest",
        _INGEST + "GetJob",
        ingest_pb.GetJobRequest(job_id=job_id),
        lambda data: decode(Job, ingest_pb.GetJobResponse.FromString(data).job),
    )


def cancel_job(job_id: str) -> Unary[Job]:
    return _unary(
        "ingest",
        _INGEST + "CancelJob",
        ingest_pb.CancelJobRequest(job_id=job_id),
        lambda data: decode(Job, ingest_pb.CancelJobResponse.FromString(data).job),
    )


def watch_job(job_id: str) -> Watched[Job]:
    return Watched(
        "ingest",
        _INGEST + "WatchJob",
        ingest_pb.WatchJobRequest(job_id=job_id).SerializeToString(),
        lambda data: decode(Job, ingest_pb.WatchJobResponse.FromString(data).job),
    )


def jobs(*, state: str | None, limit: int | None) -> Unary[list[Job]]:
    wanted = enum_number("state", jobs_pb2.JobState, "JOB_STATE_", state) if state else None
    request = ingest_pb.ListJobsRequest(state=wanted, page_size=limit)

    def read(data: bytes) -> list[Job]:
        return [decode(Job, each) for each in ingest_pb.ListJobsResponse.FromString(data).jobs]

    return _unary("ingest", _INGEST + "ListJobs", request, read)


def rejected_bars(
    *, symbol: str, interval: Interval | str | None, source: str, page_token: str
) -> Unary[tuple[list[RejectedBar], str]]:
    """A page, and the token of the next one."""
    request = ingest_pb.ListRejectedBarsRequest(
        symbol=symbol,
        interval=_interval(interval) if interval else None,
        source=source,
        page_size=REJECTED_PAGE,
        page_token=page_token,
    )

    def read(data: bytes) -> tuple[list[RejectedBar], str]:
        page = ingest_pb.ListRejectedBarsResponse.FromString(data)
        return [decode(RejectedBar, each) for each in page.bars], page.next_page_token

    return _unary("ingest", _INGEST + "ListRejectedBars", request, read)


def upstream_status() -> Unary[list[ProviderStatus]]:
    def read(data: bytes) -> list[ProviderStatus]:
        providers = ingest_pb.GetUpstreamStatusResponse.FromString(data).providers
        return [decode(ProviderStatus, each) for each in providers]

    return _unary("ingest", _INGEST + "GetUpstreamStatus", ingest_pb.GetUpstreamStatusRequest(), read)


def health(service: Service) -> Unary[str]:
    def read(data: bytes) -> str:
        status = health_pb2.HealthCheckResponse.FromString(data).status
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    return _unary(service, "/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(), read)


def _unary(service: Service, method: str, request: Message, read: Callable[[bytes], T]) -> Unary[T]:
    return Unary(service, method, request.SerializeToString(), read)


def _series(symbol: str, interval: Interval | str, options: SeriesOptions) -> dict[str, Any]:
    """The fields that every request for a series has."""
    adjustment = options.get("adjustment")
    return {
        "symbol": symbol,
        "interval": _interval(interval),
        "adjustment": enum_number("adjustment", series_pb2.Adjustment, "ADJUSTMENT_", adjustment)
        if adjustment
        else None,
        "start": _timestamp("start", options.get("start")),
        "end": _timestamp("end", options.get("end")),
        "limit": options.get("limit"),
        "max_age": _duration(options.get("max_age_s")),
        "allow_stale": options.get("allow_stale"),
        "final_only": options.get("final_only", False),
    }


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _timestamp(field: str, when: When | None) -> Timestamp | None:
    if when is None:
        return None
    try:
        moment = pd.Timestamp(when)
    except ValueError:
        raise InvalidRequest(
            [Violation(field, f"{when!r} is no time; write ISO 8601, 2024-01-31 or 2024-01-31T14:30Z")]
        ) from None
    aware = moment.tz_localize(UTC) if moment.tz is None else moment
    timestamp = Timestamp()
    timestamp.FromNanoseconds(aware.value)
    return timestamp


def _interval(interval: Interval | str, field: str = "interval") -> series_pb2.Interval:
    try:
        return Interval.parse(interval).proto
    except ValueError as error:
        raise InvalidRequest([Violation(field, str(error))]) from None


def enum_number(field: str, enum: Any, prefix: str, name: str) -> Any:
    """The number of an enum's value by its name without the prefix, in any case."""
    names = [value.removeprefix(prefix).lower() for value, number in enum.items() if number]
    if name.lower() not in names:
        raise InvalidRequest([Violation(field, f"{name!r} is none of {', '.join(names)}")])
    return enum.Value(prefix + name.upper())
