"""A running system, and what a test needs to start one."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 90


@dataclass(frozen=True)
class System:
    """A running system: how to reach it."""

    price: str = "127.0.0.1:50051"
    indicators: str = "127.0.0.1:50052"
    ingest: str = "127.0.0.1:50053"

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`finstage` with these arguments."""
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
        """What `finstage --json` answers."""
        return json.loads(self.command(*arguments, "--json").stdout)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until a process has written `text`."""
    end = time.monotonic() + START_S
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
