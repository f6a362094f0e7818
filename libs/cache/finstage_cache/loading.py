"""Loads: claim the keys among all processes, call the loader, store its answers, tell the waiters."""

import asyncio
import contextlib
import contextvars
import functools
import inspect
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from finstage_runtime.clock import Clock

from .answer import ABSENT, Answer, Held, Loaded, Status
from .backend import Backend, Claimed, Locks
from .codecs import Codec
from .errors import LoadCancelled, LoadTimeout, Unavailable
from .load_flight import Landed, LoadFlight
from .policy import Policy
from .stats import Recorder

_HIT, _NEGATIVE = Status.HIT, Status.NEGATIVE

LoadMany = Callable[[list[str]], Awaitable[Mapping[str, Any]]]
"""Returns values by key, each bare or as `Loaded`. ABSENT or no entry: the value does not exist. An
exception: only this key failed."""

FIRST_PAUSE_S = 0.005
MAX_PAUSE_S = 0.1
"""The first and the longest pause between two looks at another process's load."""


class Loads:
    """Runs the loads of one cache. `landed` is called for each flight that ends, before its waiters wake."""

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Clock,
        recorder: Recorder,
        random: Callable[[], float],
        landed: Callable[[LoadFlight, Answer[Any] | Exception], None],
    ) -> None:
        self._backend = backend
        self._monotonic = clock.monotonic
        self._wall = clock.wall
        self._recorder = recorder
        self._counts = recorder.counts
        self._random = random
        self._landed = landed
        self._owner = secrets.token_hex(8)
        self._numbers = itertools.count()

    async def run(
        self,
        flights: dict[str, LoadFlight],
        loader: LoadMany,
        policy: Policy,
        codec: Codec[Any],
        seen: Mapping[str, Held],
    ) -> None:
        """Land or fail every flight. `seen` has the answers that were held, but not fresh enough, before."""
        claim = _Claim(self._backend.locks, codec, f"{self._owner}:{next(self._numbers)}".encode())
        timeout = asyncio.timeout(policy.load_timeout_s)
        began = self._monotonic()
        waiting = dict(flights)
        pause = FIRST_PAUSE_S
        try:
            async with timeout:
                while True:
                    mine = []
                    for key, claimed in (await claim.take(waiting)).items():
                        waited = self._monotonic() - began
                        if _is_new(claimed.held, seen.get(key), policy, waited):
                            assert claimed.held is not None
                            self._land(waiting.pop(key), claimed.held[0], loaded=False)
                        elif claimed.ours:
                            mine.append(key)
                    if mine:
                        await self._load({key: waiting.pop(key) for key in mine}, loader, policy, claim)
                    if not waiting:
                        return
                    await asyncio.sleep(pause * (0.5 + self._random()))
                    pause = min(pause * 1.5, MAX_PAUSE_S)
        except TimeoutError:
            pass  # the remaining flights are failed below
        except asyncio.CancelledError:
            self._fail(flights, LoadCancelled("the cache was closed while the value was loaded"))
            raise
        except Exception as error:
            self._fail(flights, error)
            raise
        finally:
            late = LoadTimeout(f"no value within {policy.load_timeout_s:g} s")
            self._fail(flights, late)
            await claim.release()

    async def _load(
        self, flights: dict[str, LoadFlight], loader: LoadMany, policy: Policy, claim: "_Claim"
    ) -> None:
        keys = list(flights)
        started = self._monotonic()
        self._counts.loads += len(keys)
        try:
            async with claim.kept_up(keys):
                values = await loader(keys)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # by the timeout, or because the cache is closed
            self._fail(flights, LoadCancelled("the loader cancelled itself"))
            return
        except Exception as error:
            self._fail(flights, error)
            return
        finally:
            load_s = max(0.0, self._monotonic() - started)
            self._counts.load_seconds += load_s
        answers: dict[str, Answer[Any]] = {}
        for key in keys:
            value = values.get(key, ABSENT)
            try:
                if isinstance(value, Exception):
                    raise value
                loaded = value if isinstance(value, Loaded) else Loaded(value)
                answers[key] = self._loaded(loaded, policy, claim.codec, load_s)
            except Exception as error:
                self._fail({key: flights[key]}, error)
        stored = {k: a for k, a in answers.items() if flights[k].current and not flights[k].outdated(a)}
        await self._store(stored, claim)
        if late := [key for key, answer in stored.items() if flights[key].outdated(answer)]:
            with contextlib.suppress(Unavailable):  # expired while they were being stored
                await self._backend.delete_many(late)
        for key, answer in answers.items():
            self._land(flights[key], answer, loaded=True)

    async def _store(self, answers: dict[str, Answer[Any]], claim: "_Claim") -> None:
        kept = {key: answer for key, answer in answers.items() if answer.fresh_for > 0}
        gone = [key for key in answers if key not in kept]
        try:
            if kept:
                self._counts.sets += await claim.settle(kept, self._backend)
                if self._recorder.debug:
                    for key, answer in kept.items():
                        self._recorder.log_set(key, answer.status)
            if gone:  # absence is not kept: delete the older answer
                await self._backend.delete_many(gone)
        except Unavailable:
            pass  # counted by the backend; the waiters get the value all the same

    def _loaded(self, loaded: Loaded[Any], policy: Policy, codec: Codec[Any], load_s: float) -> Answer[Any]:
        """The answer for a loader's value, with times from the loader and the policy."""
        if loaded.fresh_s is not None and loaded.fresh_s < policy.fresh_s:
            policy, load_s = policy.replace(fresh_s=loaded.fresh_s), 0.0  # 0.0: no early refresh
        answer = self.answer(loaded.value, policy, codec, load_s)
        if loaded.stored is not None:
            answer.stored = min(answer.stored, loaded.stored)
        return answer

    def answer(self, value: Any, policy: Policy, codec: Codec[Any], load_s: float = 0.0) -> Answer[Any]:
        """A new answer with the policy's times. Raises CodecError for a value that the codec cannot hold."""
        fresh_for = policy.negative_s if value is ABSENT else policy.fresh_s
        if policy.jitter:
            fresh_for *= 1.0 - policy.jitter * self._random()
        if value is ABSENT:
            return Answer(value, _NEGATIVE, self._wall(), fresh_for, 0.0, fresh_for, load_s, 0)
        error_for = fresh_for + policy.max_stale_s if policy.max_stale_s else fresh_for
        weight = codec.weigh(value)
        return Answer(value, _HIT, self._wall(), fresh_for, policy.stale_s, error_for, load_s, weight)

    def _land(self, flight: LoadFlight, answer: Answer[Any], *, loaded: bool) -> None:
        self._landed(flight, answer)
        flight.land(Landed(answer, loaded))

    def _fail(self, flights: Mapping[str, LoadFlight], error: Exception) -> None:
        for flight in flights.values():
            if not flight.done:
                self._counts.load_errors += 1
                self._landed(flight, error)
                flight.fail(error)


