"""A DataFrame is asked for where pandas is not installed: prints what is said then."""

import sys

from finstage_client import Client

with Client(price=sys.argv[1]) as client:
    try:
        client.bars("AAPL", limit=5)
    except ModuleNotFoundError as error:
        print(error)
