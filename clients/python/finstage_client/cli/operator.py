"""delete, resume: what an operator mends by hand."""

import sys
from typing import Annotated

import typer

from finstage_client.cli import output
from finstage_client.cli.market import End, Json, Start, Symbol
from finstage_client.cli.output import out, print_json
from finstage_client.cli.targets import Targets
from finstage_client.values import Deletion
from finstage_market.interval import Interval


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (delete, resume):
        app.command()(command)


def delete(
    context: typer.Context,
    symbol: Symbol,
    interval: Annotated[Interval, typer.Option("--interval", "-i", help="The time that one bar covers.")],
    reason: Annotated[str, typer.Option(help="Why. It is stored with the gap.")],
    start: Start = None,
    end: End = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete bars that should never have been stored: a range, or the whole series."""
    targets: Targets = context.obj
    with targets.client() as client:
        found = client.delete_bars(symbol, interval, reason=reason, start=start, end=end, dry_run=True)
        if not dry_run and found.deleted_bars:
            if not yes:
                if as_json or not sys.stdin.isatty():
                    raise typer.BadParameter("nobody can be asked here: give --yes, or --dry-run")
                typer.confirm(f"delete {_told(found)} of {symbol} {interval}?", abort=True, err=True)
            found = client.delete_bars(symbol, interval, reason=reason, start=start, end=end)
    if as_json:
        print_json({"deletion": found, "dry_run": dry_run})
        return
    verb = "would delete" if dry_run else "deleted"
    version = f"epoch {found.version.epoch} revision {found.version.revision}"
    out().print(f"{verb} {_told(found)} of {symbol} {interval}; {version}", markup=False)
    if found.deleted_bars and not dry_run:
        out().print("  a file that had them is sent again only with: finstage ingest --again", markup=False)


def _told(found: Deletion) -> str:
    bars = output.counted(found.deleted_bars, "bar")
    if found.first_open_time is None or found.last_open_time is None:
        return bars
    return f"{bars}, {output.moment(found.first_open_time)} to {output.moment(found.last_open_time)}"


def resume(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(metavar="[PROVIDER]", help="All of them without a name.")] = "",
) -> None:
    """Ask a provider again from now on, although its upstream asked to wait."""
    targets: Targets = context.obj
    with targets.client() as client:
        providers = client.resume_upstream(provider)
    names = ", ".join(each.provider for each in providers if provider in ("", each.provider))
    out().print(f"resumed {names}" if names else "no provider has an upstream", markup=False)
