"""Inputs for the envelope decoder: random, mutated, spliced, and wrong contents with a valid checksum.

For every input, `open_` must return the sealed answer, or raise Damaged or OtherSchema.
"""

import random
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from finstage.market.v1.quote_pb2 import Quote
from finstage_cache import ABSENT, BYTES, JSON, Answer, Codec, CodecError, Status, protobuf
from finstage_cache.arrays import ARRAYS, Arrays
from finstage_cache.envelope import Damaged, OtherSchema, open_, seal

NAMES = (b"cache:price:v1:quote:AAPL", b"cache:k", b"\xff")
CODECS: tuple[Codec[Any], ...] = (BYTES, JSON, protobuf(Quote), ARRAYS)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e11, 1e12, 1e300, float("nan"), float("inf"), float("-inf"))


@dataclass
class Fuzz:
    """Runs inputs and counts their outcomes; `failures` has the inputs that broke the rule above."""

    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def run(self, inputs: int) -> None:
        chance = random.Random(self.seed)
        sealed = [_sealed(chance) for _ in range(200)]
        right = {(one.name, one.codec.schema, one.data): one.answer for one in sealed}
        for _ in range(inputs):
            kind, name, codec, data = _input(chance, chance.choice(sealed), chance.choice(sealed))
            self._try(kind, name, codec, data, right.get((name, codec.schema, data)))

    def _try(
        self, kind: str, name: bytes, codec: Codec[Any], data: bytes, expected: Answer[Any] | None
    ) -> None:
        try:
            answer = open_(name, data, codec)
        except Damaged:
            self.outcomes[f"{kind}: damaged"] += 1
        except OtherSchema:
            self.outcomes[f"{kind}: other schema"] += 1
        except Exception as error:
            self._failed(kind, name, codec, data, repr(error))
        else:
            self.outcomes[f"{kind}: opened"] += 1
            if kind == "resealed":
                wrong = _wrong_resealed(answer, codec, data)
            elif expected is not None:
                wrong = None if _same(answer, expected, codec) else "another answer than was sealed"
            else:
                wrong = "opened, though it was never sealed"
            if wrong:
                self._failed(kind, name, codec, data, wrong)

    def _failed(self, kind: str, name: bytes, codec: Codec[Any], data: bytes, what: str) -> None:
        self.outcomes["FAILED"] += 1
        if len(self.failures) < 20:
            self.failures.append(f"{kind}, {codec.schema}, {name!r}, {data.hex()}: {what}")


@dataclass(frozen=True)
class Sealed:
    """A valid envelope and its contents."""

    name: bytes
    codec: Codec[Any]
    answer: Answer[Any]
    data: bytes


def _sealed(chance: random.Random) -> Sealed:
    name = chance.choice(NAMES)
    codec = chance.choice(CODECS)
    fresh, stale = chance.uniform(0.001, 1e6), chance.choice([0.0, chance.uniform(0, 1e6)])
    value = ABSENT if chance.random() < 0.1 else _value(chance, codec)
    status = Status.NEGATIVE if value is ABSENT else Status.HIT
    lasts = fresh + max(stale, chance.uniform(0, 1e6))
    stored, load_s = chance.uniform(0, 2e9), chance.random()
    answer: Answer[Any] = Answer(value, status, stored, fresh, stale, lasts, load_s, 0)
    return Sealed(name, codec, answer, seal(name, answer, codec))


def _value(chance: random.Random, codec: Codec[Any]) -> Any:
    if codec is BYTES:
        return chance.randbytes(chance.choice([0, 1, 40, 300]))
    if codec is JSON:
        return {"a": [1, 2.5, None, "é" * chance.randrange(5)], "b": chance.random()}
    if codec is ARRAYS:
        columns = (np.arange(chance.randrange(20)), np.array([chance.random()]), np.array([True]))
        return Arrays(chance.randbytes(chance.randrange(9)), columns)
    return Quote(symbol="AAPL", price=chance.random())


