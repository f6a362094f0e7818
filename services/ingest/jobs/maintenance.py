"""Maintenance of the store in the background: bars are finalized, and old records deleted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from finstage_market.errors import FinstageError
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.store.maintenance import Maintenance

# How far back WatchCommits can be resumed.
COMMITS_S = 7 * 86_400
_PRUNE_EVERY_S = 600.0
_FINALIZE_EVERY_S = 5.0

_log = structlog.get_logger(__name__)


async def keep_finalized(maintenance: Maintenance, *, database: BoundedExecutor) -> None:
    """Finalize forming bars whose time is over, until cancelled."""
    await _repeat(lambda: database.run(maintenance.finalize), every_s=_FINALIZE_EVERY_S)


async def keep_pruned(
    maintenance: Maintenance, *, database: BoundedExecutor, clock: Clock, records_s: float
) -> None:
    """Delete old records until cancelled. Any number of replicas may do it.

    records_s: how long ended jobs, refused rows, and writes that nobody continues are kept.
    """

    async def prune() -> None:
        now_s = clock.wall()
        commits_ms, records_ms = (int((now_s - age_s) * 1000) for age_s in (COMMITS_S, records_s))
        while await database.run(
            maintenance.prune, commits_before_ms=commits_ms, records_before_ms=records_ms
        ):
            pass

    await _repeat(prune, every_s=_PRUNE_EVERY_S)


async def _repeat(work: Callable[[], Awaitable[None]], *, every_s: float) -> NoReturn:
    while True:
        try:
            await work()
        except FinstageError as error:
            _log.warning("maintenance_interrupted", error=type(error).__name__, detail=str(error))
        await asyncio.sleep(every_s)
