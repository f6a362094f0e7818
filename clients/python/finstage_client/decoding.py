"""Messages of the contract to the client's values."""

import dataclasses
import functools
import typing
from datetime import UTC
from typing import Any, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from finstage_market.statuses import from_status

V = TypeVar("V")


def decode(kind: type[V], message: Message) -> V:
    """Return the dataclass `kind` of a message that has at least its fields."""
    values: dict[str, Any] = {}
    for name, nested, optional in _fields(kind):  # type: ignore[arg-type]  # a class is hashable
        field: FieldDescriptor = message.DESCRIPTOR.fields_by_name[name]  # type: ignore[assignment]
        value = getattr(message, name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values[name] = dict(value)
        elif field.is_repeated:
            values[name] = tuple(_one(field, item, nested) for item in value)
        elif optional and not message.HasField(name):
            values[name] = None
        else:
            values[name] = _one(field, value, nested)
    return kind(**values)


def _one(field: FieldDescriptor, value: Any, nested: type[Any] | None) -> Any:
    if isinstance(value, Timestamp):
        return value.ToDatetime(tzinfo=UTC)
    if isinstance(value, Duration):
        return value.ToNanoseconds() / 1e9
    if isinstance(value, Status):
        return from_status(value) if value.code else None
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    return decode(nested, value) if nested is not None else value


def _enum(enum: EnumDescriptor, number: int) -> str:
    if number == 0 or number not in enum.values_by_number:
        return ""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return enum.values_by_number[number].name.removeprefix(prefix)


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, type[Any] | None, bool], ...]:
    """Return, of each field, its name, the dataclass in its type if any, and whether it may be None."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (name, _dataclass_in(hint), type(None) in typing.get_args(hint)) for name, hint in hints.items()
    )


def _dataclass_in(hint: Any) -> type[Any] | None:
    candidates = (hint, *typing.get_args(hint))
    return next((c for c in candidates if isinstance(c, type) and dataclasses.is_dataclass(c)), None)