class _Claim:
    """The claims of one run. Without locks, or while they are unavailable, every key is ours."""

    def __init__(self, locks: Locks | None, codec: Codec[Any], token: bytes) -> None:
        self.codec = codec
        self._locks = locks
        self._token = token
        self._held: set[str] = set()

    async def take(self, keys: Mapping[str, LoadFlight]) -> dict[str, Claimed]:
        if self._locks is not None:
            try:
                claims = await self._locks.claim(keys, self._token, self.codec)
            except Unavailable:
                pass
            else:
                self._held.update(key for key, claimed in claims.items() if claimed.ours)
                return claims
        return {key: Claimed(True, None) for key in keys}

    def kept_up(self, keys: list[str]) -> "_KeptUp":
        held = [key for key in keys if key in self._held]
        return _KeptUp(self._locks if held else None, held, self._token)

    async def settle(self, answers: Mapping[str, Answer[Any]], backend: Backend) -> int:
        """Store the answers, claimed keys only if the claim still stands; return how many were stored."""
        claimed = {key: answer for key, answer in answers.items() if key in self._held}
        stored = 0
        if claimed and self._locks is not None:
            self._held.difference_update(claimed)
            stored = len(await self._locks.settle(claimed, self._token, self.codec))
        if len(claimed) < len(answers):
            others = {key: answer for key, answer in answers.items() if key not in claimed}
            stored += await backend.set_many(others, self.codec)
        return stored

    async def release(self) -> None:
        if self._locks is not None and self._held:
            with contextlib.suppress(Unavailable):  # the claims expire
                await self._locks.release(list(self._held), self._token)


class _KeptUp:
    """Extends some claims while the block runs."""

    def __init__(self, locks: Locks | None, keys: list[str], token: bytes) -> None:
        self._locks = locks
        self._keys = keys
        self._token = token
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._locks is not None:
            self._task = asyncio.create_task(self._run(self._locks))

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, locks: Locks) -> None:
        while True:
            await asyncio.sleep(locks.claim_s / 3)
            with contextlib.suppress(Unavailable):  # a claim that runs out lets another process load too
                await locks.keep(self._keys, self._token)


def _is_new(held: Held | None, seen: Held | None, policy: Policy, waited_s: float) -> bool:
    """Whether the held answer was stored after the flight began, and is fresh."""
    if held is None:
        return False
    answer, age_s = held
    if seen is not None and (answer.stored, answer.fresh_for) == (seen[0].stored, seen[0].fresh_for):
        return False
    if policy.max_age_s is not None and age_s > max(policy.max_age_s, waited_s):
        return False
    return age_s < answer.fresh_for


async def call(loader: Callable[..., Any], executor: Executor | None, *args: Any) -> Any:
    """Call an `async def` loader here, and any other, which may block, in the executor."""
    if inspect.iscoroutinefunction(loader) or inspect.iscoroutinefunction(getattr(loader, "__call__", None)):  # noqa: B004
        return await loader(*args)
    context = contextvars.copy_context()
    run = functools.partial(context.run, loader, *args)
    result = await asyncio.get_running_loop().run_in_executor(executor, run)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            f"the loader {loader!r} returned an awaitable but is not an async function; write it as async def"
        )
    return result
