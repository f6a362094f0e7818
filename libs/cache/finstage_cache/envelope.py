"""The envelope around every value that leaves the process: schema, times, checksum.

    offset  size  field
    0       2     magic "fC"
    2       1     format version
    3       1     flags: 1 = absent (no payload)
    4       4     CRC-32 of the codec's schema name
    8       8×5   float64: stored (Unix seconds); seconds: fresh for, stale after that, error for, load
    48            payload
    -4      4     CRC-32 of the name, then of all bytes before

All numbers are little-endian. The name is the key under which the envelope is stored. The checksum covers it,
so an envelope found under another name is damaged.
"""

import functools
import struct
from collections.abc import Callable
from typing import Any
from zlib import crc32

from .answer import ABSENT, Answer, Status
from .codecs import Codec
from .errors import CacheError, CodecError

MAGIC = b"fC"
VERSION = 1
SIZE = 52
"""Bytes of an envelope without its payload."""
_HEAD = struct.Struct("<8sddddd")
_TIMES = struct.Struct("<8xddddd").unpack_from
_CHECKSUM = struct.Struct("<I")
_CHECKED = 0x2144DF1C  # the CRC-32 of any bytes followed by their own CRC-32
_MIN, _MAX = -1e12, 1e12  # seconds; times beyond (31,000 years) are damage
_HIT, _NEGATIVE = Status.HIT, Status.NEGATIVE


class Damaged(CacheError):
    """Not an envelope, one whose checksum is wrong, or a payload that its codec cannot read."""


class OtherSchema(CacheError):
    """An envelope of another format version, or of another codec."""


@functools.lru_cache(maxsize=256)
def _openings(schema: str) -> tuple[bytes, bytes]:
    """The first eight bytes of an envelope with a value, and of one with an absence."""
    value, absent = (struct.pack("<2sBBI", MAGIC, VERSION, flags, crc32(schema.encode())) for flags in (0, 1))
    return value, absent


def seal(name: bytes, answer: Answer[Any], codec: Codec[Any]) -> bytes:
    """The envelope of an answer. Raises CodecError if the codec cannot hold the value."""
    absent = answer.absent
    payload = b"" if absent else codec.encode(answer.value)
    opening = _openings(codec.schema)[absent]
    times = (answer.stored, answer.fresh_for, answer.stale_s, answer.error_for, answer.load_s)
    head = _HEAD.pack(opening, *times)
    checksum = crc32(payload, crc32(head, crc32(name)))
    return b"".join((head, payload, _CHECKSUM.pack(checksum)))


def open_(name: bytes, data: bytes, codec: Codec[Any]) -> Answer[Any]:
    """The answer in an envelope, HIT or NEGATIVE, with weight 0 (not known yet).

    Raises:
        Damaged, OtherSchema: and no other error, whatever the bytes.
    """
    return opener(codec)(name, data)


def opener(codec: Codec[Any]) -> Callable[[bytes, bytes], Answer[Any]]:
    """`open_` for many envelopes of one codec, which is looked up once."""
    of_value, of_absence = _openings(codec.schema)
    decode = codec.decode

    def open_one(name: bytes, data: bytes) -> Answer[Any]:
        absent = False
        if not data.startswith(of_value):
            absent = data.startswith(of_absence)
            if not absent:
                raise _mismatch(data[:8])
        if crc32(data, crc32(name)) != _CHECKED or len(data) < SIZE:
            raise Damaged("wrong checksum")
        stored, fresh_for, stale_s, error_for, load_s = _TIMES(data)
        # Comparisons with NaN are false, so these also refuse NaN and infinities.
        lasts = 0.0 <= fresh_for <= fresh_for + stale_s <= error_for < _MAX
        if not (lasts and 0.0 <= load_s < _MAX and _MIN < stored < _MAX):
            raise Damaged("impossible times")
        if absent:
            if len(data) != SIZE:
                raise Damaged("absent, but with a payload")
            return Answer(ABSENT, _NEGATIVE, stored, fresh_for, stale_s, error_for, load_s, 0)
        try:
            return Answer(decode(data[48:-4]), _HIT, stored, fresh_for, stale_s, error_for, load_s, 0)
        except CodecError as error:
            raise Damaged(str(error)) from error

    return open_one


def _mismatch(opening: bytes) -> Damaged | OtherSchema:
    if opening[:2] != MAGIC or len(opening) < 8:
        return Damaged("not an envelope")
    if opening[2] != VERSION:
        return OtherSchema(f"format version {opening[2]}; this library reads {VERSION}")
    if opening[3] > 1:
        return Damaged(f"unknown flags {opening[3]}")
    return OtherSchema("stored by another codec")
