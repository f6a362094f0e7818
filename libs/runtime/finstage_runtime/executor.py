"""Threads for work that blocks: a bounded number of them behind a bounded queue."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


# Seconds that running work has to end when an executor is left.
LEAVE_S = 3.0


class Overloaded(Exception):
    """An executor's queue is full."""


class BoundedExecutor:
    """Runs blocking work in `threads` threads, while at most `queued` further calls wait for one.

    Close it with `close`, or leave its context, which also waits up to LEAVE_S for running work.

    name: what the work is, for thread names and errors.
    overloaded: makes the error for a full queue from its message.
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
        """Calls that run or wait."""
        return self._pending

    async def run(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return or raise what `fn(*args, **kwargs)` does, run in a thread with the caller's context.

        When the caller is cancelled, work that has not begun is dropped; work that runs goes on to its end,
        keeps its thread until then, and its outcome is lost.

        Raises:
            Exception: made by `overloaded`, when the queue is full.
        """
        if self._pending >= self.capacity:
            raise self._overloaded(f"{self.capacity} pieces of {self.name} work wait already")
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        future = self._pool.submit(lambda: context.run(fn, *args, **kwargs))
        self._pending += 1
        future.add_done_callback(lambda _: self._leave(loop))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop waiting work, and let running work end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        ending = threading.Thread(target=self._pool.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, LEAVE_S)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        # Called in the worker's thread, or on the loop when the work was cancelled before it began.
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._left)

    def _left(self) -> None:
        self._pending -= 1
