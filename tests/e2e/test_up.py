"""`finstage up` as a newcomer meets it: one command, one screen, lines to paste, Ctrl-C."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib

FINSTAGE = Path(sys.executable).parent / "finstage"
PORTS = [f"{name}{kind}_PORT" for name in ("PRICE", "INDICATORS", "INGEST") for kind in ("", "_METRICS")]
STARTED = "Ctrl-C stops all"
# For a machine that is busy with other tests; nothing here takes nearly as long.
PATIENCE_S = 120


@dataclass
class Running:
    """A running `finstage up`."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    environment: dict[str, str]

    @property
    def screen(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def paste(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Runs a line in a shell in the same folder, in the environment of any other terminal."""
        return subprocess.run(
            line, shell=True, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def finstage(self, *arguments: str) -> Any:
        """The JSON that the command prints."""
        done = subprocess.run(
            [FINSTAGE, *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start(folder: Path, ports: dict[str, str]) -> Running:
    targets = {
        f"FINSTAGE_{n}_TARGET": f"127.0.0.1:{ports[f'FINSTAGE_{n}_PORT']}"
        for n in ("PRICE", "INDICATORS", "INGEST")
    }
    environment = {**os.environ, **ports, **targets}
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [FINSTAGE, "up"],
            cwd=folder,
            env=environment,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    return Running(process, folder, environment)


def free_ports() -> dict[str, str]:
    probes = {f"FINSTAGE_{name}": socket.socket() for name in (*PORTS, "SIM_PORT")}
    for probe in probes.values():
        probe.bind(("127.0.0.1", 0))
    ports = {name: str(probe.getsockname()[1]) for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def started(running: Running) -> Running:
    deadline = time.monotonic() + PATIENCE_S
    while STARTED not in running.screen:
        assert running.process.poll() is None, running.errors
        assert time.monotonic() < deadline, running.screen
        time.sleep(0.1)
    return running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("up"), free_ports())
    try:
        yield started(running)
    finally:
        running.process.terminate()
        running.process.wait(PATIENCE_S)


def equal_to_talib(system: Running, symbol: str, limit: int) -> None:
    """`compute` shows TA-Lib's own numbers, to the last bit, on the bars that `bars` shows."""
    bars = system.finstage("bars", symbol, "--start", "1900-01-01")["bars"]
    close = np.array([bar["close"] for bar in bars])
    specs = ("--indicator", "sma:timeperiod=20", "--indicator", "rsi", "--indicator", "macd")
    rows = system.finstage("compute", symbol, *specs, "--limit", str(limit))["rows"]
    assert [row["open_time"] for row in rows] == [bar["open_time"] for bar in bars[-limit:]]
    macd, signal_line, histogram = talib.MACD(close)
    expected = {
        "sma": talib.SMA(close, 20),
        "rsi": talib.RSI(close),
        "macd.macd": macd,
        "macd.macdsignal": signal_line,
        "macd.macdhist": histogram,
    }
    for name, values in expected.items():
        np.testing.assert_array_equal([row[name] for row in rows], values[-limit:], err_msg=name)


def test_the_screen_says_what_runs_and_that_it_is_simulated(system: Running) -> None:
    for part in (
        "price",
        "indicators",
        "ingest",
        "simulated data (sim)",
        "Loaded: AAPL, MSFT",
        "var/log/*.log",
    ):
        assert part in system.screen


def test_its_finstage_lines_work_when_pasted(system: Running) -> None:
    lines = [
        line.strip()
        for line in system.screen.splitlines()
        if "/finstage " in line or line.startswith("  finstage ")
    ]
    assert len(lines) == 3
    for line in lines:
        done = system.paste(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "AAPL" in done.stdout
        assert "simulated data (sim)" in done.stdout


def test_its_grpcurl_lines_work_when_pasted(system: Running) -> None:
    if shutil.which("grpcurl") is None:
        pytest.skip("grpcurl is not installed")
    lines = [line.strip() for line in system.screen.splitlines() if line.strip().startswith("grpcurl")]
    assert len(lines) == 3
    for line in lines:
        done = system.paste(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert json.loads(done.stdout)


def test_indicators_are_those_of_talib_on_the_bars_shown(system: Running) -> None:
    equal_to_talib(system, "AAPL", 250)


def test_a_real_history_from_a_file_is_answered_from(system: Running, fixtures: Path) -> None:
    """Also for a symbol that no provider knows; what is written is told row by row."""
    path = fixtures / "ohlcv/spx_daily_1990_2022.csv"
    (report,) = system.finstage("ingest", str(path), "--symbol", "SPX-CSV")["files"]
    assert report["rows"] == {"sent": 8111, "inserted": 8111, "updated": 0, "unchanged": 0, "rejected": 0}
    document = system.finstage("bars", "SPX-CSV", "--limit", "2")
    assert document["provenance"]["source"] == "file:spx_daily_1990_2022.csv"
    assert [bar["close"] for bar in document["bars"]] == [4277.88, 4259.52]
    equal_to_talib(system, "SPX-CSV", 8111)


def test_fractional_volumes_arrive_exactly(system: Running, fixtures: Path) -> None:
    path = fixtures / "ohlcv/btc_daily_2017_2021.csv"
    (report,) = system.finstage("ingest", str(path), "--symbol", "BTC-CSV")["files"]
    assert report["rows"]["inserted"] == 1246
    bars = system.finstage("bars", "BTC-CSV", "--start", "2017-01-01", "--end", "2017-08-17")["bars"]
    assert [bar["volume"] for bar in bars] == [795.150377]


def test_a_backfill_and_the_status_of_all(system: Running) -> None:
    job = system.finstage("backfill", "NVDA", "-i", "1d")["job"]
    assert job["state"] == "SUCCEEDED"
    assert job["rows"]["inserted"] > 1000
    assert job["id"] in {each["id"] for each in system.finstage("jobs")["jobs"]}
    status = system.finstage("status")
    assert [each["health"] for each in status["services"]] == ["SERVING"] * 3
    assert [each["provider"] for each in status["providers"]] == ["sim"]


def test_an_unknown_symbol_is_one_line(system: Running) -> None:
    done = subprocess.run(
        [FINSTAGE, "bars", "NOSUCH1"],
        env=system.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no provider knows the symbol NOSUCH1\n"


def test_a_second_one_is_told_whose_port_is_taken(system: Running, tmp_path: Path) -> None:
    ports = {name: value for name, value in system.environment.items() if name.endswith("_PORT")}
    second = start(tmp_path, {**free_ports(), "FINSTAGE_PRICE_PORT": ports["FINSTAGE_PRICE_PORT"]})
    assert second.process.wait(PATIENCE_S) == 1
    assert second.errors == (
        f"error: port {ports['FINSTAGE_PRICE_PORT']}, which price wants, is in use; "
        "free it, or set FINSTAGE_PRICE_PORT to another port\n"
    )


def test_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    """Exit code 0, no process left, nothing on stderr."""
    running = started(start(tmp_path, free_ports()))
    children = running.children()
    assert len(children) == 4
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE_S) == 0
    assert running.errors == ""
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_process_that_dies_takes_all_down_with_one_line(system: Running) -> None:
    """The last test of this file: the system is gone after it."""
    children = system.children()
    os.kill(children[0], signal.SIGKILL)
    assert system.process.wait(PATIENCE_S) == 1
    assert system.errors.startswith("error: sim ended by SIGKILL; its log: var/log/sim.log\n")
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
