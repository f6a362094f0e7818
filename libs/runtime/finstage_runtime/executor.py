"""Work that blocks, off the event loop: a bounded number of threads behind a bounded queue."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


# Seconds that running work has to end when an executor is left.
LEAVE_S = 3.0


class Overloaded(Exception):
    """An executor's queue is full."""


class BoundedExecutor:
    """threads at work, and at most `queued` pieces of work waiting for one. Close it with `close`, or by
    leaving its context, which also waits for what runs: for LEAVE_S at most.

    name: what the work is, for thread names and errors.
    overloaded: makes the error for a full queue of its message.
    """

    def __init__(
        self,
        *,
        threads: int,
        queued: int,
        name: str,
        overloaded: Callable[[str], Exception] = Overloaded,
    ) -> None:
        self.name = name
        self._overloaded = overloaded
        self.capacity = threads + queued
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._pending = 0

    @property
    def pending(self) -> int:
        """Pieces of work that run or wait."""
        return self._pending

    def submit(self, fn: Callable[[], _T]) -> "Future[_T]":
        """Puts `fn` in the queue; on the event loop's thread only.

        Raises:
            Exception: `overloaded`'s, when the queue is full.
        """
        if self._pending >= self.capacity:
            raise self._overloaded(f"{self.capacity} pieces of {self.name} work wait already")
        loop = asyncio.get_running_loop()
        self._pending += 1
        future = self._pool.submit(fn)
        future.add_done_callback(lambda _: self._leave(loop))
        return future

    def close(self) -> None:
        """Drops what waits and lets what runs end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        ending = threading.Thread(target=self._pool.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, LEAVE_S)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        # Runs in the worker's thread, or on the loop when the work was cancelled before it began.
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._left)

    def _left(self) -> None:
        self._pending -= 1


async def run_blocking(
    executor: BoundedExecutor, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """What `fn(*args, **kwargs)` returns or raises, run in a thread that sees the current call.

    When the caller is cancelled, or its time is over, this stops waiting: work that has not begun is
    dropped; work that has runs to its end, unheard, and keeps its thread until then.

    Raises:
        Exception: the executor's `overloaded`, when its queue is full.
    """
    context = contextvars.copy_context()
    return await asyncio.wrap_future(executor.submit(lambda: context.run(fn, *args, **kwargs)))
