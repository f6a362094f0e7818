"""One load per key in this process: a flight is a load under way and those who wait for it."""

import asyncio
import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .answer import Answer
from .errors import LoadCancelled


class Landed(NamedTuple):
    """How a flight ended well."""

    answer: Answer[Any]
    loaded: bool
    """By this process's loader; else another process stored it meanwhile."""


class Flight:
    """A load under way. It goes on when a caller leaves, also the one that began it."""

    __slots__ = ("_done", "_error", "_landed", "began", "current", "key", "max_age_s", "refresh", "unless")

    def __init__(self, key: str, *, refresh: bool, began: float, max_age_s: float | None) -> None:
        self.key = key
        self.refresh = refresh
        """Whether it began with nobody waiting."""
        self.began = began
        """In monotonic seconds."""
        self.max_age_s = max_age_s
        """What the policy said that it began under."""
        self.unless: list[Callable[[Any], bool]] = []
        """What was said of values by each `expire` since it began."""
        self.current = True
        """Whether nothing was set or deleted since it began: if so, its outcome may be stored."""
        self._done = asyncio.Event()
        self._landed: Landed | None = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def outdated(self, answer: Answer[Any]) -> bool:
        """Whether what it brought is of before one of those `expire`s."""
        return any(answer.absent or not unless(answer.value) for unless in self.unless)

    def land(self, answer: Answer[Any], *, loaded: bool) -> None:
        self._landed = Landed(answer, loaded)
        self._done.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()

    async def outcome(self, *, leader: bool) -> Landed:
        """Wait. The leader gets the loader's own exception, everyone else a copy without its traceback."""
        await self._done.wait()
        if self._landed is not None:
            return self._landed
        assert self._error is not None
        raise self._error if leader else fresh_copy(self._error)


class Flights:
    """The flights of one cache, by key."""

    def __init__(self) -> None:
        self.current: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, key: str) -> Flight | None:
        """The flight that a caller for this key may join."""
        return self.current.get(key)

    def begin(self, flight: Flight) -> Flight:
        self.current[flight.key] = flight
        return flight

    def run(self, task: asyncio.Task[None]) -> None:
        """Keep a reference to the task of some flights until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, flight: Flight) -> None:
        """No one may join it any more."""
        if self.current.get(flight.key) is flight:
            del self.current[flight.key]

    def outdate(self, keys: Iterable[str] | None) -> None:
        """The keys (None: all) were set or deleted: what is being loaded is for those who wait already."""
        for key in list(self.current) if keys is None else keys:
            flight = self.current.pop(key, None)
            if flight is not None:
                flight.current = False

    async def cancel(self) -> None:
        """Stop all loads; whoever waits gets LoadCancelled."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def fresh_copy(error: Exception) -> Exception:
    """An equal exception without traceback: same type, args and attributes, whatever its constructor."""
    if isinstance(error, LoadCancelled):
        return LoadCancelled(*error.args)
    try:
        twin = copy.copy(error)
    except Exception:
        twin = error
    if twin is error or type(twin) is not type(error) or twin.args != error.args:
        twin = type(error).__new__(type(error), *error.args)
        twin.args = error.args
        twin.__dict__.update(error.__dict__)
    twin.__cause__ = error.__cause__
    twin.__suppress_context__ = True
    return twin.with_traceback(None)
