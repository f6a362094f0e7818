"""Answers in Redis or Redis Cluster, shared by processes, with locks among them. Needs redis-py.

A key `k` is stored at `PREFIXk` (PX covers the stale times), its claim at `{PREFIXk}:lock` in the same slot.
"""

import asyncio
import functools
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterError, RedisClusterException, RedisError, ResponseError
from structlog.typing import FilteringBoundLogger

from finstage_runtime.breaker import Breaker, BreakerPolicy, BreakerState
from finstage_runtime.clock import SYSTEM, Clock

from . import log as logs
from .answer import Answer, Held
from .backend import BackendCounts, Claimed, Size
from .codecs import Codec
from .envelope import Damaged, OtherSchema, opener, seal
from .errors import Unavailable

T = TypeVar("T")
Client = Redis | RedisCluster

# An owner has one load per key at a time, so its own earlier claim, released or never answered, is replaced.
_CLAIM = """
local held = redis.call('GET', KEYS[2])
local ours = not held or string.sub(held, 1, #ARGV[2]) == ARGV[2]
if ours then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3]) end
return {ours and 1 or 0, redis.call('GET', KEYS[1])}
"""
# An empty envelope stands for an answer that is too large: the older entry goes.
_SETTLE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[2] == '' then redis.call('UNLINK', KEYS[1]) return 2 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
# Only if the entry was not replaced meanwhile: an envelope ends in its checksum.
_EXPIRE = """
if redis.call('GETRANGE', KEYS[1], -4, -1) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""
_KEEP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

PREFIX = "cache:"
_ENCODED = "ÿ"  # keys are ASCII, so none begins with it
_CLEAR_TIMEOUT_S = 60.0
_SCAN_COUNT = 1000
_FAILURES = 3


class RedisBackend:
    """A `Backend` over redis.asyncio, with `Locks`.

    Every call ends within `timeout_s`. After three failures in a row a breaker opens: calls fail at once,
    except one probe every `retry_s`. A command that Redis refuses (out of memory, say) fails only its call.
    """

    put = None

    def __init__(
        self,
        client: Client,
        *,
        prefix: str = PREFIX,
        timeout_s: float = 0.25,
        retry_s: float = 1.0,
        claim_s: float = 5.0,
        connections: int = 32,
        entry_size: int = 4 * 2**20,
        clock: Clock = SYSTEM,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        """client: returns bytes, not decoded text; closed with the backend. See `connect`.
        connections: the largest number of calls under way; further calls wait within their `timeout_s`.
        entry_size: the limit of an entry, which must arrive within `timeout_s`; bytes by the codec's `weigh`.
        """
        if not re.fullmatch(r"[A-Za-z0-9:_.-]{1,80}", prefix):
            raise ValueError(f"a Redis prefix must be 1 to 80 letters, digits and : _ . -, not {prefix!r}")
        for name, value in (("timeout_s", timeout_s), ("retry_s", retry_s), ("claim_s", claim_s)):
            if not 0 < value < 3600:
                raise ValueError(f"{name} must be seconds above 0 and below 3600, not {value!r}")
        for name, count in (("connections", connections), ("entry_size", entry_size)):
            if count < 1:
                raise ValueError(f"{name} must be a whole number above 0, not {count!r}")
        self.client = client
        self.prefix = prefix
        self.claim_s = claim_s
        self.counts = BackendCounts()
        self._cluster = isinstance(client, RedisCluster)
        self._timeout_s = timeout_s
        self._entry_size = entry_size
        self._wall = clock.wall
        self._free = asyncio.Semaphore(connections)
        self._log = logs.bound(log, backend="redis")
        self._breaker = Breaker(
            BreakerPolicy(failures=_FAILURES, open_s=retry_s, max_open_s=retry_s),
            monotonic=clock.monotonic,
            changed=self._breaker_changed,
        )

    @property
    def locks(self) -> "RedisBackend":
        return self

    def peek(self, key: str) -> Answer[Any] | None:
        return None

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]:
        keys = list(keys)
        names = self._names(keys)
        client: Any = self.client  # redis-py types its commands for sync and async use at once
        if len(names) == 1:
            found = [await self._ask(lambda: client.get(names[0]))]
        elif self._cluster:
            found = await self._ask(lambda: client.mget_nonatomic(names))
        else:
            found = await self._ask(lambda: client.execute_command("MGET", *names))
        return self._opened(keys, names, found, codec)

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        sealed = self._sealed(answers, codec)
        pipeline = self.client.pipeline(transaction=False)
        for name, data, keep_ms in sealed:
            if data:
                pipeline.set(name, data, px=keep_ms)
            else:
                pipeline.execute_command("UNLINK", name)
            pipeline.execute_command("UNLINK", _lock(name))
        await self._ask(pipeline.execute)
        return sum(bool(data) for _, data, _ in sealed)

    async def delete_many(self, keys: Iterable[str]) -> int:
        pipeline = self.client.pipeline(transaction=False)
        for name in self._names(list(keys)):
            pipeline.execute_command("UNLINK", name)
            pipeline.execute_command("UNLINK", _lock(name))
        return sum((await self._ask(pipeline.execute))[::2])

    async def expire(self, key: str, unless: Callable[[Any], bool], codec: Codec[Any]) -> bool:
        [name] = self._names([key])
        client: Any = self.client
        data = await self._ask(lambda: client.get(name))
        held = self._opened([key], [name], [data], codec).get(key)
        if held is None:
            return False
        answer, age_s = held
        if age_s >= answer.fresh_for or (not answer.absent and unless(answer.value)):
            return False
        expired = seal(name, answer.expired(age_s), codec)
        return bool(await self._ask(lambda: client.eval(_EXPIRE, 1, name, data[-4:], expired)))

    async def clear(self) -> None:
        for pattern in (f"{self.prefix}*", f"{{{self.prefix}*"):
            await self._ask(functools.partial(self._unlink_all, pattern), timeout_s=_CLEAR_TIMEOUT_S)

    async def _unlink_all(self, pattern: str) -> None:
        names: list[bytes] = []

        async def unlink() -> None:
            pipeline = self.client.pipeline(transaction=False)
            for name in names:
                pipeline.execute_command("UNLINK", name)
            await pipeline.execute()
            names.clear()

        async for name in self.client.scan_iter(match=pattern, count=_SCAN_COUNT):
            names.append(name)
            if len(names) >= _SCAN_COUNT:
                await unlink()
        if names:
            await unlink()

    def size(self) -> Size:
        return Size(0, 0)

    async def aclose(self) -> None:
        await self.client.aclose()

    # Locks

    async def claim(self, keys: Iterable[str], token: bytes, codec: Codec[Any]) -> dict[str, Claimed]:
        keys = list(keys)
        names = self._names(keys)
        owner = token.partition(b":")[0] + b":"
        pipeline = self.client.pipeline(transaction=False)
        for name in names:
            pipeline.eval(_CLAIM, 2, name, _lock(name), token, owner, self._claim_ms)
        replies = await self._ask(pipeline.execute)
        held = self._opened(keys, names, [data for _, data in replies], codec)
        return {key: Claimed(bool(ours), held.get(key)) for key, (ours, _) in zip(keys, replies, strict=True)}

    async def keep(self, keys: Iterable[str], token: bytes) -> None:
        await self._eval(_KEEP, keys, token, self._claim_ms)

    async def settle(self, answers: Mapping[str, Answer[Any]], token: bytes, codec: Codec[Any]) -> set[str]:
        return (await self.settled(answers, token, codec))[0]

    async def settled(
        self, answers: Mapping[str, Answer[Any]], token: bytes, codec: Codec[Any]
    ) -> tuple[set[str], set[str]]:
        """`settle`: the keys that it stored, and the claimed keys whose answers are too large."""
        pipeline = self.client.pipeline(transaction=False)
        for name, data, keep_ms in self._sealed(answers, codec):
            pipeline.eval(_SETTLE, 2, name, _lock(name), token, data, keep_ms)
        done = await self._ask(pipeline.execute)
        stored = {key for key, outcome in zip(answers, done, strict=True) if outcome == 1}
        return stored, {key for key, outcome in zip(answers, done, strict=True) if outcome == 2}

    async def release(self, keys: Iterable[str], token: bytes) -> None:
        await self._eval(_RELEASE, keys, token)

    async def _eval(self, script: str, keys: Iterable[str], *args: Any) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for name in self._names(list(keys)):
            pipeline.eval(script, 1, _lock(name), *args)
        await self._ask(pipeline.execute)

    @property
    def _claim_ms(self) -> int:
        return max(1, round(self.claim_s * 1000))

    def name(self, key: str) -> bytes:
        """The Redis key of a cache key."""
        return self._names([key])[0]

    def key(self, name: bytes) -> str:
        """The cache key of a Redis key: the inverse of `name`."""
        key = name.decode(errors="replace")[len(self.prefix) :]
        return unquote(key[1:]) if key[:1] == _ENCODED else key

    def _names(self, keys: list[str]) -> list[bytes]:
        together = "".join(keys)
        if "{" in together or "}" in together:
            # Encoded, because braces would choose another slot of the cluster than the lock's.
            keys = [_ENCODED + quote(key, safe="") if "{" in key or "}" in key else key for key in keys]
        # Bytes, because redis-py is slow at encoding.
        return [(self.prefix + key).encode() for key in keys]

    def fits(self, answer: Answer[Any]) -> bool:
        """Whether the answer is within `entry_size`."""
        return answer.weight <= self._entry_size

    def _sealed(
        self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]
    ) -> list[tuple[bytes, bytes, int]]:
        """Name, envelope and lifetime of each answer; the envelope is empty if the answer is too large."""
        sealed = []
        for name, answer in zip(self._names(list(answers)), answers.values(), strict=True):
            fits = self.fits(answer)
            self.counts.refused += not fits
            data = seal(name, answer, codec) if fits else b""
            sealed.append((name, data, math.ceil(answer.error_for * 1000)))
        return sealed

    def _opened(
        self, keys: list[str], names: list[bytes], found: Iterable[bytes | None], codec: Codec[Any]
    ) -> dict[str, Held]:
        held: dict[str, Held] = {}
        now = self._wall()
        open_one = opener(codec)
        for key, name, data in zip(keys, names, found, strict=True):
            if data is None:
                continue
            try:
                answer = open_one(name, data)
            except Damaged:
                self.counts.damaged += 1
                continue
            except OtherSchema:
                self.counts.other_schema += 1
                continue
            age_s = now - answer.stored
            if age_s < answer.error_for:
                # Hosts' clocks differ a little: a time later than now counts as now.
                held[key] = (answer, age_s if age_s > 0.0 else 0.0)
        return held

    async def _ask(self, work: Callable[[], Awaitable[T]], timeout_s: float | None = None) -> T:
        if not self._breaker.allow():
            self.counts.errors += 1
            raise Unavailable("Redis is not asked now: it failed repeatedly")
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s), self._free:
                result = await work()
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            self.counts.errors += 1
            if not isinstance(error, ResponseError) or isinstance(error, ClusterError):
                self._breaker.failed()
            raise Unavailable(f"Redis: {type(error).__name__}: {error}") from error
        self._breaker.succeeded()
        return result

    def _breaker_changed(self, before: BreakerState, after: BreakerState) -> None:
        if before is BreakerState.CLOSED:
            self._log.warning("cache_backend_down")
        elif after is BreakerState.CLOSED:
            self._log.info("cache_backend_up")


def _lock(name: bytes) -> bytes:
    return b"{%b}:lock" % name


def connect(url: str, *, cluster: bool = False, connections: int = 32) -> Client:
    """A client for `RedisBackend` at a `redis://` or `rediss://` URL, without retries or timeouts of its own.

    The backend limits the time of each call as a whole, and retries would only spend it.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
    }
    if cluster:
        return RedisCluster.from_url(url, max_connections=connections, **options)
    return Redis.from_pool(ConnectionPool.from_url(url, max_connections=2 * connections, **options))
