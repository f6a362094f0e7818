"""Allowed imports between the rooms of ARCHITECTURE.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SERVICES = ("price", "indicators", "ingest")
LIBS = ("finstage_market", "finstage_barfile", "finstage_cache", "finstage_runtime", "finstage_rpc")
LAYERS = {
    "libs/runtime": ("finstage_runtime",),
    "libs/cache": ("finstage_cache", "finstage_runtime"),
    "libs/market": ("finstage", "finstage_market"),
    "libs/barfile": ("finstage_barfile", "finstage_market"),
    "libs/rpc": ("finstage", "finstage_market", "finstage_rpc", "finstage_runtime"),
    **{f"services/{name}": ("finstage", *LIBS, f"services.{name}") for name in SERVICES},
    "clients/python": ("finstage", "finstage_market", "finstage_barfile", "finstage_client"),
    "sim": ("sim",),
}
OURS = re.compile(r"(finstage(_\w+)?|services|sim|bench|proof|tests)(\.|$)")


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", LAYERS)
def test_a_room_imports_only_allowed_rooms(folder: str) -> None:
    wrong = {
        f"{file.relative_to(REPO)}: {name}"
        for file in (REPO / folder).rglob("*.py")
        for name in imports(file)
        if OURS.match(name) and not f"{name}.".startswith(tuple(f"{allowed}." for allowed in LAYERS[folder]))
    }
    assert not wrong


@pytest.mark.parametrize("service", SERVICES)
def test_only_main_reads_the_environment(service: str) -> None:
    readers = {
        str(file.relative_to(REPO))
        for file in (REPO / "services" / service).rglob("*.py")
        if re.search(r"os\.environ|getenv|settings\.load\(|\bload\(\w+Settings\)", file.read_text())
    }
    assert readers <= {f"services/{service}/__main__.py"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_usual_files(service: str) -> None:
    expected = {"__init__.py", "__main__.py", "config.py", "Dockerfile", "README.md"}
    found = {file.name for file in (REPO / "services" / service).iterdir()}
    assert expected <= found
    assert any(name.endswith("servicer.py") for name in found)


def test_grpc_servers_and_channels_are_made_in_libs_rpc_and_by_the_client_alone() -> None:
    makers = {
        str(file.relative_to(REPO))
        for root in ("libs", "services", "clients/python", "sim")
        for file in (REPO / root).rglob("*.py")
        if re.search(r"grpc\.(aio\.)?(server|insecure_channel|secure_channel)\(", file.read_text())
    }
    assert all(maker.startswith(("libs/rpc/", "clients/python/")) for maker in makers), makers


def test_nothing_is_pickled() -> None:
    for root in ("libs", "services", "clients/python", "sim"):
        for file in (REPO / root).rglob("*.py"):
            assert not any(name.split(".")[0] in ("pickle", "dill", "shelve") for name in imports(file)), file
