"""What is to run: each process with its ports, its environment and where it says that it is ready."""

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


class CannotStart(Exception):
    """The system cannot start, or cannot go on.

    The message is the line that says why; log_lines: what the process at fault said last.
    """

    def __init__(self, line: str, log_lines: Sequence[str] = ()) -> None:
        super().__init__(line)
        self.log_lines = tuple(log_lines)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of everything. Each is set by FINSTAGE_ and its name in capitals: FINSTAGE_PRICE_PORT."""

    price_port: int = 50051
    indicators_port: int = 50052
    ingest_port: int = 50053
    price_metrics_port: int = 9051
    indicators_metrics_port: int = 9052
    ingest_metrics_port: int = 9053
    sim_port: int = 8080


USUAL = Ports()


@dataclass(frozen=True, slots=True)
class Part:
    """One process.

    ports: those that it listens on, by the variable that sets each.
    environment: what its environment has on top of ours.
    address: where it is called, for people.
    ready_url: answers 200 once it serves.
    """

    name: str
    module: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    address: str
    ready_url: str


def parts(ports: Ports, environment: Mapping[str, str]) -> list[Part]:
    """The processes, in the order in which data flows; the local market only where it is a provider."""
    provider = environment.get("FINSTAGE_PROVIDER") or "sim"
    ingest = {"FINSTAGE_PROVIDER": provider}
    planned = []
    if "sim" in (name.strip() for name in provider.split(",")):
        url = f"http://{HOST}:{ports.sim_port}"
        ingest["FINSTAGE_SIM_URL"] = url
        # A file of its own: what was simulated does not get among what is real.
        ingest["FINSTAGE_DATABASE_URL"] = (
            environment.get("FINSTAGE_DATABASE_URL") or "sqlite:///var/finstage-sim.db"
        )
        listen = {"FINSTAGE_SIM_LISTEN": f"{HOST}:{ports.sim_port}"}
        planned.append(
            Part("sim", "sim", {"FINSTAGE_SIM_PORT": ports.sim_port}, listen, url, f"{url}/healthz")
        )
    price = {"FINSTAGE_INGEST_TARGET": f"{HOST}:{ports.ingest_port}"}
    indicators = {"FINSTAGE_PRICE_TARGET": f"{HOST}:{ports.price_port}"}
    return [
        *planned,
        _service("ingest", ports.ingest_port, ports.ingest_metrics_port, ingest),
        _service("price", ports.price_port, ports.price_metrics_port, price),
        _service("indicators", ports.indicators_port, ports.indicators_metrics_port, indicators),
    ]


def _service(name: str, port: int, metrics_port: int, environment: Mapping[str, str]) -> Part:
    own = {
        "FINSTAGE_LISTEN": f"{HOST}:{port}",
        "FINSTAGE_METRICS_LISTEN": f"{HOST}:{metrics_port}",
        # Nobody balances load here, and who pressed Ctrl-C waits.
        "FINSTAGE_DRAIN_WAIT_S": "0",
        "FINSTAGE_DRAIN_GRACE_S": "2",
    }
    variable = f"FINSTAGE_{name.upper()}"
    return Part(
        name,
        f"services.{name}",
        {f"{variable}_PORT": port, f"{variable}_METRICS_PORT": metrics_port},
        {**own, **environment},
        f"{HOST}:{port}",
        f"http://{HOST}:{metrics_port}/readyz",
    )


def check_ports(planned: list[Part]) -> None:
    """Makes sure that every port can be had.

    Raises:
        CannotStart: one cannot; the line names it, who wants it, and the variable that changes it.
    """
    taken: dict[int, str] = {}
    for part in planned:
        for variable, port in part.ports.items():
            wanted = f"port {port}, which {part.name} wants,"
            change = f"free it, or set {variable} to another port"
            if port in taken:
                raise CannotStart(f"{wanted} is {taken[port]}'s too; set {variable} to another port")
            taken[port] = part.name
            with socket.socket() as probe:
                # A port whose last connections are still closing can be had.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    why = (
                        "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
                    )
                    raise CannotStart(f"{wanted} {why}; {change}") from None


def log_folder(folder: Path) -> Path:
    """`folder`/log, made if need be.

    Raises:
        CannotStart: it cannot be written to.
    """
    logs = folder / "log"
    probe = logs / ".writable"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"cannot write to {folder.resolve()}: {error.strerror}; data and logs are kept there"
        ) from None
    return logs
