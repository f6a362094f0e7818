"""The store's protocol; services.ingest.store.sql.open_store() makes one. Its values are in values.py.

Every method blocks: callers on an event loop run it in a bounded executor. A store is safe to use from many
threads at once. Times are int milliseconds since 1970-01-01T00:00:00Z.

Every method may raise Unavailable (SERVICE_UNAVAILABLE): the database is away, locked or full. Nothing of
the call was committed then, unless the connection broke in the commit itself: the caller repeats the call,
and because every write is idempotent, nothing is counted twice.

Versions (of one series, written in the same transaction as its bars and its line in the log of commits):

- the first write gives epoch 1, revision 1;
- a write that only adds bars after the last final one, or changes the forming bar, or makes it final, adds
  one to the revision;
- a write that changes or removes a final bar, adds one before the last final one, or brings a dividend that
  was not known (prices before it change where they are read with adjustment ALL), adds one to both;
- a write that changes nothing changes no version and is no commit. A final bar that is written again with
  the same values stays final.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from finstage_market.errors import Reason
from finstage_market.interval import Interval
from services.ingest.series import Event, FetchedBars, Instrument, SeriesKey, SeriesState
from services.ingest.store.values import (
    Adjustment,
    Batch,
    BatchResult,
    ChunkedRead,
    ChunkLease,
    Commit,
    CoverageRead,
    Job,
    JobSpec,
    JobState,
    SeriesRead,
    StoredRejection,
    WriteHeader,
    WriteProgress,
    WriteResult,
)


class Store(Protocol):
    """What ingest holds. See the module for errors and versions."""

    # Reading series

    def series(self, key: SeriesKey) -> SeriesState | None:
        """What is held of a series; None: it is not there. A series that is there may have no bars."""
        ...

    def read(
        self,
        key: SeriesKey,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
        adjustment: Adjustment = "SPLITS",
    ) -> SeriesRead | None:
        """Bars that opened in [start_ms, end_ms), and of these the newest `limit`; None: no such series.

        With adjustment ALL prices are lowered for the dividends after them: by the stored adjusted close
        where there is one, else by the stored dividends; volumes stay. For long ranges: read_chunks().
        """
        ...

    def read_many(
        self, keys: Sequence[SeriesKey], *, limit: int | None = None, adjustment: Adjustment = "SPLITS"
    ) -> list[SeriesRead | None]:
        """As read() of each key, in the order asked, all from one snapshot of the database."""
        ...

    def read_chunks(
        self,
        key: SeriesKey,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
        adjustment: Adjustment = "SPLITS",
        chunk_rows: int = 16_384,
    ) -> ChunkedRead | None:
        """As read(), in chunks of at most chunk_rows bars, all of one version: memory stays bounded.

        No connection is held between the chunks, however slowly they are taken. Where the series is restated
        before the last one is read, the next raises Unavailable (SERVICE_UNAVAILABLE): read it again.
        """
        ...

    def coverage(
        self, key: SeriesKey, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> CoverageRead:
        """Gaps and flags in [start_ms, end_ms); of each the newest 1,000. Unset: of the whole series."""
        ...

    def events(self, symbol: str) -> tuple[Event, ...]:
        """The corporate actions known of a symbol, in order of time."""
        ...

    # Writing series

    def write_fetched(
        self, fetched: FetchedBars, *, replace: bool = False, lease: ChunkLease | None = None
    ) -> WriteResult:
        """Keep what a provider brought: bars, adjusted closes, events, gaps, flags, refused rows, the
        instrument, and that the range was asked for now; all in one transaction.

        The gaps and flags stored for the fetched range are replaced by the fetch's. Refused rows count as
        sent and rejected.

        Args:
            replace: stored bars in the fetched range that the fetch does not have are removed, and events
                too: for whole histories and restatements.
            lease: the chunk that this finishes, in the same transaction.

        Raises:
            LeaseLost: the lease is no longer the caller's; nothing was written.
        """
        ...

    def open_write(self, header: WriteHeader) -> WriteProgress:
        """Begin a client's write, or say where it stands.

        Raises:
            AlreadyExists: KEY_REUSED: the key came before with another mode or source.
        """
        ...

    def write_batches(self, header: WriteHeader, batches: Sequence[Batch]) -> list[BatchResult]:
        """Write batches, in order of sequence, with counts, ledger, versions and refused rows, in one
        transaction. Batches that were committed before are not written again.

        Raises:
            PreconditionFailed: OUT_OF_SEQUENCE: a batch before them is missing, or open_write() is.
            AlreadyExists: KEY_REUSED: a repeated batch has other content than it had.
        """
        ...

    def settle(self) -> None:
        """Make last bars that only clients wrote final when their time is over: nobody knows them better."""
        ...

    def rejected(
        self,
        *,
        symbol: str | None = None,
        interval: Interval | None = None,
        source: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> tuple[StoredRejection, ...]:
        """Refused rows, newest first; before_id: continue behind the row of that id."""
        ...

    # Instruments

    def instrument(self, symbol: str) -> Instrument | None:
        """What is known of a symbol."""
        ...

    def put_instrument(self, *instruments: Instrument) -> None:
        """Keep instruments. What a new one leaves empty stays as it was."""
        ...

    def search(self, query: str, *, types: Sequence[str] = (), limit: int = 10) -> tuple[Instrument, ...]:
        """Instruments with `query` in their symbol or name, whatever its case; the best match first.

        types: only these kinds (Instrument.type); empty: all.
        """
        ...

    # The log of commits

    def commits_after(self, token: str, *, limit: int = 1000) -> tuple[Commit, ...]:
        """The commits behind `token`, oldest first, each once it is visible to every reader.

        Raises:
            PreconditionFailed: RESUME_EXPIRED: commits behind the token are no longer kept.
            ValueError: it is no token of this store.
        """
        ...

    def commit_token(self) -> str:
        """The token of now: commits_after(it) gives what is committed from now on."""
        ...

    def identity(self) -> str:
        """What names this database among others: made with it, the same for every process that opens it."""
        ...

    def on_commit(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each commit of this process, from the thread that made it.

        Returns the function that ends it. Commits of other processes are not heard of: ask from time to time.
        """
        ...

    # Jobs

    def create_job(self, spec: JobSpec, *, request_id: str = "") -> Job:
        """Keep a job with a chunk for each symbol and interval; the same job for the same request_id.

        Where that has failed, its failed chunks are tried again.

        Raises:
            AlreadyExists: KEY_REUSED: request_id came before with another spec.
        """
        ...

    def job(self, job_id: str) -> Job:
        """A job.

        Raises:
            NotFound: JOB_NOT_FOUND.
        """
        ...

    def jobs(
        self, *, state: JobState | None = None, before: str | None = None, limit: int = 50
    ) -> tuple[Job, ...]:
        """Jobs, newest first; before: continue behind the job of that id. Without their failures.

        Raises:
            NotFound: JOB_NOT_FOUND: there is no job `before`.
        """
        ...

    def cancel_job(self, job_id: str) -> Job:
        """End a job. What it committed stays; leases of its chunks are void.

        Raises:
            NotFound: JOB_NOT_FOUND.
            PreconditionFailed: JOB_ENDED.
        """
        ...

    def lease_chunk(self, *, worker: str, lease_s: float, job_id: str | None = None) -> ChunkLease | None:
        """Take a chunk that is due: not begun, to be tried again, or left by a worker whose lease is over.

        Of the oldest job, or of job_id. None: there is none now.
        """
        ...

    def renew_lease(self, lease: ChunkLease, *, lease_s: float) -> ChunkLease:
        """Hold a chunk for longer.

        Raises:
            LeaseLost: it is no longer the caller's.
        """
        ...

    def return_chunk(self, lease: ChunkLease) -> None:
        """Give a chunk back that was not done, as if it had not been taken: who stops does.

        Raises:
            LeaseLost: it is no longer the caller's.
        """
        ...

    def fail_chunk(
        self, lease: ChunkLease, *, reason: Reason, message: str, retry_in_s: float | None
    ) -> None:
        """Give a chunk back that failed: to be tried again after retry_in_s, or for good when None.

        Raises:
            LeaseLost: it is no longer the caller's.
        """
        ...

    # All of it

    def prune(self, *, commits_before_ms: int, records_before_ms: int) -> bool:
        """Forget some of what is old: readers of the log that are further back read anew.

        Args:
            commits_before_ms: commits of the log from before this.
            records_before_ms: jobs that ended, rows that were refused, and writes that were last continued
                before this; with a write, what makes a batch that is sent again count once.

        Returns:
            Whether there may be more of it.
        """
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...
