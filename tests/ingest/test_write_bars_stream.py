"""WriteBars over the wire: acknowledgements, counts, refusals, resumption."""

from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import numpy as np
import pytest

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage_market.columns import VALUES, Columns
from finstage_market.errors import AlreadyExists, InvalidRequest, PreconditionFailed, Reason
from finstage_market.interval import Interval
from finstage_runtime.clock import ManualClock
from services.ingest.series import CheckedBars, Instrument, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.values import Batch, WriteHeader, WriteMode
from tests.ingest.ingest_server import Ingest, bar_batch, failed, running_ingest, series_of
from tests.ingest.stores import KEY, bars, closes, day, tail

HEADER = pb.WriteBarsHeader(idempotency_key="k1", source="file:a+b.csv")


@pytest.fixture
async def ingest(store: Store, clock: ManualClock) -> AsyncIterator[Ingest]:
    async with running_ingest(store, clock=clock) as running:
        yield running


def counts(rows: object) -> tuple[int, ...]:
    return tuple(getattr(rows, n) for n in ("sent", "inserted", "updated", "unchanged", "rejected"))


async def test_each_batch_is_acknowledged_with_its_counts_and_version(ingest: Ingest, store: Store) -> None:
    ready, acks = await ingest.write(
        HEADER,
        [bar_batch(1, bars({0: 10, 1: 11})), bar_batch(2, bars({1: 11, 2: 12})), bar_batch(3, bars({2: 13}))],
    )
    assert (ready.next_sequence, counts(ready.committed)) == (1, (0, 0, 0, 0, 0))
    assert [counts(ack.rows) for ack in acks] == [(2, 2, 0, 0, 0), (2, 1, 0, 1, 0), (1, 0, 1, 0, 0)]
    assert [(ack.version.epoch, ack.version.revision) for ack in acks] == [(1, 1), (1, 2), (2, 3)]
    assert closes(tail(store, KEY, 9)) == {0: 10, 1: 11, 2: 13}
    state = store.bars.state(KEY)
    assert state is not None
    assert (state.source, state.fetched_at_ms) == ("file:a b.csv", None)


async def test_the_same_header_continues_and_a_batch_sent_twice_counts_once(ingest: Ingest) -> None:
    first, second = bar_batch(1, bars({0: 10})), bar_batch(2, bars({1: 11}))
    await ingest.write(HEADER, [first])
    ready, acks = await ingest.write(HEADER, [first, second])
    assert (ready.next_sequence, counts(ready.committed)) == (2, (1, 1, 0, 0, 0))
    assert [(ack.sequence, ack.repeated_batch) for ack in acks] == [(1, True), (2, False)]
    assert counts(acks[0].rows) == (1, 1, 0, 0, 0)
    ready, _ = await ingest.write(HEADER, [])
    assert (ready.next_sequence, counts(ready.committed)) == (3, (2, 2, 0, 0, 0))


async def test_a_batch_that_is_repeated_in_one_commit_counts_once(store: Store) -> None:
    header = WriteHeader("k", WriteMode.UPSERT, "client:test")
    store.writes.open(header)
    columns = bars({0: 10})
    batch = Batch(sequence=1, key=KEY, sent=1, digest=b"a", bars=CheckedBars(columns))
    first, second = store.writes.write(header, [batch, batch])
    assert (first.repeated, second.repeated) == (False, True)
    assert first.rows == second.rows
    assert store.writes.open(header).rows.sent == 1
    with pytest.raises(AlreadyExists) as caught:
        store.writes.write(header, [replace(batch, digest=b"b")])
    assert caught.value.reason is Reason.KEY_REUSED


