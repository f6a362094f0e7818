"""Each RPC as a value: its request, and how its answer is read. The clients only carry calls out.

Messages are bytes on both sides, because finstage_market.wire reads and writes columns without parsing them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from finstage.indicators.v1 import indicator_service_pb2 as indicators_pb
from finstage.ingest.v1 import ingest_service_pb2 as ingest_pb
from finstage.ingest.v1 import jobs_pb2
from finstage.market.v1 import instrument_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as price_pb
from finstage_client import specs
from finstage_client.connection import Service
from finstage_client.decoding import decode
from finstage_client.times import When, moment
from finstage_client.values import (
    Catalogue,
    Deletion,
    Instrument,
    Job,
    ProviderStatus,
    Quote,
    QuoteResult,
    RejectedBar,
)
from finstage_market import wire
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.interval import Interval

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

# More bars than one page of GetBars holds are streamed.
PAGE_BARS = 50_000
REJECTED_PAGE = 1000

_PRICE = "/finstage.price.v1.PriceService/"
_INDICATORS = "/finstage.indicators.v1.IndicatorService/"
_INGEST = "/finstage.ingest.v1.IngestService/"
WRITE_BARS = _INGEST + "WriteBars"

_HEALTH = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Which bars of which series, and how fresh. Client.bars() describes the fields."""

    symbol: str
    interval: Interval | str
    start: When | None
    end: When | None
    limit: int | Literal["all"] | None
    adjustment: str
    max_age_s: float | None
    allow_stale: bool | None
    final_only: bool

    @property
    def is_long(self) -> bool:
        """Whether the bars may be more than a page holds."""
        if self.limit is None:
            return self.start is not None or self.end is not None
        return self.limit == "all" or self.limit > PAGE_BARS

    def fields(self) -> dict[str, Any]:
        """Return the fields that every request for a series has.

        Raises:
            InvalidRequest: a field is wrong, or both a range and a limit are given.
        """
        return {
            "symbol": self.symbol,
            "interval": _interval(self.interval),
            "adjustment": enum_number("adjustment", series_pb2.Adjustment, "ADJUSTMENT_", self.adjustment),
            "max_age": _duration(self.max_age_s),
            "allow_stale": self.allow_stale,
            "final_only": self.final_only,
            **self._bars(),
        }

    def _bars(self) -> dict[str, Any]:
        if self.start is not None or self.end is not None:
            if self.limit is not None:
                raise InvalidRequest([Violation("limit", "give either limit, or start and end, not both")])
            return {"range": _range(self.start, self.end)}
        if self.limit is None:
            return {}
        if self.limit == "all":
            return {"range": series_pb2.BarRange()}
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise InvalidRequest([Violation("limit", f"{self.limit!r} is neither a whole number nor 'all'")])
        if not 1 <= self.limit < 2**31:
            raise InvalidRequest([Violation("limit", f"{self.limit} was given; give 1 or more, or 'all'")])
        return {"limit": self.limit}


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


def quote(symbol: str, *, max_age_s: float | None, allow_stale: bool | None) -> Unary[Quote]:
    request = price_pb.GetQuoteRequest(symbol=symbol, max_age=_duration(max_age_s), allow_stale=allow_stale)
    return _unary(
        "price",
        _PRICE + "GetQuote",
        request,
        lambda data: decode(Quote, price_pb.GetQuoteResponse.FromString(data).quote),
    )


def quotes(
    symbols: str | Iterable[str], *, max_age_s: float | None, allow_stale: bool | None
) -> Unary[list[QuoteResult]]:
    request = price_pb.BatchGetQuotesRequest(
        symbols=one_or_more(symbols), max_age=_duration(max_age_s), allow_stale=allow_stale
    )

    def read(data: bytes) -> list[QuoteResult]:
        return [decode(QuoteResult, r) for r in price_pb.BatchGetQuotesResponse.FromString(data).results]

    return _unary("price", _PRICE + "BatchGetQuotes", request, read)


def bars(query: SeriesQuery) -> "Unary[pd.DataFrame] | Collected[pd.DataFrame]":
    from finstage_client import frames

    asked = query.fields()
    if not query.is_long:
        return _unary("price", _PRICE + "GetBars", price_pb.GetBarsRequest(**asked), frames.bars_of_page)
    stream = price_pb.StreamBarsRequest(**asked)
    return Collected("price", _PRICE + "StreamBars", stream.SerializeToString(), frames.bars_of_stream)


def instrument(symbol: str) -> Unary[Instrument]:
    def read(data: bytes) -> Instrument:
        return decode(Instrument, price_pb.GetInstrumentResponse.FromString(data).instrument)

    return _unary("price", _PRICE + "GetInstrument", price_pb.GetInstrumentRequest(symbol=symbol), read)


