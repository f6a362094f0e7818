"""Blocking work in bounded threads."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from finstage_market.errors import RateLimited, Reason, over_limit
from finstage_runtime.executor import BoundedExecutor


@pytest.fixture
def executor() -> Iterator[BoundedExecutor]:
    made = BoundedExecutor(threads=1, queued=1, name="database", overloaded=over_limit)
    yield made
    made.close()


async def test_it_returns_what_the_function_returns(executor: BoundedExecutor) -> None:
    assert await executor.run(divmod, 7, 2) == (3, 1)


async def test_it_raises_what_the_function_raises(executor: BoundedExecutor) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await executor.run(int, "x")


async def test_work_past_the_queue_is_refused_and_room_comes_back(executor: BoundedExecutor) -> None:
    go = threading.Event()
    running = [asyncio.create_task(executor.run(go.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="database") as raised:
        await executor.run(int)
    assert raised.value.reason is Reason.OWN_LIMIT
    go.set()
    await asyncio.gather(*running)
    await asyncio.sleep(0)
    assert executor.pending == 0
    assert await executor.run(int) == 0


async def test_a_cancelled_caller_stops_waiting_and_the_work_keeps_its_place_until_it_ends(
    executor: BoundedExecutor,
) -> None:
    go, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await executor.run(work)
    assert executor.pending == 1
    go.set()
    await executor.run(int)
    assert begun.is_set()


async def test_leaving_it_waits_for_running_work_and_drops_waiting_work() -> None:
    go, done = threading.Event(), []

    def work() -> None:
        go.wait()
        done.append("begun before")

    async with BoundedExecutor(threads=1, queued=1, name="database", overloaded=over_limit) as executor:
        running = asyncio.create_task(executor.run(work))
        waiting = asyncio.create_task(executor.run(done.append, "never begun"))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, go.set)
    assert done == ["begun before"]
    await asyncio.wait([running, waiting])
    assert waiting.cancelled()


async def test_cancelled_work_that_has_not_begun_never_does(executor: BoundedExecutor) -> None:
    go = threading.Event()
    first = asyncio.create_task(executor.run(go.wait))
    begun: list[int] = []
    second = asyncio.create_task(executor.run(begun.append, 1))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    go.set()
    await first
    await executor.run(int)
    assert begun == []
    assert executor.pending == 0
