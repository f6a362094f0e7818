"""IngestService on a port, over a store, and a channel to it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from finstage.ingest.v1 import ingest_service_pb2 as pb
from finstage.ingest.v1 import ingest_service_pb2_grpc
from finstage.market.v1 import series_pb2
from finstage_market.columns import Columns
from finstage_market.errors import FinstageError, over_limit
from finstage_market.statuses import from_rpc_error
from finstage_rpc.channel import open_channel
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.ingest_servicer import RAW_REQUESTS, SERVICE, IngestServicer
from services.ingest.jobs.runner import Fetch, JobPolicy, JobRunner
from services.ingest.store.api import Store


@dataclass
class Ingest:
    """The running service. stub: the generated stub."""

    stub: Any
    runner: JobRunner | None

    async def write(
        self, header: pb.WriteBarsHeader, batches: Iterable[pb.BarBatch]
    ) -> tuple[pb.WriteBarsReady, list[pb.WriteBarsAck]]:
        """Send all messages, and return all answers."""
        requests = [
            pb.WriteBarsRequest(header=header),
            *(pb.WriteBarsRequest(batch=batch) for batch in batches),
        ]
        answers = [answer async for answer in self.stub.WriteBars(iter(requests))]
        return answers[0].ready, [answer.ack for answer in answers[1:]]


def failed(error: grpc.aio.AioRpcError) -> FinstageError:
    """Return the domain error that ended a call."""
    return from_rpc_error(error)


def bar_batch(
    sequence: int,
    columns: Columns,
    *,
    symbol: str = "AAPL",
    interval: str = "1d",
    adjusted_close: Sequence[float] = (),
) -> pb.BarBatch:
    """Return a batch as a client sends it."""
    return pb.BarBatch(
        sequence=sequence,
        symbol=symbol,
        interval=interval,
        columns=series_pb2.BarColumns(
            open_time_ms=columns.open_time_ms,
            open=columns.open,
            high=columns.high,
            low=columns.low,
            close=columns.close,
            volume=columns.volume,
        ),
        adjusted_close=adjusted_close,
    )


@asynccontextmanager
async def running_ingest(
    store: Store,
    *,
    clock: Clock,
    fetch: Fetch | None = None,
    policy: JobPolicy | None = None,
    universes: dict[str, Sequence[str]] | None = None,
) -> AsyncIterator[Ingest]:
    """Run the service over `store`, with workers if a provider is given."""
    database = BoundedExecutor(threads=4, queued=1000, name="database", overloaded=over_limit)
    writing = BoundedExecutor(threads=4, queued=1000, name="database writing", overloaded=over_limit)
    runner = None
    if fetch is not None:
        runner = JobRunner(
            store, fetch, database=writing, clock=clock, policy=policy or JobPolicy(idle_s=0.05)
        )
    servicer = IngestServicer(
        store,
        database=database,
        writing=writing,
        clock=clock,
        universes=universes or {},
        wake=runner.wake if runner else lambda: None,
        upstream_status=list,
        resume=lambda name: None,
    )
    server = Server(ServerSettings(), [Service(SERVICE, servicer, RAW_REQUESTS)])
    await server.start()
    working = asyncio.create_task(runner.run()) if runner else None
    channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="ingest")
    try:
        yield Ingest(ingest_service_pb2_grpc.IngestServiceStub(channel.grpc), runner)
    finally:
        await channel.close()
        await server.stop()
        if working is not None:
            working.cancel()
            await asyncio.wait([working])
        database.close()
        writing.close()


def series_of(n: int, *, first: int = 0, seed: int = 0) -> Columns:
    """Return n daily bars of a random walk."""
    close = 100 + np.cumsum(np.random.default_rng(seed).normal(size=first + n))[first:] * 0.01
    times = 1_000_080_000_000 + 86_400_000 * np.arange(first, first + n)
    return Columns.of(times, close, close + 1, close - 1, close, np.full(n, 1e6))
