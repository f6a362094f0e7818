import datetime

from finstage.market.v1 import instrument_pb2 as _instrument_pb2
from finstage.market.v1 import options_pb2 as _options_pb2
from finstage.market.v1 import quote_pb2 as _quote_pb2
from finstage.market.v1 import series_pb2 as _series_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FetchQuotesRequest(_message.Message):
    __slots__ = ("symbols",)
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, symbols: _Optional[_Iterable[str]] = ...) -> None: ...

class FetchQuotesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_quote_pb2.QuoteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[_quote_pb2.QuoteResult, _Mapping]]] = ...) -> None: ...

class ReadBarsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "range", "limit", "max_age")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    range: _series_pb2.BarRange
    limit: int
    max_age: _duration_pb2.Duration
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., limit: _Optional[int] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ReadBarsHeader(_message.Message):
    __slots__ = ("series", "refresh_error")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    REFRESH_ERROR_FIELD_NUMBER: _ClassVar[int]
    series: _series_pb2.BarSeries
    refresh_error: _status_pb2.Status
    def __init__(self, series: _Optional[_Union[_series_pb2.BarSeries, _Mapping]] = ..., refresh_error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ReadBarsResponse(_message.Message):
    __slots__ = ("header", "columns")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    header: ReadBarsHeader
    columns: _series_pb2.BarColumns
    def __init__(self, header: _Optional[_Union[ReadBarsHeader, _Mapping]] = ..., columns: _Optional[_Union[_series_pb2.BarColumns, _Mapping]] = ...) -> None: ...

class WatchCommitsRequest(_message.Message):
    __slots__ = ("resume_token", "heartbeat_interval")
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    resume_token: str
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, resume_token: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("symbol", "interval", "version", "restated", "first_changed", "last_changed", "committed_at")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESTATED_FIELD_NUMBER: _ClassVar[int]
    FIRST_CHANGED_FIELD_NUMBER: _ClassVar[int]
    LAST_CHANGED_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    version: _series_pb2.SeriesVersion
    restated: bool
    first_changed: _timestamp_pb2.Timestamp
    last_changed: _timestamp_pb2.Timestamp
    committed_at: _timestamp_pb2.Timestamp
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., version: _Optional[_Union[_series_pb2.SeriesVersion, _Mapping]] = ..., restated: _Optional[bool] = ..., first_changed: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_changed: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., committed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchCommitsResponse(_message.Message):
    __slots__ = ("commit", "heartbeat", "resume_token")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    commit: Commit
    heartbeat: _series_pb2.Heartbeat
    resume_token: str
    def __init__(self, commit: _Optional[_Union[Commit, _Mapping]] = ..., heartbeat: _Optional[_Union[_series_pb2.Heartbeat, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class GetInstrumentRequest(_message.Message):
    __slots__ = ("symbol",)
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    def __init__(self, symbol: _Optional[str] = ...) -> None: ...

class GetInstrumentResponse(_message.Message):
    __slots__ = ("instrument",)
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    instrument: _instrument_pb2.Instrument
    def __init__(self, instrument: _Optional[_Union[_instrument_pb2.Instrument, _Mapping]] = ...) -> None: ...

class SearchInstrumentsRequest(_message.Message):
    __slots__ = ("query", "types", "limit")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    query: str
    types: _containers.RepeatedScalarFieldContainer[_instrument_pb2.InstrumentType]
    limit: int
    def __init__(self, query: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_instrument_pb2.InstrumentType, str]]] = ..., limit: _Optional[int] = ...) -> None: ...

class SearchInstrumentsResponse(_message.Message):
    __slots__ = ("instruments",)
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[_instrument_pb2.Instrument]
    def __init__(self, instruments: _Optional[_Iterable[_Union[_instrument_pb2.Instrument, _Mapping]]] = ...) -> None: ...
