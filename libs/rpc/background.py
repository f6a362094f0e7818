"""What runs in a service beside its calls."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

PAUSE_S = 1.0

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
