"""Single flight: one piece of work for all who ask for the same at the same time."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from finstage_market.errors import DeadlineTooShort, FinstageError, RateLimited, Unavailable
from finstage_rpc.deadline import detached

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Failures that a later deadline may avoid.
_FOR_WANT_OF_TIME = (DeadlineTooShort, RateLimited, Unavailable)


class SingleFlight(Generic[K, T]):
    """Flights by key, on one event loop.

    A flight goes on when a caller leaves, the one that began it too. Its deadline is that of the caller who
    began it; one who has more time, and was failed for want of it, flies again.
    """

    def __init__(self) -> None:
        self._flights: dict[K, tuple[asyncio.Task[T], float | None]] = {}

    def __contains__(self, key: K) -> bool:
        """Whether a flight for `key` is under way."""
        return key in self._flights

    async def do(self, key: K, work: Callable[[float | None], Awaitable[T]], *, deadline: float | None) -> T:
        """What `work(deadline)` returns or raises; run by this call, or under way already.

        deadline: monotonic seconds; None: none.
        """
        while True:
            flight = self._flights.get(key)
            if flight is None:
                return await asyncio.shield(self._begin(key, work, deadline))
            task, until = flight
            try:
                return await asyncio.shield(task)
            except FinstageError as error:
                has_more_time = until is not None and (deadline is None or deadline > until)
                if not (has_more_time and isinstance(error, _FOR_WANT_OF_TIME)):
                    # A copy, because each who raises it adds to its traceback.
                    raise copy.copy(error) from None

    def _begin(
        self, key: K, work: Callable[[float | None], Awaitable[T]], deadline: float | None
    ) -> asyncio.Task[T]:
        async def fly() -> T:
            return await work(deadline)

        with detached():
            task = asyncio.get_running_loop().create_task(fly())
        self._flights[key] = task, deadline
        task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: K, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen, also where every caller has left
