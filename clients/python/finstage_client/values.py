"""What the client answers with: the contract's messages as frozen dataclasses.

Field for field as in protos/finstage, which says what each means. Times are aware UTC datetimes, None when
unset; enums are their names without the prefix ("HIT", "EQUITY"), empty when unspecified; an interval is an
Interval; a google.rpc.Status is a FinstageError, None when OK.
"""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from finstage_market.errors import FinstageError
from finstage_market.interval import Interval
from finstage_rpc.errors import from_status

V = TypeVar("V", bound="Value")


class Value:
    """A value that never changes, so that a copy of a DataFrame need not copy what its attrs hold."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@dataclass(frozen=True, slots=True)
class SeriesVersion(Value):
    """finstage.market.v1.SeriesVersion."""

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class ProviderAttempt(Value):
    """finstage.market.v1.ProviderAttempt."""

    provider: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Provenance(Value):
    """finstage.market.v1.Provenance."""

    source: str
    as_of: datetime | None
    fetched_at: datetime | None
    cache: str
    attempts: tuple[ProviderAttempt, ...]

    @property
    def is_simulated(self) -> bool:
        """Whether any of the data was made by the local market of sim/."""
        return "sim" in self.source.split("+")


@dataclass(frozen=True, slots=True)
class Gap(Value):
    """finstage.market.v1.Gap."""

    start: datetime
    end: datetime
    reason: str
    missing_bars: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class BarFlag(Value):
    """finstage.market.v1.BarFlag."""

    open_time: datetime
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Coverage(Value):
    """finstage.market.v1.Coverage."""

    start: datetime | None
    end: datetime | None
    gaps: tuple[Gap, ...]
    gaps_left_out: int
    flags: tuple[BarFlag, ...]


@dataclass(frozen=True, slots=True)
class SeriesInfo(Value):
    """finstage.market.v1.BarSeries without its columns."""

    symbol: str
    interval: Interval
    adjustment: str
    version: SeriesVersion
    last_is_final: bool
    coverage: Coverage
    provenance: Provenance
    currency: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Quote(Value):
    """finstage.market.v1.Quote."""

    symbol: str
    price: float
    currency: str
    price_precision: int | None
    previous_close: float | None
    day_open: float | None
    day_high: float | None
    day_low: float | None
    day_volume: float | None
    market_state: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class QuoteResult(Value):
    """finstage.market.v1.QuoteResult: a quote, or the error of a symbol that has none."""

    symbol: str
    quote: Quote | None
    error: FinstageError | None


@dataclass(frozen=True, slots=True)
class Instrument(Value):
    """finstage.market.v1.Instrument."""

    symbol: str
    name: str
    type: str
    exchange: str
    exchange_name: str
    currency: str
    time_zone: str
    price_precision: int | None
    first_bar_time: datetime | None
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class ParameterChoice(Value):
    """finstage.indicators.v1.ParameterChoice."""

    value: int
    name: str


@dataclass(frozen=True, slots=True)
class ParameterInfo(Value):
    """finstage.indicators.v1.ParameterInfo."""

    name: str
    type: str
    default_value: float
    min_value: float
    max_value: float
    choices: tuple[ParameterChoice, ...]
    description: str


@dataclass(frozen=True, slots=True)
class OutputInfo(Value):
    """finstage.indicators.v1.OutputInfo."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class VariantInfo(Value):
    """finstage.indicators.v1.VariantInfo."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class IndicatorInfo(Value):
    """finstage.indicators.v1.IndicatorInfo."""

    name: str
    display_name: str
    group: str
    inputs: tuple[str, ...]
    parameters: tuple[ParameterInfo, ...]
    outputs: tuple[OutputInfo, ...]
    default_lookback: int
    indicator_class: str
    variants: tuple[VariantInfo, ...]


@dataclass(frozen=True, slots=True)
class Catalogue(Value):
    """finstage.indicators.v1.ListIndicatorsResponse."""

    indicators: tuple[IndicatorInfo, ...]
    engine: str


@dataclass(frozen=True, slots=True)
class IndicatorResult(Value):
    """finstage.indicators.v1.IndicatorResult without its values; status is None when it has some."""

    id: str
    name: str
    variant: str
    params: Mapping[str, float]
    source: str
    status: FinstageError | None
    lookback: int
    bars_used: int
    indicator_class: str


@dataclass(frozen=True, slots=True)
class FrameInfo(Value):
    """finstage.indicators.v1.IndicatorFrame without its time axis and values."""

    symbol: str
    interval: Interval
    adjustment: str
    version: SeriesVersion
    results: tuple[IndicatorResult, ...]
    last_is_final: bool
    coverage: Coverage
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class RowCounts(Value):
    """finstage.ingest.v1.RowCounts."""

    sent: int
    inserted: int
    updated: int
    unchanged: int
    rejected: int

    def __add__(self, other: "RowCounts") -> "RowCounts":
        return RowCounts(
            *(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))
        )


@dataclass(frozen=True, slots=True)
class ChunkFailure(Value):
    """finstage.ingest.v1.ChunkFailure."""

    symbol: str
    interval: Interval
    error: FinstageError | None


@dataclass(frozen=True, slots=True)
class Job(Value):
    """finstage.ingest.v1.Job."""

    id: str
    state: str
    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    start: datetime | None
    end: datetime | None
    chunks_total: int
    chunks_done: int
    chunks_failed: int
    rows: RowCounts
    rows_per_second: float | None
    remaining_s: float | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    failures: tuple[ChunkFailure, ...]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("QUEUED", "RUNNING")


@dataclass(frozen=True, slots=True)
class RejectedBar(Value):
    """finstage.ingest.v1.RejectedBar."""

    symbol: str
    interval: Interval
    open_time_ms: int
    row: int
    reason: str
    detail: str
    source: str
    values: str
    rejected_at: datetime | None


@dataclass(frozen=True, slots=True)
class UpstreamError(Value):
    """finstage.ingest.v1.UpstreamError."""

    at: datetime
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class ProviderStatus(Value):
    """finstage.ingest.v1.ProviderStatus; durations are seconds."""

    provider: str
    rate_per_s: float
    max_rate_per_s: float
    breaker: str
    breaker_retry_in: float | None
    retry_budget: float
    in_flight: int
    max_in_flight: int
    retry_after: float | None
    outcomes: Mapping[str, int]
    last_errors: tuple[UpstreamError, ...]


def decode(kind: type[V], message: Message) -> V:
    """The dataclass `kind` of a message that has at least its fields."""
    values: dict[str, Any] = {}
    for name, nested, optional in _fields(kind):  # type: ignore[arg-type]  # a class is hashable
        field: FieldDescriptor = message.DESCRIPTOR.fields_by_name[name]  # type: ignore[assignment]
        value = getattr(message, name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values[name] = dict(value)
        elif field.is_repeated:
            values[name] = tuple(_one(field, item, nested) for item in value)
        elif optional and not message.HasField(name):
            values[name] = None
        else:
            values[name] = _one(field, value, nested)
    return kind(**values)


def _one(field: FieldDescriptor, value: Any, nested: type[Any] | None) -> Any:
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC)
    if isinstance(value, Duration):
        return value.ToNanoseconds() / 1e9
    if isinstance(value, Status):
        return from_status(value) if value.code else None
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    return decode(nested, value) if nested is not None else value


def _enum(enum: EnumDescriptor, number: int) -> str:
    if number == 0 or number not in enum.values_by_number:
        return ""
    if enum.name == "Interval":
        return Interval.from_proto(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return enum.values_by_number[number].name.removeprefix(prefix)


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, type[Any] | None, bool], ...]:
    """(name, the dataclass in its type if there is one, whether it may be None) of each field."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (name, _dataclass_in(hint), type(None) in typing.get_args(hint)) for name, hint in hints.items()
    )


def _dataclass_in(hint: Any) -> type[Any] | None:
    candidates = (hint, *typing.get_args(hint))
    return next((c for c in candidates if isinstance(c, type) and dataclasses.is_dataclass(c)), None)
