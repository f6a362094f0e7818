"""The feed of commits that WatchCommits sends: resumable, and complete whichever replica made a commit.

The feed sends the log of commits in the database: each line once it is visible, in order, from any token on.
This file decides when to look: after each commit of this process, when a Redis stream tells of another
replica's commit, and from time to time in any case. So when Redis is away, commits are only found later.

A line's id in the stream is its place in the log, so any number of replicas may send it: Redis takes each
line once, in order.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from redis.exceptions import RedisError, ResponseError

from finstage_cache.redis import Client
from finstage_market.errors import FinstageError, PreconditionFailed
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.store.commits import CommitLog
from services.ingest.store.values import Commit

_log = structlog.get_logger(__name__)

# About how many entries the stream keeps: they only wake replicas that are running.
MAX_STREAM_ENTRIES = 10_000
_RETRY_S = 1.0
_BLOCK_MS = 5000
# An entry must have a field.
_NO_FIELDS: dict[Any, Any] = {"": ""}


class CommitFeed:
    """Watches the log for any number of readers, while run() runs.

    database: where the store's calls block.
    redis: tells replicas of each other's commits; None: there is one process, or poll_s is soon enough.
    poll_s: how often to look at the log in any case.
    """

    def __init__(
        self,
        log: CommitLog,
        *,
        database: BoundedExecutor,
        clock: Clock,
        redis: Client | None = None,
        poll_s: float = 1.0,
    ) -> None:
        self._log = log
        self._database = database
        self._clock = clock
        self._redis = redis
        self._poll_s = poll_s
        self._sleepers: set[asyncio.Event] = set()

    async def watch(self, token: str | None, *, heartbeat_s: float) -> AsyncGenerator[Commit | str, None]:
        """Yield every commit after `token`, or from now on, in order.

        The current token is yielded first when none was given, and after each heartbeat_s without a commit.

        Raises:
            ValueError: it is not a token.
            PreconditionFailed: RESUME_EXPIRED.
            Unavailable: the database is away.
        """
        if token:
            at = token
        else:
            at = await self._database.run(self._log.token)
            yield at
        silent_since = self._clock.monotonic()
        with self._sleeper() as woken:
            while True:
                woken.clear()
                commits = await self._database.run(self._log.after, at)
                for commit in commits:
                    yield commit
                    at = commit.token
                    silent_since = self._clock.monotonic()
                if commits:
                    continue
                silent_s = self._clock.monotonic() - silent_since
                if silent_s >= heartbeat_s:
                    yield at
                    silent_since, silent_s = self._clock.monotonic(), 0.0
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), min(self._poll_s, heartbeat_s - silent_s))

    async def run(self) -> None:
        """Wake the watchers, and tell other replicas, until cancelled."""
        loop = asyncio.get_running_loop()

        def committed() -> None:
            loop.call_soon_threadsafe(self._wake)

        stop = self._log.subscribe(committed)
        try:
            if self._redis is None:
                await loop.create_future()
                return
            stream = _Stream(self._redis)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(lambda: self._tell(stream)))
                group.create_task(self._repeat(lambda: self._listen(stream)))
        finally:
            stop()

    async def _tell(self, stream: "_Stream") -> None:
        """Send the log to the stream, from the stream's end on."""
        name = await self._database.run(self._log.identity)
        end = await stream.end(name)
        at = await self._database.run(self._log.token) if end is None else end
        with self._sleeper() as woken:
            while True:
                woken.clear()
                try:
                    commits = await self._database.run(self._log.after, at)
                except PreconditionFailed:  # the log no longer reaches back to the stream's end
                    at = await self._database.run(self._log.token)
                    continue
                if commits:
                    await stream.add(name, commits)
                    at = commits[-1].token
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), self._poll_s)

    async def _listen(self, stream: "_Stream") -> None:
        """Wake the watchers when another replica has sent lines."""
        name = await self._database.run(self._log.identity)
        async for _ in stream.additions(name):
            self._wake()

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work, and begin again after a pause when Redis or the database is away."""
        while True:
            try:
                await work()
            except (RedisError, OSError, FinstageError) as error:
                _log.warning("commit_feed_interrupted", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(_RETRY_S)

    def _wake(self) -> None:
        for sleeper in self._sleepers:
            sleeper.set()

    @contextmanager
    def _sleeper(self) -> Iterator[asyncio.Event]:
        sleeper = asyncio.Event()
        self._sleepers.add(sleeper)
        try:
            yield sleeper
        finally:
            self._sleepers.discard(sleeper)


class _Stream:
    """The Redis stream of one database's commits. An entry is only an id: the line's place in the log."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def end(self, name: str) -> str | None:
        """Return the token of the last line that was ever sent; None: no line was."""
        try:
            info = await self._redis.xinfo_stream(_key(name))
        except ResponseError:  # no such key
            return None
        last: bytes = info["last-generated-id"]
        return f"{name}.{last.decode().replace('-', '.')}"

    async def add(self, name: str, commits: Sequence[Commit]) -> None:
        """Send lines; Redis refuses those that it has."""
        pipe = self._redis.pipeline(transaction=False)
        for commit in commits:
            pipe.xadd(_key(name), _NO_FIELDS, id=_place(name, commit.token), maxlen=MAX_STREAM_ENTRIES)
        for answer in await pipe.execute(raise_on_error=False):
            if isinstance(answer, Exception) and "equal or smaller" not in str(answer):
                raise answer

    async def additions(self, name: str) -> AsyncIterator[None]:
        """Yield each time that there are new lines."""
        end = await self.end(name)
        last: Any = "0-0" if end is None else _place(name, end)
        while True:
            found: Any = await self._redis.xread({_key(name): last}, count=1000, block=_BLOCK_MS)
            if found:
                last = found[0][1][-1][0]
                yield


def _place(name: str, token: str) -> str:
    return token.removeprefix(f"{name}.").replace(".", "-")


def _key(name: str) -> str:
    return f"finstage:commits:{name}"
