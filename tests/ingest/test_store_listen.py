"""The address of MarketStoreService: that of IngestService, or its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from finstage.ingest.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from finstage.store.v1 import market_store_service_pb2, market_store_service_pb2_grpc

INGEST, STORE = "finstage.ingest.v1.IngestService", "finstage.store.v1.MarketStoreService"
Run = Callable[..., Awaitable[dict[str, int]]]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """Start ingest with the given settings; return the port of each service."""
    started = []

    async def begin(*, listeners: int, **settings: str) -> dict[str, int]:
        values = {
            "database_url": f"sqlite:///{tmp_path}/finstage.db",
            "listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "log_format": "json",
        } | settings
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.ingest",
            env=os.environ | {f"FINSTAGE_{name.upper()}": value for name, value in values.items()},
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        assert process.stderr is not None
        serving: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while len(serving) < listeners:
                event = json.loads(await process.stderr.readline())
                if event["event"] == "serving":
                    serving.append(event)
        return {service: event["port"] for event in serving for service in event["services"]}

    yield begin
    for process in started:
        process.terminate()
        await process.communicate()


async def store_answers(port: int) -> grpc.StatusCode:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch = market_store_service_pb2_grpc.MarketStoreServiceStub(channel).WatchCommits(
            market_store_service_pb2.WatchCommitsRequest(), timeout=10
        )
        try:
            await watch.read()
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


async def ingest_answers(port: int) -> grpc.StatusCode:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await ingest_service_pb2_grpc.IngestServiceStub(channel).GetUpstreamStatus(
                ingest_service_pb2.GetUpstreamStatusRequest(), timeout=10
            )
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


async def test_the_store_is_served_beside_ingest_by_default(run: Run) -> None:
    ports = await run(listeners=1)
    assert ports[STORE] == ports[INGEST]
    assert await store_answers(ports[STORE]) is grpc.StatusCode.OK


async def test_with_store_listen_the_store_is_served_there_alone(run: Run) -> None:
    ports = await run(listeners=2, store_listen="127.0.0.1:0")
    assert ports[STORE] != ports[INGEST]
    assert await store_answers(ports[STORE]) is grpc.StatusCode.OK
    assert await store_answers(ports[INGEST]) is grpc.StatusCode.UNIMPLEMENTED
    assert await ingest_answers(ports[INGEST]) is grpc.StatusCode.OK
    assert await ingest_answers(ports[STORE]) is grpc.StatusCode.UNIMPLEMENTED
