"""The README's first calls, on the running system."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import talib

from finstage_client import Client, NotFound, info
from tests.e2e.running import System


def test_a_quote_names_its_source(system: System) -> None:
    with Client(price=system.price) as finstage:
        quote = finstage.quote("AAPL")
    assert quote.price > 0
    assert quote.currency == "USD"
    assert quote.provenance.source == "sim"


def test_an_unknown_symbol_gives_one_clear_line(system: System) -> None:
    done = system.command("quote", "NOSUCHTHING", check=False)
    assert done.returncode == 1
    assert "NOSUCHTHING" in done.stderr
    assert "Traceback" not in done.stderr
    with Client(price=system.price) as finstage, pytest.raises(NotFound):
        finstage.quote("NOSUCHTHING")


def test_simulated_data_says_so_in_every_table(system: System) -> None:
    for arguments in (["quote", "MSFT"], ["bars", "MSFT"], ["compute", "MSFT", "--indicator", "rsi"]):
        assert "simulated" in system.command(*arguments).stdout


def test_computed_values_equal_talib_on_the_served_bars(system: System) -> None:
    with Client(price=system.price, indicators=system.indicators) as finstage:
        bars = finstage.bars("AAPL", interval="1d", limit=20_000)
        values = finstage.compute("AAPL", ["sma:timeperiod=20", "rsi", "macd"], interval="1d", limit=20_000)
    assert len(bars) > 5000
    final = bars.index[: len(bars) - (not info(bars).last_is_final)]
    close = bars["close"].loc[final].to_numpy()
    macd, signal, histogram = talib.MACD(close)
    expected = {
        "sma(timeperiod=20)": talib.SMA(close, 20),
        "rsi": talib.RSI(close),
        "macd.macd": macd,
        "macd.macdsignal": signal,
        "macd.macdhist": histogram,
    }
    assert len(values.columns) == len(expected)
    for got, want in zip(values.columns, expected.values(), strict=True):
        shown = values[got].loc[final].to_numpy()
        # TA-Lib holds the macd line back until its signal is there; it begins at bar 25.
        first = 25 if got == "macd.macd" else int(np.argmax(np.isfinite(want)))
        assert np.isnan(shown[:first]).all(), got
        assert np.isfinite(shown[first:]).all(), got
        there = np.isfinite(want)
        np.testing.assert_array_equal(shown[there], want[there], err_msg=got)


@pytest.mark.parametrize(
    ("file", "symbol", "rows", "last_close"),
    [
        ("spx_daily_1990_2022.csv", "SPX-CSV", 8111, 4259.52),
        ("btc_daily_2017_2021.csv", "BTC-CSV", 1246, None),
    ],
)
def test_a_real_history_from_a_file_is_served_and_used_for_indicators(
    system: System, fixtures: Path, file: str, symbol: str, rows: int, last_close: float | None
) -> None:
    path = str(fixtures / "ohlcv" / file)
    for _ in range(2):
        # The second call is the same write: it reports the first one's result and writes nothing.
        [report] = system.json("ingest", path, "--symbol", symbol, "--interval", "1d")["files"]
        assert report["rows"]["sent"] == rows, report
    with Client(price=system.price, indicators=system.indicators) as finstage:
        bars = finstage.bars(symbol, interval="1d", limit=rows)
        values = finstage.compute(symbol, ["rsi"], interval="1d", limit=rows)
    assert len(bars) == rows - report["rows"]["rejected"]
    assert info(bars).provenance.source == f"file:{file}"
    if last_close is not None:
        assert bars["close"].iloc[-1] == last_close
    np.testing.assert_array_equal(values.iloc[:, 0].to_numpy(), talib.RSI(bars["close"].to_numpy()))


def test_a_backfill_stores_series(system: System) -> None:
    job = system.json("backfill", "KO", "GC=F", "-i", "1d", "-i", "1h")["job"]
    assert job["state"] == "SUCCEEDED"
    assert job["chunks_done"] == job["chunks_total"] == 4
    assert [row["id"] for row in system.json("jobs")["jobs"]].count(job["id"]) == 1


def test_status_covers_all_three_services(system: System) -> None:
    shown = system.command("status").stdout
    for service in ("price", "indicators", "ingest"):
        assert service in shown


def test_grpcurl_lists_describes_and_calls(system: System) -> None:
    grpcurl = shutil.which("grpcurl") or shutil.which("grpcurl", path=str(Path.home() / "go/bin"))
    if grpcurl is None:
        pytest.skip(
            "grpcurl is not on this machine: go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest"
        )

    def run(*arguments: str) -> str:
        return subprocess.run(
            [grpcurl, "-plaintext", *arguments], capture_output=True, text=True, check=True
        ).stdout

    assert "finstage.price.v1.PriceService" in run(system.price, "list")
    assert "GetBars" in run(system.price, "describe", "finstage.price.v1.PriceService")
    request: dict[str, object] = {"symbol": "AAPL", "interval": "1d", "limit": 3}
    method = "finstage.price.v1.PriceService/GetBars"
    bars = json.loads(run("-d", json.dumps(request), system.price, method))
    assert len(bars["series"]["columns"]["close"]) == 3
    request["specs"] = [{"name": "sma", "params": {"timeperiod": 20}}, {"name": "rsi"}, {"name": "macd"}]
    method = "finstage.indicators.v1.IndicatorService/ComputeIndicators"
    values = json.loads(run("-d", json.dumps(request), system.indicators, method))
    assert [result["name"] for result in values["frame"]["results"]] == ["sma", "rsi", "macd"]
