"""The wire form of columns: protobuf messages assembled from NumPy buffers, and read back without a loop.

A packed fixed-width field is its tag, its length and the little-endian array: what protobuf itself would
write, byte for byte. A message that holds one is the message without it, serialised, followed by the field.
Fields may come in any order on the wire, so every protobuf parser reads the result.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from finstage.market.v1 import series_pb2
from finstage_market.columns import VALUES, Columns, Float64s, Int64s

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
# Walking over a field takes a microsecond here, and 4 MiB can hold two million fields. A client that sends
# such a message must not delay the others.
MAX_FIELDS = 10_000
_NAMES = ("open_time_ms", *VALUES)
_FIELDS = {series_pb2.BarColumns.DESCRIPTOR.fields_by_name[n].number: n for n in _NAMES}
_DTYPES = {name: np.dtype("<i8" if name == "open_time_ms" else "<f8") for name in _NAMES}


Parts = list[bytes | memoryview]
"""Bytes that follow each other. Arrays stay where they are until the parts are joined, once, by `joined`."""


class TooManyFieldsError(ValueError):
    """A message has more fields than are walked over; repacked() reduces their number."""


def varint(value: int) -> bytes:
    """Return `value`, zero or more, as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_parts(field: int, parts: Parts) -> Parts:
    """Return the length-delimited field number `field` that holds `parts`."""
    head = varint(field << 3 | _LEN) + varint(sum(map(len, parts)))
    return [head, *parts]


def packed_parts(field: int, values: Int64s | Float64s) -> Parts:
    """Return the packed field number `field` of an array of 8-byte numbers; no parts when it is empty."""
    if not len(values):
        return []
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return field_parts(field, [little.view(np.uint8).data])


def columns_parts(columns: Columns) -> Parts:
    """Return a serialised BarColumns."""
    return [part for field, name in _FIELDS.items() for part in packed_parts(field, getattr(columns, name))]


def series_parts(header: series_pb2.BarSeries, columns: Columns) -> Parts:
    """Return a serialised BarSeries: `header`, which has no columns itself, with `columns`."""
    return message_parts(header, "columns", columns_parts(columns))


def message_parts(rest: Message, field: str, parts: Parts) -> Parts:
    """Return a serialised message: `rest`, which lacks its field `field`, with `parts` as that field."""
    number = rest.DESCRIPTOR.fields_by_name[field].number
    return [rest.SerializeToString(), *field_parts(number, parts)]


def joined(parts: Parts) -> bytes:
    """Return the bytes of `parts`: the one copy that is made of the arrays."""
    return b"".join(parts)


def columns_from_wire(data: bytes | memoryview) -> Columns:
    """Return the columns of a serialised BarColumns.

    Raises:
        ValueError: it is not a BarColumns, or its columns differ in length.
    """
    return Columns.of(**arrays_from_wire(data))


def arrays_from_wire(data: bytes | memoryview) -> dict[str, npt.NDArray[Any]]:
    """Return the six arrays of a serialised BarColumns by name (int64 times, float64 values), of any lengths.

    Raises:
        ValueError: it is not a BarColumns.
    """
    view = memoryview(data)
    try:
        return _arrays(view)
    except TooManyFieldsError:
        return _arrays(memoryview(repacked(view, series_pb2.BarColumns)))


def _arrays(view: memoryview) -> dict[str, npt.NDArray[Any]]:
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _NAMES}
    for field, wire_type, value in fields(view):
        if name := _FIELDS.get(field):
            if wire_type not in (_LEN, _I64) or len(value) % 8:
                raise ValueError(f"BarColumns.{name} is not a packed array of 8-byte numbers")
            parts[name].append(np.frombuffer(value, dtype=_DTYPES[name]))
    # A copy, because arrays in a message are not aligned, and TA-Lib needs them to be.
    return {name: np.concatenate(p) if p else np.empty(0, _DTYPES[name]) for name, p in parts.items()}


def repacked(data: bytes | memoryview, kind: type[Message]) -> bytes:
    """Return the same message in as few fields as possible, without unknown ones, by protobuf's own parser.

    Raises:
        ValueError: it is not a `kind`.
    """
    try:
        message = kind.FromString(bytes(data))
    except DecodeError as error:
        raise ValueError(f"not a {kind.DESCRIPTOR.name}") from error
    message.DiscardUnknownFields()
    return message.SerializeToString()


def take_field(data: bytes | memoryview, field: int) -> tuple[bytes, memoryview | None]:
    """Split a serialised message into the rest and the payload of its length-delimited field `field`.

    The payload is None when the field is absent. Payloads of a field that occurs more than once are joined,
    which is how protobuf merges a message field.

    Raises:
        ValueError: `data` is not a protobuf message; TooManyFieldsError past 10,000 fields.
    """
    view = memoryview(data)
    rest: list[memoryview] = []
    found: list[memoryview] = []
    kept = 0
    for number, wire_type, value, start, end in _walk(view):
        if number == field and wire_type == _LEN:
            rest.append(view[kept:start])
            kept = end
            found.append(value)
    rest.append(view[kept:])
    payload = None if not found else found[0] if len(found) == 1 else memoryview(b"".join(found))
    return b"".join(rest), payload


def fields(view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (field number, wire type, value bytes) of each field of a serialised message, in wire order.

    Raises:
        ValueError: it is not a protobuf message; TooManyFieldsError past 10,000 fields.
    """
    for number, wire_type, value, _, _ in _walk(view):
        yield number, wire_type, value


def _walk(view: memoryview) -> Iterator[tuple[int, int, memoryview, int, int]]:
    position, size, left = 0, len(view), MAX_FIELDS
    while position < size:
        left -= 1
        if left < 0:
            raise TooManyFieldsError(f"a message of more than {MAX_FIELDS} fields at one level")
        start = position
        tag, position = _read_varint(view, position)
        number, wire_type = tag >> 3, tag & 7
        begin = position
        if wire_type == _VARINT:
            _, position = _read_varint(view, position)
        elif wire_type == _LEN:
            length, begin = _read_varint(view, position)
            position = begin + length
        elif wire_type in (_I64, _I32):
            position += 8 if wire_type == _I64 else 4
        else:
            raise ValueError(f"not a protobuf message: wire type {wire_type} at byte {start}")
        if position > size or number == 0:
            raise ValueError(f"not a protobuf message: cut off or damaged at byte {start}")
        yield number, wire_type, view[begin:position], start, position


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if position >= len(view):
            raise ValueError("not a protobuf message: cut off within a number")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("not a protobuf message: a number of more than 64 bits")
