"""Deadlines: the time of downstream calls, and the errors when it is over."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.errors import DeadlineTooShort, FinstageError, Reason, Unavailable
from finstage_rpc import call
from finstage_rpc.deadline import MARGIN_S, downstream_timeout_s, time_left_s

METHOD = "/finstage.price.v1.PriceService/GetQuote"
REQUEST, REPLY = pb.GetQuoteRequest(symbol="A"), pb.GetQuoteResponse


class Doing:
    """A servicer whose GetQuote runs a given function."""

    def __init__(self, action: Callable[[Any], Awaitable[None]]) -> None:
        self._action = action

    async def GetQuote(self, request: pb.GetQuoteRequest, context: Any) -> pb.GetQuoteResponse:
        await self._action(context)
        return pb.GetQuoteResponse()


async def forever(context: Any) -> None:
    await asyncio.Event().wait()


class Waits:
    """The deadline part of a call's context; its caller still waits for `left_s`."""

    def __init__(self, left_s: float | None) -> None:
        self._left_s = left_s

    def time_remaining(self) -> float | None:
        return self._left_s


def serving(left_s: float | None, see: Callable[[], Any]) -> Any:
    """Return the result of `see` within a call whose caller still waits for `left_s`."""

    def enter() -> Any:
        call.enter(call.Call("/a.B/C", cast("Any", Waits(left_s))))
        return see()

    return contextvars.copy_context().run(enter)


def test_a_call_downstream_gets_the_time_left_less_a_margin() -> None:
    assert 19.0 < serving(20.0, lambda: downstream_timeout_s(None)) <= 20.0 - MARGIN_S


def test_the_least_of_own_timeout_and_time_left_holds() -> None:
    assert serving(20.0, lambda: downstream_timeout_s(5.0)) == 5.0
    assert serving(20.0, lambda: downstream_timeout_s(50.0)) <= 20.0 - MARGIN_S
    assert serving(None, lambda: downstream_timeout_s(5.0)) == 5.0
    assert serving(None, lambda: downstream_timeout_s(None)) is None


@pytest.mark.parametrize("left_s", [0.0, MARGIN_S])
def test_with_no_time_left_no_call_is_made(left_s: float) -> None:
    with pytest.raises(DeadlineTooShort):
        serving(left_s, lambda: downstream_timeout_s(None))


async def test_the_deadline_goes_from_service_to_service(start: Any, connect: Any) -> None:
    left: list[float | None] = []

    async def note(context: Any) -> None:
        left.append(time_left_s(context))
        left.append(time_left_s())

    behind = connect(await start(Doing(note)))

    async def ask(context: Any) -> None:
        await behind.call(METHOD, REQUEST, REPLY, timeout_s=1000.0)

    front = connect(await start(Doing(ask)))
    await front.call(METHOD, REQUEST, REPLY, timeout_s=20.0)
    # gRPC rounds a timeout up on the wire, by a hundredth at most.
    assert all(seconds is not None and 1.0 < seconds < 20.3 for seconds in left)


async def test_without_a_deadline_calls_have_the_settings_timeout_and_streams_none(
    start: Any, connect: Any
) -> None:
    left: list[float | None] = []

    class Noting:
        async def GetQuote(self, request: Any, context: Any) -> Any:
            left.append(time_left_s())
            return pb.GetQuoteResponse()

        async def StreamBars(self, request: Any, context: Any) -> Any:
            left.append(time_left_s())
            yield b""

    channel = connect(await start(Noting()), call_timeout_s=7.0)
    await channel.call(METHOD, REQUEST, REPLY)
    async for _ in channel.stream(METHOD.replace("GetQuote", "StreamBars"), pb.StreamBarsRequest(), bytes):
        pass
    assert left[0] is not None
    assert left[0] < 7.2
    assert left[1] is None


async def test_when_our_own_timeout_ends_the_service_is_unavailable(start: Any, connect: Any) -> None:
    channel = connect(await start(Doing(forever)))
    with pytest.raises(Unavailable) as raised:
        await channel.call(METHOD, REQUEST, REPLY, timeout_s=0.05)
    assert raised.value.reason is Reason.SERVICE_UNAVAILABLE
    assert "in time" in raised.value.message


async def test_when_the_callers_time_ends_the_deadline_was_too_short(start: Any, connect: Any) -> None:
    behind = connect(await start(Doing(forever)))
    caught: list[FinstageError] = []

    async def ask(context: Any) -> None:
        try:
            await behind.call(METHOD, REQUEST, REPLY)
        except FinstageError as error:
            caught.append(error)
            raise

    front = connect(await start(Doing(ask)))
    # gRPC itself may report DEADLINE_EXCEEDED, or our server within the margin before it.
    with pytest.raises(Unavailable):
        await front.call(METHOD, REQUEST, REPLY, timeout_s=0.3)
    assert isinstance(caught[0], DeadlineTooShort)


async def test_the_servicer_is_cancelled_when_the_deadline_passes(start: Any, connect: Any) -> None:
    cancelled = asyncio.Event()

    async def wait(context: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    channel = connect(await start(Doing(wait)))
    with pytest.raises(Unavailable):
        await channel.call(METHOD, REQUEST, REPLY, timeout_s=0.05)
    await asyncio.wait_for(cancelled.wait(), 5)


def test_outside_any_call_there_is_no_deadline() -> None:
    assert time_left_s() is None
    assert downstream_timeout_s(3.0) == 3.0
