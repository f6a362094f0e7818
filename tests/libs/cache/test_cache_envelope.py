"""The envelope: it opens as it was sealed; anything else raises one of two errors."""

import contextlib
import struct
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finstage.market.v1.quote_pb2 import Quote
from finstage_cache import ABSENT, BYTES, JSON, Answer, Codec, Status, envelope, protobuf
from finstage_cache.arrays import ARRAYS, Arrays
from finstage_cache.envelope import Damaged, OtherSchema, open_, seal
from proof.cache_fuzz import Fuzz

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SECONDS = st.floats(0, 1e9)


def answer(value: object, codec: Codec[object] = BYTES) -> Answer[object]:  # type: ignore[assignment]
    return Answer(value, Status.HIT, 1_700_000_000.25, 60.0, 30.0, 660.0, 0.125, codec.weigh(value))


@given(st.binary(min_size=1), JSON_VALUES, SECONDS, SECONDS, SECONDS, SECONDS)
def test_a_sealed_answer_opens_as_it_was(
    name: bytes, value: object, fresh: float, stale: float, error: float, load: float
) -> None:
    fresh += 0.001
    lasts = fresh + max(stale, error)
    sealed = seal(name, Answer(value, Status.HIT, 1.7e9, fresh, stale, lasts, load, 0), JSON)
    opened = open_(name, sealed, JSON)
    assert opened.value == value
    assert type(opened.value) is type(value)
    times = (opened.stored, opened.fresh_for, opened.stale_s, opened.error_for, opened.load_s)
    assert times == (1.7e9, fresh, stale, lasts, load)
    assert opened.status is Status.HIT


def test_absence_is_sealed_too() -> None:
    sealed = seal(b"k", Answer(ABSENT, Status.NEGATIVE, 1.7e9, 5.0, 0.0, 5.0, 0.0, 0), BYTES)
    assert len(sealed) == envelope.SIZE
    opened = open_(b"k", sealed, BYTES)
    assert (opened.status, opened.absent) == (Status.NEGATIVE, True)


def test_the_form_is_fixed() -> None:
    """The bytes are written out: a change would make every stored entry a miss, and needs another VERSION."""
    sealed = seal(b"k", answer(b"payload"), BYTES)
    assert sealed.hex() == (
        "66430100ce4399b1"  # magic, version, flags, schema
        "00001040fc54d9410000000000004e400000000000003e400000000000a08440000000000000c03f"  # times
        "7061796c6f61647d8702c1"  # payload, checksum
    )


