"""Real processes: price while ingest is killed or waits for its upstream, and when it is back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finstage_client import (
    Client,
    DeadlineTooShort,
    NotFound,
    Reason,
    Unavailable,
    Upload,
    WriteProgress,
    info,
)
from sim.faults import Fault
from sim.server import Sim, start
from tests.e2e.running import START_S, ServiceProcess, free_ports
from tests.ingest.replay import replaying


@pytest.fixture
def upstream() -> Iterator[Sim]:
    with start() as sim:
        yield sim


def services(folder: Path, provider: str, url: str) -> tuple[ServiceProcess, ServiceProcess]:
    """ingest and price, not started."""
    ports = free_ports(4)
    ingest = ServiceProcess(
        "ingest",
        folder,
        *ports[:2],
        PROVIDER=provider,
        **{"SIM_URL" if provider == "sim" else "UPSTREAM_URL": url},
        DATABASE_URL=f"sqlite:///{folder}/finstage.db",
    )
    return ingest, ServiceProcess("price", folder, *ports[2:], INGEST_TARGET=ingest.target)


def test_price_serves_cached_series_as_stale_and_tells_when_to_retry_the_others(
    upstream: Sim, tmp_path: Path
) -> None:
    ingest, price = services(tmp_path, "sim", upstream.url)
    try:
        ingest.start()
        price.start()
        with Client(price=price.target) as finstage:
            fresh = finstage.bars("AAPL", limit=100)
            assert info(fresh).provenance.cache == "MISS"
            before = finstage.quote("AAPL")

            ingest.kill()
            stale = finstage.bars("AAPL", limit=100, max_age_s=0)
            assert info(stale).provenance.cache == "STALE"
            assert stale.equals(fresh)
            quote = finstage.quote("AAPL", max_age_s=0)
            assert (quote.provenance.cache, quote.price) == ("STALE", before.price)
            with pytest.raises(Unavailable) as refused:
                finstage.quote("AAPL", max_age_s=0, allow_stale=False)
            assert refused.value.retry_after_s is not None
            with pytest.raises(Unavailable) as absent:
                finstage.quote("MSFT")
            assert absent.value.reason is Reason.SERVICE_UNAVAILABLE
            assert absent.value.retry_after_s is not None

            ingest.start()
            again = stale
            end = time.monotonic() + START_S
            while info(again).provenance.cache != "MISS":
                assert time.monotonic() < end, "price does not find ingest again"
                again = finstage.bars("AAPL", limit=100, max_age_s=0)
                time.sleep(0.1)
            assert info(again).version.epoch == info(fresh).version.epoch
    finally:
        ingest.kill()
        price.kill()


@pytest.mark.parametrize("timeout_s", [0.4, 1.5])
def test_the_service_answers_before_the_deadline_when_the_upstream_hangs(
    upstream: Sim, tmp_path: Path, timeout_s: float
) -> None:
    ingest, price = services(tmp_path, "sim", upstream.url)
    upstream.faults.add(Fault("latency", seconds=10.0))
    try:
        ingest.start()
        price.start()
        with Client(price=price.target, timeout_s=timeout_s) as finstage:
            finstage.health("price")  # connects
            for symbol in ("AAPL", "MSFT"):
                with pytest.raises(DeadlineTooShort, match="goes on"):
                    finstage.bars(symbol, limit=5)
    finally:
        ingest.kill()
        price.kill()


def test_a_write_continues_by_itself_when_ingest_is_back(upstream: Sim, tmp_path: Path) -> None:
    ingest, _ = services(tmp_path, "sim", upstream.url)
    bars = pd.DataFrame(
        dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0),
        index=pd.date_range("1990-01-01", periods=10_000, tz="UTC", name="open_time"),
    )
    upload = Upload(
        bars, symbol="MINE", interval="1d", source="client:test", idempotency_key="k", batch_rows=100
    )
    killed = False

    def kill_once(progress: WriteProgress) -> None:
        nonlocal killed
        if progress.rows.sent > 2_000 and not killed:
            killed = True
            ingest.kill()
            ingest.start()

    try:
        ingest.start()
        with Client(ingest=ingest.target) as finstage:
            written = finstage.write(upload, kill_once)
    finally:
        ingest.kill()
    assert killed
    assert (written.rows.sent, written.rows.inserted, written.resumed) == (10_000, 10_000, 0)


def test_price_drops_cached_series_of_a_database_that_was_replaced(upstream: Sim, tmp_path: Path) -> None:
    ingest, price = services(tmp_path, "sim", upstream.url)
    days = pd.date_range("2024-01-01", periods=2, tz="UTC", name="open_time")
    try:
        ingest.start()
        price.start()
        for close in (10.0, 20.0):
            bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=days)
            upload = Upload(
                bars.assign(volume=1.0),
                symbol="MINE",
                interval="1d",
                source="client:test",
                idempotency_key="k",
            )
            with Client(price=price.target, ingest=ingest.target) as finstage:
                finstage.write(upload)
                end = time.monotonic() + 20
                while finstage.bars("MINE", limit=2)["close"].tolist() != [close] * 2:
                    assert time.monotonic() < end, "price goes on with the bars of the old database"
                    time.sleep(0.1)
            ingest.kill()
            for file in tmp_path.glob("finstage.db*"):
                file.unlink()
            ingest.start()
    finally:
        ingest.kill()
        price.kill()


def test_real_recorded_replies_are_served_as_quotes_and_bars(fixtures: Path, tmp_path: Path) -> None:
    with replaying(fixtures / "yahoo") as replay:
        ingest, price = services(tmp_path, "yahoo", replay.url)
        try:
            ingest.start()
            price.start()
            with Client(price=price.target) as finstage:
                pence = finstage.quote("OCDO.L")
                assert (pence.currency, pence.price) == ("GBp", 1897.5)
                assert pence.provenance.source == "yahoo"
                body = json.loads((fixtures / "yahoo" / "tsla_1d_2010_2023.json").read_bytes())
                result = body["chart"]["result"][0]
                bars = finstage.bars("TSLA", limit=5000)
                assert [int(t.timestamp()) for t in bars.index] == result["timestamp"]
                sent = np.array(result["indicators"]["quote"][0]["close"])
                # Yahoo's prices went through a float32; the decimals that they were are served.
                assert (sent[0], bars["close"].iloc[0]) == (1.5926669836044312, 1.592667)
                np.testing.assert_array_equal(bars["close"].astype(np.float32), sent.astype(np.float32))
                month = finstage.bars("AAPL", interval="1mo")
                assert not info(month).last_is_final
                assert len(month) == 60, "the live quote is no 61st month"
                with pytest.raises(NotFound) as unknown:
                    finstage.quote("SI")
                assert unknown.value.reason is Reason.SYMBOL_NOT_FOUND
                with pytest.raises(NotFound) as empty:
                    finstage.bars("APS.AX")
                assert empty.value.reason is Reason.NO_DATA
        finally:
            ingest.kill()
            price.kill()
