"""The values that the store takes and returns. Times are int milliseconds since 1970-01-01T00:00:00Z."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from finstage_market.columns import Columns
from finstage_market.errors import Reason
from finstage_market.interval import Interval
from services.ingest.series import (
    BarFlag,
    CheckedBars,
    Gap,
    Instrument,
    RejectedRow,
    SeriesKey,
    SeriesState,
)

Adjustment = Literal["SPLITS", "ALL"]


class WriteMode(StrEnum):
    """finstage.ingest.v1.WriteMode without its prefix: which rows a client's write may change."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    UPSERT = "UPSERT"


class JobState(StrEnum):
    """finstage.ingest.v1.JobState without its prefix."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def has_ended(self) -> bool:
        """Whether the job will not change any more, unless it is requested again."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows by outcome. sent = inserted + updated + unchanged + rejected."""

    sent: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def __add__(self, other: "RowCounts") -> "RowCounts":
        return RowCounts(
            self.sent + other.sent,
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRead:
    """Bars of one version of a series.

    state: of the whole series when it was read.
    last_is_final: of the last bar of `columns`; True when there is none.
    client_owned: bool[n], which of the bars a client wrote.
    """

    state: SeriesState
    columns: Columns
    last_is_final: bool
    client_owned: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CoverageRead:
    """What is known of a range besides its bars.

    gaps, flags: those that touch the range, in order of time; the newest 1,000 of each. Parts of the range
        that no provider was ever asked for are gaps with NOT_FETCHED.
    gaps_left_out: how many older gaps are not in `gaps`.
    """

    gaps: tuple[Gap, ...]
    gaps_left_out: int
    flags: tuple[BarFlag, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkedRead:
    """Bars of one version of a series, of any number, with what is known of the range and of the symbol.

    chunks: yields the bars, oldest first; each chunk is read when it is asked for. It blocks, and may raise
        Unavailable.
    last_is_final: of the last bar that `chunks` yields.
    """

    state: SeriesState
    coverage: CoverageRead
    instrument: Instrument | None
    chunks: Iterator[Columns]
    last_is_final: bool


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result of a write of fetched bars. restated: whether the epoch grew."""

    state: SeriesState
    rows: RowCounts
    restated: bool


@dataclass(frozen=True, slots=True)
class WriteHeader:
    """A client's write, named by its key so that it can be continued. source: of the bars, for provenance."""

    idempotency_key: str
    mode: WriteMode
    source: str


@dataclass(frozen=True, slots=True)
class WriteProgress:
    """Progress of a client's write: the batch to send next (from 1), and the counts so far."""

    next_sequence: int
    rows: RowCounts


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One batch of a client's write, after validation.

    sequence: its place in the write, from 1.
    key: the series; None: the batch is malformed, and refused as a whole.
    sent: how many rows the client sent; those that are not in `bars` were refused.
    digest: of the batch as it was sent, so that another batch with the same sequence number is noticed.
    bars: last_is_final tells whether the last bar's time was over when it was sent. `rejected` has only the
        first 1,000 rows of a batch that is refused as a whole.
    symbol, interval: as sent, for the refused rows of a batch without a valid key.
    """

    sequence: int
    key: SeriesKey | None
    sent: int
    digest: bytes
    bars: CheckedBars
    symbol: str = ""
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch.

    epoch, revision: of the series after the commit; None: it does not exist, because every row was refused.
    rejected: the first 20 refused rows.
    repeated: it had been committed before, and was not written again; `rows` are the counts of that time.
    """

    sequence: int
    rows: RowCounts
    epoch: int | None
    revision: int | None
    rejected: tuple[RejectedRow, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class StoredRejection:
    """A refused row as it is listed. id grows with time. symbol and interval are as sent."""

    id: int
    symbol: str
    interval: Interval | None
    row: RejectedRow
    source: str
    rejected_at_ms: int


@dataclass(frozen=True, slots=True)
class Commit:
    """One change of a series.

    token: opaque; CommitLog.after() continues after this commit.
    first_changed_ms, last_changed_ms: the open times of the first and the last bar that was added, changed
        or removed.
    """

    token: str
    key: SeriesKey
    epoch: int
    revision: int
    restated: bool
    first_changed_ms: int
    last_changed_ms: int
    committed_at_ms: int


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a backfill fetches: each symbol at each interval, bars that opened in [start_ms, end_ms).

    start_ms None: as far back as the provider has bars. end_ms None: up to now.
    """

    symbols: tuple[str, ...]
    intervals: tuple[Interval, ...]
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkFailure:
    """A chunk that failed for good, and why."""

    key: SeriesKey
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """A backfill as the ledger has it. failures: the first 100."""

    id: str
    state: JobState
    spec: JobSpec
    chunks_total: int
    chunks_done: int
    chunks_failed: int
    rows: RowCounts
    created_at_ms: int
    started_at_ms: int | None
    ended_at_ms: int | None
    failures: tuple[ChunkFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkLease:
    """The right to work on one chunk until the lease runs out.

    fence: grows with each lease of the chunk. Work under an older fence is refused, so that two workers never
        both finish a chunk.
    attempt: which try this is, from 1.
    """

    job_id: str
    chunk: int
    key: SeriesKey
    start_ms: int | None
    end_ms: int | None
    fence: int
    attempt: int
