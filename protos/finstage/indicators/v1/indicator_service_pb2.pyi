import datetime

from finstage.market.v1 import options_pb2 as _options_pb2
from finstage.market.v1 import provenance_pb2 as _provenance_pb2
from finstage.market.v1 import series_pb2 as _series_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IndicatorClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDICATOR_CLASS_UNSPECIFIED: _ClassVar[IndicatorClass]
    INDICATOR_CLASS_WINDOW: _ClassVar[IndicatorClass]
    INDICATOR_CLASS_DECAYING: _ClassVar[IndicatorClass]
    INDICATOR_CLASS_PATH_DEPENDENT: _ClassVar[IndicatorClass]

class PriceSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_SOURCE_UNSPECIFIED: _ClassVar[PriceSource]
    PRICE_SOURCE_OPEN: _ClassVar[PriceSource]
    PRICE_SOURCE_HIGH: _ClassVar[PriceSource]
    PRICE_SOURCE_LOW: _ClassVar[PriceSource]
    PRICE_SOURCE_CLOSE: _ClassVar[PriceSource]
    PRICE_SOURCE_VOLUME: _ClassVar[PriceSource]
    PRICE_SOURCE_HL2: _ClassVar[PriceSource]
    PRICE_SOURCE_HLC3: _ClassVar[PriceSource]
    PRICE_SOURCE_OHLC4: _ClassVar[PriceSource]

class ParameterType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PARAMETER_TYPE_UNSPECIFIED: _ClassVar[ParameterType]
    PARAMETER_TYPE_INTEGER: _ClassVar[ParameterType]
    PARAMETER_TYPE_REAL: _ClassVar[ParameterType]
    PARAMETER_TYPE_CHOICE: _ClassVar[ParameterType]
INDICATOR_CLASS_UNSPECIFIED: IndicatorClass
INDICATOR_CLASS_WINDOW: IndicatorClass
INDICATOR_CLASS_DECAYING: IndicatorClass
INDICATOR_CLASS_PATH_DEPENDENT: IndicatorClass
PRICE_SOURCE_UNSPECIFIED: PriceSource
PRICE_SOURCE_OPEN: PriceSource
PRICE_SOURCE_HIGH: PriceSource
PRICE_SOURCE_LOW: PriceSource
PRICE_SOURCE_CLOSE: PriceSource
PRICE_SOURCE_VOLUME: PriceSource
PRICE_SOURCE_HL2: PriceSource
PRICE_SOURCE_HLC3: PriceSource
PRICE_SOURCE_OHLC4: PriceSource
PARAMETER_TYPE_UNSPECIFIED: ParameterType
PARAMETER_TYPE_INTEGER: ParameterType
PARAMETER_TYPE_REAL: ParameterType
PARAMETER_TYPE_CHOICE: ParameterType

class ParameterChoice(_message.Message):
    __slots__ = ("value", "name")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    value: int
    name: str
    def __init__(self, value: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class ParameterInfo(_message.Message):
    __slots__ = ("name", "type", "default_value", "min_value", "max_value", "choices", "description")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: ParameterType
    default_value: float
    min_value: float
    max_value: float
    choices: _containers.RepeatedCompositeFieldContainer[ParameterChoice]
    description: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[ParameterType, str]] = ..., default_value: _Optional[float] = ..., min_value: _Optional[float] = ..., max_value: _Optional[float] = ..., choices: _Optional[_Iterable[_Union[ParameterChoice, _Mapping]]] = ..., description: _Optional[str] = ...) -> None: ...

class OutputInfo(_message.Message):
    __slots__ = ("name", "description", "min_value", "max_value", "default_lookback")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LOOKBACK_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    min_value: float
    max_value: float
    default_lookback: int
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., min_value: _Optional[float] = ..., max_value: _Optional[float] = ..., default_lookback: _Optional[int] = ...) -> None: ...

class VariantInfo(_message.Message):
    __slots__ = ("name", "description", "default_params", "default_source", "needs_time_zone")
    class DefaultParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PARAMS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SOURCE_FIELD_NUMBER: _ClassVar[int]
    NEEDS_TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    default_params: _containers.ScalarMap[str, float]
    default_source: PriceSource
    needs_time_zone: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., default_params: _Optional[_Mapping[str, float]] = ..., default_source: _Optional[_Union[PriceSource, str]] = ..., needs_time_zone: _Optional[bool] = ...) -> None: ...

