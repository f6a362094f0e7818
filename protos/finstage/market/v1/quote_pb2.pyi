from finstage.market.v1 import provenance_pb2 as _provenance_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MarketState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MARKET_STATE_UNSPECIFIED: _ClassVar[MarketState]
    MARKET_STATE_PRE: _ClassVar[MarketState]
    MARKET_STATE_REGULAR: _ClassVar[MarketState]
    MARKET_STATE_POST: _ClassVar[MarketState]
    MARKET_STATE_CLOSED: _ClassVar[MarketState]
MARKET_STATE_UNSPECIFIED: MarketState
MARKET_STATE_PRE: MarketState
MARKET_STATE_REGULAR: MarketState
MARKET_STATE_POST: MarketState
MARKET_STATE_CLOSED: MarketState

class Quote(_message.Message):
    __slots__ = ("symbol", "price", "currency", "price_precision", "previous_close", "day_open", "day_high", "day_low", "day_volume", "market_state", "provenance")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PRICE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_CLOSE_FIELD_NUMBER: _ClassVar[int]
    DAY_OPEN_FIELD_NUMBER: _ClassVar[int]
    DAY_HIGH_FIELD_NUMBER: _ClassVar[int]
    DAY_LOW_FIELD_NUMBER: _ClassVar[int]
    DAY_VOLUME_FIELD_NUMBER: _ClassVar[int]
    MARKET_STATE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    price: float
    currency: str
    price_precision: int
    previous_close: float
    day_open: float
    day_high: float
    day_low: float
    day_volume: float
    market_state: MarketState
    provenance: _provenance_pb2.Provenance
    def __init__(self, symbol: _Optional[str] = ..., price: _Optional[float] = ..., currency: _Optional[str] = ..., price_precision: _Optional[int] = ..., previous_close: _Optional[float] = ..., day_open: _Optional[float] = ..., day_high: _Optional[float] = ..., day_low: _Optional[float] = ..., day_volume: _Optional[float] = ..., market_state: _Optional[_Union[MarketState, str]] = ..., provenance: _Optional[_Union[_provenance_pb2.Provenance, _Mapping]] = ...) -> None: ...

class QuoteResult(_message.Message):
    __slots__ = ("symbol", "quote", "error")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    quote: Quote
    error: _status_pb2.Status
    def __init__(self, symbol: _Optional[str] = ..., quote: _Optional[_Union[Quote, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
