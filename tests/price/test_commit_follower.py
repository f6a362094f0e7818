"""The follower of commits, over the wire, from a server with scripted messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from finstage.market.v1 import series_pb2
from finstage.store.v1 import market_store_service_pb2 as pb
from finstage_market.errors import PreconditionFailed, Reason, Unavailable
from finstage_market.interval import Interval
from finstage_rpc.call import Context
from finstage_rpc.channel import open_channel
from finstage_rpc.server import Server
from finstage_rpc.service import Service
from finstage_rpc.settings import ChannelSettings, ServerSettings
from services.price.commit_follower import CommitFollower
from services.price.market_store import SERVICE
from tests.libs.cache.waiting import until

SILENT = "silent"
Event = pb.WatchCommitsResponse | Exception | str


def commit(revision: int, token: str, interval: str = "1d") -> pb.WatchCommitsResponse:
    version = series_pb2.SeriesVersion(epoch=1, revision=revision)
    told = pb.Commit(symbol="A", interval=interval, version=version)
    return pb.WatchCommitsResponse(commit=told, resume_token=token)


def heartbeat(token: str) -> pb.WatchCommitsResponse:
    return pb.WatchCommitsResponse(heartbeat=series_pb2.Heartbeat(), resume_token=token)


@dataclass
class Streams:
    """Each call gets the next scripted stream.

    A stream is a list of events; an error ends it, and SILENT keeps it open. The last stream stays open.
    """

    streams: list[Sequence[Event]]
    tokens: list[str] = field(default_factory=list)

    async def WatchCommits(
        self, request: pb.WatchCommitsRequest, context: Context
    ) -> AsyncIterator[pb.WatchCommitsResponse]:
        self.tokens.append(request.resume_token)
        for event in self.streams.pop(0) if self.streams else [SILENT]:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, str):
                await asyncio.Event().wait()
            else:
                yield event


@asynccontextmanager
async def following(
    *streams: Sequence[Event], silence_s: float = 60.0
) -> AsyncIterator[tuple[Streams, list[object]]]:
    """The streams, and the follower's reports about them."""
    served, told = Streams(list(streams)), []

    async def changed(symbol: str, interval: Interval, revision: int) -> None:
        told.append((symbol, interval, revision))

    async def lost() -> None:
        told.append("lost")

    server = Server(ServerSettings(), [Service(SERVICE, served)])
    await server.start()
    channel = open_channel(f"127.0.0.1:{server.port}", ChannelSettings(), name="ingest")
    follower = CommitFollower(channel, changed=changed, lost=lost, silence_s=silence_s, retry_s=0.01)
    running = asyncio.create_task(follower.run())
    try:
        yield served, told
    finally:
        running.cancel()
        await asyncio.wait([running])
        await channel.close()
        await server.stop()


async def test_each_commit_is_told() -> None:
    async with following([commit(1, "a"), commit(2, "b"), SILENT]) as (streams, told):
        await until(lambda: len(told) == 2)
        assert told == [("A", Interval.D1, 1), ("A", Interval.D1, 2)]
        assert streams.tokens == [""]


@pytest.mark.parametrize("how", ["ends", "fails"])
async def test_it_resumes_after_the_last_commit(how: str) -> None:
    end = [Unavailable(Reason.SERVICE_UNAVAILABLE, "stopping")] if how == "fails" else []
    async with following([commit(1, "a"), *end], [commit(2, "b"), *end]) as (streams, told):
        await until(lambda: len(streams.tokens) == 3)
        assert streams.tokens == ["", "a", "b"]
        assert told == [("A", Interval.D1, 1), ("A", Interval.D1, 2)]


async def test_it_resumes_at_a_heartbeat_even_before_the_first_commit() -> None:
    async with following([heartbeat("at")], [heartbeat("")], [heartbeat("on")]) as (streams, told):
        await until(lambda: len(streams.tokens) == 4)
        assert streams.tokens == ["", "at", "at", "on"]
        assert told == []


async def test_when_it_cannot_resume_it_reports_that_and_continues() -> None:
    expired = PreconditionFailed(Reason.RESUME_EXPIRED, "no longer kept")
    async with following([commit(1, "a")], [expired], [commit(9, "z"), SILENT]) as (streams, told):
        await until(lambda: len(told) == 3)
        assert streams.tokens == ["", "a", ""]
        assert told == [("A", Interval.D1, 1), "lost", ("A", Interval.D1, 9)]


async def test_a_silent_stream_is_replaced_by_another() -> None:
    async with following([commit(1, "a"), SILENT], [commit(2, "b"), SILENT], silence_s=0.3) as (
        streams,
        told,
    ):
        await until(lambda: len(told) == 2)
        assert streams.tokens[:2] == ["", "a"]


async def test_an_unknown_interval_of_a_newer_ingest_is_skipped() -> None:
    with capture_logs() as logs:
        async with following([commit(1, "a", "7h"), commit(2, "b"), SILENT]) as (streams, told):
            await until(lambda: len(told) == 1)
            assert told == [("A", Interval.D1, 2)]
            assert streams.tokens == [""]
    assert [each for each in logs if each["event"] == "commit_passed_over"] == [
        {"event": "commit_passed_over", "symbol": "A", "interval": "7h", "log_level": "warning"}
    ]
