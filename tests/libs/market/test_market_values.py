"""Symbols, intervals, columns, errors, and enums that repeat the contract's."""

import copy
import pickle
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finstage.ingest.v1 import ingest_service_pb2
from finstage.market.v1 import errors_pb2, series_pb2
from finstage_market.columns import Columns
from finstage_market.errors import (
    AlreadyExists,
    DeadlineTooShort,
    FinstageError,
    InvalidRequest,
    NotFound,
    Reason,
    Unavailable,
    Unimplemented,
    Violation,
    no_data,
    symbol_not_found,
)
from finstage_market.interval import Interval
from finstage_market.symbol import parse_symbol
from services.ingest.series import FlagReason, GapReason, RejectReason

# Symbols


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("AAPL", "AAPL"),
        (" aapl\n", "AAPL"),
        ("brk-b", "BRK-B"),
        ("^gspc", "^GSPC"),
        ("eurusd=x", "EURUSD=X"),
        ("0700.HK", "0700.HK"),
        ("M&M.NS", "M&M.NS"),
        ("ES=F", "ES=F"),
        ("BTC-USD", "BTC-USD"),
        ("A_B", "A_B"),
        ("X" * 32, "X" * 32),
    ],
)
def test_valid_symbols(text: str, symbol: str) -> None:
    assert parse_symbol(text) == symbol
    assert parse_symbol(symbol) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "A B",
        "A/B",
        "../etc",
        "A..B",
        "X" * 33,
        "^",
        "-.-",
        "A\x00",
        "A%20",
        "Ä",
        "ß",
        "Ａ",
        "A?b",
        "A\nB",
        "１",
    ],
)
def test_invalid_symbols(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 32 characters"):
        parse_symbol(text)


@given(st.text(max_size=40))
def test_any_text_is_refused_or_becomes_safe_ascii(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except ValueError:
        return
    assert symbol.isascii()
    assert symbol.isprintable()
    assert not set(symbol) & set(" /\\?#%:'\"<>|*")
    assert parse_symbol(symbol) == symbol


# Intervals


@pytest.mark.parametrize("interval", Interval)
def test_an_interval_is_its_text(interval: Interval) -> None:
    assert Interval.parse(str(interval)) is interval


@pytest.mark.parametrize("text", ["", "7h", "1M", "1D", " 1d", "INTERVAL_1D", "1d\n"])
def test_other_text_is_refused_with_the_supported_intervals(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not supported; use 1m, 5m, 15m, 30m, 1h, 1d, 1w, 1mo$"):
        Interval.parse(text)


def test_lengths_grow_and_those_within_a_session_are_known() -> None:
    lengths = [interval.nominal_ms for interval in Interval]
    assert lengths == sorted(lengths)
    assert Interval.M1.nominal_ms == 60_000
    assert Interval.D1.nominal_ms == 86_400_000
    assert [i for i in Interval if i.is_intraday] == list(Interval)[:5]


# Enums that repeat the contract's


@pytest.mark.parametrize(
    ("ours", "contract", "prefix"),
    [
        (Reason, errors_pb2.ErrorReason, "ERROR_REASON_"),
        (GapReason, series_pb2.GapReason, "GAP_REASON_"),
        (FlagReason, series_pb2.FlagReason, "FLAG_REASON_"),
        (RejectReason, ingest_service_pb2.RejectReason, "REJECT_REASON_"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_enum_has_the_contracts_names_in_its_order(
    ours: type[StrEnum], contract: Any, prefix: str
) -> None:
    assert [f"{prefix}{member.name}" for member in ours] == contract.keys()[1:]
    assert all(member.name == member.value for member in ours)


# Columns


def bars(times: list[int]) -> Columns:
    return Columns.of(times, *[[float(t) for t in times]] * 5)


@given(
    st.lists(st.integers(-50, 50), unique=True).map(sorted),
    st.none() | st.integers(-60, 60),
    st.none() | st.integers(-60, 60),
    st.none() | st.integers(1, 20),
)
def test_a_range_has_the_rows_that_opened_in_it_and_of_these_the_last(
    times: list[int], start: int | None, end: int | None, limit: int | None
) -> None:
    expected = [t for t in times if (start is None or t >= start) and (end is None or t < end)]
    expected = expected if limit is None else expected[-limit:]
    columns = bars(times)
    found = columns[columns.range_slice(start_ms=start, end_ms=end, limit=limit)]
    assert found.open_time_ms.tolist() == expected
    assert found.close.tolist() == expected


@given(st.lists(st.lists(st.integers(-9, 9))))
def test_columns_are_joined_in_order(parts: list[list[int]]) -> None:
    joined = Columns.concat([bars(part) for part in parts])
    assert joined.open_time_ms.tolist() == [t for part in parts for t in part]
    assert joined.open_time_ms.dtype == np.int64
    assert joined.volume.dtype == np.float64
    assert joined.nbytes == 48 * len(joined)


def test_rows_are_chosen_by_slice_mask_or_index() -> None:
    columns = bars([1, 2, 3, 4])
    assert columns[1:3].close.tolist() == [2, 3]
    assert columns[columns.close > 2].open_time_ms.tolist() == [3, 4]
    assert columns[np.array([3, 0])].volume.tolist() == [4, 1]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="'volume': 1"):
        Columns.of([1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1])


# Errors


ERRORS = [
    InvalidRequest([Violation("a", "b"), Violation("c", "d")]),
    symbol_not_found("NOSUCH"),
    no_data("AAPL", "1m"),
    NotFound(Reason.JOB_NOT_FOUND, "none", resource_type="job", resource_name="7"),
    AlreadyExists(Reason.KEY_REUSED, "again", resource_type="idempotency_key", resource_name="k"),
    Unavailable(Reason.TOO_STALE, "old", retry_after_s=2.5),
    DeadlineTooShort("late"),
    Unimplemented("GetBars"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.reason)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_an_error_is_the_same_when_copied(error: FinstageError, again: Any) -> None:
    other = again(error)
    assert type(other) is type(error)
    assert (vars(other), str(other)) == (vars(error), str(error))


def test_an_invalid_request_names_all_its_fields() -> None:
    assert str(ERRORS[0]) == "a: b; c: d"
