"""Flights that outlast their callers: each caller is answered in its own time, and the work goes on.

A caller learns the reason when there is one: a refusal whose retry cannot end in the caller's time is raised
at once, while the work waits, tries again and leaves its answer behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from finstage_market.errors import DeadlineTooShort, FinstageError
from finstage_runtime.clock import Clock
from finstage_runtime.deadline import margin_s
from finstage_runtime.flight import SingleFlight
from services.ingest.upstream.outcomes import TIME_MAY_MEND, Failure
from services.ingest.upstream.waits import WaitListener, listen_to_waits

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# The least time of a flight, however short its first caller's is.
MIN_FLIGHT_S = 30.0
# When to ask again after a failure that the flight mends meanwhile, at the soonest.
MIN_RETRY_AFTER_S = 0.1


class _Progress:
    """The newest wait of a flight. until: when it ends, in monotonic seconds."""

    def __init__(self) -> None:
        self.reason: Failure | None = None
        self.until = 0.0
        self.told = asyncio.Event()

    def tell(self, reason: Failure, until: float) -> None:
        """Note that a wait begins."""
        self.reason, self.until = reason, until
        self.told.set()

    def reason_for(self, end: float, now: float) -> Failure | None:
        """The reason why the answer cannot be there at `end`; None: it may be, as far as is known."""
        if self.reason is None or (now < end and self.until < end):
            return None
        if self.reason.retry_after_s is not None:
            return self.reason
        return replace(self.reason, retry_after_s=max(self.until - now, MIN_RETRY_AFTER_S))


class Flights(Generic[K, T]):
    """One piece of work for all callers of one key at the same time, on one event loop.

    name_failure: the domain error of a failure of the work for a key.
    """

    def __init__(self, name_failure: Callable[[Failure, K], FinstageError], *, clock: Clock) -> None:
        self._name_failure = name_failure
        self._clock = clock
        self._flights: SingleFlight[K, T] = SingleFlight(retry_on=TIME_MAY_MEND)
        self._progress: dict[K, _Progress] = {}

    def __contains__(self, key: K) -> bool:
        """Whether a flight for `key` is under way."""
        return key in self._flights

    async def do(
        self,
        key: K,
        work: Callable[[float | None], Awaitable[T]],
        *,
        deadline: float | None,
        patience_s: float | None = None,
    ) -> T:
        """Return or raise what `work` does, joining the flight for `key` if one is under way.

        Args:
            work: gets the flight's deadline, in clock.monotonic() seconds.
            deadline: the caller's; None: none.
            patience_s: how long this caller waits at most; None: until its deadline.

        Raises:
            FinstageError: what `work` raises, or why it cannot end in the caller's time.
            DeadlineTooShort: it has not ended in the caller's time, for no reason that is known.
        """
        now = self._clock.monotonic()
        ends = [] if deadline is None else [answer_by(deadline, now)]
        ends += [] if patience_s is None else [now + patience_s]
        flying_until = None if deadline is None else max(deadline, now + MIN_FLIGHT_S)
        waiting = self._flights.do(key, lambda until: self._fly(key, work, until), deadline=flying_until)
        return await self._await(key, waiting, min(ends)) if ends else await waiting

    def listener(self, keys: Iterable[K]) -> WaitListener:
        """Return a function that tells the callers of `keys`, from any thread, what is waited for."""
        loop, keys = asyncio.get_running_loop(), list(keys)

        def tell(reason: Failure, wait_s: float) -> bool:
            until = self._clock.monotonic() + wait_s
            for key in keys:
                if progress := self._progress.get(key):
                    loop.call_soon_threadsafe(progress.tell, reason, until)
            return True

        return tell

    async def _fly(self, key: K, work: Callable[[float | None], Awaitable[T]], until: float | None) -> T:
        self._progress.setdefault(key, _Progress())
        listen_to_waits(self.listener([key]))
        try:
            return await work(until)
        finally:
            self._progress.pop(key, None)

    async def _await(self, key: K, waiting: Awaitable[T], until: float) -> T:
        """The outcome of a flight, or why it cannot be there by `until`."""
        outcome = asyncio.ensure_future(waiting)
        try:
            while True:
                progress = self._progress.setdefault(key, _Progress())
                progress.told.clear()
                now = self._clock.monotonic()
                if reason := progress.reason_for(until, now):
                    raise self._name_failure(reason, key)
                if now >= until:
                    raise DeadlineTooShort("the answer did not come in the time given; the request goes on")
                told = asyncio.ensure_future(progress.told.wait())
                try:
                    await asyncio.wait(
                        {outcome, told}, timeout=until - now, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    told.cancel()
                if outcome.done():
                    return outcome.result()
        finally:
            if not outcome.done():
                outcome.cancel()  # this caller leaves; the flight goes on


def answer_by(deadline: float, now: float) -> float:
    """Return when a caller must have its answer, by its deadline; both in monotonic seconds."""
    return deadline - margin_s(deadline - now)
