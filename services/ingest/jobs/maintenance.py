"""What is done from time to time: forming bars become final, and what is old is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from finstage_market.errors import FinstageError
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.store.api import Store

# How far back WatchCommits can be resumed.
COMMITS_S = 7 * 86_400
_PRUNE_EVERY_S = 600.0
_SETTLE_EVERY_S = 5.0

_log = structlog.get_logger(__name__)


async def keep_settled(store: Store, *, database: BoundedExecutor) -> None:
    """Settles forming bars until it is cancelled."""
    await _again_and_again(lambda: database.run(store.settle), every_s=_SETTLE_EVERY_S)


async def keep_pruned(store: Store, *, database: BoundedExecutor, clock: Clock, records_s: float) -> None:
    """Prunes the store until it is cancelled. Any number of replicas may.

    records_s: how long ended jobs, refused rows, and writes that nobody continues are kept.
    """

    async def prune() -> None:
        now_s = clock.wall()
        commits_ms, records_ms = (int((now_s - age_s) * 1000) for age_s in (COMMITS_S, records_s))
        while await database.run(store.prune, commits_before_ms=commits_ms, records_before_ms=records_ms):
            pass

    await _again_and_again(prune, every_s=_PRUNE_EVERY_S)


async def _again_and_again(work: Callable[[], Awaitable[None]], *, every_s: float) -> NoReturn:
    while True:
        try:
            await work()
        except FinstageError as error:
            _log.warning("upkeep_interrupted", error=type(error).__name__, detail=str(error))
        await asyncio.sleep(every_s)
