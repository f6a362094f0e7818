"""The `finstage` command."""

from finstage_client.cli.app import main

__all__ = ["main"]
