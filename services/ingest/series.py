"""The values that ingest's rooms share: series, instruments, events, gaps, and fetched bars.

Providers make them, the store keeps them, and the servicers translate them to the contract. Times are int
milliseconds since 1970-01-01T00:00:00Z.
"""

from dataclasses import dataclass
from enum import StrEnum

from finstage_market.columns import Columns, Float64s, Int64s
from finstage_market.interval import Interval


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """One series: the bars of one symbol at one interval."""

    symbol: str
    interval: Interval

    def __str__(self) -> str:
        return f"{self.symbol}/{self.interval}"


class GapReason(StrEnum):
    """finstage.market.v1.GapReason without its prefix."""

    MARKET_CLOSED = "MARKET_CLOSED"
    NO_TRADES = "NO_TRADES"
    PROVIDER_MISSING = "PROVIDER_MISSING"
    PROVIDER_LIMIT = "PROVIDER_LIMIT"
    NOT_FETCHED = "NOT_FETCHED"
    REJECTED = "REJECTED"
    BEFORE_LISTING = "BEFORE_LISTING"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Gap:
    """A range [start_ms, end_ms) without bars. missing_bars is None when the number is not known."""

    start_ms: int
    end_ms: int
    reason: GapReason
    missing_bars: int | None = None
    detail: str = ""


class FlagReason(StrEnum):
    """finstage.market.v1.FlagReason without its prefix."""

    SUSPICIOUS_JUMP = "SUSPICIOUS_JUMP"
    ZERO_PRICE = "ZERO_PRICE"
    OHLC_ROUNDED = "OHLC_ROUNDED"
    VOLUME_MISSING = "VOLUME_MISSING"
    DIVIDEND_IGNORED = "DIVIDEND_IGNORED"


@dataclass(frozen=True, slots=True)
class BarFlag:
    """A bar that was kept although something about it is unusual."""

    open_time_ms: int
    reason: FlagReason
    detail: str = ""


class RejectReason(StrEnum):
    """finstage.ingest.v1.RejectReason without its prefix."""

    NOT_FINITE = "NOT_FINITE"
    NEGATIVE = "NEGATIVE"
    HIGH_BELOW_LOW = "HIGH_BELOW_LOW"
    OUTSIDE_RANGE = "OUTSIDE_RANGE"
    UNORDERED = "UNORDERED"
    OFF_GRID = "OFF_GRID"
    IN_FUTURE = "IN_FUTURE"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    ABSENT = "ABSENT"
    MALFORMED_BATCH = "MALFORMED_BATCH"
    OUT_OF_RANGE = "OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was refused. row: its place among the sent rows, from 0. values: as sent, as text."""

    row: int
    open_time_ms: int
    reason: RejectReason
    detail: str
    values: str


class EventKind(StrEnum):
    """A corporate action."""

    SPLIT = "SPLIT"
    DIVIDEND = "DIVIDEND"
    CAPITAL_GAIN = "CAPITAL_GAIN"


@dataclass(frozen=True, slots=True)
class Event:
    """A corporate action on the day of time_ms.

    amount: for dividends and capital gains, in the series' currency per share, in today's shares.
    numerator, denominator: for splits; 4 and 1 mean four new shares for one old one.
    """

    kind: EventKind
    time_ms: int
    amount: float | None = None
    numerator: float | None = None
    denominator: float | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol stands for; a field is empty or None when the provider does not say.

    type: finstage.market.v1.InstrumentType without its prefix, or empty.
    currency: as the provider writes it ("GBp" is pence).
    first_bar_ms: when the provider's longest history begins.
    """

    symbol: str
    name: str = ""
    type: str = ""
    exchange: str = ""
    exchange_name: str = ""
    currency: str = ""
    time_zone: str = ""
    price_precision: int | None = None
    first_bar_ms: int | None = None
    source: str = ""
    fetched_at_ms: int | None = None

    @property
    def may_be_negative(self) -> bool:
        """Whether it may trade at zero and below: rates, yields and spreads are quoted as these types."""
        return self.type in ("FUTURE", "INDEX")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A provider that was asked, and the outcome: "data", or a finstage_market.errors.Reason."""

    provider: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Quote:
    """The latest price. market_state: finstage.market.v1.MarketState without its prefix, or empty."""

    symbol: str
    price: float
    currency: str
    market_time_ms: int
    source: str
    fetched_at_ms: int
    price_precision: int | None = None
    previous_close: float | None = None
    day_open: float | None = None
    day_high: float | None = None
    day_low: float | None = None
    day_volume: float | None = None
    market_state: str = ""
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class CheckedBars:
    """Bars that passed the check of validate.py, and what it found.

    columns: valid bars only, strictly ordered, on the grid; a forming bar is the last one.
    adjusted_close: float64[n] for dividends and splits, NaN where a bar has none; None: no bar has one.
    last_is_final: False when the last bar is forming.
    flags, rejected: bars that are unusual, and rows that were refused.
    source_rows: int64[n], the place of each bar among the checked rows; None: the same place.
    """

    columns: Columns
    adjusted_close: Float64s | None = None
    last_is_final: bool = True
    flags: tuple[BarFlag, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    source_rows: Int64s | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FetchedBars:
    """What a provider sent of one series for the range [start_ms, end_ms) that it was asked for.

    bars: a forming bar is stamped with its grid time.
    as_of_ms: market time of the newest value; None without bars.
    events: corporate actions in the range.
    attempts: the providers that were asked, when the first one did not answer.
    """

    key: SeriesKey
    start_ms: int
    end_ms: int
    bars: CheckedBars
    instrument: Instrument
    source: str
    fetched_at_ms: int
    as_of_ms: int | None = None
    gaps: tuple[Gap, ...] = ()
    events: tuple[Event, ...] = ()
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The state of one series in the store.

    epoch, revision: its version (finstage.market.v1.SeriesVersion).
    covered_start_ms, covered_end_ms: the range [start, end) that a provider was asked for or a client wrote;
        None: there was no such range.
    fetched_at_ms: when a provider was last asked with success; None: never (only clients wrote the series).
    source: "yahoo", "sim", "file:…"; several are joined by "+".
    """

    key: SeriesKey
    epoch: int
    revision: int
    count: int
    first_ms: int | None
    last_ms: int | None
    last_is_final: bool
    source: str
    fetched_at_ms: int | None
    as_of_ms: int | None
    covered_start_ms: int | None
    covered_end_ms: int | None