def search(query: str, *, types: str | Iterable[str], limit: int | None) -> Unary[list[Instrument]]:
    wanted = [
        enum_number("types", instrument_pb2.InstrumentType, "INSTRUMENT_TYPE_", t) for t in one_or_more(types)
    ]
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
    query: SeriesQuery, wanted: Sequence[specs.IndicatorSpec], catalogue: Catalogue | None
) -> "Unary[pd.DataFrame]":
    from finstage_client import frames

    request = indicators_pb.ComputeIndicatorsRequest(
        **query.fields(), specs=specs.to_messages(wanted, catalogue)
    )

    def read(data: bytes) -> "pd.DataFrame":
        return frames.indicators_frame(indicators_pb.ComputeIndicatorsResponse.FromString(data).frame)

    return _unary("indicators", _INDICATORS + "ComputeIndicators", request, read)


def create_backfill(
    symbols: str | Iterable[str],
    intervals: Interval | str | Iterable[Interval | str],
    *,
    start: When | None,
    end: When | None,
    universe: str,
    idempotency_key: str,
) -> Unary[Job]:
    listed = one_or_more(symbols)
    if bool(listed) == bool(universe):
        raise InvalidRequest([Violation("symbols", "give either symbols or a universe")])
    request = ingest_pb.CreateBackfillRequest(
        symbol_list=ingest_pb.SymbolList(symbols=listed) if listed else None,
        universe=universe or None,
        intervals=[_interval(each, "intervals") for each in one_or_more(intervals)],
        range=None if start is None and end is None else _range(start, end),
        idempotency_key=idempotency_key,
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
    """Read a page, and the token of the next one."""
    request = ingest_pb.ListRejectedBarsRequest(
        symbol=symbol,
        interval=_interval(interval) if interval else "",
        source=source,
        page_size=REJECTED_PAGE,
        page_token=page_token,
    )

    def read(data: bytes) -> tuple[list[RejectedBar], str]:
        page = ingest_pb.ListRejectedBarsResponse.FromString(data)
        return [decode(RejectedBar, each) for each in page.bars], page.next_page_token

    return _unary("ingest", _INGEST + "ListRejectedBars", request, read)


def delete_bars(
    symbol: str,
    interval: Interval | str,
    *,
    reason: str,
    start: When | None,
    end: When | None,
    dry_run: bool,
) -> Unary[Deletion]:
    request = ingest_pb.DeleteBarsRequest(
        symbol=symbol,
        interval=_interval(interval),
        range=None if start is None and end is None else _range(start, end),
        reason=reason,
        dry_run=dry_run,
    )
    return _unary(
        "ingest",
        _INGEST + "DeleteBars",
        request,
        lambda data: decode(Deletion, ingest_pb.DeleteBarsResponse.FromString(data)),
    )


def resume_upstream(provider: str) -> Unary[list[ProviderStatus]]:
    def read(data: bytes) -> list[ProviderStatus]:
        providers = ingest_pb.ResumeUpstreamResponse.FromString(data).providers
        return [decode(ProviderStatus, each) for each in providers]

    request = ingest_pb.ResumeUpstreamRequest(provider=provider)
    return _unary("ingest", _INGEST + "ResumeUpstream", request, read)


def upstream_status() -> Unary[list[ProviderStatus]]:
    def read(data: bytes) -> list[ProviderStatus]:
        providers = ingest_pb.GetUpstreamStatusResponse.FromString(data).providers
        return [decode(ProviderStatus, each) for each in providers]

    return _unary("ingest", _INGEST + "GetUpstreamStatus", ingest_pb.GetUpstreamStatusRequest(), read)


def health(service: Service) -> Unary[str]:
    """Check a service by grpc.health.v1. Its messages are read here, without grpcio-health-checking."""
    if service not in (known := get_args(Service)):
        raise InvalidRequest([Violation("service", f"{service!r} was given; one of: {', '.join(known)}")])

    def read(data: bytes) -> str:
        status = next((value[0] for field, _, value in wire.fields(memoryview(data)) if field == 1), 0)
        return _HEALTH[status] if status < len(_HEALTH) else "UNKNOWN"

    return Unary(service, "/grpc.health.v1.Health/Check", b"", read)


def _unary(service: Service, method: str, request: Message, read: Callable[[bytes], T]) -> Unary[T]:
    return Unary(service, method, request.SerializeToString(), read)


def one_or_more(given: Any) -> list[Any]:
    """Return a list; one text is one item, not its letters."""
    return [given] if isinstance(given, str | specs.IndicatorSpec) else list(given)


def _range(start: When | None, end: When | None) -> series_pb2.BarRange:
    return series_pb2.BarRange(start=_timestamp("start", start), end=_timestamp("end", end))


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _timestamp(field: str, when: When | None) -> Timestamp | None:
    if when is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment(field, when))
    return timestamp


def _interval(interval: Interval | str, field: str = "interval") -> str:
    try:
        return Interval.parse(interval).value
    except ValueError as error:
        raise InvalidRequest([Violation(field, str(error))]) from None


def enum_number(field: str, enum: Any, prefix: str, name: str) -> Any:
    """Return the number of an enum's value by its name without the prefix, in any case.

    Raises:
        InvalidRequest: the enum has no such value.
    """
    names = [value.removeprefix(prefix).lower() for value, number in enum.items() if number]
    if name.lower() not in names:
        raise InvalidRequest([Violation(field, f"{name!r} is not supported; use {', '.join(names)}")])
    return enum.Value(prefix + name.upper())