async def test_a_batch_out_of_sequence_ends_the_stream_after_those_before_it(ingest: Ingest) -> None:
    call = ingest.stub.WriteBars()
    for request in (
        pb.WriteBarsRequest(header=HEADER),
        pb.WriteBarsRequest(batch=bar_batch(1, bars({0: 10}))),
        pb.WriteBarsRequest(batch=bar_batch(3, bars({1: 10}))),
    ):
        await call.write(request)
    assert (await call.read()).ready.next_sequence == 1
    assert (await call.read()).ack.sequence == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    error = failed(caught.value)
    assert isinstance(error, PreconditionFailed)
    assert error.reason is Reason.OUT_OF_SEQUENCE


@pytest.mark.parametrize(
    ("header", "batch"),
    [
        (pb.WriteBarsHeader(idempotency_key="k1", source="other"), None),
        (pb.WriteBarsHeader(idempotency_key="k1", source="file:a+b.csv", mode=pb.WRITE_MODE_INSERT), None),
        (HEADER, bar_batch(1, bars({0: 11}))),
    ],
)
async def test_a_key_with_other_content_is_refused(
    ingest: Ingest, header: pb.WriteBarsHeader, batch: pb.BarBatch | None
) -> None:
    await ingest.write(HEADER, [bar_batch(1, bars({0: 10}))])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ingest.write(header, [batch] if batch else [])
    error = failed(caught.value)
    assert isinstance(error, AlreadyExists)
    assert (error.reason, error.resource_type) == (Reason.KEY_REUSED, "idempotency_key")


async def test_a_bad_row_is_refused_alone_and_listed_with_its_reason(ingest: Ingest, store: Store) -> None:
    columns = bars({0: 10, 1: 11, 2: 12})
    columns.high[1] = np.nan
    _, (ack,) = await ingest.write(HEADER, [bar_batch(1, columns)])
    assert counts(ack.rows) == (3, 2, 0, 0, 1)
    (refused,) = ack.rejected
    assert (refused.row, refused.reason) == (1, pb.REJECT_REASON_NOT_FINITE)
    assert closes(tail(store, KEY, 9)) == {0: 10, 2: 12}
    listed = (await ingest.stub.ListRejectedBars(pb.ListRejectedBarsRequest())).bars
    assert [(b.symbol, b.interval, b.open_time_ms, b.row, b.source) for b in listed] == [
        ("AAPL", "1d", day(1), 1, "file:a+b.csv")
    ]
    assert listed[0].values == "open=11.0 high=nan low=10.0 close=11.0 volume=110.0"


async def test_an_adjusted_close_that_does_not_go_with_its_close_is_refused_alone(
    ingest: Ingest, store: Store
) -> None:
    batch = bar_batch(1, bars({0: 10, 1: 11, 2: 12}), adjusted_close=[9.0, 0.0, 11.0])
    _, (ack,) = await ingest.write(HEADER, [batch])
    assert [(r.row, r.reason) for r in ack.rejected] == [(1, pb.REJECT_REASON_OUTSIDE_RANGE)]
    assert ack.rejected[0].values.endswith("volume=110.0 adjusted_close=0.0")
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert closes(read.columns) == {0: 9, 2: 11}


@pytest.mark.parametrize(
    ("interval", "days"),
    [("1d", 0.5), ("1w", 4), ("1mo", 16)],
)
async def test_a_second_bar_of_a_period_is_refused_in_the_same_batch_and_in_the_next(
    ingest: Ingest, interval: int, days: float
) -> None:
    both = bars({0: 10, 1: 11})
    both.open_time_ms[1] = day(0) + round(days * 86_400_000)
    first, second = (bar_batch(i + 1, both[i : i + 1], interval=interval) for i in range(2))
    _, at_once = await ingest.write(HEADER, [bar_batch(1, both, symbol="ONE", interval=interval)])
    _, in_turn = await ingest.write(pb.WriteBarsHeader(idempotency_key="k2", source="s"), [first, second])
    assert [counts(ack.rows) for ack in at_once] == [(2, 1, 0, 0, 1)]
    assert [counts(ack.rows) for ack in in_turn] == [(1, 1, 0, 0, 0), (1, 0, 0, 0, 1)]
    assert at_once[0].rejected[0].reason == in_turn[1].rejected[0].reason == pb.REJECT_REASON_OFF_GRID


