"""The wire form of columns, compared with protobuf's own."""

import struct

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from finstage.market.v1 import series_pb2
from finstage.price.v1 import price_service_pb2
from finstage_market.columns import VALUES, Columns
from finstage_market.wire import (
    MAX_FIELDS,
    TooManyFieldsError,
    columns_from_wire,
    columns_parts,
    field_parts,
    fields,
    joined,
    message_parts,
    series_parts,
    take_field,
    varint,
)

NAMES = ("open_time_ms", *VALUES)
COLUMNS_FIELD = series_pb2.BarSeries.DESCRIPTOR.fields_by_name["columns"].number

int64s = st.integers(-(2**63), 2**63 - 1)
# Every bit pattern: invalid bars are refused at ingest, not lost on the wire.
doubles = st.floats(width=64)


@st.composite
def columns(draw: st.DrawFn, most: int = 30) -> Columns:
    n = draw(st.integers(0, most))
    values = [draw(st.lists(doubles, min_size=n, max_size=n)) for _ in VALUES]
    return Columns.of(draw(st.lists(int64s, min_size=n, max_size=n)), *values)


def message_of(bars: Columns) -> series_pb2.BarColumns:
    return series_pb2.BarColumns(**{name: getattr(bars, name).tolist() for name in NAMES})


def same(a: Columns, b: Columns) -> bool:
    """Return whether all bits are equal, including those of NaN and of the sign of zero."""
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in NAMES)


@given(columns())
def test_columns_are_written_byte_for_byte_as_protobuf_writes_them(bars: Columns) -> None:
    assert joined(columns_parts(bars)) == message_of(bars).SerializeToString()


@given(columns())
def test_columns_come_back_bit_for_bit(bars: Columns) -> None:
    assert same(columns_from_wire(joined(columns_parts(bars))), bars)
    assert same(columns_from_wire(memoryview(message_of(bars).SerializeToString())), bars)


def test_arrays_come_back_aligned_contiguous_and_writable() -> None:
    bars = columns_from_wire(b"\x7a\x01x" + joined(columns_parts(Columns.of(*[np.arange(5)] * 6))))
    for name in NAMES:
        array = getattr(bars, name)
        assert array.flags.aligned
        assert array.flags.c_contiguous
        assert array.flags.writeable


@pytest.mark.parametrize("layout", ["slice", "reversed", "big endian", "read-only"])
def test_arrays_of_any_layout_are_written(layout: str) -> None:
    times, values = np.arange(10, dtype=np.int64), np.arange(10.0)
    if layout == "slice":
        times, values = np.arange(20, dtype=np.int64)[::2], np.arange(20.0)[::2]
    elif layout == "reversed":
        times, values = times[::-1], values[::-1]
    elif layout == "big endian":
        times, values = times.astype(">i8"), values.astype(">f8")
    else:
        times.flags.writeable = values.flags.writeable = False
    bars = Columns(times, *[values] * 5)
    assert joined(columns_parts(bars)) == message_of(bars).SerializeToString()


def encoded(name: str, values: list[float], packed: bool) -> bytes:
    """Return some of a column's values, packed into one field or with a field each."""
    number = series_pb2.BarColumns.DESCRIPTOR.fields_by_name[name].number
    letter = "q" if name == "open_time_ms" else "d"
    if packed:
        return joined(field_parts(number, [struct.pack(f"<{len(values)}{letter}", *values)]))
    return b"".join(varint(number << 3 | 1) + struct.pack(f"<{letter}", value) for value in values)


UNKNOWN = [varint(100 << 3) + varint(7), varint(101 << 3 | 1) + b"8" * 8, b"\xbd\x064444", b"\x7a\x01x"]
unknown = st.sampled_from(UNKNOWN)


@given(columns(most=12), st.data())
def test_any_legal_order_and_packing_is_read_as_protobuf_reads_it(bars: Columns, data: st.DataObject) -> None:
    runs: dict[str, list[bytes]] = {}
    for name in NAMES:
        values, runs[name] = getattr(bars, name).tolist(), []
        while values:
            take = data.draw(st.integers(1, len(values)))
            runs[name].append(encoded(name, values[:take], data.draw(st.booleans())))
            values = values[take:]
    # Fields may be interleaved in any way; those of one column keep their order.
    order = data.draw(st.permutations([name for name, parts in runs.items() for _ in parts]))
    wire = b"".join(data.draw(st.just(b"") | unknown) + runs[name].pop(0) for name in order)

    assert same(columns_from_wire(wire), bars)
    parsed = series_pb2.BarColumns.FromString(wire)
    parsed.DiscardUnknownFields()
    assert parsed.SerializeToString() == joined(columns_parts(bars))


