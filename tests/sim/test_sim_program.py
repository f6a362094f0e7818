"""The server from outside: kept-alive connections, its stop, and `python -m sim`."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from sim.clock import FakeClock, epoch
from sim.server import start

REPO = Path(__file__).resolve().parents[2]


@contextmanager
def _program(**settings: str) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, **{f"FINSTAGE_SIM_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-m", "sim"]
    with subprocess.Popen(
        command, cwd=REPO, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    return next(word for word in line.split() if word.startswith("http://"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_until_a_signal(number: signal.Signals) -> None:
    """A request in progress does not delay it."""
    with _program(LISTEN="127.0.0.1:0") as process:
        url = _url(process)
        assert requests.get(url + "/healthz", timeout=5).json()["seed"] == 7
        requests.get(url + "/admin/faults?kind=latency&seconds=60", timeout=5)
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as waiting:
            waiting.sendall(b"GET /v8/finance/chart/KO HTTP/1.1\r\nHost: sim\r\n\r\n")
            process.send_signal(number)
            assert process.wait(timeout=5) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "nowhere"),
        ("LISTEN", "127.0.0.1:99999"),
        ("SEED", "-1"),
        ("START", "yesterday"),
        ("SPEED", "x"),
    ],
)
def test_a_wrong_setting_gives_one_line_and_exit_code_2(name: str, value: str) -> None:
    with _program(**{name: value}) as process:
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 2
    assert errors.startswith(f"FINSTAGE_SIM_{name}={value!r}: ")
    assert errors.count("\n") == 1


def test_a_port_in_use_gives_one_line_and_exit_code_2() -> None:
    with start() as sim:
        with _program(LISTEN=sim.url.removeprefix("http://")) as process:
            _, errors = process.communicate(timeout=10)
            assert process.returncode == 2
        assert errors.startswith("FINSTAGE_SIM_LISTEN=")
        assert errors.count("\n") == 1


def test_the_fake_clock_starts_as_set_and_can_be_moved() -> None:
    with _program(LISTEN="127.0.0.1:0", START="2020-08-28T19:55:00Z", SPEED="0") as process:
        url = _url(process)

        def price() -> float:
            body = requests.get(url + "/v8/finance/chart/AAPL?interval=1d&range=1d", timeout=5).json()
            return float(body["chart"]["result"][0]["meta"]["regularMarketPrice"])

        before = price()
        clock = requests.get(url + "/admin/clock?advance=300", timeout=5).json()
        assert (clock["utc"], clock["fake"]) == ("2020-08-28T20:00:00+00:00", True)
        assert requests.get(url + "/admin/clock?set=2020-08-31T13:31:00Z", timeout=5).status_code == 200
        assert 3.3 < before / price() < 4.7  # the split of that day


def test_the_wall_clock_cannot_be_moved() -> None:
    with start() as sim:
        assert requests.get(sim.url + "/admin/clock", timeout=5).json()["fake"] is False
        assert requests.get(sim.url + "/admin/clock?advance=60", timeout=5).status_code == 400


def test_a_connection_is_kept_alive() -> None:
    """It survives refusals, unknown paths and a POST with a body."""
    with start() as sim:
        connection = http.client.HTTPConnection(sim.url.removeprefix("http://"), timeout=5)
        connection.connect()
        local = connection.sock.getsockname()
        for method, path, body in [
            ("GET", "/v8/finance/chart/KO", None),
            ("GET", "/v8/finance/chart/NOSUCH", None),
            ("POST", "/admin/stats", "not read"),
            ("GET", "/nothing", None),
            ("GET", "/healthz", None),
        ]:
            connection.request(method, path, body)
            assert connection.getresponse().read()
            assert connection.sock.getsockname() == local
        connection.close()


def test_a_stopped_market_answers_on_no_connection() -> None:
    sim = start(clock=FakeClock(epoch("2025-06-04T15:30:07Z")))
    with requests.Session() as session:
        assert session.get(sim.url + "/healthz", timeout=5).status_code == 200
        sim.stop()
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(sim.url + "/healthz", timeout=5)
    sim.stop()


def test_two_markets_run_side_by_side() -> None:
    with start(seed=1) as one, start(seed=2) as two:
        closes = [
            requests.get(sim.url + "/v8/finance/chart/KO?interval=1mo&range=5y", timeout=5).json()["chart"][
                "result"
            ]
            for sim in (one, two)
        ]
    assert closes[0][0]["timestamp"][:-1] == closes[1][0]["timestamp"][:-1]
    assert closes[0][0]["indicators"] != closes[1][0]["indicators"]