async def test_insert_and_update_modes_refuse_rows_one_by_one(ingest: Ingest, store: Store) -> None:
    await ingest.write(HEADER, [bar_batch(1, bars({0: 10, 2: 12}))])
    insert = pb.WriteBarsHeader(idempotency_key="i", source="s", mode=pb.WRITE_MODE_INSERT)
    _, (ack,) = await ingest.write(insert, [bar_batch(1, bars({0: 99, 1: 11, 2: 12}))])
    assert counts(ack.rows) == (3, 1, 0, 0, 2)
    assert [(r.row, r.reason) for r in ack.rejected] == [
        (0, pb.REJECT_REASON_CONFLICT),
        (2, pb.REJECT_REASON_CONFLICT),
    ]
    update = pb.WriteBarsHeader(idempotency_key="u", source="s", mode=pb.WRITE_MODE_UPDATE)
    _, (ack,) = await ingest.write(update, [bar_batch(1, bars({0: 10, 1: 99, 3: 13}))])
    assert counts(ack.rows) == (3, 0, 1, 1, 1)
    assert [(r.row, r.reason) for r in ack.rejected] == [(2, pb.REJECT_REASON_ABSENT)]
    assert closes(tail(store, KEY, 9)) == {0: 10, 1: 99, 2: 12}


async def test_a_malformed_batch_is_refused_whole_and_the_stream_goes_on(
    ingest: Ingest, store: Store
) -> None:
    uneven = bar_batch(1, bars({0: 10, 1: 11}))
    del uneven.columns.close[1:]
    malformed = [
        uneven,
        bar_batch(2, bars({0: 10}), symbol="no symbol\x00"),
        bar_batch(3, bars({0: 10}), interval=""),
        bar_batch(4, bars({0: 10}), interval="7h"),
        bar_batch(5, bars({0: 10}), adjusted_close=[1.0, 2.0]),
        bar_batch(6, series_of(50_001)),
        bar_batch(7, bars({0: 10})),
    ]
    _, acks = await ingest.write(HEADER, malformed)
    assert [counts(ack.rows)[0::4] for ack in acks] == [
        (2, 2), (1, 1), (1, 1), (1, 1), (2, 2), (50_001, 50_001), (1, 0),
    ]  # fmt: skip
    assert all(r.reason == pb.REJECT_REASON_MALFORMED_BATCH for ack in acks[:6] for r in ack.rejected)
    assert not acks[0].HasField("version")
    assert len(acks[5].rejected) == 20
    assert closes(tail(store, KEY, 9)) == {0: 10}


async def test_a_large_malformed_batch_is_counted_whole_and_listed_in_part(
    ingest: Ingest, store: Store
) -> None:
    large = bar_batch(1, bars({0: 10}), adjusted_close=np.ones(600_000))
    _, (ack, after) = await ingest.write(HEADER, [large, bar_batch(2, bars({0: 10}))])
    assert counts(ack.rows) == (600_000, 0, 0, 0, 600_000)
    assert counts(after.rows) == (1, 1, 0, 0, 0)
    listed = store.rejections.find(limit=2000)
    assert [each.row.row for each in listed] == list(range(999, -1, -1))
    assert {each.row.detail for each in listed} == {
        "600,000 adjusted closes for 1 bars; 600,000 rows were sent; 1 to 50,000 are accepted"
        "; the first 1,000 of 600,000 rows are listed"
    }
    ready, (again,) = await ingest.write(HEADER, [large])
    assert (counts(ready.committed), counts(again.rows)) == ((600_001, 1, 0, 0, 600_000), counts(ack.rows))
    assert again.rejected == ack.rejected


