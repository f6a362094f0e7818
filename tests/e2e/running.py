"""A running system, and the means to start one."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

START_S = 90


@dataclass(frozen=True)
class System:
    """The addresses of a running system."""

    price: str = "127.0.0.1:50051"
    indicators: str = "127.0.0.1:50052"
    ingest: str = "127.0.0.1:50053"

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `finstage` with these arguments."""
        environment = {
            "FINSTAGE_PRICE_TARGET": self.price,
            "FINSTAGE_INDICATORS_TARGET": self.indicators,
            "FINSTAGE_INGEST_TARGET": self.ingest,
            "COLUMNS": "160",
        }
        done = subprocess.run(
            [sys.executable, "-m", "finstage_client", *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def json(self, *arguments: str) -> Any:
        """Return the answer of `finstage --json`."""
        return json.loads(self.command(*arguments, "--json").stdout)


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has written `text`."""
    end = time.monotonic() + START_S
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


class Running(Protocol):
    """The part of subprocess.Popen that ServiceProcess needs."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class ServiceProcess:
    """A service as a process of its own."""

    def __init__(self, name: str, folder: Path, port: int, metrics_port: int, **settings: str) -> None:
        self.target = f"127.0.0.1:{port}"
        self._ready = f"http://127.0.0.1:{metrics_port}/readyz"
        self._command = [sys.executable, "-m", f"services.{name}"]
        self._log = folder / f"{name}.log"
        self._environment = os.environ | {
            "FINSTAGE_LISTEN": self.target,
            "FINSTAGE_METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
            **{f"FINSTAGE_{setting}": value for setting, value in settings.items()},
        }
        self._process: Running | None = None

    @property
    def pid(self) -> int:
        """The process id of the running service."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._process = self._launch()
        end = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(self._ready, timeout=1).close()
                return
            except (urllib.error.URLError, OSError):
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < end, self._log.read_text()
                time.sleep(0.05)

    def _launch(self) -> Running:
        with self._log.open("a") as log:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def stop(self, *, within_s: float) -> int:
        """Stop it by SIGTERM; return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(within_s)

    def kill(self) -> None:
        """Kill it (kill -9)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
