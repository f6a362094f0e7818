"""CommitFollower: follows ingest's commits, so that price never serves outdated bars for long.

While it is connected, a series that changed is loaded anew by the next call that asks for it. While it is
not, freshness alone decides, as it would without it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from finstage.store.v1 import market_store_service_pb2 as store_pb2
from finstage_market.errors import FinstageError, Reason
from finstage_market.interval import Interval
from finstage_rpc.channel import Channel
from services.price.market_store import SERVICE

_log = structlog.get_logger(__name__)

_PATH = f"/{SERVICE.full_name}/WatchCommits"
# Longer than ingest's heartbeat.
SILENCE_S = 45.0
RETRY_S = 1.0


class CommitFollower:
    """Follows commits while run() is running.

    changed: called for each commit: symbol, interval, revision.
    lost: called when commits were missed for good, or the database was replaced.
    silence_s: a stream that sends nothing for so long, not even a heartbeat, is given up.
    retry_s: the pause before the next stream.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        changed: Callable[[str, Interval, int], Awaitable[None]],
        lost: Callable[[], Awaitable[None]],
        silence_s: float = SILENCE_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._channel = channel
        self._changed = changed
        self._lost = lost
        self._silence_s = silence_s
        self._retry_s = retry_s
        self._token = ""

    async def run(self) -> None:
        """Follow commits until cancelled; connect again after each failure."""
        while True:
            try:
                await self._follow()
            except FinstageError as error:
                _log.info("commits_not_followed", reason=error.reason, detail=error.message)
                if error.reason is Reason.RESUME_EXPIRED:
                    self._token = ""
                    await self._lost()
            except TimeoutError:
                _log.warning("commits_silent", seconds=self._silence_s)
            await asyncio.sleep(self._retry_s)

    async def _follow(self) -> None:
        request = store_pb2.WatchCommitsRequest(resume_token=self._token)
        stream = self._channel.stream(_PATH, request, store_pb2.WatchCommitsResponse)
        async with aclosing(stream):
            while True:
                event = await asyncio.wait_for(anext(stream, None), self._silence_s)
                if event is None:
                    return
                if event.WhichOneof("event") == "commit":
                    await self._heard(event.commit)
                self._token = event.resume_token or self._token

    async def _heard(self, commit: store_pb2.Commit) -> None:
        try:
            interval = Interval.parse(commit.interval)
        except ValueError:
            # A newer ingest may have intervals that this price does not hold.
            _log.warning("commit_passed_over", symbol=commit.symbol, interval=commit.interval)
            return
        await self._changed(commit.symbol, interval, commit.version.revision)
