"""TLS, client certificates and API keys."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import Unauthenticated, Unavailable
from finstage_rpc import call
from finstage_rpc.keys import ApiKeys
from finstage_rpc.server import StartError

METHOD = "/finstage.price.v1.PriceService/GetQuote"
REQUEST = pb.GetQuoteRequest(symbol="A")


class Quick:
    """A servicer that answers at once, and records the name of the key."""

    def __init__(self) -> None:
        self.callers: list[str] = []

    async def GetQuote(self, request: pb.GetQuoteRequest, context: Any) -> pb.GetQuoteResponse:
        serving = call.current()
        assert serving is not None
        self.callers.append(serving.caller)
        return pb.GetQuoteResponse()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, each with a certificate for localhost: ca.pem, a.pem, a.key; other_ca.pem, b.pem…"""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca, name in (("ca", "a"), ("other_ca", "b")):
        openssl(
            *("req", "-x509", *elliptic, "-keyout", f"{ca}.key", "-out", f"{ca}.pem"),
            *("-days", "2", "-subj", f"/CN={ca}"),
        )
        openssl(
            *("req", "-x509", *elliptic, "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"),
        )
    return folder


def pair(folder: Path, name: str) -> dict[str, Path]:
    return {"tls_cert": folder / f"{name}.pem", "tls_key": folder / f"{name}.key"}


async def test_tls_serves_clients_that_trust_its_authority(
    start: Any, connect: Any, certificates: Path
) -> None:
    server = await start(Quick(), **pair(certificates, "a"))
    await connect(server, tls_ca=certificates / "ca.pem").call(METHOD, REQUEST, bytes)
    for stranger in (connect(server, tls_ca=certificates / "other_ca.pem"), connect(server)):
        with pytest.raises(Unavailable):
            await stranger.call(METHOD, REQUEST, bytes, timeout_s=3.0)


async def test_mutual_tls_serves_clients_with_a_certificate_of_its_authority(
    start: Any, connect: Any, certificates: Path
) -> None:
    ca = certificates / "ca.pem"
    server = await start(Quick(), **pair(certificates, "a"), tls_client_ca=ca)
    await connect(server, tls_ca=ca, **pair(certificates, "a")).call(METHOD, REQUEST, bytes)
    for stranger in (connect(server, tls_ca=ca, **pair(certificates, "b")), connect(server, tls_ca=ca)):
        with pytest.raises(Unavailable):
            await stranger.call(METHOD, REQUEST, bytes, timeout_s=3.0)


async def test_an_invalid_client_authority_stops_the_start(
    start: Any, certificates: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(StartError, match="FINSTAGE_TLS_CLIENT_CA"):
        await start(Quick(), **pair(certificates, "a"), tls_client_ca=tmp_path / "ca.pem")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    digest = hashlib.sha256(b"s3cret").hexdigest()
    path.write_text(f"# who may call\n\nbatch plain-key\n  research   sha256:{digest}\n")
    return path


async def test_a_known_key_opens_in_both_forms_and_names_the_caller(
    start: Any, connect: Any, keys: Path
) -> None:
    servicer = Quick()
    server = await start(servicer, api_keys_file=keys)
    for key in ("plain-key", "s3cret"):
        await connect(server, api_key=key).call(METHOD, REQUEST, bytes)
    assert servicer.callers == ["batch", "research"]


@pytest.mark.parametrize("key", [None, "wrong", "research", " "])
async def test_any_other_key_is_unauthenticated(
    start: Any, connect: Any, keys: Path, key: str | None
) -> None:
    servicer = Quick()
    channel = connect(await start(servicer, api_keys_file=keys), api_key=key)
    with pytest.raises(Unauthenticated):
        await channel.call(METHOD, REQUEST, bytes)
    with pytest.raises(Unauthenticated):
        await anext(channel.stream(METHOD.replace("GetQuote", "WatchQuotes"), b"", bytes))
    assert servicer.callers == []


async def test_the_hash_of_a_key_is_not_accepted_as_a_key(start: Any, connect: Any, keys: Path) -> None:
    digest = hashlib.sha256(b"s3cret").hexdigest()
    channel = connect(await start(Quick(), api_keys_file=keys), api_key=f"sha256:{digest}")
    with pytest.raises(Unauthenticated):
        await channel.call(METHOD, REQUEST, bytes)


async def test_health_and_reflection_need_no_key(start: Any, connect: Any, keys: Path) -> None:
    channel = connect(await start(Quick(), api_keys_file=keys))
    reply = await health_pb2_grpc.HealthStub(channel.grpc).Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    reflection = channel.grpc.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    assert len([r async for r in reflection(iter([b"\x3a\x00"]))]) == 1


async def test_a_service_whose_own_key_is_refused_does_not_blame_its_caller(
    start: Any, connect: Any, keys: Path
) -> None:
    behind = connect(await start(Quick(), api_keys_file=keys), api_key="old")

    class Front:
        async def GetQuote(self, request: Any, context: Any) -> bytes:
            return await behind.call(METHOD, request, bytes)

    with pytest.raises(Unavailable, match="refuses the key of this service"):
        await connect(await start(Front())).call(METHOD, REQUEST, bytes)


async def test_other_schemes_than_bearer_are_refused(start: Any, connect: Any, keys: Path) -> None:
    method = connect(await start(Quick(), api_keys_file=keys)).grpc.unary_unary(METHOD)
    await method(b"", metadata=(("authorization", "bearer plain-key"),))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await method(b"", metadata=(("authorization", "Basic plain-key"),))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no key"),
        ("# nobody\n", "no key"),
        ("lonely\n", "line 1 is not NAME KEY"),
        ("a k1\nb k 2\n", "line 2 is not NAME KEY"),
        ("a k1\nb k1\n", "line 2 repeats"),
        ("a k1\na k2\n", "line 2 repeats"),
    ],
)
def test_an_invalid_key_file_is_refused_with_its_line(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ValueError, match=match):
        ApiKeys.read(tmp_path / "keys")


async def test_a_bad_file_of_keys_stops_the_start_with_a_line(start: Any, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("lonely\n")
    with pytest.raises(StartError, match=r"FINSTAGE_API_KEYS_FILE: .*keys cannot be used: line 1 is not"):
        await start(Quick(), api_keys_file=tmp_path / "keys")
