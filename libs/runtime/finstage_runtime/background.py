"""What runs in a service beside its calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

PAUSE_S = 1.0
# What is cancelled has so long to put its things in order.
LEAVE_S = 5.0

_log = structlog.get_logger(__name__)


async def kept_running(name: str, part: Callable[[], Awaitable[None]], *, pause_s: float = PAUSE_S) -> None:
    """Runs `part` until it is done. It mends by itself what it knows of; an exception that it did not is
    logged as `background_failed`, and it is begun anew after `pause_s`: no part ends unheard.
    """
    while True:
        try:
            return await part()
        except Exception:
            _log.exception("background_failed", part=name)
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def running(parts: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Keeps `parts` running, each by its name, until the context is left: then they are cancelled and have
    ended, if that takes no longer than LEAVE_S."""
    tasks = [asyncio.create_task(kept_running(name, part)) for name, part in parts.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=LEAVE_S)
