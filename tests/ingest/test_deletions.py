"""Bars that should never have been stored can be deleted: a range, or a whole series."""

import grpc
import pytest
from sqlalchemy import create_engine, select

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage.market.v1 import series_pb2
from finstage_market.errors import InvalidRequest, NotFound
from finstage_market.times import timestamp
from finstage_runtime.clock import SYSTEM
from services.ingest.series import GapReason
from services.ingest.store.api import Store
from services.ingest.store.schema import deletions
from services.ingest.store.values import WriteHeader, WriteMode
from tests.ingest.ingest_server import failed, running_ingest
from tests.ingest.stores import KEY, bars, batch, closes, day, fetched, tail

FIVE = {0: 10.0, 1: 11.0, 2: 12.0, 3: 13.0, 4: 14.0}
HEADER = WriteHeader("key", WriteMode.UPSERT, "client:test")


def test_a_range_is_deleted_with_a_new_epoch_and_is_a_gap_that_says_why(store: Store) -> None:
    store.fetched.write(fetched(bars(FIVE)))
    token = store.commits.token()
    done = store.deletions.delete(KEY, start_ms=day(1), end_ms=day(3), reason="wrong ticker")
    assert done is not None
    assert (done.bars, done.first_ms, done.last_ms, done.epoch, done.revision) == (2, day(1), day(2), 2, 2)
    assert closes(tail(store, KEY, 9)) == {0: 10, 3: 13, 4: 14}
    [gap] = store.bars.coverage(KEY).gaps
    assert (gap.start_ms, gap.end_ms, gap.reason) == (day(1), day(3), GapReason.DELETED)
    assert (gap.missing_bars, gap.detail) == (2, "wrong ticker")
    [commit] = store.commits.after(token)
    assert (commit.restated, commit.first_changed_ms, commit.last_changed_ms) == (True, day(1), day(2))


@pytest.mark.parametrize(
    ("start", "end", "left"), [(None, 2, {2, 3, 4}), (3, None, {0, 1, 2}), (0, 9, set[int]())]
)
def test_the_series_reaches_as_far_as_what_is_left(
    store: Store, start: int | None, end: int | None, left: set[int]
) -> None:
    store.fetched.write(fetched(bars(FIVE)))
    store.deletions.delete(
        KEY,
        start_ms=None if start is None else day(start),
        end_ms=None if end is None else day(end),
        reason="x",
    )
    state = store.bars.state(KEY)
    assert state is not None
    assert set(closes(tail(store, KEY, 9))) == left
    ends = (day(min(left)), day(max(left))) if left else (None, None)
    assert (state.count, state.first_ms, state.last_ms) == (len(left), *ends)


def test_a_forming_bar_that_is_deleted_is_a_new_epoch_too(store: Store) -> None:
    store.fetched.write(fetched(bars(FIVE), last_is_final=False))
    done = store.deletions.delete(KEY, start_ms=day(4), end_ms=None, reason="x")
    assert done is not None
    assert (done.bars, done.epoch) == (1, 2)


def test_a_whole_series_is_one_that_was_never_fetched_and_its_version_goes_on(store: Store) -> None:
    store.fetched.write(fetched(bars(FIVE)))
    done = store.deletions.delete(KEY, start_ms=None, end_ms=None, reason="x")
    assert done is not None
    assert (done.bars, done.epoch, done.revision) == (5, 2, 2)
    state = store.bars.state(KEY)
    assert state is not None
    assert (state.count, state.fetched_at_ms, state.source) == (0, None, "")
    assert store.bars.coverage(KEY).gaps == ()
    again = store.fetched.write(fetched(bars(FIVE)))
    assert (again.state.epoch, again.state.revision, again.state.count) == (2, 3, 5)


