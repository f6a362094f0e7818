"""up: the whole system on this machine."""

import typer


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
