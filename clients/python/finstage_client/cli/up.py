"""up: the whole system on this machine, from a checkout."""

from typing import Annotated

import typer

from finstage_client.cli.output import out
from finstage_client.up.plan import DEFAULT_PORTS, Ports
from finstage_client.up.run import run


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def _port(name: str) -> object:
    variable = f"FINSTAGE_{name.upper()}"
    return typer.Option(f"--{name.replace('_', '-')}", envvar=variable, min=1, max=65535)


def up(
    price_port: Annotated[int, _port("price_port")] = DEFAULT_PORTS.price_port,
    indicators_port: Annotated[int, _port("indicators_port")] = DEFAULT_PORTS.indicators_port,
    ingest_port: Annotated[int, _port("ingest_port")] = DEFAULT_PORTS.ingest_port,
    price_metrics_port: Annotated[int, _port("price_metrics_port")] = DEFAULT_PORTS.price_metrics_port,
    indicators_metrics_port: Annotated[
        int, _port("indicators_metrics_port")
    ] = DEFAULT_PORTS.indicators_metrics_port,
    ingest_metrics_port: Annotated[int, _port("ingest_metrics_port")] = DEFAULT_PORTS.ingest_metrics_port,
    sim_port: Annotated[int, _port("sim_port")] = DEFAULT_PORTS.sim_port,
) -> None:
    """Run the three services and a simulated market on this machine, until Ctrl-C.

    Runs from a checkout of Finstage. Data and logs are kept in ./var. With FINSTAGE_PROVIDER=yahoo the real
    upstream is used instead.
    """
    ports = Ports(
        price_port=price_port,
        indicators_port=indicators_port,
        ingest_port=ingest_port,
        price_metrics_port=price_metrics_port,
        indicators_metrics_port=indicators_metrics_port,
        ingest_metrics_port=ingest_metrics_port,
        sim_port=sim_port,
    )
    run(ports, out())
