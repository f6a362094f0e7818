"""The command line: options of all commands, and how each error is told."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from finstage_client import calls
from finstage_client.cli import files, jobs, launch, market, output, status
from finstage_client.cli.output import error_line
from finstage_client.cli.targets import Targets
from finstage_client.up.plan import CannotStart
from finstage_market.errors import FinstageError

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
    """Runs the command and exits: 0 when all went well, 1 on an error, 2 when it was called wrongly, 3 when
    some rows were refused."""
    try:
        app(arguments)
    except FinstageError as error:
        error_line(output.told(error))
    except CannotStart as error:
        error_line(str(error))
        for line in error.log_lines:
            print(f"  {line}", file=sys.stderr)
    except OSError as error:
        error_line(str(error))
    sys.exit(1)
