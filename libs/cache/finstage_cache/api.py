"""The cache itself."""

import random as random_module
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from structlog.typing import FilteringBoundLogger

from finstage_runtime.clock import SYSTEM, Clock

from .answer import Absent, Answer, Loaded, Status
from .answering import Answering, Batch
from .backend import Backend
from .codecs import BYTES, Codec
from .decorator import Cached
from .errors import Unavailable
from .loading import call
from .log import bound
from .policy import Policy
from .stats import Stats, snapshot
from .tally import Tally

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
        """`name` labels statistics and log events; `codec` is for calls that name none; `executor` runs
        loaders that are not async (None: the loop's own); `random` gives numbers in [0, 1); for `log` see
        log.py.
        """
        self.name = name
        self.backend = backend
        self._codec = codec
        self._executor = executor
        self._tally = Tally(bound(log, cache=name))
        self._debug = self._tally.debug
        self._counts = self._tally.counts
        self._since: Stats | None = None
        self._answering = Answering(backend, clock=clock, random=random, tally=self._tally)
        self._peek = backend.peek

    # Reading

    @overload
    async def get(self, key: str, *, codec: None = None, stale: bool = False) -> Answer[Any] | None: ...

    @overload
    async def get(self, key: str, *, codec: Codec[T], stale: bool = False) -> Answer[T] | None: ...

    async def get(
        self, key: str, *, codec: Codec[Any] | None = None, stale: bool = False
    ) -> Answer[Any] | None:
        """What is held, if it is fresh (HIT, or NEGATIVE for a known absence), else None.

        With `stale`, also what is past its freshness but not gone, as STALE.
        """
        answer = self._peek(key)
        if answer is not None:
            self._counts.hits += 1
            if self._debug:
                self._tally.tell_asked(key, _HIT)
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
        """`get` for many keys by one look at the backend; a key that is a miss has no entry."""
        return await self._get_many(list(keys), codec, stale)

    async def _get_many(
        self, keys: list[str], codec: Codec[Any] | None, stale: bool
    ) -> dict[str, Answer[Any]]:
        answers: dict[str, Answer[Any]] = {}
        hits = 0
        counts = self._counts
        for key, (answer, age_s) in (
            await self._answering.held(_checked(keys), codec or self._codec)
        ).items():
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
                self._tally.tell_asked(key, answers[key].status if key in answers else _MISS)
        return answers

    @overload
    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], Awaitable[T | Absent | Loaded[T]]],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
    ) -> Answer[T]: ...

    @overload
    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], T | Absent | Loaded[T]],
        policy: Policy,
        *,
        codec: Codec[T] | None = None,
    ) -> Answer[T]: ...

    async def get_or_load(
        self, key: str, loader: Callable[[], Any], policy: Policy, *, codec: Codec[Any] | None = None
    ) -> Answer[Any]:
        """What is held, as far as `policy` allows, else what `loader` gives, stored under `policy`.

        One load per key runs at a time: here, and among all processes that share the backend. It runs to
        its end also if every caller leaves. A loader that is not an async function runs in the executor. It
        returns ABSENT for what there is not, and `Loaded` for a value that is older than the load. What it
        raises is raised here (callers that only waited get a copy) unless an old answer may be served;
        LoadTimeout and LoadCancelled likewise.

        Who waits for another call's load, and gets something older than its own `max_age_s`, asks again.
        """
        answer = self._peek(key)
        if answer is not None and (policy.max_age_s is None or policy.max_age_s >= answer.fresh_for):
            self._counts.hits += 1
            if self._debug:
                self._tally.tell_asked(key, _HIT)
            return answer
        executor = self._executor

        async def load(keys: list[str]) -> Mapping[str, Any]:
            return {keys[0]: await call(loader, executor)}

        batch = await self._answering.answer(_checked([key]), load, policy, codec or self._codec)
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

        keys = _checked(list(dict.fromkeys(keys)))
        return await self._answering.answer(keys, load, policy, codec or self._codec)

    # Writing

    async def set(
        self, key: str, value: T | Absent, policy: Policy, *, codec: Codec[T] | None = None
    ) -> bool:
        """Store a value, or ABSENT. A load of the key that is under way will not overwrite it.

        Whether it was stored: not if it is larger than the backend's bound, or the backend is away. Raises
        CodecError for a value that the codec cannot hold.
        """
        answer = self._answering.loads.answer(value, policy, codec or self._codec)
        put = self.backend.put
        if put is None or self._answering.flights.current:
            return await self._store({key: answer}, codec) > 0
        _check(key, answer)  # the short way, for backends that need no waiting
        stored = put(key, answer)
        self._counts.sets += stored
        if self._debug:
            self._tally.tell_set(key, answer.status)
        return stored

    async def set_many(
        self, values: Mapping[str, T | Absent], policy: Policy, *, codec: Codec[T] | None = None
    ) -> int:
        """`set` for many keys at once: how many were stored."""
        codec = codec or self._codec
        answer = self._answering.loads.answer
        return await self._store({key: answer(value, policy, codec) for key, value in values.items()}, codec)

    async def _store(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any] | None) -> int:
        for key, answer in answers.items():
            _check(key, answer)
        if self._answering.flights.current or self._answering.reads.pending:
            self._answering.outdate(answers)
        try:
            stored = await self.backend.set_many(answers, codec or self._codec)
        except Unavailable:
            return 0
        finally:
            if self._answering.reads.pending:
                self._answering.reads.outdate(answers)
        self._counts.sets += stored
        if self._debug:
            for key, answer in answers.items():
                self._tally.tell_set(key, answer.status)
        return stored

    async def delete(self, key: str) -> bool:
        """Delete; whether there was something. A load of the key that is under way will not be stored."""
        return await self.delete_many([key]) > 0

    async def delete_many(self, keys: Iterable[str]) -> int:
        """`delete` for many keys at once: how many there were."""
        keys = _checked(list(keys))
        self._answering.outdate(keys)
        try:
            deleted = await self.backend.delete_many(keys)
        except Unavailable:
            return 0
        finally:
            self._answering.reads.outdate(keys)
        self._counts.deletes += deleted
        if self._debug:
            for key in keys:
                self._tally.tell_delete(key)
        return deleted

    async def expire(self, key: str, unless: Callable[[T], bool], *, codec: Codec[T] | None = None) -> bool:
        """End the freshness of what is held, so that the next `get_or_load` loads, and has the old answer,
        as STALE, if that fails; whether it was fresh until now. Its times else stay as they were, so that
        it lasts no longer for being expired; an absence is gone.

        unless: whether a value is of after the change that this call is about. Such a value stays fresh;
            and what a load under way in this process brings is stored if it is one. (Another process's load
            is not stopped: each process calls `expire` for itself.)
        """
        _checked([key])
        self._answering.expire(key, unless)
        try:
            return await self.backend.expire(key, unless, codec or self._codec)
        except Unavailable:
            return False
        finally:
            self._answering.reads.outdate([key])

    async def clear(self) -> None:
        """Delete everything that this cache's backend holds."""
        self._answering.outdate(None)
        try:
            await self.backend.clear()
        except Unavailable:
            pass
        finally:
            self._answering.reads.outdate(None)

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

    # Ending

    async def aclose(self) -> None:
        """Stop loads under way (those who wait get LoadCancelled) and close the backend."""
        await self._answering.flights.cancel()
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
