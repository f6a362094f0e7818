"""The command line: options of all commands, and how each error is told."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from finstage_client import calls
from finstage_client.cli import files, jobs, launch, market, status
from finstage_client.cli.output import error_line
from finstage_client.cli.targets import Targets
from finstage_client.up.plan import CannotStart
from libs.market.errors import FinstageError, Reason

app = typer.Typer(
    name="finstage",
    help="Market data from the Finstage services: quotes, bars, indicators.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for part in (market, jobs, files, status, launch):
    part.add_to(app)


@app.callback()
def options(
    context: typer.Context,
    price: Annotated[
        str, typer.Option("--price-target", envvar="FINSTAGE_PRICE_TARGET", help="HOST:PORT of price.")
    ] = calls.PRICE_TARGET,
    indicators: Annotated[
        str,
        typer.Option(
            "--indicators-target", envvar="FINSTAGE_INDICATORS_TARGET", help="HOST:PORT of indicators."
        ),
    ] = calls.INDICATORS_TARGET,
    ingest: Annotated[
        str, typer.Option("--ingest-target", envvar="FINSTAGE_INGEST_TARGET", help="HOST:PORT of ingest.")
    ] = calls.INGEST_TARGET,
) -> None:
    context.obj = Targets(price=price, indicators=indicators, ingest=ingest)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits: 0 when all went well, 1 on an error, 2 when it was called wrongly."""
    try:
        app(arguments)
    except FinstageError as error:
        error_line(told(error))
    except CannotStart as error:
        error_line(str(error))
        for line in error.log_lines:
            print(f"  {line}", file=sys.stderr)
    except OSError as error:
        error_line(str(error))
    sys.exit(1)


def told(error: FinstageError) -> str:
    """One line for people, with what would help."""
    line = error.message
    if error.reason is Reason.SERVICE_UNAVAILABLE and line.endswith("does not answer"):
        return f"{line}; start it with `make run`"
    if error.retry_after_s is not None:
        line += f"; try again in {error.retry_after_s:.0f} s"
    return line
