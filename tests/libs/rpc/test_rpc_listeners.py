"""A server's answers at each of its addresses, and to unknown methods."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from finstage.ingest.v1 import ingest_service_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import FinstageError, Reason, Unauthenticated, Unimplemented
from finstage_rpc.server import Listener, Server, StartError
from finstage_rpc.service import Service
from finstage_rpc.settings import ServerSettings
from tests.libs.rpc.quick import Quick
from tests.libs.rpc.test_rpc_reflection import reflected

PRICE, INGEST = "finstage.price.v1.PriceService", "finstage.ingest.v1.IngestService"
PRICE_SERVICE = pb.DESCRIPTOR.services_by_name["PriceService"]
INGEST_SERVICE = ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"]
FREE: dict[str, Any] = {"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0"}


class Status:
    """IngestService without an upstream."""

    async def GetUpstreamStatus(self, request: Any, context: Any) -> bytes:
        return b""


@pytest.fixture
async def two_listeners(tmp_path: Path) -> AsyncIterator[Server]:
    """Run IngestService on LISTEN and PriceService on PRICE_LISTEN; calls need the key "secret"."""
    (tmp_path / "keys").write_text("me secret\n")
    settings = ServerSettings(**FREE, api_keys_file=tmp_path / "keys")
    beside = [Listener("PRICE_LISTEN", "127.0.0.1:0", [Service(PRICE_SERVICE, Quick())])]
    server = Server(settings, [Service(INGEST_SERVICE, Status())], beside=beside)
    await server.start()
    yield server
    await server.stop()


async def quote(channel: Any) -> str:
    reply = await channel.call(f"/{PRICE}/GetQuote", pb.GetQuoteRequest(symbol="AAPL"), pb.GetQuoteResponse)
    return str(reply.quote.symbol)


def connect_both(server: Server, connect: Any) -> list[Any]:
    """Channels to LISTEN and PRICE_LISTEN."""
    return [connect(f"localhost:{port}", api_key="secret") for port in server.ports.values()]


# Two addresses


async def test_each_address_serves_its_own_services_alone(two_listeners: Server, connect: Any) -> None:
    main, beside = connect_both(two_listeners, connect)
    assert await quote(beside) == "AAPL"
    with pytest.raises(Unimplemented, match=f"no method /{PRICE}/GetQuote; its services are {INGEST}$"):
        await quote(main)
    await main.call(f"/{INGEST}/GetUpstreamStatus", b"", bytes)
    with pytest.raises(Unimplemented):
        await beside.call(f"/{INGEST}/GetUpstreamStatus", b"", bytes)


async def test_health_and_reflection_of_an_address_show_only_its_services(
    two_listeners: Server, connect: Any
) -> None:
    for channel, own in zip(connect_both(two_listeners, connect), (INGEST, PRICE), strict=True):
        listed = await health_pb2_grpc.HealthStub(channel.grpc).List(health_pb2.HealthListRequest())
        assert set(listed.statuses) == {"", own}
        services = (await reflected(channel, "v1", list_services="")).list_services_response.service
        assert [s.name for s in services if s.name.startswith("finstage")] == [own]


async def test_addresses_share_metrics(two_listeners: Server, connect: Any) -> None:
    main, beside = connect_both(two_listeners, connect)
    await quote(beside)
    await main.call(f"/{INGEST}/GetUpstreamStatus", b"", bytes)
    for service, method in ((PRICE, "GetQuote"), (INGEST, "GetUpstreamStatus")):
        labels = {"grpc_type": "unary", "grpc_service": service, "grpc_method": method}
        assert two_listeners.registry.get_sample_value("grpc_server_started_total", labels) == 1


async def test_addresses_share_the_keys(two_listeners: Server, connect: Any) -> None:
    method = {"LISTEN": f"/{INGEST}/GetUpstreamStatus", "PRICE_LISTEN": f"/{PRICE}/GetQuote"}
    for setting, port in two_listeners.ports.items():
        with pytest.raises(Unauthenticated):
            await connect(f"localhost:{port}", api_key="wrong").call(method[setting], b"", bytes)


async def test_both_addresses_stop_together(two_listeners: Server, connect: Any) -> None:
    channels = [connect(f"localhost:{port}") for port in two_listeners.ports.values()]
    watches = [
        health_pb2_grpc.HealthStub(channel.grpc).Watch(health_pb2.HealthCheckRequest())
        for channel in channels
    ]
    for watch in watches:
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    await two_listeners.stop(wait_s=0.2)
    for watch in watches:
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_second_address_in_use_is_one_line_that_names_its_setting() -> None:
    settings = ServerSettings(**FREE)
    first = Server(settings, [])
    await first.start()
    address = f"127.0.0.1:{first.port}"
    with pytest.raises(StartError) as raised:
        await Server(settings, [], beside=[Listener("PRICE_LISTEN", address, [])]).start()
    assert str(raised.value) == f"FINSTAGE_PRICE_LISTEN: {address} cannot be bound: Address already in use"
    await first.stop()


# Methods that are not there


@pytest.mark.parametrize(
    "method",
    [
        f"/{PRICE}/NoSuch",
        "/no.such.Service/Method",
        "/grpc.health.v1.Health/NoSuch",
        "/grpc.reflection.v1.ServerReflection/NoSuch",
        "/grpc.reflection.v1alpha.ServerReflection/NoSuch",
        "/nothing",
    ],
)
async def test_an_unknown_method_is_unimplemented_with_a_reason(
    start: Any, connect: Any, method: str
) -> None:
    channel = connect(await start(Quick()))
    calls = [
        channel.grpc.unary_unary(method)(b"", timeout=5),
        channel.grpc.stream_unary(method)(iter([b"", b""]), timeout=5),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    for stream in (channel.grpc.unary_stream(method)(b""), channel.grpc.stream_stream(method)(iter([b""]))):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await anext(aiter(stream))
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(FinstageError) as error:
        await channel.call(method if method.count("/") == 2 else "/no/such", b"", bytes)
    assert error.value.reason is Reason.UNIMPLEMENTED
    assert f"its services are {PRICE}" in error.value.message
