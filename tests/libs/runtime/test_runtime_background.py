"""Background work of a service."""

import asyncio
from functools import partial

import pytest
import structlog

from finstage_runtime.background import kept_running, running


async def test_work_that_fails_is_logged_and_begins_again() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("broken")

    with structlog.testing.capture_logs() as logs:
        await asyncio.wait_for(kept_running("jobs", work, pause_s=0.0), 5)
    assert begun == 3
    assert [(log["event"], log["part"]) for log in logs] == [("background_failed", "jobs")] * 2


async def test_cancelled_work_ends() -> None:
    running = asyncio.create_task(kept_running("jobs", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_all_work_has_ended_when_its_context_is_left() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    async with running({name: partial(work, name) for name in ("jobs", "feed")}):
        await asyncio.sleep(0)
    assert sorted(ended) == ["feed", "jobs"]
