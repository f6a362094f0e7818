"""The SDK on three small services."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from finstage_client import (
    AsyncClient,
    Client,
    FinstageError,
    FrameInfo,
    InvalidRequest,
    NotFound,
    Provenance,
    Reason,
    SeriesVersion,
    Unavailable,
    Upload,
    info,
)
from finstage_client.connection import endpoints
from finstage_market.columns import Columns


@pytest.fixture
def client(services: SimpleNamespace) -> Client:
    return Client(**services.targets)


def upload(bars: Columns, key: str = "k", batch_rows: int = 7) -> Upload:
    return Upload(
        bars, symbol="AAPL", interval="1d", source="client:test", idempotency_key=key, batch_rows=batch_rows
    )


@pytest.mark.parametrize("limit", [60, "all"], ids=["a page", "a stream"])
def test_bars_are_a_frame_with_all_that_is_known_of_them(client: Client, bars: Columns, limit: Any) -> None:
    """Every double arrives as it was sent; the index is UTC; version, provenance and coverage are there."""
    with client:
        frame = client.bars("AAPL", limit=limit)
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert (str(frame.index.dtype), frame.index.name) == ("datetime64[ms, UTC]", "open_time")
    np.testing.assert_array_equal(frame["close"].to_numpy(), bars.close)
    np.testing.assert_array_equal(frame.index.asi8, bars.open_time_ms)
    known = info(frame)
    assert known.version == SeriesVersion(epoch=1, revision=7)
    assert known.provenance.is_simulated
    assert known.provenance.cache == "MISS"
    assert known.coverage.gaps[0].reason == "PROVIDER_MISSING"
    assert known.coverage.gaps[0].start == datetime(2024, 1, 11, tzinfo=UTC)
    assert (known.last_is_final, known.interval) == (False, "1d")
    assert frame.attrs["version"] == {"epoch": 1, "revision": 7}
    assert frame.attrs["coverage"]["gaps"][0]["start"] == "2024-01-11T00:00:00Z"
    assert info(frame.tail(3)) == known


def test_indicators_are_a_frame_with_a_column_per_output(client: Client) -> None:
    """Named by the spec, and by the output where there are several; NaN where there is no value."""
    with client:
        frame = client.compute("AAPL", ["ma:matype=ema", "macd"])
    assert list(frame.columns) == ["ma", "macd.macd", "macd.macdsignal"]
    np.testing.assert_array_equal(frame["ma"].to_numpy(), [np.nan, 1 / 3, np.nan, 2 / 3])
    assert frame.attrs["results"][0]["params"] == {"matype": 1.0}
    known = info(frame)
    assert isinstance(known, FrameInfo)
    assert (known.results[0].params, known.results[0].status) == ({"matype": 1.0}, None)


def test_errors_are_the_domains_own(client: Client) -> None:
    with client:
        with pytest.raises(NotFound) as absent:
            client.bars("NOSUCH", limit=5)
        with pytest.raises(NotFound):
            client.bars("NOSUCH", limit="all")
        with pytest.raises(InvalidRequest) as wrong:
            client.compute("AAPL", ["nosuch"])
        with pytest.raises(InvalidRequest, match="start: 'soon' is not a time; write 2024-01-31"):
            client.bars("AAPL", start="soon")
        with pytest.raises(InvalidRequest, match="interval: '3d' is not supported; use 1m, 5m"):
            client.bars("AAPL", "3d")
        found = client.quotes(["AAPL", "NOSUCH"])
    assert (absent.value.resource_name, absent.value.reason) == ("NOSUCH", Reason.SYMBOL_NOT_FOUND)
    assert wrong.value.violations[0].field == "specs[0].name"
    assert found[0].quote is not None
    assert found[0].quote.price == 189.97999572753906
    assert isinstance(found[1].error, NotFound)


async def test_where_the_services_are_is_given_or_in_the_environment_or_here(
    services: SimpleNamespace, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINSTAGE_PRICE_TARGET", services.targets["price"])
    with Client() as client:
        assert len(client.bars("AAPL", limit=5)) == 5
    async with AsyncClient() as waiting:
        assert len(await waiting.bars("AAPL", limit=5)) == 5
    with Client(price=f"127.0.0.1:{closed_port}") as client, pytest.raises(Unavailable):
        client.bars("AAPL", limit=5)
    monkeypatch.setenv("FINSTAGE_PRICE_TARGET", "")
    found = endpoints({"price": None, "indicators": "host:1", "ingest": None}, None)
    assert [found[service].target for service in ("price", "indicators")] == ["127.0.0.1:50051", "host:1"]


def test_a_write_that_broke_off_continues_where_it_was(
    client: Client, services: SimpleNamespace, bars: Columns
) -> None:
    """Nothing is sent twice, nothing is left out, and rows are counted over both runs."""
    services.ingest.breaks_after = 3
    with client:
        with pytest.raises(FinstageError):
            client.write(upload(bars))
        services.ingest.breaks_after = 1000
        steps: list[int] = []
        written = client.write(upload(bars), lambda now: steps.append(now.rows.sent))
        again = client.write(upload(bars))
    batches = services.ingest.batches["k"]
    assert [batch.sequence for batch in batches] == list(range(1, 10))
    assert [close for batch in batches for close in batch.columns.close] == list(bars.close)
    assert (written.resumed, written.rows.sent, written.rows.inserted) == (21, 60, 60)
    assert steps == [21, 28, 35, 42, 49, 56, 60]
    assert (again.resumed, again.rows.sent, again.version) == (60, 60, None)


def test_a_frame_of_bars_can_be_written_back(
    client: Client, services: SimpleNamespace, bars: Columns
) -> None:
    with client:
        frame = client.bars("AAPL")
        write = Upload(frame, symbol="COPY", interval="1d", source="client:test", idempotency_key="f")
        client.write(write)
    (batch,) = services.ingest.batches["f"]
    assert list(batch.columns.open_time_ms) == list(bars.open_time_ms)
    assert list(batch.columns.volume) == list(bars.volume)
    with pytest.raises(ValueError, match="DatetimeIndex with a time zone"):
        Upload(frame.reset_index(), symbol="C", interval="1d", source="client:test", idempotency_key="g")


def test_a_rejected_row_is_told_by_its_place_in_the_write(client: Client, bars: Columns) -> None:
    close = bars.close.copy()
    close[10] = np.nan
    broken = Columns.of(bars.open_time_ms, bars.open, bars.high, bars.low, close, bars.volume)
    with client:
        written = client.write(upload(broken))
    assert [(each.row, each.reason) for each in written.rejected] == [(10, "NOT_FINITE")]
    assert (written.rows.rejected, written.rows.inserted) == (1, 59)


@pytest.mark.parametrize(
    ("source", "simulated"),
    [("sim", True), ("file:a.csv+sim", True), ("yahoo", False), ("file:simple.csv", False)],
)
def test_simulated_data_is_told_by_its_source(source: str, simulated: bool) -> None:
    assert Provenance(source, None, None, "", ()).is_simulated is simulated


def test_a_job_is_watched_to_its_end(client: Client) -> None:
    with client:
        seen = list(client.watch_job(client.backfill(["AAPL"]).id))
    assert [job.chunks_done for job in seen] == [0, 1, 2]
    assert seen[-1].has_ended


async def test_the_asynchronous_client_answers_the_same(services: SimpleNamespace, bars: Columns) -> None:
    with Client(**services.targets) as blocking:
        async with AsyncClient(**services.targets) as client:
            assert (await client.bars("AAPL", limit="all")).equals(blocking.bars("AAPL", limit="all"))
            assert (await client.bars("AAPL", limit=5)).equals(blocking.bars("AAPL", limit=5))
            assert (await client.compute("AAPL", ["ma"])).equals(blocking.compute("AAPL", ["ma"]))
            assert await client.quotes(["AAPL"]) == blocking.quotes(["AAPL"])
            assert [job.state async for job in client.watch_job("j1")][-1] == "SUCCEEDED"
            assert (await client.write(upload(bars, "a"))).rows.inserted == 60
            assert await client.health("price") == "SERVING"
            with pytest.raises(NotFound):
                await client.bars("NOSUCH")
