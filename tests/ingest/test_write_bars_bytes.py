"""Batches from raw bytes: in every form that protobuf allows, and damaged."""

import numpy as np
import pytest

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_market.errors import InvalidRequest
from finstage_market.wire import MAX_FIELDS, field_parts, joined
from services.ingest.writing.batches import check_batch, read_batch, read_header
from tests.ingest.ingest_server import bar_batch, series_of
from tests.ingest.stores import NOW_MS

ROWS = MAX_FIELDS + 2000
BATCH = pb.WriteBarsRequest.DESCRIPTOR.fields_by_name["batch"].number
ADJUSTED = pb.BarBatch.DESCRIPTOR.fields_by_name["adjusted_close"].number


def test_any_number_of_unpacked_values_is_read() -> None:
    columns = series_of(ROWS)
    unpacked = np.empty(ROWS, [("tag", "u1"), ("value", "<f8")])
    unpacked["tag"], unpacked["value"] = ADJUSTED << 3 | 1, columns.close
    body = bar_batch(1, columns).SerializeToString() + unpacked.tobytes()
    sent = read_batch(joined(field_parts(BATCH, [body])))
    assert sent.adjusted_close.tolist() == columns.close.tolist()
    assert sent.arrays["open_time_ms"].tolist() == columns.open_time_ms.tolist()
    packed = pb.WriteBarsRequest(batch=bar_batch(1, columns, adjusted_close=columns.close.tolist()))
    assert (
        check_batch(sent, now_ms=NOW_MS).digest
        == check_batch(read_batch(packed.SerializeToString()), now_ms=NOW_MS).digest
    )


@pytest.mark.parametrize(
    "data",
    [b"\x12\xff", joined(field_parts(BATCH, [b"\x0b"])), b"\x7a\x00" * (MAX_FIELDS + 1) + b"\x12\xff"],
    ids=["cut off", "a group", "cut off behind many fields"],
)
def test_damaged_bytes_are_refused_by_field(data: bytes) -> None:
    text = "the bytes given are not a finstage.ingest.v1.WriteBarsRequest"
    with pytest.raises(InvalidRequest, match=f"^batch: {text}"):
        read_batch(data)
    with pytest.raises(InvalidRequest, match=f"^header: {text}"):
        read_header(b"\x12\xff")
