"""Requests checked field by field."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from finstage.market.v1 import instrument_pb2
from finstage.market.v1 import series_pb2 as pb
from finstage.price.v1.price_service_pb2 import GetBarsRequest, GetQuoteRequest, WatchQuotesRequest
from finstage_market.errors import InvalidRequest, Violation
from finstage_market.interval import Interval
from finstage_rpc.fields import BarRange, Fields


def violations(fields: Fields) -> tuple[Violation, ...]:
    """Return the violations in `fields`."""
    with pytest.raises(InvalidRequest) as raised:
        fields.done()
    return raised.value.violations


def only(fields: Fields) -> Violation:
    (violation,) = violations(fields)
    return violation


def bar_range(request: GetBarsRequest, default_limit: int | None = 500) -> tuple[Fields, BarRange]:
    fields = Fields()
    return fields, fields.bars(request, most=1_000_000, default_limit=default_limit)


def test_a_good_request_gives_values_and_no_error() -> None:
    fields = Fields()
    assert fields.symbol("symbol", " brk-b ") == "BRK-B"
    assert fields.interval("interval", "5m") is Interval.M5
    assert fields.adjustment("adjustment", pb.ADJUSTMENT_ALL) == pb.ADJUSTMENT_ALL
    assert fields.symbols("symbols", ["a", "B"], most=2) == ["A", "B"]
    assert fields.text("query", " apple ", least=1, most=64) == "apple"
    fields.done()


def test_all_wrong_fields_are_reported_together_with_their_paths() -> None:
    fields = Fields()
    fields.symbol("symbol", "no blanks")
    fields.interval("interval", "")
    fields.symbols("symbols", ["A", "", "C!"], most=5)
    fields.text("query", " ", least=1, most=64)
    found = violations(fields)
    assert [v.field for v in found] == ["symbol", "interval", "symbols[1]", "symbols[2]", "query"]


def test_a_violation_names_the_given_and_the_accepted_values() -> None:
    fields = Fields()
    fields.symbol("symbol", "a b")
    fields.interval("interval", "7h")
    fields.integer("limit", GetBarsRequest(limit=0), least=1, most=50, default=10)
    symbol, interval, limit = violations(fields)
    assert "'a b'" in symbol.description
    assert "A-Z 0-9" in symbol.description
    assert interval.description == "'7h' is not supported; use 1m, 5m, 15m, 30m, 1h, 1d, 1w, 1mo"
    assert limit.description == "0 was given; 1 to 50 is accepted"


@pytest.mark.parametrize("text", ["a\x00b", "a\n", "\u202eabc", "x" * 65])
def test_text_is_printable_and_not_too_long(text: str) -> None:
    fields = Fields()
    fields.text("query", text, least=0, most=64)
    assert only(fields).description.endswith("0 to 64 printable characters are accepted")


def test_long_values_are_cut_in_the_text() -> None:
    fields = Fields()
    fields.symbol("symbol", "x" * 100_000)
    assert len(only(fields).description) < 200


def test_an_unset_adjustment_is_splits() -> None:
    assert Fields().adjustment("adjustment", 0) == pb.ADJUSTMENT_SPLITS


def test_an_unknown_number_for_an_enum_is_wrong() -> None:
    fields = Fields()
    fields.adjustment("adjustment", 7)
    fields.enum("types[0]", instrument_pb2.InstrumentType, 70)
    assert [v.field for v in violations(fields)] == ["adjustment", "types[0]"]


@pytest.mark.parametrize("count", [0, 501])
def test_a_list_of_a_wrong_length_is_reported_once(count: int) -> None:
    fields = Fields()
    fields.symbols("symbols", ["A"] * count, most=500)
    assert only(fields) == Violation("symbols", f"{count} symbols were given; 1 to 500 are accepted")


@pytest.mark.parametrize(("value", "size"), [(0, 50), (1, 1), (200, 200), (201, 200), (2**31 - 1, 200)])
def test_a_page_size_over_the_limit_is_cut(value: int, size: int) -> None:
    fields = Fields()
    assert fields.page_size(value, most=200, default=50) == size
    fields.done()


def test_a_page_size_below_zero_is_wrong() -> None:
    fields = Fields()
    fields.page_size(-1, most=200, default=50)
    assert only(fields) == Violation("page_size", "-1 was given; 0 or more is accepted")


def test_without_a_range_the_default_limit_holds() -> None:
    assert bar_range(GetBarsRequest())[1] == BarRange(None, None, 500)
    assert bar_range(GetBarsRequest(range=pb.BarRange()))[1] == BarRange(None, None, 500)
    assert bar_range(GetBarsRequest(), default_limit=None)[1] == BarRange(None, None, None)


def test_a_range_has_no_limit() -> None:
    request = GetBarsRequest(range=pb.BarRange(start=Timestamp(seconds=1), end=Timestamp(seconds=2)))
    fields, found = bar_range(request)
    fields.done()
    assert found == BarRange(1000, 2000, None)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (
            GetBarsRequest(range=pb.BarRange(start=Timestamp(seconds=2), end=Timestamp(seconds=1))),
            "range.start",
        ),
        (
            GetBarsRequest(range=pb.BarRange(start=Timestamp(seconds=2), end=Timestamp(seconds=2))),
            "range.start",
        ),
        (GetBarsRequest(limit=0), "limit"),
        (GetBarsRequest(limit=-1), "limit"),
        (GetBarsRequest(limit=1_000_001), "limit"),
        (GetBarsRequest(range=pb.BarRange(start=Timestamp(seconds=10**15))), "range.start"),
        (GetBarsRequest(range=pb.BarRange(end=Timestamp(nanos=-1))), "range.end"),
        (GetBarsRequest(range=pb.BarRange(end=Timestamp(nanos=2_000_000_000))), "range.end"),
    ],
)
def test_an_invalid_range_is_wrong(request_: GetBarsRequest, field: str) -> None:
    assert only(bar_range(request_)[0]).field == field


@given(
    st.integers(-62_135_596_800, 253_402_300_799),
    st.integers(0, 999_999_999),
    st.integers(-(10**14), 10**14),
)
def test_rounding_a_time_to_milliseconds_keeps_at_or_after_and_before(
    seconds: int, nanos: int, open_ms: int
) -> None:
    exact_ns = seconds * 10**9 + nanos
    request = pb.BarRange(start=Timestamp(seconds=seconds, nanos=nanos))
    start_ms = Fields().timestamp_ms("start", request, path="range.start")
    assert start_ms is not None
    for near in (start_ms - 1, start_ms, start_ms + 1, open_ms):
        assert (near >= start_ms) == (near * 10**6 >= exact_ns)


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(Duration(seconds=0), 0.0), (Duration(seconds=604_800), 604_800.0), (Duration(nanos=500_000_000), 0.5)],
)
def test_max_age_is_zero_to_seven_days(age: Duration, seconds: float) -> None:
    fields = Fields()
    assert fields.max_age_s(GetQuoteRequest(max_age=age), default_s=60.0) == seconds
    fields.done()


@pytest.mark.parametrize(
    "age", [Duration(seconds=-1), Duration(seconds=604_801), Duration(nanos=-1), Duration(seconds=10**12)]
)
def test_another_max_age_is_wrong(age: Duration) -> None:
    fields = Fields()
    fields.max_age_s(GetQuoteRequest(max_age=age), default_s=60.0)
    assert only(fields).field == "max_age"


def test_unset_fields_have_their_defaults() -> None:
    fields = Fields()
    assert fields.max_age_s(GetQuoteRequest(), default_s=60.0) == 60.0
    assert fields.heartbeat_s(WatchQuotesRequest(), default_s=15.0) == 15.0
    assert fields.flag("allow_stale", GetQuoteRequest(), default=True) is True
    assert fields.flag("allow_stale", GetQuoteRequest(allow_stale=False), default=True) is False
    assert fields.integer("limit", GetBarsRequest(), least=1, most=5, default=5) == 5
    assert fields.timestamp_ms("start", pb.BarRange(), path="range.start") is None
    fields.done()


@pytest.mark.parametrize("interval", [Duration(nanos=999_999_999), Duration(seconds=301)])
def test_a_heartbeat_is_a_second_to_five_minutes(interval: Duration) -> None:
    fields = Fields()
    fields.heartbeat_s(WatchQuotesRequest(heartbeat_interval=interval), default_s=15.0)
    assert only(fields).field == "heartbeat_interval"
