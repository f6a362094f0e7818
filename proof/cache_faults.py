"""Callers of a cache whose Redis is killed, paused and started again."""

import asyncio
import functools
import time
from dataclasses import dataclass, field

from finstage_cache import Cache, Policy, open_cache
from tests.redis_server import RedisServer

TIMEOUT_S = 0.25
KEYS = 20
POLICY = Policy(fresh_s=0.5, stale_s=0.5, stale_on_error_s=60)
OPTIONS = "timeout_s=0.25&retry_s=0.3&claim_s=1"
LOAD_S = 0.01
# A call makes at most one read, one claim, one load and one store; the rest is slack for the machine.
BOUND_S = 3 * TIMEOUT_S + LOAD_S + 0.75


def url_of(server: RedisServer, *, tiered: bool) -> str:
    """Return the URL of a cache over Redis, or of memory over Redis."""
    return f"memory+{server.url}?{OPTIONS}&lag_s=0.5" if tiered else f"{server.url}?{OPTIONS}"


@dataclass
class Load:
    """Calls of a cache for some keys until stopped, with their waits and errors."""

    cache: Cache
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    doubled: int = 0
    _under_way: dict[str, int] = field(default_factory=dict)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _running: bool = True

    def start(self, callers: int) -> None:
        self._tasks = [asyncio.create_task(self._caller(number)) for number in range(callers)]

    async def stop(self) -> None:
        self._running = False
        await asyncio.gather(*self._tasks)

    async def _caller(self, turn: int) -> None:
        while self._running:
            key = f"k{turn % KEYS}"
            turn += 1
            began = time.monotonic()
            try:
                answer = await self.cache.get_or_load(key, functools.partial(self._load, key), POLICY)
                if answer.value != key.encode():
                    self.errors.append(f"{key}: {answer.value!r}")
            except Exception as error:
                self.errors.append(repr(error))
            self.waits.append(time.monotonic() - began)
            await asyncio.sleep(0.005)

    async def _load(self, key: str) -> bytes:
        self._under_way[key] = self._under_way.get(key, 0) + 1
        self.doubled += self._under_way[key] > 1
        await asyncio.sleep(LOAD_S)
        self._under_way[key] -= 1
        return key.encode()

    def p99_s(self) -> float:
        """Return the 99th percentile of the waits."""
        return sorted(self.waits)[int(len(self.waits) * 0.99)]

    def failures(self) -> list[str]:
        """Return the broken guarantees: errors, two concurrent loads of one key, a p99 above its bound."""
        failed = self.errors[:20]
        if self.doubled:
            failed.append(f"{self.doubled} loads of a key that was being loaded already")
        if self.p99_s() > BOUND_S:
            failed.append(f"p99 of {self.p99_s():.3f} s, bound {BOUND_S} s")
        return failed


async def strike(cache: Cache, server: RedisServer, fault: str, *, away_s: float) -> None:
    """Cause one fault under load, and wait for the recovery. Raises TimeoutError if it does not come."""
    if fault == "kill":
        await asyncio.to_thread(server.kill)
    else:
        server.pause()
    await asyncio.sleep(away_s)
    if fault == "kill":
        await asyncio.to_thread(server.start)
    else:
        server.resume()
    await _recovered(cache, server)


async def _recovered(cache: Cache, server: RedisServer) -> None:
    """Wait until this cache sees another process's stores again."""
    async with open_cache(server.url) as other:
        ends = time.monotonic() + 20
        while True:
            stamp = str(time.monotonic()).encode()
            if await other.set("stamp", stamp, POLICY.replace(fresh_s=60)):
                await asyncio.sleep(0.1)
                answer = await cache.get("stamp")
                if answer is not None and answer.value == stamp:
                    return
            if time.monotonic() > ends:
                raise TimeoutError("the cache did not return to Redis")
            await asyncio.sleep(0.05)
