"""status: the health of the services and the providers."""

import functools
from collections.abc import Callable
from typing import Any, get_args

import typer

from finstage_client import __version__
from finstage_client.cli import output
from finstage_client.cli.market import Json
from finstage_client.cli.output import out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.connection import Service
from finstage_client.values import ProviderStatus
from finstage_market.errors import FinstageError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(context: typer.Context, as_json: Json = False) -> None:
    """Print the health of the services and the providers."""
    targets: Targets = context.obj
    names: tuple[Service, ...] = get_args(Service)
    with targets.client() as client:
        health = {name: _attempt(functools.partial(client.health, name)) for name in names}
        upstream = _attempt(client.upstream_status)
        catalogue = _attempt(client.indicators)
    versions = {"finstage": __version__}
    if not isinstance(catalogue, FinstageError):
        versions["engine"] = catalogue.engine
    providers = [] if isinstance(upstream, FinstageError) else upstream
    services = [{"service": n, "target": getattr(targets, n), "health": health[n]} for n in names]
    if as_json:
        print_json({"services": services, "providers": providers, "versions": versions})
    else:
        cells = [(n, getattr(targets, n), _health(health[n])) for n in names]
        output.print_table("Services", ("service", "target", "health"), cells, text=("health",))
        out().print(" · ".join(f"{name} {version}" for name, version in versions.items()), markup=False)
        if providers:
            _print_providers(providers)
    if any(each != "SERVING" for each in health.values()):
        raise typer.Exit(1)


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except FinstageError as error:
        return error


def _health(found: str | FinstageError) -> str:
    return found.message if isinstance(found, FinstageError) else found


def _print_providers(providers: list[ProviderStatus]) -> None:
    cells = [
        (
            output.SIMULATED_TEXT if each.provider == "sim" else each.provider,
            f"{each.rate_per_s:g} of {each.max_rate_per_s:g}",
            each.breaker.lower(),
            f"{each.in_flight} of {each.max_in_flight}",
            f"{each.retry_budget:g}",
            "" if each.retry_after is None else f"{each.retry_after:.0f} s",
            ", ".join([f"{each.succeeded:,} succeeded", *(f"{f.count:,} {f.reason}" for f in each.failed)]),
        )
        for each in providers
    ]
    names = ("provider", "requests/s", "breaker", "in flight", "retries left", "told to wait", "requests")
    output.print_table("Upstream", names, cells, text=("requests",))
