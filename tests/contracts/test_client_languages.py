"""Clients in other languages: with the committed code they call a server and decode the details of errors."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from finstage.price.v1 import price_service_pb2 as pb
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ServerSettings
from tests.libs.rpc.quick import Quick

CLIENTS = Path(__file__).resolve().parents[2] / "clients"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    settings = ServerSettings(listen="127.0.0.1:0", metrics_listen="127.0.0.1:0")
    started = Server(settings, [Service(pb.DESCRIPTOR.services_by_name["PriceService"], Quick())])
    await started.start()
    yield started
    await started.stop()


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of clients/go's example, built and vetted."""
    if shutil.which("go") is None:
        pytest.skip("there is no go to build clients/go with")
    program = str(tmp_path_factory.mktemp("go") / "quote")
    for command in (["go", "vet", "./..."], ["go", "build", "-o", program, "./examples/quote"]):
        subprocess.run(command, cwd=CLIENTS / "go", check=True)
    return [program]


@pytest.fixture(scope="module")
def node_client() -> list[str]:
    """The command of clients/node's example."""
    if missing := [tool for tool in ("node", "npm") if shutil.which(tool) is None]:
        pytest.skip(f"there is no {', '.join(missing)} to run clients/node with")
    if not (CLIENTS / "node" / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=CLIENTS / "node", check=True)
    return ["node", str(CLIENTS / "node" / "examples" / "quote.js")]


async def say(*command: str) -> tuple[int | None, str, str]:
    running = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ
    )
    out, err = await asyncio.wait_for(running.communicate(), 30)
    return running.returncode, out.decode(), err.decode()


async def test_a_go_client_prints_a_quote_and_the_details_of_an_error(
    server: Server, go_client: list[str]
) -> None:
    target = f"localhost:{server.port}"
    assert await say(*go_client, target, "AAPL") == (0, "AAPL 1.5 USD\n", "")
    assert await say(*go_client, target, "") == (
        1,
        "",
        "Unavailable: old\nreason: TOO_STALE\ntry again in 5s\n",
    )


async def test_a_node_client_prints_a_quote_and_the_details_of_an_error(
    server: Server, node_client: list[str]
) -> None:
    target = f"http://localhost:{server.port}"
    assert await say(*node_client, target, "AAPL") == (0, "AAPL 1.5 USD\n", "")
    code, _, err = await say(*node_client, target, "")
    assert (code, err) == (1, "Unavailable: old\nreason: TOO_STALE\ntry again in 5 s\n")
