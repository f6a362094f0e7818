"""The plan: each process with its ports, its environment and the address that tells when it is ready."""

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
_PACKAGE = Path(__file__).parents[1]


class CannotStart(Exception):
    """The system cannot start, or cannot go on; the message is the line that says why.

    log_lines: the last lines of the log of the process at fault.
    """

    def __init__(self, line: str, log_lines: Sequence[str] = ()) -> None:
        super().__init__(line)
        self.log_lines = tuple(log_lines)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of all processes. FINSTAGE_PRICE_PORT in the environment sets price_port, and so on."""

    price_port: int = 50051
    indicators_port: int = 50052
    ingest_port: int = 50053
    price_metrics_port: int = 9051
    indicators_metrics_port: int = 9052
    ingest_metrics_port: int = 9053
    sim_port: int = 8080


DEFAULT_PORTS = Ports()


@dataclass(frozen=True, slots=True)
class Part:
    """One process.

    ports: those that it listens on, by the variable that sets each.
    environment: its variables besides those of this process.
    address: where clients call it, for people.
    ready_url: answers 200 once it serves.
    """

    name: str
    module: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    address: str
    ready_url: str


def parts(ports: Ports, environment: Mapping[str, str]) -> list[Part]:
    """Return the processes in the order of the data flow, with the simulated market if it is a provider."""
    provider = environment.get("FINSTAGE_PROVIDER") or "sim"
    ingest = {"FINSTAGE_PROVIDER": provider}
    planned = []
    if "sim" in (name.strip() for name in provider.split(",")):
        url = f"http://{HOST}:{ports.sim_port}"
        ingest["FINSTAGE_SIM_URL"] = url
        # A database of its own keeps simulated data apart from real data.
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
        # No load balancer has to notice, and someone who pressed Ctrl-C waits.
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


def checkout() -> Path:
    """Return the folder of the checkout: the one that this package is in, or the current one.

    Raises:
        CannotStart: neither has the services.
    """
    for folder in (*_PACKAGE.parents[2:3], Path.cwd()):
        if (folder / "services" / "price" / "__main__.py").exists():
            return folder
    raise CannotStart(
        "`finstage up` runs the services from a checkout of Finstage, and there is none here; "
        "run it in one, or start containers with docker compose"
    )


def check_ports(planned: list[Part]) -> None:
    """Check that every port is free.

    Raises:
        CannotStart: one is not; the line names it, the process that wants it, and the variable that sets it.
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
                # Connections that are still closing do not make a port taken.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    why = (
                        "is in use"
                        if error.errno == errno.EADDRINUSE
                        else f"cannot be used: {error.strerror}"
                    )
                    raise CannotStart(f"{wanted} {why}; {change}") from None


def log_folder(folder: Path) -> Path:
    """Return `folder`/log, which is created if it is not there.

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
