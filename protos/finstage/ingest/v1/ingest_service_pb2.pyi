import datetime

from finstage.ingest.v1 import jobs_pb2 as _jobs_pb2
from finstage.market.v1 import errors_pb2 as _errors_pb2
from finstage.market.v1 import options_pb2 as _options_pb2
from finstage.market.v1 import series_pb2 as _series_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WRITE_MODE_UNSPECIFIED: _ClassVar[WriteMode]
    WRITE_MODE_INSERT: _ClassVar[WriteMode]
    WRITE_MODE_UPDATE: _ClassVar[WriteMode]
    WRITE_MODE_UPSERT: _ClassVar[WriteMode]

class RejectReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REJECT_REASON_UNSPECIFIED: _ClassVar[RejectReason]
    REJECT_REASON_NOT_FINITE: _ClassVar[RejectReason]
    REJECT_REASON_NEGATIVE: _ClassVar[RejectReason]
    REJECT_REASON_HIGH_BELOW_LOW: _ClassVar[RejectReason]
    REJECT_REASON_OUTSIDE_RANGE: _ClassVar[RejectReason]
    REJECT_REASON_UNORDERED: _ClassVar[RejectReason]
    REJECT_REASON_OFF_GRID: _ClassVar[RejectReason]
    REJECT_REASON_IN_FUTURE: _ClassVar[RejectReason]
    REJECT_REASON_DUPLICATE: _ClassVar[RejectReason]
    REJECT_REASON_CONFLICT: _ClassVar[RejectReason]
    REJECT_REASON_ABSENT: _ClassVar[RejectReason]
    REJECT_REASON_MALFORMED_BATCH: _ClassVar[RejectReason]
    REJECT_REASON_OUT_OF_RANGE: _ClassVar[RejectReason]

class BreakerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREAKER_STATE_UNSPECIFIED: _ClassVar[BreakerState]
    BREAKER_STATE_CLOSED: _ClassVar[BreakerState]
    BREAKER_STATE_OPEN: _ClassVar[BreakerState]
    BREAKER_STATE_HALF_OPEN: _ClassVar[BreakerState]
WRITE_MODE_UNSPECIFIED: WriteMode
WRITE_MODE_INSERT: WriteMode
WRITE_MODE_UPDATE: WriteMode
WRITE_MODE_UPSERT: WriteMode
REJECT_REASON_UNSPECIFIED: RejectReason
REJECT_REASON_NOT_FINITE: RejectReason
REJECT_REASON_NEGATIVE: RejectReason
REJECT_REASON_HIGH_BELOW_LOW: RejectReason
REJECT_REASON_OUTSIDE_RANGE: RejectReason
REJECT_REASON_UNORDERED: RejectReason
REJECT_REASON_OFF_GRID: RejectReason
REJECT_REASON_IN_FUTURE: RejectReason
REJECT_REASON_DUPLICATE: RejectReason
REJECT_REASON_CONFLICT: RejectReason
REJECT_REASON_ABSENT: RejectReason
REJECT_REASON_MALFORMED_BATCH: RejectReason
REJECT_REASON_OUT_OF_RANGE: RejectReason
BREAKER_STATE_UNSPECIFIED: BreakerState
BREAKER_STATE_CLOSED: BreakerState
BREAKER_STATE_OPEN: BreakerState
BREAKER_STATE_HALF_OPEN: BreakerState

class RejectedBar(_message.Message):
    __slots__ = ("symbol", "interval", "open_time_ms", "row", "reason", "detail", "source", "values", "rejected_at")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_AT_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    open_time_ms: int
    row: int
    reason: RejectReason
    detail: str
    source: str
    values: str
    rejected_at: _timestamp_pb2.Timestamp
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., open_time_ms: _Optional[int] = ..., row: _Optional[int] = ..., reason: _Optional[_Union[RejectReason, str]] = ..., detail: _Optional[str] = ..., source: _Optional[str] = ..., values: _Optional[str] = ..., rejected_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WriteBarsHeader(_message.Message):
    __slots__ = ("idempotency_key", "mode", "source")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    mode: WriteMode
    source: str
    def __init__(self, idempotency_key: _Optional[str] = ..., mode: _Optional[_Union[WriteMode, str]] = ..., source: _Optional[str] = ...) -> None: ...

class BarBatch(_message.Message):
    __slots__ = ("sequence", "symbol", "interval", "columns", "adjusted_close", "adjusted_close_unknown")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_CLOSE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_CLOSE_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    symbol: str
    interval: str
    columns: _series_pb2.BarColumns
    adjusted_close: _containers.RepeatedScalarFieldContainer[float]
    adjusted_close_unknown: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequence: _Optional[int] = ..., symbol: _Optional[str] = ..., interval: _Optional[str] = ..., columns: _Optional[_Union[_series_pb2.BarColumns, _Mapping]] = ..., adjusted_close: _Optional[_Iterable[float]] = ..., adjusted_close_unknown: _Optional[_Iterable[int]] = ...) -> None: ...

class WriteBarsRequest(_message.Message):
    __slots__ = ("header", "batch")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    header: WriteBarsHeader
    batch: BarBatch
    def __init__(self, header: _Optional[_Union[WriteBarsHeader, _Mapping]] = ..., batch: _Optional[_Union[BarBatch, _Mapping]] = ...) -> None: ...

class WriteBarsReady(_message.Message):
    __slots__ = ("next_sequence", "committed")
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    next_sequence: int
    committed: _jobs_pb2.RowCounts
    def __init__(self, next_sequence: _Optional[int] = ..., committed: _Optional[_Union[_jobs_pb2.RowCounts, _Mapping]] = ...) -> None: ...