async def test_pages_of_refused_rows_join_without_gap(ingest: Ingest) -> None:
    columns = bars(dict.fromkeys(range(7), 10))
    columns.low[:] = 99
    await ingest.write(HEADER, [bar_batch(1, columns)])
    token, rows = "", []
    for _ in range(3):
        request = pb.ListRejectedBarsRequest(symbol="AAPL", page_size=3, page_token=token)
        page = await ingest.stub.ListRejectedBars(request)
        rows += [bar.row for bar in page.bars]
        token = page.next_page_token
    assert rows == [6, 5, 4, 3, 2, 1, 0]
    assert token == ""


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (pb.WriteBarsHeader(source="s"), "header.idempotency_key"),
        (pb.WriteBarsHeader(idempotency_key="k" * 129, source="s"), "header.idempotency_key"),
        (pb.WriteBarsHeader(idempotency_key="a\nb", source="s"), "header.idempotency_key"),
        (pb.WriteBarsHeader(idempotency_key="k"), "header.source"),
        (pb.WriteBarsHeader(idempotency_key="k", source=" sim"), "header.source"),
        (pb.WriteBarsHeader(idempotency_key="k", source="Yahoo: mine"), "header.source"),
        (pb.WriteBarsHeader(idempotency_key="k", source="file"), "header.source"),
        (pb.WriteBarsHeader(idempotency_key="k", source="FILE:"), "header.source"),
        (pb.WriteBarsHeader(idempotency_key="k", source="s", mode=9), "header.mode"),  # type: ignore[arg-type]
    ],
)
async def test_a_wrong_header_names_its_field(ingest: Ingest, header: pb.WriteBarsHeader, field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ingest.write(header, [])
    error = failed(caught.value)
    assert isinstance(error, InvalidRequest)
    assert {v.field for v in error.violations} == {field}


async def test_a_batch_before_the_header_and_a_second_header_are_refused(ingest: Ingest) -> None:
    batch = pb.WriteBarsRequest(batch=bar_batch(1, bars({0: 10})))
    header = pb.WriteBarsRequest(header=HEADER)
    for requests in ([], [batch], [header, header], [header, pb.WriteBarsRequest()]):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [answer async for answer in ingest.stub.WriteBars(iter(requests))]
        assert isinstance(failed(caught.value), InvalidRequest)


@pytest.mark.parametrize(
    ("batch", "field", "description"),
    [
        (bar_batch(2, bars({})), "batch.columns", "0 rows were given; 1 to 50,000 are accepted"),
        (bar_batch(0, bars({0: 1})), "batch.sequence", "0 was given; 1 or more is accepted"),
        (None, "batch", "messages after the first must be batches"),
    ],
)
async def test_an_invalid_batch_ends_the_stream_after_those_before_it(
    ingest: Ingest, store: Store, batch: pb.BarBatch | None, field: str, description: str
) -> None:
    requests = [
        pb.WriteBarsRequest(header=HEADER),
        pb.WriteBarsRequest(batch=bar_batch(1, bars({0: 10}))),
        pb.WriteBarsRequest(batch=batch),
    ]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [answer async for answer in ingest.stub.WriteBars(iter(requests))]
    error = failed(caught.value)
    assert isinstance(error, InvalidRequest)
    assert [(v.field, v.description) for v in error.violations] == [(field, description)]
    assert closes(tail(store, KEY, 9)) == {0: 10}


async def test_unpacked_numbers_are_read(ingest: Ingest, store: Store) -> None:
    packed = bar_batch(1, bars({0: 10, 1: 11}), adjusted_close=[9.0, 10.0])
    rest = pb.BarBatch(sequence=1, symbol="AAPL", interval="1d")
    unpacked = b""
    for field, values in enumerate(
        (packed.columns.open_time_ms, *(getattr(packed.columns, v) for v in VALUES)), 1
    ):
        for value in values:
            kind = "<i8" if field == 1 else "<f8"
            unpacked += bytes([field << 3 | 1]) + np.array([value], kind).tobytes()
    adjusted = b"".join(bytes([5 << 3 | 1]) + np.array([v], "<f8").tobytes() for v in (9.0, 10.0))
    body = rest.SerializeToString() + bytes([4 << 3 | 2, len(unpacked)]) + unpacked + adjusted
    assert pb.BarBatch.FromString(body) == packed
    raw = bytes([2 << 3 | 2, 0x80 | len(body) & 0x7F, len(body) >> 7]) + body
    requests = [pb.WriteBarsRequest(header=HEADER), pb.WriteBarsRequest.FromString(raw)]
    answers = [answer async for answer in ingest.stub.WriteBars(iter(requests))]
    assert counts(answers[1].ack.rows) == (2, 2, 0, 0, 0)
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == [9.0, 10.0]


async def test_a_long_write_arrives_whole_whatever_the_size_of_its_batches(
    ingest: Ingest, store: Store
) -> None:
    whole = series_of(6_000)
    sizes = [1, 700, 20, 3, 1500, 2, 2500, 1274]
    ends = np.cumsum(sizes).tolist()
    parts = [whole[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    _, acks = await ingest.write(HEADER, [bar_batch(i, part) for i, part in enumerate(parts, 1)])
    assert [ack.rows.inserted for ack in acks] == sizes
    read = store.bars.read(SeriesKey("AAPL", Interval.D1))
    assert read is not None
    assert all(np.array_equal(getattr(read.columns, n), getattr(whole, n)) for n in ("open_time_ms", *VALUES))


async def test_a_bar_whose_time_is_not_over_is_the_forming_one(
    ingest: Ingest, store: Store, clock: ManualClock
) -> None:
    today = int(clock.wall() * 1000) // 86_400_000 * 86_400_000
    columns = Columns.of([today - 86_400_000, today], *np.tile([[10.0], [11], [9], [10], [5]], 2))
    await ingest.write(HEADER, [bar_batch(1, columns)])
    state = store.bars.state(KEY)
    assert state is not None
    assert not state.last_is_final


@pytest.mark.parametrize(("kind", "kept"), [("FUTURE", 2), ("INDEX", 2), ("EQUITY", 1), ("", 1)])
async def test_prices_below_zero_are_bars_of_futures_and_indices(
    ingest: Ingest, store: Store, kind: str, kept: int
) -> None:
    store.instruments.put(Instrument("AAPL", type=kind, source="sim"))
    columns = bars({0: 10, 1: -37.63})
    columns.volume[:] = 100
    _, (ack,) = await ingest.write(HEADER, [bar_batch(1, columns)])
    assert (ack.rows.inserted, ack.rows.rejected) == (kept, 2 - kept)


async def test_times_in_seconds_are_refused_not_stored_in_1970(ingest: Ingest, store: Store) -> None:
    columns = bars({0: 10, 1: 11, 2: 12})
    columns.open_time_ms[:] //= 1000
    _, (ack,) = await ingest.write(HEADER, [bar_batch(1, columns)])
    assert counts(ack.rows) == (3, 0, 0, 0, 3)
    assert "they look like seconds" in ack.rejected[0].detail
    assert store.bars.state(KEY) is None


async def test_a_row_that_is_decades_from_every_other_bar_is_refused(ingest: Ingest, store: Store) -> None:
    columns = bars({0: 10, 1: 11, 2: 12})
    columns.open_time_ms[0] //= 1000
    alone = bars({3: 13})
    alone.open_time_ms[:] //= 1000
    _, acks = await ingest.write(HEADER, [bar_batch(1, columns), bar_batch(2, alone)])
    assert [counts(ack.rows) for ack in acks] == [(3, 2, 0, 0, 1), (1, 0, 0, 0, 1)]
    assert [ack.rejected[0].reason for ack in acks] == [pb.REJECT_REASON_OUT_OF_RANGE] * 2
    assert closes(tail(store, KEY, 9)) == {1: 11, 2: 12}
