"""Waiting for something that must happen soon."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

from finstage_cache import Cache


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait for a condition; an AssertionError if it does not come true in time."""
    ends = time.monotonic() + seconds
    while True:
        met = condition()
        if inspect.isawaitable(met):
            met = await met
        if met:
            return
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.005)


async def settled(cache: Cache) -> None:
    """Wait until no load is under way."""
    await until(lambda: not cache._lookups.flights.current)
