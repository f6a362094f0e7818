"""The wheels of this repository, empty environments to install them into, and a user's project beside."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from finstage.market.v1 import quote_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage.price.v1 import price_service_pb2_grpc as price
from finstage_market.errors import symbol_not_found
from finstage_market.statuses import DETAILS_KEY, to_status

REPO = Path(__file__).resolve().parents[2]
SOURCES = ("protos", "libs/market", "libs/barfile", "libs/cache", "clients/python")
PROGRAMS = Path(__file__).parent / "programs"
OWN_PACKAGES = ("libs", "services", "sim", "utils")
"""Names that a user's project may well have for packages of its own."""


def run(command: list[Any], **options: Any) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Wheel:
    """A built wheel."""

    path: Path

    def top_level(self) -> set[str]:
        """What it puts into site-packages."""
        with zipfile.ZipFile(self.path) as archive:
            return {name.partition("/")[0] for name in archive.namelist()}


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a project in it that has packages named like folders of this repository."""

    folder: Path

    @property
    def _python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def _project(self) -> Path:
        return self.folder / "project"

    @classmethod
    def empty(cls, folder: Path) -> "Environment":
        """An environment with nothing in it, not even pip."""
        run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"])
        for name in OWN_PACKAGES:
            (folder / "project" / name).mkdir(parents=True)
            (folder / "project" / name / "__init__.py").write_text(f'NAME = "the project\'s own {name}"\n')
        return cls(folder)

    def install(self, *what: str, wheels: Path) -> None:
        """Install distributions, this repository's from `wheels`, with what they depend on."""
        pip = [sys.executable, "-m", "pip", "--python", self._python, "install", "--quiet", "--no-compile"]
        run([*pip, "-c", REPO / "constraints.txt", "--find-links", wheels, *what])

    def installed(self) -> set[str]:
        """The distributions in it."""
        listing = "from importlib.metadata import distributions as d; print(*(i.name.lower() for i in d()))"
        return set(run([self._python, "-I", "-c", listing]).replace("_", "-").split())

    def run(self, program: str, *arguments: str) -> list[str]:
        """Run one of programs/ in the project; the words that it prints."""
        return run([self._python, self._copy(program), *arguments], cwd=self._project).split()

    def type_check(self, program: str, *flags: str) -> None:
        """mypy --strict of one of programs/, knowing only what is installed here."""
        mypy = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--cache-dir",
            self.folder / "mypy",
        ]
        run([*mypy, *flags, "--python-executable", self._python, self._copy(program)], cwd=self._project)

    def _copy(self, program: str) -> Path:
        return Path(shutil.copy(PROGRAMS / program, self._project))


@pytest.fixture(scope="session")
def wheel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels, built from a copy of the sources: what earlier builds left in the checkout stays out."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    left_over = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "node_modules")
    for root in ("protos", "libs", "clients"):
        shutil.copytree(REPO / root, sources / root, ignore=left_over)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*pip, "--wheel-dir", built, *(f"./{source}" for source in SOURCES)], cwd=sources)
    return built


@pytest.fixture(scope="session")
def wheels(wheel_folder: Path) -> dict[str, Wheel]:
    """The wheels by the names of their distributions."""
    return {path.name.partition("-")[0].replace("_", "-"): Wheel(path) for path in wheel_folder.glob("*.whl")}


@pytest.fixture(scope="session")
def environments(wheel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environment]:
    """Each distribution that people install, alone in an environment."""

    def make(name: str) -> Environment:
        environment = Environment.empty(tmp_path_factory.mktemp(name))
        environment.install(name, wheels=wheel_folder)
        return environment

    names = ("finstage-client", "finstage-cache", "finstage-contracts")
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(make, names), strict=True))


class Price(price.PriceServiceServicer):
    """Knows one symbol."""

    def GetQuote(self, request: pb.GetQuoteRequest, context: grpc.ServicerContext) -> pb.GetQuoteResponse:
        if request.symbol == "AAPL":
            return pb.GetQuoteResponse(quote=quote_pb2.Quote(symbol="AAPL", price=189.25, currency="USD"))
        status = to_status(symbol_not_found(request.symbol))
        context.set_trailing_metadata([(DETAILS_KEY, status.SerializeToString())])
        context.abort(grpc.StatusCode.NOT_FOUND, status.message)


@pytest.fixture(scope="session")
def price_target() -> Iterator[str]:
    """A price service on a free port."""
    server = grpc.server(ThreadPoolExecutor(2))
    price.add_PriceServiceServicer_to_server(Price(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()
