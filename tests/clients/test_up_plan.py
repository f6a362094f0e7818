"""`finstage up` before anything is started, and when a process ends."""

import dataclasses
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from finstage_client.up.plan import CannotStart, Part, Ports, check_ports, log_folder, parts
from finstage_client.up.processes import Children


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.fixture
def ports(free_ports: list[int]) -> Ports:
    return Ports(*free_ports)


def program(code: str, tmp_path: Path, ready_url: str = "http://127.0.0.1:1/") -> Part:
    """A part that runs `code`."""
    (tmp_path / "part_under_test.py").write_text(code)
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    return Part("part", "part_under_test", {}, environment, "nowhere", ready_url)


def test_a_taken_port_is_one_line_with_who_wants_it_and_what_changes_it(
    ports: Ports, taken_port: int
) -> None:
    wanted = dataclasses.replace(ports, indicators_metrics_port=taken_port)
    with pytest.raises(CannotStart) as caught:
        check_ports(parts(wanted, {}))
    assert str(caught.value) == (
        f"port {taken_port}, which indicators wants, is in use; "
        "free it, or set FINSTAGE_INDICATORS_METRICS_PORT to another port"
    )


def test_two_that_want_one_port_are_told(ports: Ports) -> None:
    with pytest.raises(CannotStart, match=r"which ingest wants, is sim's too; set FINSTAGE_INGEST_PORT"):
        check_ports(parts(dataclasses.replace(ports, ingest_port=ports.sim_port), {}))


def test_free_ports_pass(ports: Ports) -> None:
    check_ports(parts(ports, {}))


def test_the_local_market_runs_only_where_it_is_a_provider(ports: Ports) -> None:
    """Simulated data has a database of its own."""
    simulated = {part.name: part for part in parts(ports, {})}
    assert list(simulated) == ["sim", "ingest", "price", "indicators"]
    assert simulated["ingest"].environment["FINSTAGE_SIM_URL"] == f"http://127.0.0.1:{ports.sim_port}"
    assert simulated["ingest"].environment["FINSTAGE_DATABASE_URL"] == "sqlite:///var/finstage-sim.db"
    real = {part.name: part for part in parts(ports, {"FINSTAGE_PROVIDER": "yahoo"})}
    assert list(real) == ["ingest", "price", "indicators"]
    assert not {"FINSTAGE_SIM_URL", "FINSTAGE_DATABASE_URL"} & set(real["ingest"].environment)
    both = {part.name: part for part in parts(ports, {"FINSTAGE_PROVIDER": "yahoo, sim"})}
    assert list(both) == list(simulated)
    assert both["ingest"].environment["FINSTAGE_DATABASE_URL"] == "sqlite:///var/finstage-sim.db"


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file is in the way")
    with pytest.raises(CannotStart, match=r"^cannot write to .*/var: .*; data and logs are kept there$"):
        log_folder(tmp_path / "var")


def test_a_process_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    part = program("print('FINSTAGE_PROVIDER: nonsense was given'); raise SystemExit(2)", tmp_path)
    with Children(tmp_path, tmp_path) as children:
        children.start([part])
        with pytest.raises(CannotStart) as caught:
            children.wait_until_ready(timeout_s=30)
    assert str(caught.value) == f"part ended with exit code 2; its log: {tmp_path}/part.log"
    assert caught.value.log_lines == ("FINSTAGE_PROVIDER: nonsense was given",)


def test_a_process_that_is_never_ready_is_told_with_its_log(tmp_path: Path) -> None:
    with Children(tmp_path, tmp_path) as children:
        children.start([program("import time; time.sleep(60)", tmp_path)])
        with pytest.raises(CannotStart, match=r"^not ready within 0 s: part \(.*part\.log\)$"):
            children.wait_until_ready(timeout_s=0.2)


def test_a_process_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
    with Children(tmp_path, tmp_path, stop_s=0.5) as children:
        children.start([program(deaf, tmp_path)])
        while "up" not in (tmp_path / "part.log").read_text():
            children.check()
    with pytest.raises(CannotStart, match=r"^part ended by SIGKILL"):
        children.check()