class WriteBarsAck(_message.Message):
    __slots__ = ("sequence", "rows", "version", "rejected", "repeated_batch")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REPEATED_BATCH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    rows: _jobs_pb2.RowCounts
    version: _series_pb2.SeriesVersion
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedBar]
    repeated_batch: bool
    def __init__(self, sequence: _Optional[int] = ..., rows: _Optional[_Union[_jobs_pb2.RowCounts, _Mapping]] = ..., version: _Optional[_Union[_series_pb2.SeriesVersion, _Mapping]] = ..., rejected: _Optional[_Iterable[_Union[RejectedBar, _Mapping]]] = ..., repeated_batch: _Optional[bool] = ...) -> None: ...

class WriteBarsResponse(_message.Message):
    __slots__ = ("ready", "ack")
    READY_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    ready: WriteBarsReady
    ack: WriteBarsAck
    def __init__(self, ready: _Optional[_Union[WriteBarsReady, _Mapping]] = ..., ack: _Optional[_Union[WriteBarsAck, _Mapping]] = ...) -> None: ...

class SymbolList(_message.Message):
    __slots__ = ("symbols",)
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, symbols: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateBackfillRequest(_message.Message):
    __slots__ = ("symbol_list", "universe", "intervals", "range", "idempotency_key")
    SYMBOL_LIST_FIELD_NUMBER: _ClassVar[int]
    UNIVERSE_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    symbol_list: SymbolList
    universe: str
    intervals: _containers.RepeatedScalarFieldContainer[str]
    range: _series_pb2.BarRange
    idempotency_key: str
    def __init__(self, symbol_list: _Optional[_Union[SymbolList, _Mapping]] = ..., universe: _Optional[str] = ..., intervals: _Optional[_Iterable[str]] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateBackfillResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _jobs_pb2.Job
    def __init__(self, job: _Optional[_Union[_jobs_pb2.Job, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _jobs_pb2.Job
    def __init__(self, job: _Optional[_Union[_jobs_pb2.Job, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("state", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: _jobs_pb2.JobState
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[_jobs_pb2.JobState, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_jobs_pb2.Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _jobs_pb2.Job
    def __init__(self, job: _Optional[_Union[_jobs_pb2.Job, _Mapping]] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _jobs_pb2.Job
    def __init__(self, job: _Optional[_Union[_jobs_pb2.Job, _Mapping]] = ...) -> None: ...

class ListRejectedBarsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "source", "page_size", "page_token")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    source: str
    page_size: int
    page_token: str
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRejectedBarsResponse(_message.Message):
    __slots__ = ("bars", "next_page_token")
    BARS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bars: _containers.RepeatedCompositeFieldContainer[RejectedBar]
    next_page_token: str
    def __init__(self, bars: _Optional[_Iterable[_Union[RejectedBar, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteBarsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "range", "reason", "dry_run")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    range: _series_pb2.BarRange
    reason: str
    dry_run: bool
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class DeleteBarsResponse(_message.Message):
    __slots__ = ("deleted_bars", "first_open_time", "last_open_time", "version")
    DELETED_BARS_FIELD_NUMBER: _ClassVar[int]
    FIRST_OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    deleted_bars: int
    first_open_time: _timestamp_pb2.Timestamp
    last_open_time: _timestamp_pb2.Timestamp
    version: _series_pb2.SeriesVersion
    def __init__(self, deleted_bars: _Optional[int] = ..., first_open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[_Union[_series_pb2.SeriesVersion, _Mapping]] = ...) -> None: ...

class GetUpstreamStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpstreamError(_message.Message):
    __slots__ = ("at", "reason", "detail")
    AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    reason: _errors_pb2.ErrorReason
    detail: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class ErrorCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: _errors_pb2.ErrorReason
    count: int
    def __init__(self, reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., count: _Optional[int] = ...) -> None: ...

class ProviderStatus(_message.Message):
    __slots__ = ("provider", "rate_per_s", "max_rate_per_s", "breaker", "breaker_retry_in", "retry_budget", "in_flight", "max_in_flight", "retry_after", "succeeded", "failed", "last_errors")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    MAX_RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    BREAKER_RETRY_IN_FIELD_NUMBER: _ClassVar[int]
    RETRY_BUDGET_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    LAST_ERRORS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    rate_per_s: float
    max_rate_per_s: float
    breaker: BreakerState
    breaker_retry_in: _duration_pb2.Duration
    retry_budget: float
    in_flight: int
    max_in_flight: int
    retry_after: _duration_pb2.Duration
    succeeded: int
    failed: _containers.RepeatedCompositeFieldContainer[ErrorCount]
    last_errors: _containers.RepeatedCompositeFieldContainer[UpstreamError]
    def __init__(self, provider: _Optional[str] = ..., rate_per_s: _Optional[float] = ..., max_rate_per_s: _Optional[float] = ..., breaker: _Optional[_Union[BreakerState, str]] = ..., breaker_retry_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., retry_budget: _Optional[float] = ..., in_flight: _Optional[int] = ..., max_in_flight: _Optional[int] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., succeeded: _Optional[int] = ..., failed: _Optional[_Iterable[_Union[ErrorCount, _Mapping]]] = ..., last_errors: _Optional[_Iterable[_Union[UpstreamError, _Mapping]]] = ...) -> None: ...

class GetUpstreamStatusResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[ProviderStatus]
    def __init__(self, providers: _Optional[_Iterable[_Union[ProviderStatus, _Mapping]]] = ...) -> None: ...

class ResumeUpstreamRequest(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: str
    def __init__(self, provider: _Optional[str] = ...) -> None: ...

class ResumeUpstreamResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[ProviderStatus]
    def __init__(self, providers: _Optional[_Iterable[_Union[ProviderStatus, _Mapping]]] = ...) -> None: ...
