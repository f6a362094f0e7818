"""Keys: canonical, the same in every process, different for different arguments."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finstage_cache import Cache, KeyPartError, MemoryBackend, Policy
from finstage_cache.keys import MAX_LENGTH, canonical, key


class Side(Enum):
    BUY = 1


class Level(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("quote", "BRK.B"), "ns:v1:quote:BRK.B"),
        (("^GSPC", "EURUSD=X"), "ns:v1:^GSPC:EURUSD=X"),
        (("a b", "a:b", "~i1", "é", ""), "ns:v1:a%20b:a%3Ab:%7Ei1:%C3%A9:"),
        ((1, -1, True, 1.0, 1e300, None), "ns:v1:~i1:~i-1:~b1:~f1.0:~f1e+300:~n"),
        ((b"\x00\xff",), "ns:v1:~x00ff"),
        ((Decimal("10.50"), Decimal("-0"), Decimal("1E+3")), "ns:v1:~d105e-1:~d0:~d1e3"),
        ((date(2024, 1, 2), timedelta(seconds=1.5)), "ns:v1:~a2024-01-02:~l1500000"),
        ((datetime(2024, 1, 2, tzinfo=UTC),), "ns:v1:~t2024-01-02T00:00:00+00:00"),
        ((Side.BUY, Level.ONE), "ns:v1:~eSide.BUY:~eLevel.ONE"),
        ((UUID(int=1),), "ns:v1:~u00000000-0000-0000-0000-000000000001"),
        (([1, ["a", "b"]], (), {"b": 1, "a": (2,)}), "ns:v1:~q(~i1,~q(a,b)):~q:~m(a,~q(~i2))(b,~i1)"),
        ((frozenset({3, 1, 2}),), "ns:v1:~s(~i1,~i2,~i3)"),
    ],
)
def test_the_text_of_a_key_is_fixed(parts: tuple[object, ...], expected: str) -> None:
    """The text is written out: a change would make every stored entry a miss."""
    assert key("ns", *parts) == expected


def test_a_version_is_part_of_the_key() -> None:
    assert key("ns", "a", version=2) == "ns:v2:a"


def test_a_long_key_becomes_a_digest_and_stays_one() -> None:
    long = key("ns", "x" * 500)
    assert long == "ns:v1:~#66f17ca5055c454de81333ae7fa19b950a8433ab"
    assert key("ns", "x" * 501) != long
    assert len(key("n" * 80, "x" * 500)) <= MAX_LENGTH


def test_equal_times_and_numbers_have_equal_keys() -> None:
    moscow = timezone(timedelta(hours=3))
    assert canonical(datetime(2024, 1, 2, 3, tzinfo=moscow)) == canonical(datetime(2024, 1, 2, tzinfo=UTC))
    assert canonical(Decimal("1.0")) == canonical(Decimal("1.00"))


def test_decimals_beyond_the_context_stay_different() -> None:
    """Decimal.normalize would round both to 28 digits."""
    assert canonical(Decimal("1." + "0" * 40 + "1")) != canonical(Decimal("1." + "0" * 40 + "2"))


PLAIN = st.one_of(
    st.text(max_size=8),
    st.integers(-5, 5),
    st.booleans(),
    st.floats(allow_nan=False, width=16),
    st.none(),
    st.binary(max_size=3),
    st.dates(),
    st.uuids(),
)
PARTS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


def shape(part: object) -> object:
    """Return a value that is equal for two parts exactly when their keys must be equal.

    Types count; list or tuple does not.
    """
    match part:
        case list() | tuple():
            return ("sequence", *map(shape, part))
        case dict():
            return ("mapping", frozenset((shape(k), shape(v)) for k, v in part.items()))
        case float():
            return (float, repr(part))
        case _:
            return (type(part), part)


@given(st.lists(PARTS, max_size=3), st.lists(PARTS, max_size=3))
def test_two_keys_are_equal_only_if_their_parts_are(one: list[object], two: list[object]) -> None:
    same = [shape(part) for part in one] == [shape(part) for part in two]
    assert (key("ns", *one) == key("ns", *two)) == same


@given(PARTS)
def test_keys_are_bounded_ascii(part: object) -> None:
    text = key("ns", part)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= MAX_LENGTH


@pytest.mark.parametrize(
    "part",
    [object(), float("nan"), Decimal("NaN"), datetime(2024, 1, 2), np.arange(3), lambda: 0, [object()]],
)
def test_a_part_without_a_canonical_form_is_an_error(part: object) -> None:
    with pytest.raises(KeyPartError, match="has no canonical form as a key part"):
        key("ns", part)


@pytest.mark.parametrize("namespace", ["", "A", "a b", "a:b", "x" * 81, "-a"])
def test_a_wrong_namespace_is_an_error(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        key(namespace)


@pytest.mark.parametrize("version", [0, -1, 10_000])
def test_a_wrong_version_is_an_error(version: int) -> None:
    with pytest.raises(ValueError, match="version"):
        key("ns", version=version)


def test_keys_are_the_same_in_another_process() -> None:
    """The other process has another hash seed, locale and time zone."""
    program = (
        "from finstage_cache.keys import key; "
        "print(key('ns', {'b': 1, 'a': frozenset({'x', 'y', 'z'})}, 1.1, 'é', b'1'))"
    )
    outputs = set()
    for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("2", "America/New_York")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        root = Path(__file__).parents[3]
        run = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1


async def test_positional_keyword_and_default_forms_of_a_call_are_one_key() -> None:
    cache = Cache(MemoryBackend())
    calls = 0

    @cache.cached("sum", Policy(fresh_s=60))
    async def add(a: int, b: int = 2, *, c: int = 3) -> bytes:
        nonlocal calls
        calls += 1
        return str(a + b + c).encode()

    assert await add(1) == await add(1, 2) == await add(b=2, a=1) == await add(a=1, c=3) == b"6"
    assert calls == 1
    assert add.key_for(1) == "sum:v1:~i1:~i2:~i3"
    assert await add(2) == b"7"
    await cache.delete(add.key_for(1))
    await add(1)
    assert calls == 3


async def test_a_decorated_function_may_name_its_own_key_version_and_codec() -> None:
    cache = Cache(MemoryBackend())

    def by_symbol(client: object, symbol: str) -> str:
        return symbol

    @cache.cached("quote", Policy(fresh_s=60), key=by_symbol, version=3)
    def fetch(client: object, symbol: str) -> bytes:
        """Fetch it."""
        return symbol.encode()

    answer = await fetch.answer(object(), "AAPL")
    assert (answer.value, answer.status) == (b"AAPL", "miss")
    assert fetch.key_for(object(), "AAPL") == "quote:v3:AAPL"
    assert fetch.__name__ == "fetch"
    assert fetch.__doc__ == "Fetch it."


async def test_a_wrong_name_is_an_error_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="namespace"):
        Cache(MemoryBackend()).cached("Wrong Name", Policy(fresh_s=1))
