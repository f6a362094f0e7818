"""`python -m finstage_client` is the `finstage` command."""

from finstage_client.cli import main

main()
