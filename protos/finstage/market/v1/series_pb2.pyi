import datetime

from finstage.market.v1 import provenance_pb2 as _provenance_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Adjustment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADJUSTMENT_UNSPECIFIED: _ClassVar[Adjustment]
    ADJUSTMENT_SPLITS: _ClassVar[Adjustment]
    ADJUSTMENT_ALL: _ClassVar[Adjustment]

class GapReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GAP_REASON_UNSPECIFIED: _ClassVar[GapReason]
    GAP_REASON_MARKET_CLOSED: _ClassVar[GapReason]
    GAP_REASON_NO_TRADES: _ClassVar[GapReason]
    GAP_REASON_PROVIDER_MISSING: _ClassVar[GapReason]
    GAP_REASON_PROVIDER_LIMIT: _ClassVar[GapReason]
    GAP_REASON_NOT_FETCHED: _ClassVar[GapReason]
    GAP_REASON_REJECTED: _ClassVar[GapReason]
    GAP_REASON_BEFORE_LISTING: _ClassVar[GapReason]
    GAP_REASON_DELETED: _ClassVar[GapReason]

class FlagReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FLAG_REASON_UNSPECIFIED: _ClassVar[FlagReason]
    FLAG_REASON_SUSPICIOUS_JUMP: _ClassVar[FlagReason]
    FLAG_REASON_ZERO_PRICE: _ClassVar[FlagReason]
    FLAG_REASON_OHLC_ROUNDED: _ClassVar[FlagReason]
    FLAG_REASON_VOLUME_MISSING: _ClassVar[FlagReason]
    FLAG_REASON_DIVIDEND_IGNORED: _ClassVar[FlagReason]
ADJUSTMENT_UNSPECIFIED: Adjustment
ADJUSTMENT_SPLITS: Adjustment
ADJUSTMENT_ALL: Adjustment
GAP_REASON_UNSPECIFIED: GapReason
GAP_REASON_MARKET_CLOSED: GapReason
GAP_REASON_NO_TRADES: GapReason
GAP_REASON_PROVIDER_MISSING: GapReason
GAP_REASON_PROVIDER_LIMIT: GapReason
GAP_REASON_NOT_FETCHED: GapReason
GAP_REASON_REJECTED: GapReason
GAP_REASON_BEFORE_LISTING: GapReason
GAP_REASON_DELETED: GapReason
FLAG_REASON_UNSPECIFIED: FlagReason
FLAG_REASON_SUSPICIOUS_JUMP: FlagReason
FLAG_REASON_ZERO_PRICE: FlagReason
FLAG_REASON_OHLC_ROUNDED: FlagReason
FLAG_REASON_VOLUME_MISSING: FlagReason
FLAG_REASON_DIVIDEND_IGNORED: FlagReason

class BarRange(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SeriesVersion(_message.Message):
    __slots__ = ("epoch", "revision")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    revision: int
    def __init__(self, epoch: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class BarColumns(_message.Message):
    __slots__ = ("open_time_ms", "open", "high", "low", "close", "volume")
    OPEN_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    open_time_ms: _containers.RepeatedScalarFieldContainer[int]
    open: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    low: _containers.RepeatedScalarFieldContainer[float]
    close: _containers.RepeatedScalarFieldContainer[float]
    volume: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, open_time_ms: _Optional[_Iterable[int]] = ..., open: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., low: _Optional[_Iterable[float]] = ..., close: _Optional[_Iterable[float]] = ..., volume: _Optional[_Iterable[float]] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("start", "end", "reason", "missing_bars", "detail")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MISSING_BARS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    reason: GapReason
    missing_bars: int
    detail: str
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[_Union[GapReason, str]] = ..., missing_bars: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class BarFlag(_message.Message):
    __slots__ = ("open_time", "reason", "detail")
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    open_time: _timestamp_pb2.Timestamp
    reason: FlagReason
    detail: str
    def __init__(self, open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[_Union[FlagReason, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("start", "end", "gaps", "gaps_left_out", "flags")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    GAPS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    gaps: _containers.RepeatedCompositeFieldContainer[Gap]
    gaps_left_out: int
    flags: _containers.RepeatedCompositeFieldContainer[BarFlag]
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gaps: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ..., gaps_left_out: _Optional[int] = ..., flags: _Optional[_Iterable[_Union[BarFlag, _Mapping]]] = ...) -> None: ...

class BarSeries(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "version", "columns", "last_is_final", "coverage", "provenance", "currency", "time_zone")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LAST_IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: Adjustment
    version: SeriesVersion
    columns: BarColumns
    last_is_final: bool
    coverage: Coverage
    provenance: _provenance_pb2.Provenance
    currency: str
    time_zone: str
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[Adjustment, str]] = ..., version: _Optional[_Union[SeriesVersion, _Mapping]] = ..., columns: _Optional[_Union[BarColumns, _Mapping]] = ..., last_is_final: _Optional[bool] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., provenance: _Optional[_Union[_provenance_pb2.Provenance, _Mapping]] = ..., currency: _Optional[str] = ..., time_zone: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sent_at", "last_data_at")
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_DATA_AT_FIELD_NUMBER: _ClassVar[int]
    sent_at: _timestamp_pb2.Timestamp
    last_data_at: _timestamp_pb2.Timestamp
    def __init__(self, sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_data_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
