"""status: how the services and the providers are."""

import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any, get_args

import typer
from rich.markup import escape

from finstage_client.calls import Service
from finstage_client.cli import output
from finstage_client.cli.market import Json
from finstage_client.cli.output import out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.values import ProviderStatus
from finstage_market.errors import FinstageError


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(status)


def status(context: typer.Context, as_json: Json = False) -> None:
    """How the services and the providers are."""
    targets: Targets = context.obj
    names: tuple[Service, ...] = get_args(Service)
    with targets.client() as client:
        health = {name: _attempt(functools.partial(client.health, name)) for name in names}
        upstream = _attempt(client.upstream_status)
        catalogue = _attempt(client.indicators)
    versions = {"finstage": importlib.metadata.version("finstage")}
    if not isinstance(catalogue, FinstageError):
        versions["engine"] = catalogue.engine
    providers = [] if isinstance(upstream, FinstageError) else upstream
    services = [{"service": n, "target": getattr(targets, n), "health": health[n]} for n in names]
    if as_json:
        print_json({"services": services, "providers": providers, "versions": versions})
    else:
        cells = [(n, getattr(targets, n), _health(health[n])) for n in names]
        out().print(output.table("Services", ("service", "target", "health"), cells))
        out().print(" · ".join(f"{name} {version}" for name, version in versions.items()))
        if providers:
            out().print(_providers(providers))
    if any(each != "SERVING" for each in health.values()):
        raise typer.Exit(1)


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except FinstageError as error:
        return error


def _health(found: str | FinstageError) -> str:
    if isinstance(found, FinstageError):
        return f"[red]{escape(found.message)}[/]"
    return f"[green]{found}[/]" if found == "SERVING" else f"[red]{found}[/]"


def _providers(providers: list[ProviderStatus]) -> Any:
    cells = [
        (
            output.SIMULATED if each.provider == "sim" else escape(each.provider),
            f"{each.rate_per_s:g} of {each.max_rate_per_s:g}",
            each.breaker.lower(),
            f"{each.in_flight} of {each.max_in_flight}",
            f"{each.retry_budget:g}",
            "" if each.retry_after is None else f"{each.retry_after:.0f} s",
            ", ".join(f"{name} {count}" for name, count in sorted(each.outcomes.items())),
        )
        for each in providers
    ]
    names = ("provider", "requests/s", "breaker", "in flight", "retries left", "told to wait", "outcomes")
    return output.table("Upstream", names, cells)
