"""The cache itself."""

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from structlog.typing import FilteringBoundLogger

from . import log as logs
from .answer import Absent, Answer, Held, Status
from .backend import Backend
from .clock import SYSTEM, Clock
from .codecs import BYTES, Codec
from .decorator import Cached
from .errors import Unavailable
from .flight import Flight, Flights, fresh_copy
from .judge import Verdict, judge
from .loading import LoadMany, Loads, call
from .policy import Policy
from .reads import Reads
from .stats import Counts, Stats, snapshot

T = TypeVar("T")

MAX_KEY_LENGTH = 512
_HIT, _MISS, _STALE, _COALESCED, _NEGATIVE = Status
_FAILURES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """What `get_or_load_many` found: an answer or an error for every key asked for."""

    answers: dict[str, Answer[T]]
    errors: dict[str, Exception]

    def __getitem__(self, key: str) -> Answer[T]:
        """The key's answer. Raises the error of its load if it failed, KeyError if it was not asked for."""
        if key in self.errors:
            raise fresh_copy(self.errors[key])
        return self.answers[key]

    def __iter__(self) -> Iterator[str]:
        yield from self.answers
        yield from self.errors


class Cache:
    """A cache over one backend, for one event loop.

    Values are shared between callers: treat them as immutable. A key always goes with one codec.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Clock = SYSTEM,
        name: str = "cache",
        codec: Codec[Any] = BYTES,
        executor: Executor | None = None,
        random: Callable[[], float] = random_module.random,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        """`name` labels statistics and log events; `codec` is for calls that name none; `executor` runs
        loaders that are not async (None: the loop's own); `random` gives numbers in [0, 1); for `log` see
        log.py.
        """
        self.name = name
        self.backend = backend
        self._codec = codec
        self._executor = executor
        self._random = random
        self._clock = clock
        self._peek = backend.peek
        self._counts = Counts()
        self._since: Stats | None = None
        self._flights = Flights()
        self._reads = Reads()
        self._failed: dict[str, float] = {}
        self._loads = Loads(backend, clock=clock, counts=self._counts, random=random, landed=self._landed)
        self._log = logs.bound(log, cache=name)
        self._debug = self._log.is_enabled_for(logging.DEBUG)

    # Reading

    async def get(self, key: str, *, codec: Codec[T] | None = None, stale: bool = False) -> Answer[T] | None:
        """What is held, if it is fresh (HIT, or NEGATIVE for a known absence), else None.

        With `stale`, also what is past its freshness but not gone, as STALE.
        """
        answer = self._peek(key)
        if answer is not None:
            self._counts.hits += 1
            if self._debug:
                self._event("cache_hit", key, _HIT)
            return answer
        return (await self._get_many([key], codec, stale)).get(key)

    async def get_many(
        self, keys: Iterable[str], *, codec: Codec[T] | None = None, stale: bool = False
    ) -> dict[str, Answer[T]]:
        """`get` for many keys by one look at the backend; a key that is a miss has no entry."""
        return await self._get_many(list(keys), codec, stale)

    async def _get_many(self, keys: list[str], codec: Codec[T] | None, stale: bool) -> dict[str, Answer[T]]:
        answers: dict[str, Answer[T]] = {}
        hits = 0
        counts = self._counts
        for key, (answer, age_s) in (await self._held(_checked(keys), codec or self._codec)).items():
            if age_s < answer.fresh_for:
                answers[key] = answer
                hits += answer.status is _HIT
            elif stale:
                answers[key] = answer.marked(_STALE)
                counts.stale += 1
                counts.negative -= 1
        counts.hits += hits
        counts.negative += len(answers) - hits
        if len(answers) < len(keys):
            counts.misses += sum(key not in answers for key in keys)
        if self._debug:
            for key in keys:
                found = answers.get(key)
                self._event("cache_hit" if found else "cache_miss", key, found.status if found else _MISS)
        return answers

    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], Awaitable[T | Absent]] | Callable[[], T | Absent],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
    ) -> Answer[T]:
        """What is held, as far as `policy` allows, else what `loader` gives, stored under `policy`.

        One load per key runs at a time: here, and among all processes that share the backend. It runs to
        its end also if every caller leaves. A loader that is not an async function runs in the executor. It
        returns ABSENT for what there is not. What it raises is raised here (callers that only waited get a
        copy) unless an old answer may be served; LoadTimeout and LoadCancelled likewise.
        """
        answer = self._peek(key)
        if answer is not None and (policy.max_age_s is None or policy.max_age_s >= answer.fresh_for):
            self._counts.hits += 1
            if self._debug:
                self._event("cache_hit", key, _HIT)
            return answer
        executor = self._executor

        async def load(keys: list[str]) -> Mapping[str, Any]:
            return {keys[0]: await call(loader, executor)}

        batch = await self._answer([key], load, policy, codec)
        if batch.errors:
            raise batch.errors[key]
        return batch.answers[key]

    async def get_or_load_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Awaitable[Mapping[str, T | Absent | Exception]]]
        | Callable[[list[str]], Mapping[str, T | Absent | Exception]],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
    ) -> Batch[T]:
        """`get_or_load` for many keys, with one call of `loader` for all that have to be loaded.

        The loader gets these keys and gives values by key: no entry, or ABSENT, for what there is not; an
        exception for a key that failed alone. Nothing that a load raises is raised here: it stands in
        `Batch.errors`.
        """
        executor = self._executor

        async def load(keys: list[str]) -> Mapping[str, Any]:
            values = await call(loader, executor, keys)
            if not isinstance(values, Mapping):
                raise TypeError(f"a loader of many gives a mapping from keys to values, not {values!r:.80}")
            return values

        return await self._answer(list(dict.fromkeys(keys)), load, policy, codec)

    async def _answer(
        self, keys: list[str], loader: LoadMany, policy: Policy, codec: Codec[T] | None
    ) -> Batch[T]:
        codec = codec or self._codec
        batch: Batch[T] = Batch({}, {})
        held = await self._read(_checked(keys), codec)
        refresh: list[str] = []
        fallback: dict[str, Answer[T]] = {}
        load: list[str] = []
        for key in keys:
            found = held.get(key)
            verdict = judge(found, policy, self._random)
            if verdict is Verdict.GONE or found is None:
                load.append(key)
                continue
            answer: Answer[T] = found[0]
            if verdict is Verdict.FALLBACK:
                if self._resting(key, policy):
                    self._give(batch, key, answer.marked(_STALE))
                else:
                    fallback[key] = answer.marked(_STALE)
                    load.append(key)
                continue
            self._give(batch, key, answer.marked(_STALE) if verdict is Verdict.STALE else answer)
            if verdict is not Verdict.FRESH and not self._resting(key, policy):
                refresh.append(key)
        if refresh:
            self._begin(refresh, loader, policy, codec, held, refresh=True)
        if load:
            await self._load(batch, load, fallback, loader, policy, codec, held)
        return batch

    async def _load(
        self,
        batch: Batch[T],
        keys: list[str],
        fallback: Mapping[str, Answer[T]],
        loader: LoadMany,
        policy: Policy,
        codec: Codec[Any],
        held: Mapping[str, Held],
    ) -> None:
        joined = {key: flight for key in keys if (flight := self._flights.get(key)) is not None}
        led = self._begin(
            [key for key in keys if key not in joined], loader, policy, codec, held, refresh=False
        )
        for key in keys:
            leader = key in led
            try:
                landed = await (led if leader else joined)[key].outcome(leader=leader)
            except Exception as error:
                if key in fallback:
                    self._give(batch, key, fallback[key])
                else:
                    self._count(key, _MISS if leader else _COALESCED)
                    batch.errors[key] = error
            else:
                status = _MISS if leader and landed.loaded else _COALESCED
                batch.answers[key] = landed.answer.marked(status)
                self._count(key, status)

    def _begin(
        self,
        keys: list[str],
        loader: LoadMany,
        policy: Policy,
        codec: Codec[Any],
        held: Mapping[str, Held],
        *,
        refresh: bool,
    ) -> dict[str, Flight]:
        """Begin flights for those of the keys that have none; a refresh is one that nobody waits for."""
        flights = {key: self._flights.begin(key, refresh) for key in keys if self._flights.get(key) is None}
        if flights:
            self._flights.run(asyncio.create_task(self._loads.run(flights, loader, policy, codec, held)))
        return flights

    def _landed(self, flight: Flight, outcome: Answer[Any] | Exception) -> None:
        key = flight.key
        self._flights.end(flight)
        if isinstance(outcome, Exception):
            self._failed.pop(key, None)
            self._failed[key] = self._clock.monotonic()
            if len(self._failed) > _FAILURES_KEPT:
                del self._failed[next(iter(self._failed))]
            if flight.refresh:
                self._log.warning("cache_refresh_failed", key=key, error=repr(outcome))
            return
        self._failed.pop(key, None)
        if flight.current:
            self._reads.landed(key, outcome)
            if self._debug:
                self._event("cache_set", key, outcome.status)

    def _resting(self, key: str, policy: Policy) -> bool:
        failed = self._failed.get(key)
        return failed is not None and self._clock.monotonic() < failed + policy.retry_s

    async def _read(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        if self.backend.locks is None:  # no other process sees it: it answers without waiting
            return await self._held(keys, codec)
        return await self._reads.read(keys, lambda own: self._held(own, codec))

    async def _held(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        try:
            return await self.backend.get_many(keys, codec)
        except Unavailable:
            return {}

    # Writing

    async def set(
        self, key: str, value: T | Absent, policy: Policy, *, codec: Codec[T] | None = None
    ) -> bool:
        """Store a value, or ABSENT. A load of the key that is under way will not overwrite it.

        Whether it was stored: not if it is larger than the backend's bound, or the backend is away. Raises
        CodecError for a value that the codec cannot hold.
        """
        answer = self._loads.answer(value, policy, codec or self._codec)
        put = self.backend.put
        if put is None or self._flights.current:
            return await self._store({key: answer}, codec) > 0
        _check(key, answer)  # the short way, for backends that need no waiting
        stored = put(key, answer)
        self._counts.sets += stored
        if self._debug:
            self._event("cache_set", key, answer.status)
        return stored

    async def set_many(
        self, values: Mapping[str, T | Absent], policy: Policy, *, codec: Codec[T] | None = None
    ) -> int:
        """`set` for many keys at once: how many were stored."""
        codec = codec or self._codec
        answer = self._loads.answer
        return await self._store({key: answer(value, policy, codec) for key, value in values.items()}, codec)

    async def _store(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any] | None) -> int:
        for key, answer in answers.items():
            _check(key, answer)
        if self._flights.current or self._reads.pending:
            self._outdate(answers)
        try:
            stored = await self.backend.set_many(answers, codec or self._codec)
        except Unavailable:
            return 0
        finally:
            if self._reads.pending:
                self._reads.outdate(answers)
        self._counts.sets += stored
        if self._debug:
            for key, answer in answers.items():
                self._event("cache_set", key, answer.status)
        return stored

    async def delete(self, key: str) -> bool:
        """Delete; whether there was something. A load of the key that is under way will not be stored."""
        return await self.delete_many([key]) > 0

    async def delete_many(self, keys: Iterable[str]) -> int:
        """`delete` for many keys at once: how many there were."""
        keys = _checked(list(keys))
        self._outdate(keys)
        try:
            deleted = await self.backend.delete_many(keys)
        except Unavailable:
            return 0
        finally:
            self._reads.outdate(keys)
        self._counts.deletes += deleted
        if self._debug:
            for key in keys:
                self._event("cache_delete", key, None)
        return deleted

    async def clear(self) -> None:
        """Delete everything that this cache's backend holds."""
        self._outdate(None)
        try:
            await self.backend.clear()
        except Unavailable:
            pass
        finally:
            self._reads.outdate(None)

    def cached(
        self,
        name: str,
        policy: Policy,
        *,
        key: Callable[..., Any] | None = None,
        version: int = 1,
        codec: Codec[Any] | None = None,
    ) -> Cached:
        """A decorator: the function's results are cached under `name` (a key namespace) and its arguments.

        Positional, keyword and default forms of one call give one key. `key` gets the arguments and gives
        the one key part to use instead; `version` is as in `keys.key`, `codec` as in `get_or_load`.
        """
        return Cached(self, name, policy, key=key, version=version, codec=codec)

    def _outdate(self, keys: Iterable[str] | None) -> None:
        self._flights.outdate(keys)
        self._reads.outdate(keys)

    # Counting

    def stats(self) -> Stats:
        """The counters since the beginning, or since `clear_stats`."""
        return snapshot(self._counts, self.backend.counts, self.backend.size(), self._since)

    def clear_stats(self) -> None:
        """Count from zero again (`total_stats` goes on)."""
        self._since = self.total_stats()

    def total_stats(self) -> Stats:
        """The counters since the beginning: what metrics show."""
        return snapshot(self._counts, self.backend.counts, self.backend.size())

    def _give(self, batch: Batch[T], key: str, answer: Answer[T]) -> None:
        batch.answers[key] = answer
        self._count(key, answer.status)

    def _count(self, key: str, status: Status) -> None:
        counts = self._counts
        if status is _HIT:
            counts.hits += 1
        elif status is _MISS:
            counts.misses += 1
        elif status is _STALE:
            counts.stale += 1
        elif status is _COALESCED:
            counts.coalesced += 1
        else:
            counts.negative += 1
        if self._debug:
            self._event("cache_miss" if status in (_MISS, _COALESCED) else "cache_hit", key, status)

    def _event(self, event: str, key: str, status: Status | None) -> None:
        self._log.debug(event, key=key, **({} if status is None else {"status": status.value}))

    # Ending

    async def aclose(self) -> None:
        """Stop loads under way (those who wait get LoadCancelled) and close the backend."""
        await self._flights.cancel()
        await self.backend.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _check(key: str, answer: Answer[Any]) -> None:
    if type(key) is not str or not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii():
        raise _wrong_key(key)
    if answer.fresh_for <= 0:
        raise ValueError("to set ABSENT, Policy.negative_s must be above 0")


def _checked(keys: list[str]) -> list[str]:
    if keys:
        try:
            wrong = not "".join(keys).isascii() or not all(keys) or max(map(len, keys)) > MAX_KEY_LENGTH
        except TypeError:
            wrong = True
        if wrong:
            raise _wrong_key(keys)
    return keys


def _wrong_key(given: object) -> ValueError:
    accepted = f"ASCII text of 1 to {MAX_KEY_LENGTH} characters (see keys.key)"
    return ValueError(f"a key is {accepted}, not {given!r:.200}")
