"""The command line: the options of all commands, and the line and exit code of each error."""

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from finstage_client.cli import output
from finstage_client.cli.output import error_line
from finstage_client.cli.targets import Targets
from finstage_client.connection import DEFAULT_TARGETS
from finstage_client.up.plan import CannotStart
from finstage_market.errors import FinstageError, InvalidRequest

# The commands by their modules, which are imported when one is called: importing pandas and the readers of
# files takes longer than a quote does.
_MODULES = {
    "market": ("quote", "bars", "search", "indicators", "compute"),
    "jobs": ("backfill", "jobs", "job"),
    "files": ("ingest", "rejected"),
    "status": ("status",),
    "operator": ("delete", "resume"),
    "up": ("up",),
}


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return [name for names in _MODULES.values() for name in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = next((module for module, names in _MODULES.items() if cmd_name in names), None)
        if module is None:
            return None
        commands = typer.Typer(rich_markup_mode=None)
        importlib.import_module(f"finstage_client.cli.{module}").add_to(commands)
        commands.callback()(_nothing)  # makes a group of a single command too
        return typer.main.get_group(commands).get_command(ctx, cmd_name)


def _nothing() -> None: ...


app = typer.Typer(
    cls=_Commands,
    name="finstage",
    help="Market data from the Finstage services: quotes, bars, indicators.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(
    context: typer.Context,
    price: Annotated[
        str, typer.Option("--price-target", envvar="FINSTAGE_PRICE_TARGET", help="HOST:PORT of price.")
    ] = DEFAULT_TARGETS["price"],
    indicators: Annotated[
        str,
        typer.Option(
            "--indicators-target", envvar="FINSTAGE_INDICATORS_TARGET", help="HOST:PORT of indicators."
        ),
    ] = DEFAULT_TARGETS["indicators"],
    ingest: Annotated[
        str, typer.Option("--ingest-target", envvar="FINSTAGE_INGEST_TARGET", help="HOST:PORT of ingest.")
    ] = DEFAULT_TARGETS["ingest"],
) -> None:
    context.obj = Targets(price=price, indicators=indicators, ingest=ingest)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 when all went well, 1 on an error, 2 for a wrong call, 3 when some rows
    were refused."""
    code = 1
    try:
        app(arguments)
    except InvalidRequest as error:
        error_line(error.message)
        code = 2
    except FinstageError as error:
        error_line(output.told(error))
    except CannotStart as error:
        error_line(str(error))
        for line in error.log_lines:
            print(f"  {line}", file=sys.stderr)
    except OSError as error:
        error_line(str(error))
    sys.exit(code)
