"""The client needs nothing of the services, and says what an optional part needs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import finstage_client
from finstage_market import errors

SERVER_PARTS = ("finstage_rpc", "finstage_cache", "finstage_runtime", "services", "sim", "pydantic")
OPTIONAL = ("pandas", "typer", "rich", "finstage_barfile", "pyarrow", "grpc_health")
MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def without(absent: tuple[str, ...], program: str, environment: dict[str, str]) -> Any:
    """The outcome of a program in a Python that lacks these packages."""
    code = f"ABSENT = {absent!r}\n{MISSING}\n{program}"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def environment(services: Any) -> dict[str, str]:
    return {f"FINSTAGE_{name.upper()}_TARGET": target for name, target in services.targets.items()}


def test_all_but_frames_works_where_only_the_client_is_installed(environment: dict[str, str]) -> None:
    program = """
import json
import finstage_client
from finstage_market.columns import Columns

with finstage_client.Client() as client:
    quote, = client.quotes("AAPL")
    ones = [1.0] * 3
    upload = finstage_client.Upload(
        Columns.of([0, 86_400_000, 172_800_000], ones, ones, ones, ones, ones),
        symbol="A", interval="1d", source="client:a", idempotency_key="k",
    )
    written = client.write(upload)
    health = client.health("price")
    told = []
    for call in (lambda: client.bars("AAPL"), lambda: client.compute("AAPL", "ma")):
        try:
            call()
        except ModuleNotFoundError as error:
            told.append(str(error))
found = [quote.quote.price, written.rows.inserted, health, finstage_client.__version__]
print(json.dumps([*found, told]))
"""
    done = without((*SERVER_PARTS, *OPTIONAL), program, environment)
    assert done.stderr == ""
    *answers, told = json.loads(done.stdout)
    assert answers == [189.97999572753906, 3, "SERVING", "0.1.0"]
    needs = "this answers with a DataFrame, which needs pandas: pip install 'finstage-client[pandas]'"
    assert told == [needs, needs]


def test_no_module_of_the_client_needs_a_part_of_the_services() -> None:
    program = """
import importlib, pkgutil
import finstage_client

for module in pkgutil.walk_packages(finstage_client.__path__, "finstage_client."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    done = without((*SERVER_PARTS, "prometheus_client", "structlog", "uvloop", "grpc_health"), program, {})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("absent", ["typer", "rich"])
def test_the_command_says_in_one_line_what_it_needs(absent: str) -> None:
    done = without((absent,), "from finstage_client.cli import main; main(['status'])", {})
    line = f"finstage: the command needs {absent}: pip install 'finstage-client[cli]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_each_command_needs_only_what_it_uses(environment: dict[str, str]) -> None:
    absent = ("pandas", "finstage_barfile", "pyarrow")
    run = "from finstage_client.cli import main; main({!r})"
    quote = without(absent, run.format(["quote", "AAPL"]), environment)
    assert (quote.returncode, quote.stderr, "189.98" in quote.stdout) == (0, "", True)
    for arguments, name in (
        (["bars", "AAPL"], "pandas"),
        (["ingest", "a.csv", "--symbol", "A"], "finstage_barfile"),
    ):
        done = without(absent, run.format(arguments), environment)
        line = f"finstage: the command needs {name}: pip install 'finstage-client[cli]'\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_up_says_in_one_line_that_it_needs_a_checkout(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    shutil.copytree(Path(finstage_client.__file__).parent, installed / "finstage_client")
    done = subprocess.run(
        [sys.executable, "-m", "finstage_client", "up"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    start = "error: `finstage up` runs the services from a checkout of Finstage, and there is none here"
    assert done.stderr.startswith(start)
    assert done.stderr.count("\n") == 1


def test_every_error_and_value_that_callers_need_is_in_the_package() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    names = {kind.__name__ for kind in kinds} | {
        "Interval",
        "Reason",
        "Violation",
        "RejectedBar",
        "__version__",
    }
    assert names <= set(finstage_client.__all__)
    assert all(hasattr(finstage_client, name) for name in finstage_client.__all__)
