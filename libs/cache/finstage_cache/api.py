"""The cache itself."""

import random as random_module
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from structlog.typing import FilteringBoundLogger

from finstage_runtime.clock import SYSTEM, Clock

from .answer import Absent, Answer, Loaded, Status
from .backend import Backend
from .codecs import BYTES, Codec
from .decorator import Cached
from .errors import Unavailable
from .loading import call
from .log import bound
from .lookups import Batch, Lookups
from .policy import Policy
from .stats import Recorder, Stats, snapshot

T = TypeVar("T")

NAME = "cache"
MAX_KEY_LENGTH = 512
_HIT, _MISS, _STALE = Status.HIT, Status.MISS, Status.STALE


class Cache:
    """A cache over one backend, for one event loop.

    Values are shared between callers: treat them as immutable. A key always goes with one codec.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Clock = SYSTEM,
        name: str = NAME,
        codec: Codec[Any] = BYTES,
        executor: Executor | None = None,
        random: Callable[[], float] = random_module.random,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        """name: a label for statistics and log events.
        codec: for calls that name none.
        executor: runs loaders that are not async; None: the loop's default.
        random: gives numbers in [0, 1).
        log: see log.py.
        """
        self.name = name
        self.backend = backend
        self._codec = codec
        self._executor = executor
        self._recorder = Recorder(bound(log, cache=name))
        self._debug = self._recorder.debug
        self._counts = self._recorder.counts
        self._since: Stats | None = None
        self._lookups = Lookups(backend, clock=clock, random=random, recorder=self._recorder)
        self._peek = backend.peek

    # Reading

    @overload
    async def get(self, key: str, *, codec: None = None, stale: bool = False) -> Answer[Any] | None: ...

    @overload
    async def get(self, key: str, *, codec: Codec[T], stale: bool = False) -> Answer[T] | None: ...

    async def get(
        self, key: str, *, codec: Codec[Any] | None = None, stale: bool = False
    ) -> Answer[Any] | None:
        """The held answer if it is fresh (HIT, or NEGATIVE for a known absence), else None.

        stale: also return an answer that is no longer fresh but not gone, as STALE.
        """
        answer = self._peek(key)
        if answer is not None:
            self._counts.hits += 1
            if self._debug:
                self._recorder.log_answer(key, _HIT)
            return answer
        return (await self._get_many([key], codec, stale)).get(key)

    @overload
    async def get_many(
        self, keys: Iterable[str], *, codec: None = None, stale: bool = False
    ) -> dict[str, Answer[Any]]: ...

    @overload
    async def get_many(
        self, keys: Iterable[str], *, codec: Codec[T], stale: bool = False
    ) -> dict[str, Answer[T]]: ...

    async def get_many(
        self, keys: Iterable[str], *, codec: Codec[Any] | None = None, stale: bool = False
    ) -> dict[str, Answer[Any]]:
        """`get` for many keys with one call of the backend; a miss has no entry."""
        return await self._get_many(list(keys), codec, stale)

    async def _get_many(
        self, keys: list[str], codec: Codec[Any] | None, stale: bool
    ) -> dict[str, Answer[Any]]:
        answers: dict[str, Answer[Any]] = {}
        hits = 0
        counts = self._counts
        for key, (answer, age_s) in (await self._lookups.held(_checked(keys), codec or self._codec)).items():
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
                self._recorder.log_answer(key, answers[key].status if key in answers else _MISS)
        return answers

    @overload
    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], Awaitable[T | Absent | Loaded[T]]],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
        wait_s: Callable[[], float | None] | None = None,
    ) -> Answer[T]: ...

    @overload
    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], T | Absent | Loaded[T]],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
        wait_s: Callable[[], float | None] | None = None,
    ) -> Answer[T]: ...

    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], Any],
        policy: Policy,
        *,
        codec: Codec[Any] | None = None,
        wait_s: Callable[[], float | None] | None = None,
    ) -> Answer[Any]:
        """The held answer if `policy` allows it, else the answer of `loader`, stored under `policy`.

        One load per key runs at a time, in this process and among all that share the backend. It runs to its
        end even if every caller leaves. A loader that is not an async function runs in the executor. A loader
        returns ABSENT if the value does not exist, and `Loaded` for a value that is older than the load.

        A caller that waited for another's load, and got an answer older than its own `max_age_s`, asks again.

        wait_s: called when a load is needed, for the seconds that this call waits; None: to the load's end.
            After that an old answer that may be served on error is served as STALE. The load goes on.

        Raises:
            Exception: the loader's, when no old answer may be served; a copy for callers that only waited.
            LoadTimeout, LoadCancelled: likewise.
        """
        answer = self._peek(key)
        if answer is not None and (policy.max_age_s is None or policy.max_age_s >= answer.fresh_for):
            self._counts.hits += 1
            if self._debug:
                self._recorder.log_answer(key, _HIT)
            return answer
        executor = self._executor

        async def load(keys: list[str]) -> Mapping[str, Any]:
            return {keys[0]: await call(loader, executor)}

        batch = await self._lookups.get_or_load(_checked([key]), load, policy, codec or self._codec, wait_s)
        if batch.errors:
            raise batch.errors[key]
        return batch.answers[key]

    async def get_or_load_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Awaitable[Mapping[str, T | Absent | Loaded[T] | Exception]]]
        | Callable[[list[str]], Mapping[str, T | Absent | Loaded[T] | Exception]],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
        wait_s: Callable[[], float | None] | None = None,
    ) -> Batch[T]:
        """`get_or_load` for many keys, with one call of `loader` for all keys that must be loaded.

        The loader gets these keys and returns values by key: ABSENT or no entry for a value that does not
        exist, an exception for a key that failed alone. Errors of loads are in `Batch.errors`, not raised.
        """
        executor = self._executor

        async def load(keys: list[str]) -> Mapping[str, Any]:
            values = await call(loader, executor, keys)
            if not isinstance(values, Mapping):
                raise TypeError(f"a loader of many keys must return a mapping by key, not {values!r:.80}")
            return values

        keys = _checked(list(dict.fromkeys(keys)))
        return await self._lookups.get_or_load(keys, load, policy, codec or self._codec, wait_s)

    # Writing

    async def set(
        self, key: str, value: T | Absent, policy: Policy, *, codec: Codec[T] | None = None
    ) -> bool:
        """Store a value, or ABSENT. A load of the key that is under way does not overwrite it.

        Returns whether it was stored: False if it exceeds the backend's limit, or the backend is unavailable.

        Raises:
            CodecError: the codec cannot hold the value.
        """
        answer = self._lookups.loads.answer(value, policy, codec or self._codec)
        put = self.backend.put
        if put is None or self._lookups.flights.current:
            return await self._store({key: answer}, codec) > 0
        _check(key, answer)  # no waiting: much of the cost of storing in memory
        stored = put(key, answer)
        self._counts.sets += stored
        if self._debug:
            self._recorder.log_set(key, answer.status)
        return stored

    async def set_many(
        self, values: Mapping[str, T | Absent], policy: Policy, *, codec: Codec[T] | None = None
    ) -> int:
        """`set` for many keys at once; return how many were stored."""
        codec = codec or self._codec
        answer = self._lookups.loads.answer
        return await self._store({key: answer(value, policy, codec) for key, value in values.items()}, codec)

    async def _store(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any] | None) -> int:
        for key, answer in answers.items():
            _check(key, answer)
        if self._lookups.flights.current or self._lookups.reads.pending:
            self._lookups.outdate(answers)
        try:
            stored = await self.backend.set_many(answers, codec or self._codec)
        except Unavailable:
            return 0
        finally:
            if self._lookups.reads.pending:
                self._lookups.reads.outdate(answers)
        self._counts.sets += stored
        if self._debug:
            for key, answer in answers.items():
                self._recorder.log_set(key, answer.status)
        return stored

    async def delete(self, key: str) -> bool:
        """Delete the key; return whether it was held. A load of the key that is under way is not stored."""
        return await self.delete_many([key]) > 0

    async def delete_many(self, keys: Iterable[str]) -> int:
        """`delete` for many keys at once; return how many were held."""
        keys = _checked(list(keys))
        self._lookups.outdate(keys)
        try:
            deleted = await self.backend.delete_many(keys)
        except Unavailable:
            return 0
        finally:
            self._lookups.reads.outdate(keys)
        self._counts.deletes += deleted
        if self._debug:
            for key in keys:
                self._recorder.log_delete(key)
        return deleted

    async def expire(self, key: str, unless: Callable[[T], bool], *, codec: Codec[T] | None = None) -> bool:
        """End the freshness of the held answer; return whether it was fresh until now.

        The next `get_or_load` loads, and serves the old answer as STALE if the load fails. The answer's other
        times do not change, so it is gone no later than before. A held absence is gone at once.

        unless: whether a value was made after the change that this call announces. Such a value stays fresh,
            and a load under way in this process is stored only if it returns such a value. Loads of other
            processes go on: each process calls `expire` for itself.
        """
        _checked([key])
        self._lookups.expire(key, unless)
        try:
            return await self.backend.expire(key, unless, codec or self._codec)
        except Unavailable:
            return False
        finally:
            self._lookups.reads.outdate([key])

    async def clear(self) -> None:
        """Delete everything that this cache holds."""
        self._lookups.outdate(None)
        try:
            await self.backend.clear()
        except Unavailable:
            pass
        finally:
            self._lookups.reads.outdate(None)

    def cached(
        self,
        name: str,
        policy: Policy,
        *,
        key: Callable[..., Any] | None = None,
        version: int = 1,
        codec: Codec[Any] | None = None,
    ) -> Cached:
        """A decorator that caches a function's results under `name` (a key namespace) and the arguments.

        Positional, keyword and default forms of one call give one key.

        key: called with the arguments, returns one key part to use in their place.
        version: as in `keys.key`.
        """
        return Cached(self, name, policy, key=key, version=version, codec=codec)

    # Counting

    def stats(self) -> Stats:
        """The counters since the cache was made, or since `clear_stats`."""
        return snapshot(self._counts, self.backend.counts, self.backend.size(), self._since)

    def clear_stats(self) -> None:
        """Start the counters of `stats` from zero; `total_stats` goes on."""
        self._since = self.total_stats()

    def total_stats(self) -> Stats:
        """The counters since the cache was made, for metrics."""
        return snapshot(self._counts, self.backend.counts, self.backend.size())

    # Ending

    async def aclose(self) -> None:
        """Stop loads under way, whose waiters get LoadCancelled, and close the backend."""
        await self._lookups.flights.cancel()
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
        raise ValueError("Policy.negative_s must be above 0 to set ABSENT")


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
    return ValueError(
        f"a key must be 1 to {MAX_KEY_LENGTH} ASCII characters (see keys.key), not {given!r:.200}"
    )
