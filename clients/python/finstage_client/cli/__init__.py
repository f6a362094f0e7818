"""The `finstage` command."""

import os
import sys
from collections.abc import Sequence

# What the extra `cli` installs.
_EXTRA = ("typer", "rich", "pandas", "finstage_barfile", "pyarrow")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit, as finstage_client.cli.app.main does."""
    # gRPC writes about a failed TLS handshake to stderr, where the command's own line stands.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from finstage_client.cli import app

        app.main(arguments)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _EXTRA:
            raise
        sys.exit(f"finstage: the command needs {error.name}: pip install 'finstage-client[cli]'")


__all__ = ["main"]