class IndicatorInfo(_message.Message):
    __slots__ = ("name", "display_name", "group", "inputs", "parameters", "outputs", "default_lookback", "indicator_class", "variants")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LOOKBACK_FIELD_NUMBER: _ClassVar[int]
    INDICATOR_CLASS_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    group: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterInfo]
    outputs: _containers.RepeatedCompositeFieldContainer[OutputInfo]
    default_lookback: int
    indicator_class: IndicatorClass
    variants: _containers.RepeatedCompositeFieldContainer[VariantInfo]
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., group: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Iterable[_Union[ParameterInfo, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[OutputInfo, _Mapping]]] = ..., default_lookback: _Optional[int] = ..., indicator_class: _Optional[_Union[IndicatorClass, str]] = ..., variants: _Optional[_Iterable[_Union[VariantInfo, _Mapping]]] = ...) -> None: ...

class ListIndicatorsRequest(_message.Message):
    __slots__ = ("query", "group")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    query: str
    group: str
    def __init__(self, query: _Optional[str] = ..., group: _Optional[str] = ...) -> None: ...

class ListIndicatorsResponse(_message.Message):
    __slots__ = ("indicators", "engine")
    INDICATORS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    indicators: _containers.RepeatedCompositeFieldContainer[IndicatorInfo]
    engine: str
    def __init__(self, indicators: _Optional[_Iterable[_Union[IndicatorInfo, _Mapping]]] = ..., engine: _Optional[str] = ...) -> None: ...

class IndicatorSpec(_message.Message):
    __slots__ = ("id", "name", "params", "source", "variant")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    params: _containers.ScalarMap[str, float]
    source: PriceSource
    variant: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., params: _Optional[_Mapping[str, float]] = ..., source: _Optional[_Union[PriceSource, str]] = ..., variant: _Optional[str] = ...) -> None: ...

class OutputValues(_message.Message):
    __slots__ = ("name", "first_index", "values", "undefined_indexes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    UNDEFINED_INDEXES_FIELD_NUMBER: _ClassVar[int]
    name: str
    first_index: int
    values: _containers.RepeatedScalarFieldContainer[float]
    undefined_indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., first_index: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ..., undefined_indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class IndicatorResult(_message.Message):
    __slots__ = ("id", "name", "variant", "params", "source", "status", "lookback", "bars_used", "indicator_class", "outputs")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_FIELD_NUMBER: _ClassVar[int]
    BARS_USED_FIELD_NUMBER: _ClassVar[int]
    INDICATOR_CLASS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    variant: str
    params: _containers.ScalarMap[str, float]
    source: PriceSource
    status: _status_pb2.Status
    lookback: int
    bars_used: int
    indicator_class: IndicatorClass
    outputs: _containers.RepeatedCompositeFieldContainer[OutputValues]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., variant: _Optional[str] = ..., params: _Optional[_Mapping[str, float]] = ..., source: _Optional[_Union[PriceSource, str]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., lookback: _Optional[int] = ..., bars_used: _Optional[int] = ..., indicator_class: _Optional[_Union[IndicatorClass, str]] = ..., outputs: _Optional[_Iterable[_Union[OutputValues, _Mapping]]] = ...) -> None: ...

class IndicatorFrame(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "version", "open_time_ms", "results", "last_is_final", "coverage", "provenance")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    LAST_IS_FINAL_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    version: _series_pb2.SeriesVersion
    open_time_ms: _containers.RepeatedScalarFieldContainer[int]
    results: _containers.RepeatedCompositeFieldContainer[IndicatorResult]
    last_is_final: bool
    coverage: _series_pb2.Coverage
    provenance: _provenance_pb2.Provenance
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., version: _Optional[_Union[_series_pb2.SeriesVersion, _Mapping]] = ..., open_time_ms: _Optional[_Iterable[int]] = ..., results: _Optional[_Iterable[_Union[IndicatorResult, _Mapping]]] = ..., last_is_final: _Optional[bool] = ..., coverage: _Optional[_Union[_series_pb2.Coverage, _Mapping]] = ..., provenance: _Optional[_Union[_provenance_pb2.Provenance, _Mapping]] = ...) -> None: ...

class ComputeIndicatorsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "range", "limit", "specs", "max_age", "allow_stale", "final_only")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SPECS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_STALE_FIELD_NUMBER: _ClassVar[int]
    FINAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    range: _series_pb2.BarRange
    limit: int
    specs: _containers.RepeatedCompositeFieldContainer[IndicatorSpec]
    max_age: _duration_pb2.Duration
    allow_stale: bool
    final_only: bool
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., limit: _Optional[int] = ..., specs: _Optional[_Iterable[_Union[IndicatorSpec, _Mapping]]] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_stale: _Optional[bool] = ..., final_only: _Optional[bool] = ...) -> None: ...

class ComputeIndicatorsResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: IndicatorFrame
    def __init__(self, frame: _Optional[_Union[IndicatorFrame, _Mapping]] = ...) -> None: ...

class BatchComputeIndicatorsRequest(_message.Message):
    __slots__ = ("symbols", "interval", "adjustment", "range", "limit", "specs", "max_age", "allow_stale", "final_only")
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SPECS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_STALE_FIELD_NUMBER: _ClassVar[int]
    FINAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    interval: str
    adjustment: _series_pb2.Adjustment
    range: _series_pb2.BarRange
    limit: int
    specs: _containers.RepeatedCompositeFieldContainer[IndicatorSpec]
    max_age: _duration_pb2.Duration
    allow_stale: bool
    final_only: bool
    def __init__(self, symbols: _Optional[_Iterable[str]] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., range: _Optional[_Union[_series_pb2.BarRange, _Mapping]] = ..., limit: _Optional[int] = ..., specs: _Optional[_Iterable[_Union[IndicatorSpec, _Mapping]]] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_stale: _Optional[bool] = ..., final_only: _Optional[bool] = ...) -> None: ...

class BatchComputeIndicatorsResponse(_message.Message):
    __slots__ = ("index", "symbol", "frame", "error")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    index: int
    symbol: str
    frame: IndicatorFrame
    error: _status_pb2.Status
    def __init__(self, index: _Optional[int] = ..., symbol: _Optional[str] = ..., frame: _Optional[_Union[IndicatorFrame, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class WatchIndicatorsRequest(_message.Message):
    __slots__ = ("symbol", "interval", "adjustment", "specs", "snapshot_limit", "resume_token", "final_only", "heartbeat_interval")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENT_FIELD_NUMBER: _ClassVar[int]
    SPECS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FINAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    adjustment: _series_pb2.Adjustment
    specs: _containers.RepeatedCompositeFieldContainer[IndicatorSpec]
    snapshot_limit: int
    resume_token: str
    final_only: bool
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., adjustment: _Optional[_Union[_series_pb2.Adjustment, str]] = ..., specs: _Optional[_Iterable[_Union[IndicatorSpec, _Mapping]]] = ..., snapshot_limit: _Optional[int] = ..., resume_token: _Optional[str] = ..., final_only: _Optional[bool] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchIndicatorsResponse(_message.Message):
    __slots__ = ("snapshot", "update", "heartbeat", "resume_token")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    snapshot: IndicatorFrame
    update: IndicatorFrame
    heartbeat: _series_pb2.Heartbeat
    resume_token: str
    def __init__(self, snapshot: _Optional[_Union[IndicatorFrame, _Mapping]] = ..., update: _Optional[_Union[IndicatorFrame, _Mapping]] = ..., heartbeat: _Optional[_Union[_series_pb2.Heartbeat, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class ComputeOnBarsRequest(_message.Message):
    __slots__ = ("columns", "specs", "limit", "time_zone")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SPECS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    columns: _series_pb2.BarColumns
    specs: _containers.RepeatedCompositeFieldContainer[IndicatorSpec]
    limit: int
    time_zone: str
    def __init__(self, columns: _Optional[_Union[_series_pb2.BarColumns, _Mapping]] = ..., specs: _Optional[_Iterable[_Union[IndicatorSpec, _Mapping]]] = ..., limit: _Optional[int] = ..., time_zone: _Optional[str] = ...) -> None: ...

class ComputeOnBarsResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: IndicatorFrame
    def __init__(self, frame: _Optional[_Union[IndicatorFrame, _Mapping]] = ...) -> None: ...
