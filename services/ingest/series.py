"""What ingest speaks of: series, instruments, events, gaps, and what a provider brings of them.

The border between providers (which make these), the store (which keeps them) and the servicers (which
translate them to the contract). Times are int milliseconds since 1970-01-01T00:00:00Z.
"""

from dataclasses import dataclass
from enum import StrEnum

from finstage_market.columns import Columns, Float64s
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


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch [start_ms, end_ms) without bars. missing_bars is None when it cannot be known."""

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


@dataclass(frozen=True, slots=True)
class BarFlag:
    """A bar that was kept although something is odd about it."""

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
    """A row that was refused. row is its place in what was sent; values are as sent, as text."""

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
    numerator, denominator: for splits; 4 and 1 mean four new shares for one.
    """

    kind: EventKind
    time_ms: int
    amount: float | None = None
    numerator: float | None = None
    denominator: float | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol names; empty or None where the provider does not say.

    type is finstage.market.v1.InstrumentType without its prefix, or empty. currency is as the provider
    writes it ("GBp" is pence). first_bar_ms: when the provider's longest history begins.
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """A provider that was asked, and what came of it: "data", or a finstage_market.errors.Reason."""

    provider: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Quote:
    """The latest price. market_state is finstage.market.v1.MarketState without its prefix, or empty."""

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
class FetchedBars:
    """What a provider brought of one series for the range [start_ms, end_ms) that it was asked for.

    columns: valid bars only, strictly ordered, on the grid; the forming bar, if any, is the last and is
        stamped with its grid time.
    adjusted_close: float64[n] for dividends and splits, NaN where the provider gave none; None: none at all.
    last_is_final: False when the last bar is the forming one.
    as_of_ms: market time of the newest datum; None without bars.
    gaps, flags, rejected: what is missing, odd, refused.
    events: corporate actions in the range.
    """

    key: SeriesKey
    start_ms: int
    end_ms: int
    columns: Columns
    last_is_final: bool
    instrument: Instrument
    source: str
    fetched_at_ms: int
    as_of_ms: int | None = None
    adjusted_close: Float64s | None = None
    gaps: tuple[Gap, ...] = ()
    flags: tuple[BarFlag, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    events: tuple[Event, ...] = ()
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What the store holds of one series.

    epoch, revision: its version (finstage.market.v1.SeriesVersion).
    covered_start_ms, covered_end_ms: the stretch [start, end) that a provider was asked for or a client
        wrote; None: never.
    fetched_at_ms: when a provider was last asked successfully; None: never (only written by clients).
    source: "yahoo", "sim", "file:…"; several joined by "+".
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
