import datetime

from finstage.market.v1 import instrument_pb2 as _instrument_pb2
from finstage.market.v1 import options_pb2 as _options_pb2
from finstage.market.v1 import quote_pb2 as _quote_pb2
from finstage.market.v1 import series_pb2 as _series_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetQuoteRequest(_message.Message):
    __slots__ = ("symbol", "max_age", "allow_stale")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_STALE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    max_age: _duration_pb2.Duration
    allow_stale: bool
    def __init__(self, symbol: _Optional[str] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_stale: _Optional[bool] = ...) -> None: ...

class GetQuoteResponse(_message.Message):
    __slots__ = ("quote",)
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    quote: _quote_pb2.Quote
    def __init__(self, quote: _Optional[_Union[_quote_pb2.Quote, _Mapping]] = ...) -> None: ...

class BatchGetQuotesRequest(_message.Message):
    __slots__ = ("symbols", "max_age", "allow_stale")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_STALE_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    max_age: _duration_pb2.Duration
    allow_stale: bool
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_stale: _Optional[bool] = ...) -> None: ...

class BatchGetQuotesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_quote_pb2.QuoteResult]
    def __init__(self, results: _Optional[_Iterable[_Union[_quote_pb2.QuoteResult, _Mapping]]] = ...) -> None: ...

class WatchQuotesRequest(_message.Message):
    __slots__ = ("symbols", "heartbeat_interval")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchQuotesResponse(_message.Message):
    __slots__ = ("result", "heartbeat")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    result: _quote_pb2.QuoteResult
    heartbeat: _series_pb2.Heartbeat
    def __init__(self, result: _Optional[_Union[_quote_pb2.QuoteResult, _Mapping]] = ..., heartbeat: _Optional[_Union[_series_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class GetBarsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "range", "limit", "page_size", "page_token", "max_age", "allow_stale", "final_only")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_STALE_FIELD_NUMBER: _ClassVar[int]
    FINAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    range: _series_pb2.BarRange
    limit: int
    page_size: int
    page_token: str
    max_age: _duration_pb2.Duration
    allow_stale: bool
    final_only: bool
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., limit: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_stale: _Optional[bool] = ..., final_only: _Optional[bool] = ...) -> None: ...

class GetBarsResponse(_message.Message):
    __slots__ = ("series", "next_page_token", "total_bars")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BARS_FIELD_NUMBER: _ClassVar[int]
    series: _series_pb2.BarSeries
    next_page_token: str
    total_bars: int
    def __init__(self, series: _Optional[_Union[_series_pb2.BarSeries, _Mapping]] = ..., next_page_token: _Optional[str] = ..., total_bars: _Optional[int] = ...) -> None: ...

class StreamBarsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "range", "limit", "max_age", "allow_stale", "final_only")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_STALE_FIELD_NUMBER: _ClassVar[int]
    FINAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    range: _series_pb2.BarRange
    limit: int
    max_age: _duration_pb2.Duration
    allow_stale: bool
    final_only: bool
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., limit: _Optional[int] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_stale: _Optional[bool] = ..., final_only: _Optional[bool] = ...) -> None: ...

class StreamBarsResponse(_message.Message):
    __slots__ = ("header", "columns")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    header: _series_pb2.BarSeries
    columns: _series_pb2.BarColumns
    def __init__(self, header: _Optional[_Union[_series_pb2.BarSeries, _Mapping]] = ..., columns: _Optional[_Union[_series_pb2.BarColumns, _Mapping]] = ...) -> None: ...

class WatchBarsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "snapshot_limit", "resume_token", "final_only", "heartbeat_interval")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FINAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    snapshot_limit: int
    resume_token: str
    final_only: bool
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., snapshot_limit: _Optional[int] = ..., resume_token: _Optional[str] = ..., final_only: _Optional[bool] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchBarsResponse(_message.Message):
    __slots__ = ("snapshot", "update", "heartbeat", "resume_token")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    snapshot: _series_pb2.BarSeries
    update: _series_pb2.BarSeries
    heartbeat: _series_pb2.Heartbeat
    resume_token: str
    def __init__(self, snapshot: _Optional[_Union[_series_pb2.BarSeries, _Mapping]] = ..., update: _Optional[_Union[_series_pb2.BarSeries, _Mapping]] = ..., heartbeat: _Optional[_Union[_series_pb2.Heartbeat, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

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