@given(columns(most=6), st.data())
def test_damaged_bytes_are_a_value_error_or_columns_and_nothing_else(
    bars: Columns, data: st.DataObject
) -> None:
    wire = bytearray(joined(columns_parts(bars)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire)))
        wire[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        found = columns_from_wire(bytes(wire))
    except ValueError:
        return
    assert len({len(getattr(found, name)) for name in NAMES}) == 1


@given(st.binary(max_size=200))
def test_bytes_that_are_accepted_are_read_as_by_protobuf(data: bytes) -> None:
    try:
        found = columns_from_wire(data)
    except ValueError:
        return
    try:
        message = series_pb2.BarColumns.FromString(data)
    except DecodeError:
        # protobuf also checks unknown fields: the contents of groups, and field numbers past its limit.
        return
    assert len(found) == len(message.open_time_ms)
    assert found.close.tobytes() == np.array(message.close).tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x08\x00",
        b"\x0a\x07" + b"\x00" * 7,
        b"\x0d\x00\x00\x00\x00",
        b"\x08\x01",
        b"\x00\x01",
        b"\x0b",
        b"\x0e",
        b"\xff" * 11,
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0a\x08" + b"\x00" * 8,
    ],
    ids=[
        "cut after a tag",
        "cut in a field",
        "no multiple of 8 bytes",
        "4-byte numbers",
        "varints",
        "field number 0",
        "a group",
        "wire type 6",
        "a number without end",
        "a length past the end",
        "columns of different lengths",
    ],
)
def test_bytes_that_are_not_columns_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        columns_from_wire(data)


@given(st.integers(0, 2**64 - 1))
def test_varints_are_protobufs(value: int) -> None:
    message = series_pb2.SeriesVersion(epoch=value if value < 2**63 else value - 2**64)
    assert b"\x08" + varint(value) == message.SerializeToString() or value == 0


def header() -> series_pb2.BarSeries:
    series = series_pb2.BarSeries(
        symbol="AAPL",
        interval="1d",
        version=series_pb2.SeriesVersion(epoch=3, revision=40),
        last_is_final=True,
        currency="USD",
    )
    series.coverage.gaps.add(reason=series_pb2.GAP_REASON_NO_TRADES, missing_bars=2)
    return series


@given(columns())
def test_a_series_is_read_as_the_message_with_its_columns(bars: Columns) -> None:
    expected = header()
    expected.columns.CopyFrom(message_of(bars))
    wire = joined(series_parts(header(), bars))
    assert series_pb2.BarSeries.FromString(wire).SerializeToString() == expected.SerializeToString()


@given(columns())
def test_a_message_around_a_series_is_read_as_the_whole(bars: Columns) -> None:
    reply = price_service_pb2.GetBarsResponse(next_page_token="t", total_bars=9)
    wire = joined(message_parts(reply, "series", [joined(series_parts(header(), bars))]))
    parsed = price_service_pb2.GetBarsResponse.FromString(wire)
    assert (parsed.next_page_token, parsed.total_bars) == ("t", 9)
    assert same(columns_from_wire(parsed.series.columns.SerializeToString()), bars)


@given(columns())
def test_a_field_taken_out_leaves_the_rest(bars: Columns) -> None:
    rest, payload = take_field(joined(series_parts(header(), bars)), COLUMNS_FIELD)
    assert rest == header().SerializeToString()
    assert payload is not None
    assert same(columns_from_wire(payload), bars)


@given(columns(), columns())
def test_a_field_that_comes_twice_is_merged_as_protobuf_merges(first: Columns, second: Columns) -> None:
    wire = b"".join(joined(field_parts(COLUMNS_FIELD, columns_parts(part))) for part in (first, second))
    _, payload = take_field(wire, COLUMNS_FIELD)
    assert payload is not None
    merged = series_pb2.BarSeries.FromString(wire).columns
    assert joined(columns_parts(columns_from_wire(payload))) == merged.SerializeToString()


def test_columns_in_any_number_of_fields_are_read() -> None:
    n = MAX_FIELDS
    bars = Columns.of(np.arange(n), *[np.arange(float(n)) + i for i in range(5)])
    wire = b"".join(encoded(name, getattr(bars, name).tolist(), packed=False) for name in NAMES)
    assert same(columns_from_wire(wire + UNKNOWN[0]), bars)
    with pytest.raises(ValueError):
        columns_from_wire(wire + b"\x0a")


def test_a_message_of_more_fields_than_any_of_ours_is_refused() -> None:
    assert take_field(UNKNOWN[3] * MAX_FIELDS, COLUMNS_FIELD)[1] is None
    with pytest.raises(TooManyFieldsError):
        take_field(UNKNOWN[3] * (MAX_FIELDS + 1), COLUMNS_FIELD)


def test_a_missing_field_is_none() -> None:
    assert take_field(header().SerializeToString(), COLUMNS_FIELD) == (header().SerializeToString(), None)


@given(st.binary(max_size=100), st.integers(1, 20))
def test_taking_a_field_out_of_anything_is_a_value_error_or_loses_nothing(data: bytes, number: int) -> None:
    try:
        rest, payload = take_field(data, number)
    except ValueError:
        return
    kept = [
        (n, kind, bytes(value)) for n, kind, value in fields(memoryview(data)) if (n, kind) != (number, 2)
    ]
    assert [(n, kind, bytes(value)) for n, kind, value in fields(memoryview(rest))] == kept
    taken = [bytes(value) for n, kind, value in fields(memoryview(data)) if (n, kind) == (number, 2)]
    assert (None if payload is None else bytes(payload)) == (b"".join(taken) if taken else None)
