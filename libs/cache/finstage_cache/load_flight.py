"""Single flight for loads: one load per key in this process, until a change of the key outdates it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from finstage_runtime.flight import Flight

from .answer import Answer


class Landed(NamedTuple):
    """The outcome of a successful flight."""

    answer: Answer[Any]
    loaded: bool
    """True: by this process's loader. False: another process stored the answer meanwhile."""


class LoadFlight(Flight[Landed]):
    """A load of one key."""

    __slots__ = ("began", "current", "key", "max_age_s", "refresh", "unless")

    def __init__(self, key: str, *, refresh: bool, began: float, max_age_s: float | None) -> None:
        super().__init__()
        self.key = key
        self.refresh = refresh
        """Whether it began in the background, with no caller waiting."""
        self.began = began
        """In monotonic seconds."""
        self.max_age_s = max_age_s
        """The limit in the policy of the call that began it."""
        self.unless: list[Callable[[Any], bool]] = []
        """The conditions of every `expire` since it began."""
        self.current = True
        """Whether its answer may be stored: nothing was set or deleted since it began."""

    def outdated(self, answer: Answer[Any]) -> bool:
        """Whether the answer was made before the change that an `expire` announced."""
        return any(answer.absent or not unless(answer.value) for unless in self.unless)


class LoadFlights:
    """The flights of one cache that callers may join, by key."""

    def __init__(self) -> None:
        self.current: dict[str, LoadFlight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, flight: LoadFlight) -> LoadFlight:
        """Let callers join the flight."""
        self.current[flight.key] = flight
        return flight

    def run(self, task: asyncio.Task[None]) -> None:
        """Keep a reference to the task of some flights until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, flight: LoadFlight) -> None:
        """Let no further caller join the flight."""
        if self.current.get(flight.key) is flight:
            del self.current[flight.key]

    def outdate(self, keys: Iterable[str] | None) -> None:
        """After a set or delete of the keys (None: all), end their flights for everyone but their waiters."""
        for key in list(self.current) if keys is None else keys:
            flight = self.current.pop(key, None)
            if flight is not None:
                flight.current = False

    async def cancel(self) -> None:
        """Stop all loads; their waiters get LoadCancelled."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