def test_a_provider_may_fill_what_a_client_wrote_and_an_operator_deleted(store: Store) -> None:
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({1: 91, 2: 92, 3: 93}))])
    store.deletions.delete(KEY, start_ms=day(2), end_ms=day(3), reason="x")
    store.fetched.write(fetched(bars(FIVE)))
    assert closes(tail(store, KEY, 9)) == {0: 10, 1: 91, 2: 12, 3: 93, 4: 14}


def test_deleting_nothing_changes_nothing_and_a_preview_deletes_nothing(store: Store) -> None:
    assert store.deletions.delete(KEY, start_ms=None, end_ms=None, reason="x") is None
    assert store.deletions.preview(KEY, start_ms=None, end_ms=None) is None
    store.fetched.write(fetched(bars(FIVE)))
    none = store.deletions.delete(KEY, start_ms=day(50), end_ms=day(60), reason="x")
    assert none is not None
    assert (none.bars, none.first_ms, none.epoch, none.revision) == (0, None, 1, 1)
    seen = store.deletions.preview(KEY, start_ms=day(1), end_ms=None)
    assert seen is not None
    assert (seen.bars, seen.first_ms, seen.last_ms, seen.epoch) == (4, day(1), day(4), 1)
    assert closes(tail(store, KEY, 9)) == FIVE


def test_every_deletion_is_kept_with_its_reason(store: Store, store_url: str) -> None:
    store.fetched.write(fetched(bars(FIVE)))
    store.deletions.delete(KEY, start_ms=day(1), end_ms=day(2), reason="a bad print")
    engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        [kept] = connection.execute(select(deletions)).all()
    engine.dispose()
    assert (kept.symbol, kept.interval, kept.bar_count, kept.reason) == ("AAPL", "1d", 1, "a bad print")
    assert (kept.first_ms, kept.last_ms) == (day(1), day(1))


async def test_a_caller_deletes_after_a_dry_run(store: Store) -> None:
    store.fetched.write(fetched(bars(FIVE)))
    asked = series_pb2.BarRange(start=timestamp(day(3)))
    request = pb.DeleteBarsRequest(symbol="aapl", interval="1d", range=asked, reason="x", dry_run=True)
    async with running_ingest(store, clock=SYSTEM) as ingest:
        seen = await ingest.stub.DeleteBars(request)
        assert (seen.deleted_bars, seen.version.epoch) == (2, 1)
        assert seen.first_open_time == timestamp(day(3))
        request.dry_run = False
        done = await ingest.stub.DeleteBars(request)
        assert (done.deleted_bars, done.version.epoch) == (2, 2)
        again = await ingest.stub.DeleteBars(request)
        assert (again.deleted_bars, again.version.epoch) == (0, 2)


async def test_a_wrong_deletion_is_refused_by_field(store: Store) -> None:
    wrong = {
        "symbol": pb.DeleteBarsRequest(symbol="a b", interval="1d", reason="x"),
        "interval": pb.DeleteBarsRequest(symbol="A", interval="", reason="x"),
        "reason": pb.DeleteBarsRequest(symbol="A", interval="1d"),
        "range": pb.DeleteBarsRequest(symbol="A", interval="1d", reason="x", range=series_pb2.BarRange()),
    }
    async with running_ingest(store, clock=SYSTEM) as ingest:
        for field, request in wrong.items():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ingest.stub.DeleteBars(request)
            error = failed(caught.value)
            assert isinstance(error, InvalidRequest)
            assert [v.field for v in error.violations] == [field]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.DeleteBars(pb.DeleteBarsRequest(symbol="A", interval="1d", reason="x"))
        assert isinstance(failed(caught.value), NotFound)


async def test_an_unknown_provider_cannot_be_resumed(store: Store) -> None:
    async with running_ingest(store, clock=SYSTEM) as ingest:
        assert not (await ingest.stub.ResumeUpstream(pb.ResumeUpstreamRequest())).providers
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ingest.stub.ResumeUpstream(pb.ResumeUpstreamRequest(provider="nosuch"))
        assert isinstance(failed(caught.value), InvalidRequest)
