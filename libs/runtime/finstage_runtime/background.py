"""Work that a service does beside its calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

PAUSE_S = 1.0
# Cancelled work has this long to clean up.
LEAVE_S = 5.0

_log = structlog.get_logger(__name__)


async def kept_running(name: str, work: Callable[[], Awaitable[None]], *, pause_s: float = PAUSE_S) -> None:
    """Run `work` to its end, again from its beginning `pause_s` after each exception.

    `work` handles the failures it expects. The others are logged as `background_failed`, so that no
    background work ends unnoticed.
    """
    while True:
        try:
            return await work()
        except Exception:
            _log.exception("background_failed", part=name)
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def running(works: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Keep each work running under its name until the context is left; then cancel all, and wait up to
    LEAVE_S for them to end."""
    tasks = [asyncio.create_task(kept_running(name, work)) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=LEAVE_S)