def _input(chance: random.Random, one: Sealed, other: Sealed) -> tuple[str, bytes, Codec[Any], bytes]:
    """Return an input of one kind, made from one or two valid envelopes."""
    data = bytearray(one.data)
    match chance.randrange(10):
        case 0:
            return "as sealed", one.name, one.codec, one.data
        case 1:
            return "random", one.name, one.codec, chance.randbytes(chance.randrange(120))
        case 2:
            return "random after a right beginning", one.name, one.codec, one.data[:8] + chance.randbytes(60)
        case 3:
            for _ in range(chance.choice([1, 1, 2, 8])):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return "bits flipped", one.name, one.codec, bytes(data)
        case 4:
            return "cut short", one.name, one.codec, one.data[: chance.randrange(len(data))]
        case 5:
            at, much = chance.randrange(len(data)), chance.randrange(1, 9)
            return "bytes put in", one.name, one.codec, one.data[:at] + chance.randbytes(much) + one.data[at:]
        case 6:
            at, after = chance.randrange(len(data)), chance.randrange(len(other.data))
            return "spliced", one.name, one.codec, one.data[:at] + other.data[after:]
        case 7:
            return "under another name", chance.choice(NAMES), one.codec, one.data
        case 8:
            return "by another codec", one.name, chance.choice(CODECS), one.data
        case _:
            return "resealed", one.name, one.codec, _resealed(chance, one)


def _resealed(chance: random.Random, one: Sealed) -> bytes:
    """Return a valid checksum and schema around wrong times, flags or payload."""
    times = [chance.choice([*_FLOATS, chance.uniform(-10, 100)]) for _ in range(5)]
    if chance.random() < 0.5:
        times = list(struct.unpack("<5d", one.data[8:48]))
    payload = bytearray(one.data[48:-4])
    for _ in range(chance.randrange(4)):
        if payload:
            payload[chance.randrange(len(payload))] = chance.randrange(256)
    flags = chance.choice([0, 0, 0, 0, 1, 2, 255])
    head = struct.pack("<2sBBI5d", b"fC", 1, flags, crc32(one.codec.schema.encode()), *times)
    body = head + payload[: chance.choice([None, None, 0, chance.randrange(60)])]
    return body + struct.pack("<I", crc32(body, crc32(one.name)))


def _wrong_resealed(answer: Answer[Any], codec: Codec[Any], data: bytes) -> str | None:
    """Return the error in the answer of a well-formed envelope, or None."""
    stored, fresh, stale, lasts, load = struct.unpack("<5d", data[8:48])
    if (answer.stored, answer.fresh_for, answer.stale_s, answer.error_for) != (stored, fresh, stale, lasts):
        return "other times than in the envelope"
    if not (0 <= fresh <= fresh + stale <= lasts < 1e12 and 0 <= load < 1e12 and abs(stored) < 1e12):
        return "impossible times"
    if answer.absent:
        return None if data[3] == 1 and len(data) == 52 else "absent, with a payload"
    try:
        codec.weigh(answer.value)
    except CodecError:
        return "a value that the codec refuses"
    return None if _equal(answer.value, codec.decode(data[48:-4]), codec) else "another value"


def _same(answer: Answer[Any], sealed: Answer[Any], codec: Codec[Any]) -> bool:
    times = [(a.stored, a.fresh_for, a.stale_s, a.error_for, a.load_s) for a in (answer, sealed)]
    if times[0] != times[1] or answer.absent != sealed.absent:
        return False
    return answer.absent or _equal(answer.value, sealed.value, codec)


def _equal(one: Any, other: Any, codec: Codec[Any]) -> bool:
    if codec is ARRAYS:
        return bool(ARRAYS.encode(one) == ARRAYS.encode(other))
    if codec is JSON:
        return repr(one) == repr(other)
    return bool(one == other)


def seeds(first: int, total: int, each: int) -> Iterator[tuple[int, int]]:
    """Split `total` inputs into pairs (seed, inputs) of at most `each`."""
    for number, start in enumerate(range(0, total, each)):
        yield first + number, min(each, total - start)
