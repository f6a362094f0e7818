"""Reflection, by grpcurl and under both names of the protocol."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from finstage_rpc.server import Server
from tests.libs.rpc.quick import Quick

REPO = Path(__file__).resolve().parents[3]
GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
MARKET, PRICE = "finstage.market.v1", "finstage.price.v1.PriceService"


async def reflected(channel: Any, version: str, **request: Any) -> reflection_pb2.ServerReflectionResponse:
    method = channel.grpc.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    (reply,) = [r async for r in method(iter([reflection_pb2.ServerReflectionRequest(**request)]))]
    return reply


def files_of(reply: reflection_pb2.ServerReflectionResponse) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    found = map(
        descriptor_pb2.FileDescriptorProto.FromString, reply.file_descriptor_response.file_descriptor_proto
    )
    return {file.name: file for file in found}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_of_both_versions_lists_the_services(start: Any, connect: Any, version: str) -> None:
    channel = connect(await start(Quick()))
    reply = await reflected(channel, version, list_services="")
    assert [service.name for service in reply.list_services_response.service] == [
        PRICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        (PRICE, "finstage/price/v1/price_service.proto"),
        (f"{PRICE}.GetQuote", "finstage/price/v1/price_service.proto"),
        ("finstage.price.v1.GetQuoteRequest", "finstage/price/v1/price_service.proto"),
        ("finstage.price.v1.GetQuoteRequest.symbol", "finstage/price/v1/price_service.proto"),
        (f"{MARKET}.Adjustment", "finstage/market/v1/series.proto"),
        (f"{MARKET}.ADJUSTMENT_ALL", "finstage/market/v1/series.proto"),
        (f"{MARKET}.endless", "finstage/market/v1/options.proto"),
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("grpc.health.v1.Health", "grpc_health/v1/health.proto"),
        ("grpc.health.v1.Health.List", "grpc_health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1.ServerReflection.ServerReflectionInfo", "grpc/reflection/v1/reflection.proto"),
    ],
)
async def test_reflection_finds_the_file_of_every_kind_of_symbol(
    start: Any, connect: Any, version: str, symbol: str, file: str
) -> None:
    channel = connect(await start(Quick()))
    assert file in files_of(await reflected(channel, version, file_containing_symbol=symbol))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("symbol", [f"{PRICE}.NoSuch", "no.such.Service.Method", "NoSuch", ""])
async def test_an_unknown_symbol_is_not_found_by_reflection(
    start: Any, connect: Any, version: str, symbol: str
) -> None:
    channel = connect(await start(Quick()))
    reply = await reflected(channel, version, file_containing_symbol=symbol)
    assert reply.error_response.error_code == 5


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_finds_the_options_that_the_contracts_define(
    start: Any, connect: Any, version: str
) -> None:
    channel, options = connect(await start(Quick())), "google.protobuf.MethodOptions"
    numbers = await reflected(channel, version, all_extension_numbers_of_type=options)
    assert 50100 in numbers.all_extension_numbers_response.extension_number
    asked = reflection_pb2.ExtensionRequest(containing_type=options, extension_number=50100)
    reply = await reflected(channel, version, file_containing_extension=asked)
    assert "finstage/market/v1/options.proto" in files_of(reply)


async def test_the_descriptor_of_reflection_v1_names_only_v1(start: Any, connect: Any) -> None:
    channel = connect(await start(Quick()))
    reply = await reflected(channel, "v1", file_by_filename="grpc/reflection/v1/reflection.proto")
    (data,) = reply.file_descriptor_response.file_descriptor_proto
    assert b"v1alpha" not in data


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """The real grpcurl, built once and kept in var/."""
    folder = REPO / "var" / "tools" / GRPCURL.rpartition("/")[2]
    if not (folder / "grpcurl").exists():
        if shutil.which("go") is None:
            pytest.skip("there is no go to build grpcurl with")
        subprocess.run(["go", "install", GRPCURL], env=os.environ | {"GOBIN": str(folder)}, check=True)
    return folder / "grpcurl"


async def say(
    grpcurl: Path, server: Server, *arguments: str, before: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Run grpcurl without any local file; return its exit code and output."""
    running = await asyncio.create_subprocess_exec(
        grpcurl,
        "-plaintext",
        *before,
        f"127.0.0.1:{server.port}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode is not None
    return running.returncode, out.decode()


async def test_grpcurl_describes_a_method(start: Any, grpcurl: Path) -> None:
    code, text = await say(grpcurl, await start(Quick()), "describe", f"{PRICE}.GetQuote")
    assert code == 0
    assert "rpc GetQuote ( .finstage.price.v1.GetQuoteRequest ) returns" in text
    assert "idempotency_level = NO_SIDE_EFFECTS" in text


async def test_grpcurl_tells_which_streams_are_endless(start: Any, grpcurl: Path) -> None:
    _, text = await say(grpcurl, await start(Quick()), "describe", f"{PRICE}.WatchQuotes")
    assert "option (.finstage.market.v1.endless) = true" in text


async def test_grpcurl_calls_a_method(start: Any, grpcurl: Path) -> None:
    given = ("-d", '{"symbol": "AAPL"}')
    code, text = await say(grpcurl, await start(Quick()), f"{PRICE}/GetQuote", before=given)
    assert code == 0
    assert '"price": 1.5' in text


async def test_grpcurl_decodes_the_details_of_an_error(start: Any, grpcurl: Path) -> None:
    code, text = await say(grpcurl, await start(Quick()), f"{PRICE}/GetQuote")
    assert code == 64 + 14
    assert '"reason":"TOO_STALE"' in text.replace(" ", "")