def test_every_changed_bit_is_noticed() -> None:
    sealed = bytearray(seal(b"k", answer(b"payload"), BYTES))
    for position in range(len(sealed) * 8):
        sealed[position // 8] ^= 1 << position % 8
        with pytest.raises((Damaged, OtherSchema)):
            open_(b"k", bytes(sealed), BYTES)
        sealed[position // 8] ^= 1 << position % 8


def test_every_shortened_or_lengthened_envelope_is_noticed() -> None:
    sealed = seal(b"k", answer(b"payload"), BYTES)
    for length in range(len(sealed)):
        with pytest.raises(Damaged):
            open_(b"k", sealed[:length], BYTES)
    with pytest.raises(Damaged):
        open_(b"k", sealed + b"\0", BYTES)


def test_under_another_key_it_is_damaged() -> None:
    with pytest.raises(Damaged):
        open_(b"other", seal(b"k", answer(b"payload"), BYTES), BYTES)


def test_another_codec_or_message_type_is_another_schema() -> None:
    with pytest.raises(OtherSchema):
        open_(b"k", seal(b"k", answer(b"{}"), BYTES), JSON)
    with pytest.raises(OtherSchema):
        open_(b"k", seal(b"k", answer(b""), BYTES), protobuf(Quote))


def test_another_format_version_is_another_schema() -> None:
    with pytest.raises(OtherSchema):
        open_(b"k", resealed(b"fC", 2, 0, 0, 1, 0, 1, 0), BYTES)


def resealed(magic: bytes, version: int, flags: int, *times: float, payload: bytes = b"") -> bytes:
    """Return an envelope of the BYTES codec with a valid checksum around any contents."""
    body = struct.pack("<2sBBIddddd", magic, version, flags, crc32(b"bytes"), *times) + payload
    return body + struct.pack("<I", crc32(body, crc32(b"k")))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "times",
    [
        (NAN, 1, 0, 1, 0),
        (INF, 1, 0, 1, 0),
        (0, NAN, 0, 1, 0),
        (0, -1, 0, 1, 0),
        (0, 2, 0, 1, 0),
        (0, 1, -1, 1, 0),
        (0, 1, 1, 1, 0),
        (0, 1, 0, INF, 0),
        (0, 1, 0, 1, NAN),
        (0, 1, 0, 1, -1),
        (0, 1, 0, 1, INF),
    ],
)
def test_impossible_times_are_damage_even_with_a_right_checksum(times: tuple[float, ...]) -> None:
    assert open_(b"k", resealed(b"fC", 1, 0, 0, 1, 0, 1, 0), BYTES).value == b""
    with pytest.raises(Damaged):
        open_(b"k", resealed(b"fC", 1, 0, *times), BYTES)


@pytest.mark.parametrize(("flags", "payload"), [(1, b"x"), (2, b""), (3, b"")])
def test_unknown_flags_and_absence_with_a_payload_are_damage(flags: int, payload: bytes) -> None:
    with pytest.raises(Damaged):
        open_(b"k", resealed(b"fC", 1, flags, 0, 1, 0, 1, 0, payload=payload), BYTES)


@pytest.mark.parametrize("codec", [JSON, protobuf(Quote), ARRAYS])
@given(payload=st.binary(max_size=60))
def test_a_payload_that_the_codec_cannot_read_is_damage(codec: Codec[object], payload: bytes) -> None:
    """It may also open as a value. No other error is raised."""
    body = struct.pack("<2sBBIddddd", b"fC", 1, 0, crc32(codec.schema.encode()), 0, 1, 0, 1, 0) + payload
    sealed = body + struct.pack("<I", crc32(body, crc32(b"k")))
    with contextlib.suppress(Damaged):
        codec.weigh(open_(b"k", sealed, codec).value)


def test_arrays_come_back_without_a_copy_and_read_only() -> None:
    sealed = ARRAYS.encode(Arrays(b"h", (np.arange(3.0), np.arange(5, dtype="u1"), np.array([], dtype="i4"))))
    arrays = ARRAYS.decode(sealed).arrays
    assert [(a.dtype.str, a.tolist()) for a in arrays] == [
        ("<f8", [0.0, 1.0, 2.0]),
        ("|u1", [0, 1, 2, 3, 4]),
        ("<i4", []),
    ]
    assert not any(array.flags.writeable or array.flags.owndata for array in arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2)),
        np.array(["x"]),
        np.array([object()]),
        np.array([1j]),
        np.zeros(1, "longdouble"),
        [1.0],
    ],
)
def test_arrays_hold_only_plain_numbers(array: object) -> None:
    from finstage_cache import CodecError

    with pytest.raises(CodecError, match="Arrays accept"):
        ARRAYS.encode(Arrays(b"", (array,)))  # type: ignore[arg-type]


def test_big_endian_arrays_are_stored_little_endian() -> None:
    (array,) = ARRAYS.decode(ARRAYS.encode(Arrays(b"", (np.array([1, 256], dtype=">i4"),)))).arrays
    assert array.tolist() == [1, 256]


@pytest.mark.parametrize("seed", range(4))
def test_no_input_breaks_the_decoder(seed: int) -> None:
    """This is the short form of `make proof-cache`, which tries a million inputs."""
    fuzz = Fuzz(seed)
    fuzz.run(5_000)
    assert fuzz.failures == []
    assert {outcome.partition(": ")[2] for outcome in fuzz.outcomes} == {"opened", "damaged", "other schema"}
