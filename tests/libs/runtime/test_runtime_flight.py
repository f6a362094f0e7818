"""Single flight: one piece of work for all concurrent callers."""

import asyncio
import contextvars
import gc
import traceback

import pytest

from finstage_runtime.flight import SingleFlight, fresh_copy


class OutOfTime(Exception):
    """A failure that more time might avoid."""


class Work:
    """Work that waits until the test ends it, and counts its starts."""

    def __init__(self) -> None:
        self.deadlines: list[float | None] = []
        self.go = asyncio.Event()
        self.errors: list[Exception] = []

    async def __call__(self, deadline: float | None) -> str:
        self.deadlines.append(deadline)
        await self.go.wait()
        if self.errors:
            raise self.errors.pop(0)
        return f"answer {len(self.deadlines)}"


async def begin(
    flights: SingleFlight[str, str], work: Work, deadline: float | None = None
) -> asyncio.Task[str]:
    task = asyncio.create_task(flights.do("k", work, deadline=deadline))
    await asyncio.sleep(0)
    return task


async def test_a_thousand_callers_are_one_piece_of_work_and_the_next_is_another() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    callers = [await begin(flights, work) for _ in range(1000)]
    assert "k" in flights
    work.go.set()
    assert set(await asyncio.gather(*callers)) == {"answer 1"}
    assert "k" not in flights
    assert await flights.do("k", work, deadline=None) == "answer 2"


async def test_it_continues_when_callers_leave_even_the_first() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    first, second, third = [await begin(flights, work) for _ in range(3)]
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    work.go.set()
    assert await third == "answer 1"
    assert first.cancelled()
    assert second.cancelled()


async def test_a_failure_without_a_waiting_caller_is_not_reported_by_the_loop() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    work.errors = [OSError("down")]
    caller = await begin(flights, work)
    caller.cancel()
    await asyncio.wait([caller])
    work.go.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert "k" not in flights
    gc.collect()
    assert told == []


async def test_followers_get_copies_of_an_error_each_with_its_own_traceback() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    error = OSError(2, "down")
    work.errors = [error]
    callers = [await begin(flights, work) for _ in range(3)]
    work.go.set()
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert errors[0] is error
    assert len({id(e) for e in errors}) == 3
    for other in errors[1:]:
        assert isinstance(other, OSError)
        assert other.args == (2, "down")
        assert "__call__" not in "".join(traceback.format_exception(other))


async def test_only_a_caller_with_more_time_starts_another_flight() -> None:
    flights: SingleFlight[str, str] = SingleFlight(retry_on=(OutOfTime,))
    work = Work()
    work.errors = [OutOfTime()]
    callers = [await begin(flights, work, deadline) for deadline in (10.0, 10.0, 20.0, None)]
    work.go.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(outcome, OutOfTime) for outcome in outcomes[:2]] == [True, True]
    assert outcomes[2:] == ["answer 2", "answer 2"]
    assert work.deadlines == [10.0, 20.0]


async def test_other_failures_are_not_tried_again() -> None:
    flights: SingleFlight[str, str] = SingleFlight(retry_on=(OutOfTime,))
    work = Work()
    work.errors = [OSError()]
    callers = [await begin(flights, work, deadline) for deadline in (10.0, 20.0)]
    work.go.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]


async def test_work_runs_in_no_callers_context() -> None:
    asking: contextvars.ContextVar[str] = contextvars.ContextVar("asking", default="nobody")
    asking.set("a caller")
    flights: SingleFlight[str, str] = SingleFlight()

    async def work(deadline: float | None) -> str:
        return asking.get()

    assert await flights.do("k", work, deadline=None) == "nobody"


async def test_work_that_is_cancelled_ends_the_wait_of_all() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    go = asyncio.Event()

    async def work(deadline: float | None) -> str:
        await go.wait()
        raise asyncio.CancelledError

    callers = [asyncio.create_task(flights.do("k", work, deadline=None)) for _ in range(2)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait(callers, timeout=5)
    assert [caller.cancelled() for caller in callers] == [True, True]


class Awkward(Exception):
    """An error whose constructor takes other parameters than its args."""

    def __init__(self, *, symbol: str) -> None:
        super().__init__(f"no symbol {symbol}")
        self.symbol = symbol


def test_a_copy_has_type_args_attributes_and_cause_whatever_the_constructor() -> None:
    cause = OSError("down")
    with pytest.raises(Awkward) as raised:
        raise Awkward(symbol="AAPL") from cause
    twin = fresh_copy(raised.value)
    assert twin is not raised.value
    assert (type(twin), twin.args, twin.symbol, twin.__cause__) == (
        Awkward,
        ("no symbol AAPL",),
        "AAPL",
        cause,
    )
    assert twin.__traceback__ is None
