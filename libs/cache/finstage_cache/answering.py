"""Answering: look, judge, and load what has to be loaded, once."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from finstage_runtime.clock import Clock

from .answer import Answer, Held, Status
from .backend import Backend
from .codecs import Codec
from .errors import Unavailable
from .flight import Flight, Flights, fresh_copy
from .judge import Verdict, judge
from .loading import LoadMany, Loads
from .policy import Policy
from .reads import Reads
from .tally import Tally

T = TypeVar("T")

_MISS, _STALE, _COALESCED = Status.MISS, Status.STALE, Status.COALESCED
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


class Answering:
    """What `Cache.get_or_load` and its like do; the reads and flights under way."""

    def __init__(self, backend: Backend, *, clock: Clock, random: Callable[[], float], tally: Tally) -> None:
        self.flights = Flights()
        self.reads = Reads()
        self.loads = Loads(backend, clock=clock, tally=tally, random=random, landed=self._landed)
        self._backend = backend
        self._monotonic = clock.monotonic
        self._wall = clock.wall
        self._random = random
        self._tally = tally
        self._failed: dict[str, float] = {}

    async def answer(
        self, keys: list[str], loader: LoadMany, policy: Policy, codec: Codec[Any]
    ) -> Batch[Any]:
        """An answer or an error for each of the keys, which differ."""
        batch: Batch[Any] = Batch({}, {})
        held = await self._read(keys, codec)
        refresh: list[str] = []
        fallback: dict[str, Answer[Any]] = {}
        load: list[str] = []
        for key in keys:
            found = held.get(key)
            verdict = judge(found, policy, self._random)
            if verdict is Verdict.GONE or found is None:
                load.append(key)
                continue
            answer: Answer[Any] = found[0]
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
        batch: Batch[Any],
        keys: list[str],
        fallback: Mapping[str, Answer[Any]],
        loader: LoadMany,
        policy: Policy,
        codec: Codec[Any],
        held: Mapping[str, Held],
    ) -> None:
        joined = {key: flight for key in keys if (flight := self.flights.get(key)) is not None}
        led = self._begin(
            [key for key in keys if key not in joined], loader, policy, codec, held, refresh=False
        )
        again = []
        for key in keys:
            leader = key in led
            flight = (led if leader else joined)[key]
            try:
                landed = await flight.outcome(leader=leader)
            except Exception as error:
                if key in fallback:
                    self._give(batch, key, fallback[key])
                else:
                    self._tally.asked(key, _MISS if leader else _COALESCED)
                    batch.errors[key] = error
            else:
                if not leader and self._falls_short(flight, landed.answer, policy):
                    again.append(key)
                    continue
                status = _MISS if leader and landed.loaded else _COALESCED
                batch.answers[key] = landed.answer.marked(status)
                self._tally.asked(key, status)
        if again:
            more = await self.answer(again, loader, policy, codec)
            batch.answers.update(more.answers)
            batch.errors.update(more.errors)

    def _falls_short(self, flight: Flight, answer: Answer[Any], policy: Policy) -> bool:
        """Whether who joined a flight has to ask again: it asked for less, or began before a change."""
        if flight.outdated(answer):
            return True
        wanted_s = policy.max_age_s
        if wanted_s is None or (flight.max_age_s is not None and flight.max_age_s <= wanted_s):
            return False
        return answer.age_s(self._wall()) > max(wanted_s, self._monotonic() - flight.began)

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
        began = self._monotonic()
        flights = {
            key: self.flights.begin(Flight(key, refresh=refresh, began=began, max_age_s=policy.max_age_s))
            for key in keys
            if self.flights.get(key) is None
        }
        if flights:
            self.flights.run(asyncio.create_task(self.loads.run(flights, loader, policy, codec, held)))
        return flights

    def _landed(self, flight: Flight, outcome: Answer[Any] | Exception) -> None:
        key = flight.key
        self.flights.end(flight)
        if isinstance(outcome, Exception):
            self._failed.pop(key, None)
            self._failed[key] = self._monotonic()
            if len(self._failed) > _FAILURES_KEPT:
                del self._failed[next(iter(self._failed))]
            if flight.refresh:
                self._tally.refresh_failed(key, outcome)
            return
        self._failed.pop(key, None)
        if flight.current and not flight.outdated(outcome):
            self.reads.landed(key, (outcome, outcome.age_s(self._wall())))

    def _resting(self, key: str, policy: Policy) -> bool:
        failed = self._failed.get(key)
        return failed is not None and self._monotonic() < failed + policy.retry_s

    async def _read(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        if self._backend.locks is None:  # no other process sees it: it answers without waiting
            return await self.held(keys, codec)
        return await self.reads.read(keys, lambda own: self.held(own, codec))

    async def held(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        """What the backend holds; nothing, if it does not answer."""
        try:
            return await self._backend.get_many(keys, codec)
        except Unavailable:
            return {}

    def _give(self, batch: Batch[Any], key: str, answer: Answer[Any]) -> None:
        batch.answers[key] = answer
        self._tally.asked(key, answer.status)

    def outdate(self, keys: Iterable[str] | None) -> None:
        """The keys (None: all) are being set or deleted: what is read or loaded for them is of before."""
        self.flights.outdate(keys)
        self.reads.outdate(keys)

    def expire(self, key: str, unless: Callable[[Any], bool]) -> None:
        """The key is being expired: a load under way may go on if `unless` is true of what it brings."""
        flight = self.flights.get(key)
        if flight is not None:
            flight.unless.append(unless)
        self.reads.outdate([key])
