"""Numbers that are written as text: what float() says, for all of a column at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.barfile.numbers import number, numbers
from libs.barfile.table import Texts
from libs.market.columns import Float64s

written = st.one_of(
    st.floats().map(repr),
    st.floats(allow_nan=False).map(lambda value: f"{value:.20e}"),
    st.decimals(allow_nan=False).map(str),
    st.integers().map(str),
    st.integers().map("{:,}".format),
)
odd = st.one_of(
    st.sampled_from(
        ["1_0", " 1.5\t", "1,234.5", "-1,234", "1,23", "-", "0x1p3", "١٢", "1e999", "-0", "infinity"]
    ),
    st.text(alphabet="0123456789.,eE+-_ ", max_size=12),
    st.text(max_size=4),
)


def texts(cells: list[str | float]) -> Texts:
    made = np.empty(len(cells), dtype=np.object_)
    made[:] = cells
    return made


def bits(values: Float64s) -> list[int | None]:
    return [None if np.isnan(value) else int(value.view(np.int64)) for value in values]


@given(
    cells=st.one_of(
        st.lists(written | st.just(np.nan), max_size=8), st.lists(written | odd | st.just(np.nan), max_size=8)
    ),
    thousands=st.booleans(),
)
def test_a_column_is_read_as_its_cells_are_one_by_one_bit_for_bit(
    cells: list[str | float], thousands: bool
) -> None:
    slow = [number(cell, thousands=thousands) if isinstance(cell, str) else np.nan for cell in cells]
    assert bits(numbers(texts(cells), thousands=thousands)) == bits(np.array(slow, dtype=np.float64))


@given(value=st.floats(allow_nan=False))
def test_every_digit_is_read(value: float) -> None:
    assert bits(numbers(texts([repr(value)]), thousands=False)) == bits(np.array([value]))


@pytest.mark.parametrize(
    ("cell", "with_thousands", "without"),
    [
        ("1,234.5", 1234.5, np.nan),
        (" -1,234,567 ", -1234567, np.nan),
        ("1,23", np.nan, np.nan),
        ("1_0", np.nan, np.nan),
        ("1e3", 1000, 1000),
        ("-", np.nan, np.nan),
    ],
)
def test_a_number_is_what_it_looks_like(cell: str, with_thousands: float, without: float) -> None:
    found = [number(cell, thousands=thousands) for thousands in (True, False)]
    assert bits(np.array(found)) == bits(np.array([with_thousands, without], dtype=np.float64))
