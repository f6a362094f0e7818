"""The feed of commits: what WatchCommits sends, resumable, whichever replica made a commit.

The log of commits in the database is what is sent: each line once it is visible, in order, from any token on.
What this file adds is when to look: after each commit of this process; when another replica's is heard of by
way of a Redis stream; and from time to time in any case, so that a Redis that is away only makes it later.

Lines go to the stream with their place in the log as their id, so that it does not matter how many replicas
send them: Redis takes each once, in order.
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
from services.ingest.store.api import Store
from services.ingest.store.values import Commit

_log = structlog.get_logger(__name__)

# How many entries the stream keeps, about: it only has to wake those who are awake.
STREAM_ENTRIES = 10_000
_RETRY_S = 1.0
_BLOCK_MS = 5000


class CommitFeed:
    """Watches the log for any number of readers. run() must be running.

    database: where the store's calls block.
    redis: where replicas hear of each other's commits; None: there is one, or poll_s is soon enough.
    poll_s: how often to look without being told.
    """

    def __init__(
        self,
        store: Store,
        *,
        database: BoundedExecutor,
        clock: Clock,
        redis: Client | None = None,
        poll_s: float = 1.0,
    ) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._redis = redis
        self._poll_s = poll_s
        self._sleepers: set[asyncio.Event] = set()

    async def watch(self, token: str | None, *, heartbeat_s: float) -> AsyncGenerator[Commit | str, None]:
        """Every commit behind `token`, or from now on, in order.

        Without a token, and after each heartbeat_s of silence, comes the token of where it stands.

        Raises:
            ValueError: it is no token.
            PreconditionFailed: RESUME_EXPIRED.
            Unavailable: the database is away.
        """
        if token:
            at = token
        else:
            at = await self._database.run(self._store.commit_token)
            yield at
        silent_since = self._clock.monotonic()
        with self._sleeper() as woken:
            while True:
                woken.clear()
                commits = await self._database.run(self._store.commits_after, at)
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
        """Wakes the watchers, and tells other replicas, until it is cancelled."""
        loop = asyncio.get_running_loop()

        def committed() -> None:
            loop.call_soon_threadsafe(self._wake)

        stop = self._store.on_commit(committed)
        try:
            if self._redis is None:
                await loop.create_future()
                return
            stream = _Stream(self._redis)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._again_and_again(lambda: self._tell(stream)))
                group.create_task(self._again_and_again(lambda: self._listen(stream)))
        finally:
            stop()

    async def _tell(self, stream: "_Stream") -> None:
        """Send the log to the stream, from where the stream ends."""
        name = await self._database.run(self._store.identity)
        end = await stream.end(name)
        at = await self._database.run(self._store.commit_token) if end is None else end
        with self._sleeper() as woken:
            while True:
                woken.clear()
                try:
                    commits = await self._database.run(self._store.commits_after, at)
                except PreconditionFailed:  # the stream ends before what is kept
                    at = await self._database.run(self._store.commit_token)
                    continue
                if commits:
                    await stream.add(name, commits)
                    at = commits[-1].token
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), self._poll_s)

    async def _listen(self, stream: "_Stream") -> None:
        """Wake the watchers when another replica has sent something."""
        name = await self._database.run(self._store.identity)
        async for _ in stream.additions(name):
            self._wake()

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, and again after a while when what it needs is away: the database is looked at meanwhile."""
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
    """The Redis stream of one database's commits. A line's id there is its place, as its token has it."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def end(self, name: str) -> str | None:
        """The token of the last line that was ever sent; None: there is none."""
        try:
            info = await self._redis.xinfo_stream(_key(name))
        except ResponseError:  # no such key
            return None
        last: bytes = info["last-generated-id"]
        return f"{name}.{last.decode().replace('-', '.')}"

    async def add(self, name: str, commits: Sequence[Commit]) -> None:
        """Send lines; those that are there already are passed over."""
        pipe = self._redis.pipeline(transaction=False)
        for commit in commits:
            fields: dict[Any, Any] = {
                "symbol": commit.key.symbol,
                "interval": commit.key.interval.value,
                "epoch": commit.epoch,
                "revision": commit.revision,
                "restated": int(commit.restated),
                "first_changed_ms": commit.first_changed_ms,
                "last_changed_ms": commit.last_changed_ms,
                "committed_at_ms": commit.committed_at_ms,
            }
            pipe.xadd(_key(name), fields, id=_place(name, commit.token), maxlen=STREAM_ENTRIES)
        for answer in await pipe.execute(raise_on_error=False):
            if isinstance(answer, Exception) and "equal or smaller" not in str(answer):
                raise answer

    async def additions(self, name: str) -> AsyncIterator[None]:
        """Comes back each time that there are new lines."""
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
