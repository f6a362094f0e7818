"""What finstage_client has: prints the names of errors that it does not give again."""

from importlib.metadata import version

import finstage_client
from finstage_market import errors

assert finstage_client.__version__ == version("finstage-client")
assert set(finstage_client.__all__) >= {"Interval", "Reason", "RejectedBar", "Violation", "__version__"}
assert all(hasattr(finstage_client, name) for name in finstage_client.__all__)
kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
for name, kind in kinds.items():
    again = name in finstage_client.__all__ and getattr(finstage_client, name) is kind
    if issubclass(kind, errors.FinstageError) and not again:
        print(name)
