"""Invalidation messages for changed keys: Redis client tracking in broadcast mode, from every primary.

Each listening connection speaks RESP2 and redirects the messages to itself, so that they arrive as plain
pub/sub messages. Redis sends one for every key under the prefix that is set, deleted, expired or evicted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisClusterException, RedisError
from structlog.typing import FilteringBoundLogger

from .redis import Client

_CHANNEL = b"__redis__:invalidate"


class _Lost(Exception):
    """A primary does not answer, or the set of primaries has changed."""


class Invalidations:
    """Listens from `start` to `aclose`, and reconnects as often as necessary.

    heard: called with the Redis keys that changed (None: all).
    listening: called with True when every change is heard from now on, and with False when changes may be
        missed, at most `lag_s` after the first missed one.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        lag_s: float,
        heard: Callable[[Iterable[bytes] | None], None],
        listening: Callable[[bool], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._beat_s = lag_s / 3
        self._heard = heard
        self._listening = listening
        self._log = log
        self._is_listening = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, unless it runs already."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except* (RedisError, RedisClusterException, OSError, TimeoutError, _Lost) as lost:
                if self._is_listening:
                    self._log.warning("cache_invalidations_lost", error=repr(lost.exceptions[0]))
                self._is_listening = False
            except* Exception as failed:  # an unexpected error must not end the listening silently
                self._log.error("cache_invalidations_failed", exc_info=failed)
                self._is_listening = False
            await asyncio.sleep(self._beat_s / 2)

    async def _listen(self) -> None:
        """Listen until a connection is lost, and raise why."""
        connections: dict[str, AbstractConnection] = {}
        try:
            async with asyncio.timeout(self._beat_s * 3):
                connections = await self._connections()
                for connection in connections.values():
                    await self._subscribe(connection)
            self._is_listening = True
            self._listening(True)
            self._log.debug("cache_invalidations_heard")
            async with asyncio.TaskGroup() as group:
                for connection in connections.values():
                    group.create_task(self._hear(connection))
                if isinstance(self._client, RedisCluster):
                    group.create_task(self._watch(set(connections)))
        finally:
            self._listening(False)
            for connection in connections.values():
                await connection.disconnect(nowait=True)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        number = await _ask(connection, "CLIENT", "ID")
        await _ask(
            connection, "CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", self._prefix
        )
        await _ask(connection, "SUBSCRIBE", _CHANNEL)

    async def _hear(self, connection: AbstractConnection) -> None:
        asked = False
        while True:
            message = await connection.read_response(timeout=self._beat_s)
            if message is None:  # silence: check that the connection is alive
                if asked:
                    raise _Lost("no answer to PING")
                await connection.send_command("PING", check_health=False)
                asked = True
                continue
            asked = False
            if message[0] == b"message":
                self._heard(message[2])

    async def _watch(self, names: set[str]) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            if {node.name for node in self._client.get_primaries()} != names:  # type: ignore[union-attr]
                raise _Lost("the primaries changed")

    async def _connections(self) -> dict[str, AbstractConnection]:
        """A connection, not yet connected, for every primary, by its name."""
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()
            return {
                node.name: node.connection_class(**node.connection_kwargs)
                for node in self._client.get_primaries()
            }
        pool: Any = self._client.connection_pool
        return {"": pool.connection_class(**pool.connection_kwargs)}


async def _ask(connection: AbstractConnection, *command: Any) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()
