"""Connecting: settings and targets that are wrong are named, and a failed call says why it failed."""

import asyncio
import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finstage.price.v1 import price_service_pb2
from finstage_client import AsyncClient, Client, ConnectionSettings, InvalidRequest, Reason, Unavailable
from finstage_rpc.service import Service
from finstage_rpc.settings import ServerSettings
from tests.clients.conftest import Price, serving

PRICE = price_service_pb2.DESCRIPTOR.services_by_name["PriceService"]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca), a certificate of it for localhost (local) and one for another name (other)."""
    folder = tmp_path_factory.mktemp("certificates")

    def certificate(name: str, *options: str) -> None:
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}")
        subprocess.run(["openssl", *new, *files, *options], cwd=folder, check=True, capture_output=True)

    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    certificate("ca")
    certificate("stranger")
    certificate("local", *signed, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    certificate("other", *signed, "-addext", "subjectAltName=DNS:elsewhere.example")
    return folder


@pytest.fixture(params=["plain", "local", "other", "mutual"])
def price(request: pytest.FixtureRequest, pem: Path) -> Iterator[tuple[str, str]]:
    """How a price service speaks, and its target."""
    kind = request.param
    name = "local" if kind == "mutual" else kind
    tls = {} if kind == "plain" else {"tls_cert": pem / f"{name}.pem", "tls_key": pem / f"{name}.key"}
    if kind == "mutual":
        tls["tls_client_ca"] = pem / "ca.pem"
    with serving(Service(PRICE, Price()), settings=ServerSettings(**tls)) as (target,):
        yield kind, target


async def test_each_way_of_missing_a_service_is_a_sentence_of_its_own(
    price: tuple[str, str], pem: Path
) -> None:
    kind, target = price
    ca, stranger = pem / "ca.pem", pem / "stranger.pem"
    plain, tls, distrusting = (
        ConnectionSettings(),
        ConnectionSettings(tls_ca=ca),
        ConnectionSettings(tls_ca=stranger),
    )
    known = ConnectionSettings(tls_ca=ca, tls_cert=pem / "local.pem", tls_key=pem / "local.key")
    wants_tls = "closed the connection at once; if it wants TLS, set FINSTAGE_TLS_CA"
    expected = {
        "plain": {plain: None, tls: "does not speak TLS; unset FINSTAGE_TLS_CA to connect in plain text"},
        "local": {
            tls: None,
            plain: wants_tls,
            distrusting: "has a certificate that FINSTAGE_TLS_CA does not vouch for, or one that has expired",
        },
        "other": {tls: "has a certificate for another name than '127.0.0.1'"},
        "mutual": {
            known: None,
            plain: wants_tls,
            tls: "closed the TLS connection at once; it may want a client certificate that it trusts "
            "(FINSTAGE_TLS_CERT, FINSTAGE_TLS_KEY)",
        },
    }
    for settings, why in expected[kind].items():
        assert await failure(target, settings) == why


async def failure(target: str, settings: ConnectionSettings | None = None) -> str | None:
    """Why both clients cannot call price there, without its name; None where they can."""
    found = []
    with Client(price=target, settings=settings, timeout_s=20) as client:
        try:
            client.quotes("AAPL")
        except Unavailable as error:
            found.append((error.reason, error.message))
    async with AsyncClient(price=target, settings=settings, timeout_s=20) as waiting:
        try:
            await waiting.quotes("AAPL")
        except Unavailable as error:
            found.append((error.reason, error.message))
    if not found:
        return None
    one, same = found
    assert one == same
    reason, message = one
    assert reason is Reason.SERVICE_UNAVAILABLE
    name = f"price service at {target} "
    assert message.startswith(name)
    return message.removeprefix(name)


async def test_an_unknown_host_an_unused_port_and_another_program_are_told_apart(closed_port: int) -> None:
    unknown = "cannot be found: the host name 'no-such-host.invalid' is not known"
    assert await failure("no-such-host.invalid:50051") == unknown
    here = "is not there: nothing listens on that port; start the services with `make run`"
    assert await failure(f"127.0.0.1:{closed_port}") == here
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        told = await failure(f"127.0.0.1:{web.server_address[1]}")
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
    assert told is not None
    assert told.startswith("does not speak gRPC in plain text")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        told = await failure(f"127.0.0.1:{mute.getsockname()[1]}")
    assert told == "accepts the connection and says nothing; another program may listen on that port"


async def delayed(delay_s: float, target: str) -> asyncio.Server:
    """A relay to `target` that keeps everything back for `delay_s`, both ways, as a long line does."""
    host, _, port = target.rpartition(":")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65_536):
            loop.call_later(delay_s, writer.write, data)
        loop.call_later(delay_s, writer.close)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    return await asyncio.start_server(relay, "127.0.0.1", 0)


async def test_a_service_on_a_slow_network_is_reached(services: Any) -> None:
    relay = await delayed(0.25, services.targets["price"])
    async with relay, AsyncClient(price=f"127.0.0.1:{relay.sockets[0].getsockname()[1]}") as client:
        assert len(await client.quotes("AAPL")) == 1


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("http://localhost:50051", "is a URL; write HOST:PORT, without http://"),
        ("https://prices.example:443", "is a URL; write HOST:PORT, without https://"),
        ("localhost", "is not HOST:PORT"),
        ("localhost:", "is not HOST:PORT"),
        ("localhost:grpc", "is not HOST:PORT"),
        ("localhost:0", "has the port 0; ports are 1 to 65535"),
        ("localhost:65536", "has the port 65536; ports are 1 to 65535"),
        ("::1:50051", "is not HOST:PORT"),
    ],
)
def test_a_wrong_target_is_refused_before_any_call(
    target: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidRequest) as refused:
            kind(price=target)
        assert refused.value.message == f"price target: {target!r} {why}"
    monkeypatch.setenv("FINSTAGE_INGEST_TARGET", target)
    with pytest.raises(InvalidRequest) as named:
        Client()
    assert named.value.message == f"FINSTAGE_INGEST_TARGET: {target!r} {why}"


@pytest.mark.parametrize(
    "target", ["[::1]:50051", "price:50051", "dns:///price:50051", "unix:/tmp/price.sock"]
)
def test_what_grpc_resolves_is_a_target(target: str) -> None:
    Client(price=target).close()


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"FINSTAGE_TLS_CA": "/nowhere"},
            "FINSTAGE_TLS_CA: cannot read '/nowhere': No such file or directory",
        ),
        ({"FINSTAGE_TLS_CA": __file__}, f"FINSTAGE_TLS_CA: {__file__!r} is not a PEM file"),
        (
            {"FINSTAGE_TLS_CERT": "PEM", "FINSTAGE_TLS_CA": "PEM"},
            "FINSTAGE_TLS_KEY: not given; a certificate and its key go together",
        ),
        (
            {"FINSTAGE_TLS_CERT": "PEM", "FINSTAGE_TLS_KEY": "PEM"},
            "FINSTAGE_TLS_CA: not given; a client certificate is used only over TLS, which needs it",
        ),
        ({"FINSTAGE_API_KEY": "a\nb"}, "FINSTAGE_API_KEY: an API key is printable ASCII, without line ends"),
    ],
)
def test_a_wrong_setting_in_the_environment_is_told_by_its_variable(
    environment: dict[str, str], line: str, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, str(pem / "local.pem") if value == "PEM" else value)
    with pytest.raises(InvalidRequest) as refused:
        Client()
    assert refused.value.message == line


async def test_the_api_key_goes_with_every_call_and_is_not_shown(services: Any) -> None:
    settings = ConnectionSettings(api_key="s3cret")
    with Client(**services.targets, settings=settings) as client:
        client.quotes("AAPL")
    async with AsyncClient(**services.targets, settings=settings) as waiting:
        await waiting.quotes("AAPL")
    assert [sent["authorization"] for sent in services.price.metadata] == ["Bearer s3cret"] * 2
    assert "s3cret" not in repr(settings)
