"""Single flight: one piece of work for all callers who ask for the same thing at the same time."""

import asyncio
import contextvars
import copy
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

E = TypeVar("E", bound=BaseException)
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Flight(Generic[T]):
    """Work under way, and its outcome for the callers who wait. A caller who leaves does not end it."""

    __slots__ = ("_done", "_error", "_value")

    def __init__(self) -> None:
        self._done = asyncio.Event()
        self._value: T
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._done.is_set()

    def land(self, value: T) -> None:
        """End with a value."""
        self._value = value
        self._done.set()

    def fail(self, error: BaseException) -> None:
        """End with an error."""
        self._error = error
        self._done.set()

    async def outcome(self, *, leader: bool) -> T:
        """Wait for the value, or raise the error.

        leader: the caller who began the flight gets the original error, everyone else a copy without its
            traceback, because each raise adds to the traceback of the object raised.
        """
        await self._done.wait()
        if self._error is None:
            return self._value
        raise self._error if leader else fresh_copy(self._error)


class SingleFlight(Generic[K, T]):
    """Flights by key, on one event loop.

    A flight has the deadline of the caller who began it. When it fails with one of `retry_on`, callers with
    a later deadline fly again.

    retry_on: failures that more time may avoid.
    """

    def __init__(self, *, retry_on: tuple[type[Exception], ...] = ()) -> None:
        self._retry_on = retry_on
        self._flights: dict[K, tuple[Flight[T], float | None]] = {}
        self._tasks: set[asyncio.Task[T]] = set()

    def __contains__(self, key: K) -> bool:
        """Whether a flight for `key` is under way."""
        return key in self._flights

    async def do(self, key: K, work: Callable[[float | None], Awaitable[T]], *, deadline: float | None) -> T:
        """Return or raise what `work(deadline)` does, joining the flight for `key` if one is under way.

        `work` runs in an empty context: it belongs to no single caller.

        deadline: monotonic seconds; None: none.
        """
        while key in self._flights:
            flight, until = self._flights[key]
            try:
                return await flight.outcome(leader=False)
            except self._retry_on:
                if until is None or (deadline is not None and deadline <= until):
                    raise
        flight = self._begin(key, work, deadline)
        return await flight.outcome(leader=True)

    def _begin(
        self, key: K, work: Callable[[float | None], Awaitable[T]], deadline: float | None
    ) -> Flight[T]:
        async def fly() -> T:
            return await work(deadline)

        def landed(task: asyncio.Task[T]) -> None:
            del self._flights[key]
            self._tasks.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                flight.land(task.result())
            else:
                flight.fail(error)

        flight: Flight[T] = Flight()
        self._flights[key] = flight, deadline
        task = asyncio.get_running_loop().create_task(fly(), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(landed)
        return flight


def fresh_copy(error: E) -> E:
    """Copy an exception without its traceback: same type, args and attributes, whatever its constructor."""
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
