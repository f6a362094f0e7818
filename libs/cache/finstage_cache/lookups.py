"""Lookups: read what the backend holds, serve what is fresh enough, and load the rest once."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from finstage_runtime.clock import Clock
from finstage_runtime.flight import fresh_copy

from .answer import Answer, Held, Status
from .backend import Backend
from .codecs import Codec
from .errors import LoadTimeout, Unavailable
from .freshness import Freshness, freshness
from .load_flight import Landed, LoadFlight, LoadFlights
from .loading import LoadMany, Loads
from .policy import Policy
from .reads import Reads
from .stats import Recorder

T = TypeVar("T")

_MISS, _STALE, _COALESCED = Status.MISS, Status.STALE, Status.COALESCED
_MAX_FAILURES = 10_000


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """The result of `get_or_load_many`: an answer or an error for every key."""

    answers: dict[str, Answer[T]]
    errors: dict[str, Exception]

    def __getitem__(self, key: str) -> Answer[T]:
        """The key's answer. Raises the error of its failed load, or KeyError if it was not asked for."""
        if key in self.errors:
            raise fresh_copy(self.errors[key])
        return self.answers[key]

    def __iter__(self) -> Iterator[str]:
        yield from self.answers
        yield from self.errors


class Lookups:
    """The `get_or_load` of one cache, with its reads and loads under way."""

    def __init__(
        self, backend: Backend, *, clock: Clock, random: Callable[[], float], recorder: Recorder
    ) -> None:
        self.flights = LoadFlights()
        self.reads = Reads()
        self.loads = Loads(backend, clock=clock, recorder=recorder, random=random, landed=self._landed)
        self._backend = backend
        self._monotonic = clock.monotonic
        self._wall = clock.wall
        self._random = random
        self._recorder = recorder
        self._failed: dict[str, float] = {}

    async def get_or_load(
        self,
        keys: list[str],
        loader: LoadMany,
        policy: Policy,
        codec: Codec[Any],
        wait_s: Callable[[], float | None] | None = None,
    ) -> Batch[Any]:
        """An answer or an error for each of the keys, which must differ."""
        batch: Batch[Any] = Batch({}, {})
        held = await self._read(keys, codec)
        refresh: list[str] = []
        fallback: dict[str, Answer[Any]] = {}
        load: list[str] = []
        for key in keys:
            found = held.get(key)
            how_fresh = freshness(found, policy, self._random)
            if how_fresh is Freshness.GONE or found is None:
                load.append(key)
                continue
            answer: Answer[Any] = found[0]
            if how_fresh is Freshness.FALLBACK:
                if self._resting(key, policy):
                    self._give(batch, key, answer.marked(_STALE))
                else:
                    fallback[key] = answer.marked(_STALE)
                    load.append(key)
                continue
            self._give(batch, key, answer.marked(_STALE) if how_fresh is Freshness.STALE else answer)
            if how_fresh is not Freshness.FRESH and not self._resting(key, policy):
                refresh.append(key)
        if refresh:
            self._begin(refresh, loader, policy, codec, held, refresh=True)
        if load:
            seconds = None if wait_s is None else wait_s()
            ends = None if seconds is None else self._monotonic() + seconds
            await self._load(batch, load, fallback, loader, policy, codec, held, ends)
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
        ends: float | None,
    ) -> None:
        joined = {key: flight for key in keys if (flight := self.flights.current.get(key)) is not None}
        led = self._begin(
            [key for key in keys if key not in joined], loader, policy, codec, held, refresh=False
        )
        again = []
        for key in keys:
            leader = key in led
            flight = (led if leader else joined)[key]
            until = ends
            if key in fallback and policy.patience_s is not None:
                patient = flight.began + policy.patience_s
                until = patient if ends is None else min(patient, ends)
            try:
                landed = await self._outcome(flight, leader=leader, until=until)
            except Exception as error:
                if key in fallback:
                    self._give(batch, key, fallback[key])
                else:
                    self._recorder.answered(key, _MISS if leader else _COALESCED)
                    batch.errors[key] = error
            else:
                if not leader and self._falls_short(flight, landed.answer, policy):
                    again.append(key)
                    continue
                status = _MISS if leader and landed.loaded else _COALESCED
                batch.answers[key] = landed.answer.marked(status)
                self._recorder.answered(key, status)
        if again:
            wait_s = None if ends is None else lambda: ends - self._monotonic()
            more = await self.get_or_load(again, loader, policy, codec, wait_s)
            batch.answers.update(more.answers)
            batch.errors.update(more.errors)

    async def _outcome(self, flight: LoadFlight, *, leader: bool, until: float | None) -> Landed:
        """Wait for a flight until a time in monotonic seconds; None: to its end.

        Raises:
            LoadTimeout: the time is over; the flight goes on.
        """
        try:
            async with asyncio.timeout(None if until is None else until - self._monotonic()) as waiting:
                return await flight.outcome(leader=leader)
        except TimeoutError:
            if not waiting.expired():
                raise
            raise LoadTimeout(f"the load of {flight.key} goes on for longer than this call waits") from None

    def _falls_short(self, flight: LoadFlight, answer: Answer[Any], policy: Policy) -> bool:
        """Whether a caller who joined the flight must ask again: the answer is outdated, or older than the
        caller accepts and than a load of its own would be."""
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
    ) -> dict[str, LoadFlight]:
        """Begin flights for the keys that have none; nobody waits for a refresh."""
        began = self._monotonic()
        flights = {
            key: self.flights.begin(LoadFlight(key, refresh=refresh, began=began, max_age_s=policy.max_age_s))
            for key in keys
            if key not in self.flights.current
        }
        if flights:
            self.flights.run(asyncio.create_task(self.loads.run(flights, loader, policy, codec, held)))
        return flights

    def _landed(self, flight: LoadFlight, outcome: Answer[Any] | Exception) -> None:
        key = flight.key
        self.flights.end(flight)
        self._failed.pop(key, None)
        if isinstance(outcome, Exception):
            self._failed[key] = self._monotonic()
            if len(self._failed) > _MAX_FAILURES:
                del self._failed[next(iter(self._failed))]
            if flight.refresh:
                self._recorder.log_failed_refresh(key, outcome)
        elif flight.current and not flight.outdated(outcome):
            self.reads.landed(key, (outcome, outcome.age_s(self._wall())))

    def _resting(self, key: str, policy: Policy) -> bool:
        failed = self._failed.get(key)
        return failed is not None and self._monotonic() < failed + policy.retry_s

    async def _read(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        if self._backend.locks is None:  # a backend of this process alone answers without waiting
            return await self.held(keys, codec)
        return await self.reads.read(keys, lambda own: self.held(own, codec))

    async def held(self, keys: list[str], codec: Codec[Any]) -> dict[str, Held]:
        """The answers that the backend holds; none while it is unavailable."""
        try:
            return await self._backend.get_many(keys, codec)
        except Unavailable:
            return {}

    def _give(self, batch: Batch[Any], key: str, answer: Answer[Any]) -> None:
        batch.answers[key] = answer
        self._recorder.answered(key, answer.status)

    def outdate(self, keys: Iterable[str] | None) -> None:
        """Before a set or delete of the keys (None: all), stop callers from joining older reads and loads."""
        self.flights.outdate(keys)
        self.reads.outdate(keys)

    def expire(self, key: str, unless: Callable[[Any], bool]) -> None:
        """Before an `expire` of the key, make a load under way subject to `unless`."""
        flight = self.flights.current.get(key)
        if flight is not None:
            flight.unless.append(unless)
        self.reads.outdate([key])
