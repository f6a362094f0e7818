"""Memory over Redis: hits are as fast as memory, and every process's memory follows Redis within `lag_s`.

An entry in memory is trusted if it was read while invalidations are heard. Otherwise it is fresh for at most
`lag_s`, and after that it is served only as STALE, while Redis does not answer.

An entry that is too large for Redis is held in memory alone. Other processes do not see it, and their changes
of it are not heard here: it stays until it is changed here or expires.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from structlog.typing import FilteringBoundLogger

from finstage_runtime.clock import SYSTEM, Clock

from . import log as logs
from .answer import Answer, Held
from .backend import Size
from .codecs import Codec
from .errors import Unavailable
from .invalidation import Invalidations
from .memory import MemoryStore, check_bounds
from .redis import RedisBackend


class TieredBackend:
    """A `Backend` with a `MemoryStore` over a `RedisBackend`, with the latter's locks."""

    put = None

    def __init__(
        self,
        remote: RedisBackend,
        *,
        entries: int = 10_000,
        size: int = 64 * 2**20,
        lag_s: float = 2.0,
        clock: Clock = SYSTEM,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        """entries, size: the limits of the memory.
        lag_s: from 0.1 to 60. Every process sees a change within this time: at once while invalidations are
            heard, else because memory is not trusted for longer.
        """
        check_bounds(entries, size)
        if not 0.1 <= lag_s <= 60:
            raise ValueError(f"lag_s must be seconds from 0.1 to 60, not {lag_s!r}")
        self.remote = remote
        self.store = MemoryStore(entries=entries, size=size, clock=clock)
        self.counts = self.store.counts = remote.counts
        self.peek = self.store.peek
        self.claim_s = remote.claim_s
        self.claim = remote.claim
        self.keep = remote.keep
        self.release = remote.release
        self._monotonic = clock.monotonic
        self._wall = clock.wall
        self._lag_s = lag_s
        self._listening_since: float | None = None
        self._ready = asyncio.Event()
        self._filling: dict[str, object] = {}
        self._invalidations = Invalidations(
            remote.client,
            remote.prefix,
            lag_s=lag_s,
            heard=self._invalidate,
            listening=self._listening,
            log=logs.bound(log, backend="tiered"),
        )

    @property
    def locks(self) -> "TieredBackend":
        return self

    async def ready(self) -> None:
        """Wait until invalidations are heard, from when memory is trusted."""
        self._invalidations.start()
        await self._ready.wait()

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]:
        self._invalidations.start()
        found: dict[str, Held] = {}
        asked = []
        for key in keys:
            held = self.store.get(key)
            if held is not None and self._trusted(key):
                found[key] = held
            else:
                asked.append(key)
        if asked:
            try:
                found.update(await self._fetch(asked, codec))
            except Unavailable:
                found.update(self._untrusted(asked))
        return found

    async def _fetch(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        """Read from Redis into memory, except keys that change meanwhile."""
        mark = object()
        self._filling.update(dict.fromkeys(keys, mark))
        unchanged = []
        try:
            found = await self.remote.get_many(keys, codec)
        finally:
            for key in keys:
                if self._filling.get(key) is mark:
                    del self._filling[key]
                    unchanged.append(key)
        for key in unchanged:
            held = found.get(key)
            if held is None:
                self.store.delete(key)
            else:
                answer, age_s = held
                if not answer.absent:
                    answer.weight = codec.weigh(answer.value)
                self._keep(key, answer, age_s)
        return found

    def _untrusted(self, keys: list[str]) -> dict[str, Held]:
        """The entries of memory for use while Redis does not answer: stale after `lag_s`."""
        found = {}
        for key in keys:
            held = self.store.get(key)
            if held is not None:
                answer, age_s = held
                if self._monotonic() >= self.store.held_since(key) + self._lag_s:
                    age_s = max(age_s, answer.fresh_for)
                found[key] = answer, age_s
        return found

    def _trusted(self, key: str) -> bool:
        return self._listening_since is not None and self.store.held_since(key) >= self._listening_since

    def _keep(self, key: str, answer: Answer[Any], age_s: float = 0.0) -> bool:
        peek_s = float("inf") if self._listening_since is not None else self._lag_s
        return self.store.put(key, answer, age_s, peek_s)

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        ours: Mapping[str, Answer[Any]] = {}
        try:
            stored = await self.remote.set_many(answers, codec)
            ours = {key: answer for key, answer in answers.items() if not self.remote.fits(answer)}
        except Unavailable:
            ours = answers
            raise
        finally:
            kept = self._replace(answers, ours)
        return stored + len(kept)

    async def settle(self, answers: Mapping[str, Answer[Any]], token: bytes, codec: Codec[Any]) -> set[str]:
        ours: Mapping[str, Answer[Any]] = {}
        try:
            stored, large = await self.remote.settled(answers, token, codec)
            ours = {key: answers[key] for key in large}
        except Unavailable:
            ours = answers
            raise
        finally:
            kept = self._replace(answers, ours)
        return stored | kept

    def _replace(self, answers: Mapping[str, Answer[Any]], ours: Mapping[str, Answer[Any]]) -> set[str]:
        """Drop the entries of these answers from memory, then keep `ours`, which are not in Redis; return the
        keys kept.

        The others are not kept: the invalidation of our own change would drop them at once.
        """
        self._drop(answers)
        now = self._wall()
        return {key for key, answer in ours.items() if self._keep(key, answer, answer.age_s(now))}

    async def delete_many(self, keys: Iterable[str]) -> int:
        keys = list(keys)
        self._drop(keys)
        try:
            return await self.remote.delete_many(keys)
        finally:
            self._drop(keys)

    async def expire(self, key: str, unless: Callable[[Any], bool], codec: Codec[Any]) -> bool:
        expired = self.store.expire(key, unless)
        self._filling.pop(key, None)
        expired |= await self.remote.expire(key, unless, codec)
        held = self.store.get(key)
        if held is not None and self.remote.fits(held[0]):
            self._drop([key])  # Redis has this entry, or a newer one
        return expired

    async def clear(self) -> None:
        try:
            await self.remote.clear()
        finally:
            self._invalidate(None)

    def size(self) -> Size:
        return Size(len(self.store), self.store.bytes)

    async def aclose(self) -> None:
        await self._invalidations.aclose()
        self.store.clear()
        await self.remote.aclose()

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._filling.pop(key, None)
            self.store.delete(key)

    def _invalidate(self, names: Iterable[bytes] | None) -> None:
        if names is None:
            self.counts.invalidations += len(self.store)
            self._filling.clear()
            self.store.clear()
            return
        for name in names:
            key = self.remote.key(name)
            self._filling.pop(key, None)
            self.counts.invalidations += self.store.delete(key)

    def _listening(self, listening: bool) -> None:
        # Reads under way began before, and may have missed a change.
        self._filling.clear()
        if listening:
            self._listening_since = self._monotonic()
            self._ready.set()
        elif self._listening_since is not None:
            self._listening_since = None
            self._ready.clear()
            self.store.stop_peeks()
