"""The process: errors about wrong settings, start, health and stop."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import grpc
import pytest

from finstage.indicators.v1 import indicator_service_pb2 as pb

COMMAND = [sys.executable, "-m", "services.indicators"]


def environment(**settings: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FINSTAGE_")},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **{f"FINSTAGE_{name}": value for name, value in settings.items()},
    }


@pytest.mark.parametrize(
    ("setting", "value"),
    [("CACHE_URL", "mem://"), ("COMPUTE_THREADS", "0"), ("LISTEN", "here"), ("RESULT_FRESH_S", "-1")],
)
def test_a_wrong_setting_gives_one_line_that_names_it(setting: str, value: str) -> None:
    ended = subprocess.run(
        COMMAND, env=environment(**{setting: value}), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert f"FINSTAGE_{setting}" in ended.stderr
    assert value in ended.stderr


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def test_it_starts_becomes_ready_answers_and_stops() -> None:
    """It does so without price, which the catalogue does not need."""
    port, metrics_port = free_port(), free_port()
    process = subprocess.Popen(
        COMMAND,
        env=environment(
            LISTEN=f"127.0.0.1:{port}", METRICS_LISTEN=f"127.0.0.1:{metrics_port}", DRAIN_WAIT_S="0"
        ),
    )
    try:
        url = f"http://127.0.0.1:{metrics_port}/readyz"
        until = time.monotonic() + 60
        while True:
            try:
                assert urllib.request.urlopen(url, timeout=5).status == 200
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            listed = channel.unary_unary(
                "/finstage.indicators.v1.IndicatorService/ListIndicators",
                request_serializer=pb.ListIndicatorsRequest.SerializeToString,
                response_deserializer=pb.ListIndicatorsResponse.FromString,
            )(pb.ListIndicatorsRequest(query="macd"), timeout=30)
        assert "macd" in [row.name for row in listed.indicators]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
