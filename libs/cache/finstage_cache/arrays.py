"""The codec of NumPy arrays: a header of the caller's, then the raw bytes of each array. Needs NumPy."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CodecError

_KINDS = frozenset("biuf")
_COUNTS = struct.Struct("<II")  # bytes of the header, number of arrays
_ARRAY = struct.Struct("<2sxxxxxxQ")  # dtype ("f8", "i8", "u1", ...), elements
_MAX_ARRAYS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """One-dimensional arrays of numbers or booleans, of any lengths, and a header that says what they are."""

    header: bytes
    arrays: tuple[NDArray[Any], ...]


class ArraysCodec:
    """`Arrays` as little-endian bytes, each array 8-byte aligned. Decoded arrays are read-only views."""

    schema = "arrays"

    def weigh(self, value: Arrays) -> int:
        if not isinstance(value, Arrays):
            raise CodecError(f"the ARRAYS codec accepts Arrays, not {type(value).__name__}")
        if type(value.header) is not bytes or len(value.arrays) > _MAX_ARRAYS:
            raise CodecError(f"Arrays need a header of bytes and at most {_MAX_ARRAYS} arrays")
        for array in value.arrays:
            if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in _KINDS:
                raise CodecError(
                    "Arrays accept one-dimensional arrays of booleans, integers or floats, "
                    f"not {getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
                )
            if array.dtype.itemsize > 8:
                raise CodecError(f"Arrays accept numbers of up to 8 bytes, not {array.dtype}")
        return len(value.header) + sum(array.nbytes for array in value.arrays)

    def encode(self, value: Arrays) -> bytes:
        self.weigh(value)
        parts = [_COUNTS.pack(len(value.header), len(value.arrays)), value.header]
        parts.append(b"\0" * (-len(value.header) % 8))
        for array in value.arrays:
            parts.append(_ARRAY.pack(f"{array.dtype.kind}{array.dtype.itemsize}".encode(), len(array)))
            parts.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
            parts.append(b"\0" * (-array.nbytes % 8))
        return b"".join(parts)

    def decode(self, data: bytes) -> Arrays:
        try:
            return self._decode(data)
        except (struct.error, ValueError, TypeError, UnicodeDecodeError) as error:
            raise CodecError(f"not arrays: {error}") from error

    def _decode(self, data: bytes) -> Arrays:
        header_size, count = _COUNTS.unpack_from(data)
        at = _COUNTS.size + header_size + -header_size % 8
        if count > _MAX_ARRAYS or at > len(data):
            raise ValueError("truncated")
        header = data[_COUNTS.size : _COUNTS.size + header_size]
        arrays = []
        for _ in range(count):
            name, length = _ARRAY.unpack_from(data, at)
            dtype = np.dtype(f"<{name.decode()}")
            if dtype.kind not in _KINDS or dtype.itemsize > 8:
                raise ValueError(f"unknown type {name!r}")
            at += _ARRAY.size
            if length * dtype.itemsize > len(data) - at:
                raise ValueError("truncated")
            arrays.append(np.frombuffer(data, dtype, length, at))
            at += length * dtype.itemsize
            at += -at % 8
        if at != len(data):
            raise ValueError("bytes left over")
        return Arrays(header, tuple(arrays))


ARRAYS = ArraysCodec()
