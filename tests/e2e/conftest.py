"""The whole running system.

It is started by `finstage up` on free ports; with FINSTAGE_TEST_RUNNING, it runs already on the default
ports.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.running import System, free_ports, wait_for


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    if os.environ.get("FINSTAGE_TEST_RUNNING"):
        yield System()
        return
    names = ("price", "indicators", "ingest", "price_metrics", "indicators_metrics", "ingest_metrics", "sim")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    folder = tmp_path_factory.mktemp("system")
    log = folder / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "finstage_client", "up"],
            cwd=folder,
            env=os.environ | {f"FINSTAGE_{name.upper()}_PORT": str(port) for name, port in ports.items()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for("Ctrl-C", log, process)
        yield System(*(f"127.0.0.1:{ports[name]}" for name in ("price", "indicators", "ingest")))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0, log.read_text()
