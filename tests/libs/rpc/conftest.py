"""Real servers on free ports and real channels to them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from finstage.ingest.v1 import ingest_service_pb2
from finstage.price.v1 import price_service_pb2
from finstage_rpc.channel import Channel, open_channel
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings

PRICE = price_service_pb2.DESCRIPTOR.services_by_name["PriceService"]
INGEST = ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"]

Start = Callable[..., Awaitable[Server]]
Connect = Callable[..., Channel]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server of a PriceService servicer, or of the given services, with the given settings."""
    servers: list[Server] = []

    async def begin(*services: Any, **settings: Any) -> Server:
        chosen = [s if isinstance(s, Service) else Service(PRICE, s) for s in services]
        values = {"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0"} | settings
        server = Server(ServerSettings(**values), chosen)
        await server.start()
        servers.append(server)
        return server

    yield begin
    for server in servers:
        await server.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a channel to a server, or to a target, with the given settings."""
    channels: list[Channel] = []

    def begin(to: Server | str, *, retry: bool = False, **settings: Any) -> Channel:
        target = to if isinstance(to, str) else f"localhost:{to.port}"
        channel = open_channel(
            target, ChannelSettings(**settings), name="price", retry=[PRICE] if retry else []
        )
        channels.append(channel)
        return channel

    yield begin
    for channel in channels:
        await channel.close()
