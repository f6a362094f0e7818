"""`finstage up` for a new user: a screen, lines to paste, Ctrl-C; one line when it cannot go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.running import free_ports, wait_for

NAMES = ("PRICE", "INDICATORS", "INGEST", "PRICE_METRICS", "INDICATORS_METRICS", "INGEST_METRICS", "SIM")
PATH = f"{os.environ['PATH']}{os.pathsep}{Path.home() / 'go/bin'}"
# Long enough for a machine that is busy with other tests.
PATIENCE_S = 60


@dataclass(frozen=True)
class Up:
    """A running `finstage up`, its screen and its errors."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    ports: dict[str, str]

    @property
    def screen(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def lines(self, start: str) -> list[str]:
        """Return the lines to paste that begin with a command of that name."""
        lines = [line.strip() for line in self.screen.splitlines()]
        return [line for line in lines if Path(line.partition(" ")[0]).name == start]

    def paste(self, line: str) -> str:
        """Return the output of a line in a shell in the same folder, with Go's programs on its PATH."""
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.folder,
            env=os.environ | {"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        logs = [log.read_text() for log in sorted(self.folder.glob("var/log/*.log"))]
        assert done.returncode == 0, "\n".join((line, done.stderr, *logs))
        return done.stdout

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start(folder: Path, **given: str) -> Up:
    ports = {
        f"FINSTAGE_{name}_PORT": str(port) for name, port in zip(NAMES, free_ports(7), strict=True)
    } | given
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "finstage_client", "up"],
            cwd=folder,
            env=os.environ | ports,
            stdout=stdout,
            stderr=stderr,
        )
    return Up(process, folder, ports)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = start(tmp_path)
    try:
        wait_for("Ctrl-C stops all", tmp_path / "stdout", running.process)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(PATIENCE_S)


def test_from_the_first_screen_to_ctrl_c(up: Up, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each line shown can be pasted; a second start names the taken port; Ctrl-C ends everything."""
    for part in (
        "price",
        "indicators",
        "ingest",
        "simulated data (sim)",
        "Loaded: AAPL, MSFT",
        "var/log/*.log",
    ):
        assert part in up.screen
    for variable, port in up.ports.items():
        assert f"127.0.0.1:{port}" in up.screen, variable

    assert len(up.lines("finstage")) == len(up.lines("grpcurl")) == 3
    for line in up.lines("finstage"):
        shown = up.paste(line)
        assert "AAPL" in shown
        assert "simulated data (sim)" in shown
    if shutil.which("grpcurl", path=PATH):
        for line in up.lines("grpcurl"):
            assert json.loads(up.paste(line))

    taken = up.ports["FINSTAGE_PRICE_PORT"]
    second = start(tmp_path_factory.mktemp("second"), FINSTAGE_PRICE_PORT=taken)
    assert second.process.wait(PATIENCE_S) == 1
    change = "free it, or set FINSTAGE_PRICE_PORT to another port"
    assert second.errors == f"error: port {taken}, which price wants, is in use; {change}\n"

    children = up.children()
    assert len(children) == 4
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(PATIENCE_S) == 0
    assert up.errors == ""
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_process_that_dies_stops_all_with_one_line(up: Up) -> None:
    children = up.children()
    os.kill(children[0], signal.SIGKILL)
    assert up.process.wait(PATIENCE_S) == 1
    assert up.errors.startswith("error: sim ended by SIGKILL; its log: var/log/sim.log\n")
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_wrong_setting_gives_one_line_that_names_it(tmp_path: Path) -> None:
    running = start(tmp_path, FINSTAGE_PROVIDER="nonsense")
    assert running.process.wait(PATIENCE_S) == 1
    first, told, *_ = running.errors.splitlines()
    assert first == "error: ingest ended with exit code 2; its log: var/log/ingest.log"
    assert "FINSTAGE_PROVIDER: 'nonsense' was given" in told
