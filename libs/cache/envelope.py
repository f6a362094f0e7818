"""What stands before every value that leaves the process: schema, times, checksum.

    offset  size  field
    0       2     magic "fC"
    2       1     format version
    3       1     flags: 1 = absent (no payload)
    4       4     CRC-32 of the codec's schema name
    8       8×5   float64: stored (Unix seconds); seconds: fresh for, stale after that, error for, load
    48      4     CRC-32 of the key, then bytes 0 to 47, then the payload
    52            payload

All little-endian. The key is in the checksum, so an envelope found under another key is damaged.
"""

import math
import struct
from typing import Any
from zlib import crc32

from .answer import ABSENT, Answer, Status
from .codecs import Codec
from .errors import CacheError, CodecError

MAGIC = b"fC"
VERSION = 1
SIZE = 52
MAX_SECONDS = 1e12
"""Times and durations above this (31,000 years) are damage."""

_HEAD = struct.Struct("<2sBBIddddd")
_CRC = struct.Struct("<I")
_ABSENT = 1


class Damaged(CacheError):
    """Not an envelope, one whose checksum is wrong, or a payload that its codec cannot read."""


class OtherSchema(CacheError):
    """An envelope of another format version, or of another codec."""


def seal(key: str, answer: Answer[Any], codec: Codec[Any]) -> bytes:
    """The bytes of an answer. Raises CodecError if the codec cannot hold the value."""
    absent = answer.absent
    payload = b"" if absent else codec.encode(answer.value)
    head = _HEAD.pack(
        MAGIC,
        VERSION,
        _ABSENT if absent else 0,
        crc32(codec.schema.encode()),
        answer.stored,
        answer.fresh_for,
        answer.stale_s,
        answer.error_for,
        answer.load_s,
    )
    return b"".join((head, _CRC.pack(crc32(payload, crc32(head, crc32(key.encode())))), payload))


def open_(key: str, data: bytes, codec: Codec[Any]) -> Answer[Any]:
    """The answer in an envelope, HIT or NEGATIVE. Raises Damaged or OtherSchema, and nothing else."""
    if len(data) < SIZE:
        raise Damaged(f"{len(data)} bytes are no envelope")
    magic, version, flags, schema, stored, fresh_for, stale_s, error_for, load_s = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise Damaged("no envelope's magic")
    if version != VERSION:
        raise OtherSchema(f"format version {version}, here {VERSION}")
    if crc32(data[SIZE:], crc32(data[:48], crc32(key.encode()))) != _CRC.unpack_from(data, 48)[0]:
        raise Damaged("wrong checksum")
    if schema != crc32(codec.schema.encode()):
        raise OtherSchema(f"stored by another codec than {codec.schema}")
    # Comparisons with NaN are false, so these also refuse NaN and infinities.
    lasts = 0 < fresh_for <= fresh_for + stale_s <= error_for < MAX_SECONDS
    if not (lasts and 0 <= load_s < MAX_SECONDS):
        raise Damaged("impossible lifetimes")
    if not (-MAX_SECONDS < stored < MAX_SECONDS) or math.isnan(stored):
        raise Damaged("impossible time")
    if flags == _ABSENT and len(data) == SIZE:
        return Answer(ABSENT, Status.NEGATIVE, stored, fresh_for, stale_s, error_for, load_s, 0)
    if flags:
        raise Damaged(f"unknown flags {flags}")
    try:
        value = codec.decode(data[SIZE:])
    except CodecError as error:
        raise Damaged(str(error)) from error
    return Answer(value, Status.HIT, stored, fresh_for, stale_s, error_for, load_s, codec.weigh(value))
