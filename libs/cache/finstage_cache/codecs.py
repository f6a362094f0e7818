"""Codecs: how values become bytes, and how many bytes they occupy. None of them is pickle."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .errors import CodecError

if TYPE_CHECKING:
    from google.protobuf.message import Message

T = TypeVar("T")


class Codec(Protocol[T]):
    """The form in which values of one type are held.

    schema: the name of the form. An entry stored under another schema is a miss.
    weigh: the bytes that a value occupies: exact for bytes, else about. It is called on every store, also for
        live objects, and raises CodecError for a value that the codec cannot hold.
    decode: raises CodecError for damaged bytes.
    """

    @property
    def schema(self) -> str: ...

    def weigh(self, value: T) -> int: ...

    def encode(self, value: T) -> bytes: ...

    def decode(self, data: bytes) -> T: ...


class Bytes:
    """Values that are `bytes` already."""

    schema = "bytes"

    def weigh(self, value: bytes) -> int:
        if type(value) is not bytes:
            raise CodecError(f"the BYTES codec accepts bytes, not {type(value).__name__}")
        return len(value)

    def encode(self, value: bytes) -> bytes:
        self.weigh(value)
        return value

    def decode(self, data: bytes) -> bytes:
        return data


class Json:
    """Values that survive JSON unchanged: None, bool, int, finite float, str, lists, dicts with str keys."""

    schema = "json"

    def weigh(self, value: Any) -> int:
        return _json_weight(value, 0)

    def encode(self, value: Any) -> bytes:
        self.weigh(value)
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    def decode(self, data: bytes) -> Any:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise CodecError(f"not JSON: {error}") from error
        self.weigh(value)  # json.loads accepts more than dumps writes: NaN, 1e999, half a surrogate pair
        return value


_MAX_JSON_DEPTH = 100


def _json_weight(value: Any, depth: int) -> int:
    kind = type(value)
    if value is None or kind is bool:
        return 0
    if kind is int or kind is str:
        if kind is str and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise CodecError(f"the JSON codec cannot encode this text: {error}") from error
        return sys.getsizeof(value)
    if kind is float:
        if value - value != 0:
            raise CodecError(f"the JSON codec accepts finite numbers, not {value!r}")
        return 24
    if depth == _MAX_JSON_DEPTH:
        raise CodecError(f"the JSON codec accepts up to {_MAX_JSON_DEPTH} levels of nesting")
    if kind is list:
        return sys.getsizeof(value) + sum(_json_weight(item, depth + 1) for item in value)
    if kind is dict:
        for name in value:
            if type(name) is not str:
                raise CodecError(f"the JSON codec accepts dicts with str keys, not {name!r:.80}")
        return sys.getsizeof(value) + sum(
            _json_weight(k, depth) + _json_weight(v, depth + 1) for k, v in value.items()
        )
    raise CodecError(
        f"the JSON codec accepts None, bool, int, float, str, list and dict, not {kind.__name__}, "
        "which would be another type when read back"
    )


M = TypeVar("M", bound="Message")


class Protobuf(Generic[M]):
    """Protocol buffer messages of one type."""

    def __init__(self, message_type: type[M]) -> None:
        self.message_type = message_type
        self.schema = f"protobuf:{message_type.DESCRIPTOR.full_name}"

    def weigh(self, value: M) -> int:
        if not isinstance(value, self.message_type):
            raise CodecError(f"this codec accepts {self.schema[9:]}, not {type(value).__name__}")
        return value.ByteSize()

    def encode(self, value: M) -> bytes:
        self.weigh(value)
        return value.SerializeToString()

    def decode(self, data: bytes) -> M:
        from google.protobuf.message import DecodeError

        try:
            return self.message_type.FromString(data)
        except DecodeError as error:
            raise CodecError(f"not a {self.schema[9:]}: {error}") from error


def protobuf(message_type: type[M]) -> Protobuf[M]:
    """The codec of one message type. All readers share the cached message: copy it before changing it."""
    return Protobuf(message_type)


class Live(Generic[T]):
    """Live objects of this process. Backends that need bytes refuse them."""

    schema = "live"

    def __init__(self, weigh: Callable[[T], int] = sys.getsizeof) -> None:
        self._weigh = weigh

    def weigh(self, value: T) -> int:
        return self._weigh(value)

    def encode(self, value: T) -> bytes:
        raise CodecError(
            f"a live {type(value).__name__} cannot leave the process; use a codec that encodes it as bytes"
        )

    def decode(self, data: bytes) -> T:
        raise CodecError("a live object has no bytes")


def live(weigh: Callable[[T], int] = sys.getsizeof) -> Live[T]:
    """The codec of objects that stay in this process, such as running state.

    weigh: the bytes that an object occupies; the default counts the object without the objects it refers to.
    """
    return Live(weigh)


BYTES = Bytes()
JSON = Json()
