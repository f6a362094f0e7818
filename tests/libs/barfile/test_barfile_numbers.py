"""Numbers written as text: those of float(), and those that people write."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finstage_barfile import BarFile, Unreadable
from finstage_barfile.numbers import Signs, decided, plain, read, signs
from finstage_barfile.table import Text
from finstage_market.columns import Float64s

written = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:.20e}"),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.integers().map(str),
)


def texts(*cells: str | float) -> Text:
    return pd.Series(list(cells), dtype="str")


def bits(values: Float64s) -> list[int | None]:
    return [None if np.isnan(value) else int(value.view(np.int64)) for value in values]


@given(cells=st.lists(written | st.just(np.nan), max_size=8))
def test_every_digit_is_read_both_ways_and_with_either_sign(cells: list[str | float]) -> None:
    wanted = bits(np.array([float(cell) for cell in cells], dtype=np.float64))
    values = plain(texts(*cells))
    assert values is not None
    assert bits(values) == wanted
    assert bits(read(texts(*cells), ".")) == wanted
    with_commas = [cell.replace(".", ",") if isinstance(cell, str) else cell for cell in cells]
    assert bits(read(texts(*with_commas), ",")) == wanted


@settings(deadline=None)  # the machine's load is not its subject
@given(cells=st.lists(st.text(alphabet="0123456789.,eE+-_ ", max_size=12) | st.text(max_size=4), max_size=4))
def test_no_text_makes_it_fail(cells: list[str]) -> None:
    plain(texts(*cells))
    signs(texts(*cells), is_plain=False)
    for decimal in (".", ","):
        assert len(read(texts(*cells), decimal)) == len(cells)


@pytest.mark.parametrize(
    ("cell", "with_point", "with_comma"),
    [
        ("1,234.5", 1234.5, np.nan),
        ("1.234,5", np.nan, 1234.5),
        (" -1,234,567 ", -1234567, np.nan),
        ("1,234", 1234, 1.234),
        ("1.234", 1.234, 1234),
        ("1,23", np.nan, 1.23),
        ("0,500", np.nan, 0.5),
        ("0.500", 0.5, np.nan),
        ("12,34,567", 1234567, np.nan),
        ("1.12,34,567", np.nan, np.nan),
        (".5", 0.5, np.nan),
        ("1e3", 1000, 1000),
        ("$185.64", 185.64, np.nan),
        ("-$1,185.64", -1185.64, np.nan),
        ("185,64 €", np.nan, 185.64),
        ("1_0", np.nan, np.nan),
        ("-", np.nan, np.nan),
        ("", np.nan, np.nan),
        ("1.2M", np.nan, np.nan),
    ],
)
def test_a_number_is_what_it_looks_like(cell: str, with_point: float, with_comma: float) -> None:
    found = [read(texts(cell), decimal)[0] for decimal in (".", ",")]
    assert bits(np.array(found)) == bits(np.array([with_point, with_comma], dtype=np.float64))


def test_powers_are_read_to_the_last_digit_where_they_are_asked_for() -> None:
    cells = ("82.49M", "1.1K", "2b", "1,234.5T", "7")
    assert list(read(texts(*cells), ".", powers=True)) == [82490000.0, 1100.0, 2e9, 1.2345e15, 7.0]


@pytest.mark.parametrize(
    ("columns", "usual", "decimal"),
    [
        ([["1.5"], ["1.000"]], None, "."),
        ([["1.000", "1.000.000"], ["2.000"]], None, ","),
        ([["1.000"], ["2,5"]], ".", ","),
        ([["1,000"], ["1,234.5"]], None, "."),
        ([["0.123"], ["1.000"]], None, "."),
        ([["10,000.00"]], ".", "."),
        ([["1234.567"], ["1.000"]], None, "."),
        ([["1"], ["2", np.nan]], None, "."),
        ([["1.000"] * 2000 + ["1.5"]], None, "."),
    ],
)
def test_all_columns_tell_the_decimal_sign_together(
    columns: list[list[str | float]], usual: str | None, decimal: str
) -> None:
    told = {str(at): signs(texts(*cells), is_plain=False) for at, cells in enumerate(columns)}
    assert decided(told, usual) == (decimal, None)


def test_ambiguous_numbers_are_refused_or_reported_as_guessed() -> None:
    column = {"Close": signs(texts("38.100", "7"), is_plain=True)}
    decimal, guess = decided(column, ".")
    assert guess is not None
    assert (decimal, guess.text) == (".", "'38.100' in column 'Close' was read with a decimal point")
    for cell, usual, either in (("38.100", None, "38.1 or 38100"), ("38,100", ".", "38100 or 38.1")):
        with pytest.raises(Unreadable) as caught:
            decided({"Close": signs(texts(cell), is_plain=False)}, usual)
        told = f"column 'Close' has {cell!r}, which can be {either}; no other number of the file tells which"
        assert (str(caught.value), caught.value.settled_by) == (told, "decimal")


def test_columns_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(Unreadable) as caught:
        decided({"A": Signs("1.5", "", ""), "B": Signs("", "1,5", "")}, ".")
    told = "column 'A' has '1.5', with a decimal point, and column 'B' has '1,5', with a decimal comma"
    assert (str(caught.value), caught.value.settled_by) == (told, "decimal")


def test_an_apostrophe_is_not_read_as_thousands_unasked(read_text: Callable[..., BarFile]) -> None:
    """110'160 is 110 and 16/32 where bonds are quoted."""
    header, row = "Date,Open,High,Low,Close,Volume\n", "2024-01-02,110'160,110'310,110'050,110'200,{}\n"
    with pytest.raises(Unreadable, match="column 'Open' has \"110'160\", which can be 110160 or") as caught:
        read_text(header + row.format("1'234"))
    assert caught.value.settled_by == "decimal"
    assert read_text(header + row.format(5), decimal=".").columns.open[0] == 110160
    for settled in (row.format("1'234'567"), row.format(5).replace("'310", "'310.50")):
        assert read_text(header + settled).columns.open[0] == 110160
