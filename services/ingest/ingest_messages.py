"""What IngestService answers, as the contract says it."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage.ingest.v1 import jobs_pb2
from finstage.market.v1 import series_pb2
from finstage_market.errors import FinstageError, NotFound, Reason
from finstage_market.interval import Interval
from finstage_market.times import timestamp
from finstage_rpc.errors import to_status
from services.ingest.market_store_messages import DATA, error_reason
from services.ingest.series import RejectedRow
from services.ingest.store.deletions import Deletion
from services.ingest.store.values import Batch, BatchResult, ChunkFailure, Job, RowCounts, StoredRejection
from services.ingest.upstream.guard import ProviderStatus

# How long an upstream asked us to wait is not kept with the job.
_RETRY_S = 60.0


def row_counts(of: RowCounts) -> jobs_pb2.RowCounts:
    """Counts of rows."""
    return jobs_pb2.RowCounts(
        sent=of.sent,
        inserted=of.inserted,
        updated=of.updated,
        unchanged=of.unchanged,
        rejected=of.rejected,
    )


def write_ack(batch: Batch, result: BatchResult, *, source: str, now_ms: int) -> pb.WriteBarsAck:
    """What became of a batch. now_ms: when its refused rows were refused."""
    version = None
    if result.epoch is not None and result.revision is not None:
        version = series_pb2.SeriesVersion(epoch=result.epoch, revision=result.revision)
    return pb.WriteBarsAck(
        sequence=result.sequence,
        rows=row_counts(result.rows),
        version=version,
        rejected=[
            _rejected(row, symbol=batch.symbol, interval=batch.interval, source=source, at_ms=now_ms)
            for row in result.rejected
        ],
        repeated_batch=result.repeated,
    )


def rejected_bar(of: StoredRejection) -> pb.RejectedBar:
    """A refused row as it is listed."""
    return _rejected(
        of.row, symbol=of.symbol, interval=of.interval, source=of.source, at_ms=of.rejected_at_ms
    )


def deletion(of: Deletion) -> pb.DeleteBarsResponse:
    """Bars that were deleted, or would be."""
    return pb.DeleteBarsResponse(
        deleted_bars=of.bars,
        first_open_time=_time(of.first_ms),
        last_open_time=_time(of.last_ms),
        version=series_pb2.SeriesVersion(epoch=of.epoch, revision=of.revision),
    )


def job(of: Job, *, now_ms: int) -> jobs_pb2.Job:
    """A job, with its pace so far."""
    message = jobs_pb2.Job(
        id=of.id,
        state=f"JOB_STATE_{of.state}",
        symbols=of.spec.symbols,
        intervals=of.spec.intervals,
        range=series_pb2.BarRange(start=_time(of.spec.start_ms), end=_time(of.spec.end_ms)),
        chunks_total=of.chunks_total,
        chunks_done=of.chunks_done,
        chunks_failed=of.chunks_failed,
        rows=row_counts(of.rows),
        created_at=timestamp(of.created_at_ms),
        started_at=_time(of.started_at_ms),
        ended_at=_time(of.ended_at_ms),
    )
    for failure in of.failures:
        error = to_status(_error(failure))
        message.failures.add(symbol=failure.key.symbol, interval=failure.key.interval, error=error)
    if of.chunks_done and of.started_at_ms is not None:
        ran_s = max(1, (of.ended_at_ms or now_ms) - of.started_at_ms) / 1000
        message.rows_per_second = of.rows.sent / ran_s
        ended = of.chunks_done + of.chunks_failed
        if not of.state.has_ended:
            message.remaining.CopyFrom(duration(ran_s / ended * (of.chunks_total - ended)))
    return message


def _error(of: ChunkFailure) -> FinstageError:
    """Why a series of a job failed, with what its reason promises to tell."""
    symbol, interval = of.key.symbol, of.key.interval
    match of.reason:
        case Reason.SYMBOL_NOT_FOUND:
            return NotFound(of.reason, of.message, resource_type="symbol", resource_name=symbol)
        case Reason.NO_DATA:
            name = f"{symbol}/{interval}"
            return NotFound(of.reason, of.message, resource_type="series", resource_name=name)
        case Reason.UPSTREAM_RATE_LIMITED:
            return FinstageError(of.reason, of.message, retry_after_s=_RETRY_S)
        case _:
            return FinstageError(of.reason, of.message)


def _rejected(
    row: RejectedRow, *, symbol: str, interval: Interval | None, source: str, at_ms: int
) -> pb.RejectedBar:
    return pb.RejectedBar(
        symbol=symbol,
        interval=interval or "",
        open_time_ms=row.open_time_ms,
        row=row.row,
        reason=f"REJECT_REASON_{row.reason}",
        detail=row.detail,
        source=source,
        values=row.values,
        rejected_at=timestamp(at_ms),
    )


def _time(ms: int | None) -> Timestamp | None:
    return None if ms is None else timestamp(ms)


def provider_status(of: ProviderStatus) -> pb.ProviderStatus:
    """How a provider fares."""
    return pb.ProviderStatus(
        provider=of.provider,
        rate_per_s=of.rate_per_s,
        max_rate_per_s=of.max_rate_per_s,
        breaker=f"BREAKER_STATE_{of.breaker}",
        breaker_retry_in=None if of.breaker_retry_in_s is None else duration(of.breaker_retry_in_s),
        retry_budget=of.retry_budget,
        in_flight=of.in_flight,
        max_in_flight=of.max_in_flight,
        retry_after=None if of.retry_after_s is None else duration(of.retry_after_s),
        succeeded=of.outcomes.get(DATA, 0),
        failed=[
            pb.ErrorCount(reason=error_reason(outcome), count=count)
            for outcome, count in sorted(of.outcomes.items())
            if outcome != DATA
        ],
        last_errors=[
            pb.UpstreamError(
                at=timestamp(error.at_ms), reason=error_reason(error.outcome), detail=error.detail
            )
            for error in of.last_errors
        ],
    )


def duration(seconds: float) -> Duration:
    """Return the contract's value for a duration."""
    out = Duration()
    out.FromMilliseconds(round(seconds * 1000))
    return out
