"""The client's answers: the contract's messages as frozen dataclasses.

The fields are those of protos/finstage, which says what each means. Times are aware UTC datetimes, None when
unset; durations are seconds; enums are their names without the prefix ("HIT", "EQUITY"), empty when
unspecified; a google.rpc.Status is a FinstageError, None when OK.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from finstage_market.errors import FinstageError


@dataclass(frozen=True, slots=True)
class SeriesVersion:
    """finstage.market.v1.SeriesVersion."""

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class ProviderAttempt:
    """finstage.market.v1.ProviderAttempt."""

    provider: str
    error_reason: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """finstage.market.v1.Provenance."""

    source: str
    as_of: datetime | None
    fetched_at: datetime | None
    cache: str
    attempts: tuple[ProviderAttempt, ...]

    @property
    def is_simulated(self) -> bool:
        """Whether any of the data comes from the simulated market."""
        return "sim" in self.source.split("+")


@dataclass(frozen=True, slots=True)
class Gap:
    """finstage.market.v1.Gap."""

    start: datetime
    end: datetime
    reason: str
    missing_bars: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class BarFlag:
    """finstage.market.v1.BarFlag."""

    open_time: datetime
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """finstage.market.v1.Coverage."""

    start: datetime | None
    end: datetime | None
    gaps: tuple[Gap, ...]
    gaps_left_out: int
    flags: tuple[BarFlag, ...]


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """finstage.market.v1.BarSeries without its columns."""

    symbol: str
    interval: str
    adjustment: str
    version: SeriesVersion
    last_is_final: bool
    coverage: Coverage
    provenance: Provenance
    currency: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Quote:
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
class QuoteResult:
    """finstage.market.v1.QuoteResult: a quote, or the error of a symbol that has none."""

    symbol: str
    quote: Quote | None
    error: FinstageError | None


@dataclass(frozen=True, slots=True)
class Instrument:
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
class ParameterChoice:
    """finstage.indicators.v1.ParameterChoice."""

    value: int
    name: str


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """finstage.indicators.v1.ParameterInfo."""

    name: str
    type: str
    default_value: float
    min_value: float
    max_value: float
    choices: tuple[ParameterChoice, ...]
    description: str


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """finstage.indicators.v1.OutputInfo."""

    name: str
    description: str
    min_value: float | None
    max_value: float | None
    default_lookback: int


@dataclass(frozen=True, slots=True)
class VariantInfo:
    """finstage.indicators.v1.VariantInfo."""

    name: str
    description: str
    default_params: Mapping[str, float]
    default_source: str
    needs_time_zone: bool


@dataclass(frozen=True, slots=True)
class IndicatorInfo:
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
class Catalogue:
    """finstage.indicators.v1.ListIndicatorsResponse."""

    indicators: tuple[IndicatorInfo, ...]
    engine: str


@dataclass(frozen=True, slots=True)
class IndicatorResult:
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
class FrameInfo:
    """finstage.indicators.v1.IndicatorFrame without its time axis and values."""

    symbol: str
    interval: str
    adjustment: str
    version: SeriesVersion
    results: tuple[IndicatorResult, ...]
    last_is_final: bool
    coverage: Coverage
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class RowCounts:
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
class ChunkFailure:
    """finstage.ingest.v1.ChunkFailure."""

    symbol: str
    interval: str
    error: FinstageError | None


@dataclass(frozen=True, slots=True)
class BarRange:
    """finstage.market.v1.BarRange."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Job:
    """finstage.ingest.v1.Job."""

    id: str
    state: str
    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    range: BarRange | None
    chunks_total: int
    chunks_done: int
    chunks_failed: int
    rows: RowCounts
    rows_per_second: float | None
    remaining: float | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    failures: tuple[ChunkFailure, ...]

    @property
    def has_ended(self) -> bool:
        """Whether it has succeeded, failed or been cancelled."""
        return self.state not in ("QUEUED", "RUNNING")


@dataclass(frozen=True, slots=True)
class Deletion:
    """finstage.ingest.v1.DeleteBarsResponse."""

    deleted_bars: int
    first_open_time: datetime | None
    last_open_time: datetime | None
    version: SeriesVersion


@dataclass(frozen=True, slots=True)
class RejectedBar:
    """finstage.ingest.v1.RejectedBar."""

    symbol: str
    interval: str
    open_time_ms: int
    row: int
    reason: str
    detail: str
    source: str
    values: str
    rejected_at: datetime | None


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """finstage.ingest.v1.UpstreamError."""

    at: datetime
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """finstage.ingest.v1.ErrorCount."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """finstage.ingest.v1.ProviderStatus."""

    provider: str
    rate_per_s: float
    max_rate_per_s: float
    breaker: str
    breaker_retry_in: float | None
    retry_budget: float
    in_flight: int
    max_in_flight: int
    retry_after: float | None
    succeeded: int
    failed: tuple[ErrorCount, ...]
    last_errors: tuple[UpstreamError, ...]
