"""Calls over real connections, to servicers that answer, fail, stall and stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from finstage.ingest.v1 import ingest_service_pb2 as ingest_pb
from finstage.market.v1 import quote_pb2, series_pb2
from finstage.price.v1 import price_service_pb2 as pb
from finstage_market.columns import Columns
from finstage_market.connection import MAX_MESSAGE_BYTES, channel_options
from finstage_market.errors import (
    FinstageError,
    InvalidRequest,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
    Unimplemented,
    Violation,
    symbol_not_found,
)
from finstage_market.statuses import from_rpc_error
from finstage_market.wire import joined, message_parts, series_parts
from finstage_rpc import call
from finstage_rpc.metrics import CallMetrics
from finstage_rpc.service import Calls, Limits, Service, generic_handler

PRICE = "/finstage.price.v1.PriceService"
INGEST = ingest_pb.DESCRIPTOR.services_by_name["IngestService"]


class Prices:
    """Answers by symbol; `act` decides the behaviour."""

    def __init__(self, act: Callable[[str], Any] | None = None) -> None:
        self.act = act or (lambda symbol: None)
        self.calls = 0
        self.closed = asyncio.Event()

    async def GetQuote(self, request: pb.GetQuoteRequest, context: Any) -> Any:
        self.calls += 1
        done = self.act(request.symbol)
        if asyncio.iscoroutine(done):
            done = await done
        return done or pb.GetQuoteResponse(quote=quote_pb2.Quote(symbol=request.symbol, price=1.5))

    async def StreamBars(self, request: pb.StreamBarsRequest, context: Any) -> AsyncIterator[Any]:
        try:
            for limit in range(request.limit):
                yield pb.StreamBarsResponse(header=series_pb2.BarSeries(symbol=f"{limit}"))
            done = self.act(request.symbol)
            if asyncio.iscoroutine(done):
                done = await done
            if done is not None:
                yield done
        finally:
            self.closed.set()


def raising(error: BaseException) -> Callable[[str], None]:
    def act(symbol: str) -> None:
        raise error

    return act


async def failure(calling: Any) -> FinstageError:
    with pytest.raises(FinstageError) as raised:
        await calling
    return raised.value


async def collected(stream: AsyncIterator[Message]) -> tuple[list[Message], FinstageError | None]:
    """Return the messages of a stream, and the error that ended it."""
    found: list[Message] = []
    try:
        async for message in stream:
            found.append(message)
    except FinstageError as error:
        return found, error
    return found, None


ERRORS = [
    InvalidRequest([Violation("symbol", "it is odd")]),
    symbol_not_found("NOSUCH"),
    RateLimited(Reason.UPSTREAM_RATE_LIMITED, "wait", retry_after_s=30.0),
    Unavailable(Reason.UPSTREAM_UNAVAILABLE, "away", retry_after_s=5.0),
    Unimplemented("GetQuote"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.reason)
async def test_a_domain_error_reaches_the_caller_of_a_unary_call(
    start: Any, connect: Any, error: FinstageError
) -> None:
    channel = connect(await start(Prices(raising(error))))
    found = await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), pb.GetQuoteResponse))
    assert type(found) is type(error)
    assert vars(found) == vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.reason)
@pytest.mark.parametrize("before", [0, 3])
async def test_a_domain_error_reaches_the_reader_of_a_stream_also_after_messages(
    start: Any, connect: Any, error: FinstageError, before: int
) -> None:
    channel = connect(await start(Prices(raising(error))))
    request = pb.StreamBarsRequest(limit=before)
    messages, found = await collected(channel.stream(f"{PRICE}/StreamBars", request, pb.StreamBarsResponse))
    assert len(messages) == before
    assert found is not None
    assert type(found) is type(error)
    assert vars(found) == vars(error)


@pytest.mark.parametrize("method", ["GetQuote", "StreamBars"])
async def test_an_unknown_exception_returns_an_id_that_is_in_the_log(
    start: Any, connect: Any, method: str
) -> None:
    channel = connect(await start(Prices(raising(KeyError("secret")))))
    with capture_logs() as logs:
        if method == "GetQuote":
            found = await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
        else:
            found = (await collected(channel.stream(f"{PRICE}/StreamBars", pb.StreamBarsRequest(), bytes)))[1]
    assert found is not None
    (event,) = [e for e in logs if e["event"] == "internal_error"]
    assert found.reason is Reason.INTERNAL
    assert found.message == f"internal error {event['error_id']}"


async def test_the_maximum_of_violations_arrives(start: Any, connect: Any) -> None:
    error = InvalidRequest([Violation(f"symbols[{i}]", "ä" * 500) for i in range(200)])
    channel = connect(await start(Prices(raising(error))))
    found = await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
    assert isinstance(found, InvalidRequest)
    assert len(found.violations) > 2


async def test_a_method_that_the_servicer_lacks_is_unimplemented_with_our_reason(
    start: Any, connect: Any
) -> None:
    channel = connect(await start(Prices()))
    found = await failure(channel.call(f"{PRICE}/GetBars", pb.GetBarsRequest(), bytes))
    assert isinstance(found, Unimplemented)
    assert found.message == "GetBars is in the contract and not yet in this release"
    stream = channel.stream(f"{PRICE}/WatchBars", pb.WatchBarsRequest(), bytes)
    assert isinstance((await collected(stream))[1], Unimplemented)


async def test_bytes_that_are_not_a_request_are_an_invalid_argument(start: Any, connect: Any) -> None:
    channel = connect(await start(Prices()))
    for calling in (
        channel.call(f"{PRICE}/GetQuote", b"\xff\xff", bytes),
        anext(channel.stream(f"{PRICE}/StreamBars", b"\xff\xff", bytes)),
    ):
        found = await failure(calling)
        assert isinstance(found, InvalidRequest)
        assert "GetQuoteRequest" in str(found) or "StreamBarsRequest" in str(found)


async def test_a_reply_of_another_type_is_an_internal_error(start: Any, connect: Any) -> None:
    channel = connect(await start(Prices(lambda _: pb.GetBarsResponse())))
    with capture_logs():
        found = await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
    assert found.reason is Reason.INTERNAL


async def test_ready_bytes_equal_the_serialised_message(start: Any, connect: Any) -> None:
    rows = np.arange(1000.0)
    columns = Columns.of(np.arange(1000), rows, rows, rows, rows, rows)
    series = series_pb2.BarSeries(symbol="AAPL", interval="1d")
    ready = joined(
        message_parts(pb.GetBarsResponse(total_bars=1000), "series", series_parts(series, columns))
    )

    class Bars:
        async def GetBars(self, request: pb.GetBarsRequest, context: Any) -> Any:
            return ready if request.symbol == "bytes" else pb.GetBarsResponse.FromString(ready)

        async def StreamBars(self, request: pb.StreamBarsRequest, context: Any) -> AsyncIterator[Any]:
            message = pb.StreamBarsResponse(header=series)
            yield message.SerializeToString()
            yield message

    channel = connect(await start(Bars()))
    as_bytes = await channel.call(f"{PRICE}/GetBars", pb.GetBarsRequest(symbol="bytes"), pb.GetBarsResponse)
    as_message = await channel.call(f"{PRICE}/GetBars", pb.GetBarsRequest(), pb.GetBarsResponse)
    assert as_bytes == as_message
    assert len(as_bytes.series.columns.close) == 1000
    assert await channel.call(f"{PRICE}/GetBars", pb.GetBarsRequest(symbol="bytes"), bytes) == ready
    stream = channel.stream(f"{PRICE}/StreamBars", pb.StreamBarsRequest(), pb.StreamBarsResponse)
    first, second = (await collected(stream))[0]
    assert first == second


async def test_a_reply_past_the_message_limit_is_an_error_that_says_so(start: Any, connect: Any) -> None:
    channel = connect(await start(Prices(lambda _: b"x" * (MAX_MESSAGE_BYTES + 1))))
    found = await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
    assert isinstance(found, RateLimited)
    assert found.reason is Reason.OWN_LIMIT
    assert str(MAX_MESSAGE_BYTES) in found.message


async def test_a_reply_of_exactly_the_message_limit_arrives(start: Any, connect: Any) -> None:
    channel = connect(await start(Prices(lambda _: b"x" * MAX_MESSAGE_BYTES)))
    assert len(await channel.call(f"{PRICE}/GetQuote", b"", bytes)) == MAX_MESSAGE_BYTES


async def test_a_request_past_the_message_limit_is_refused(start: Any, connect: Any) -> None:
    servicer = Prices()
    channel = connect(await start(servicer))
    found = await failure(channel.call(f"{PRICE}/GetQuote", b"x" * (MAX_MESSAGE_BYTES + 1), bytes))
    assert isinstance(found, RateLimited)
    assert (found.reason, servicer.calls) == (Reason.OWN_LIMIT, 0)
    assert f"the request has {MAX_MESSAGE_BYTES + 1} bytes" in found.message


class Writes:
    """WriteBars that acknowledges each batch with a given answer."""

    async def WriteBars(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if isinstance(request, bytes):
                yield ingest_pb.WriteBarsResponse(ack=ingest_pb.WriteBarsAck(sequence=len(request)))
            elif request.batch.sequence < 0:
                raise NotFound(Reason.JOB_NOT_FOUND, "none", resource_type="job", resource_name="7")
            else:
                yield ingest_pb.WriteBarsResponse(ack=ingest_pb.WriteBarsAck(sequence=request.batch.sequence))


def batch(sequence: int) -> ingest_pb.WriteBarsRequest:
    return ingest_pb.WriteBarsRequest(batch=ingest_pb.BarBatch(sequence=sequence))


def write_bars(channel: Any) -> Any:
    return channel.grpc.stream_stream(
        "/finstage.ingest.v1.IngestService/WriteBars",
        request_serializer=ingest_pb.WriteBarsRequest.SerializeToString,
        response_deserializer=ingest_pb.WriteBarsResponse.FromString,
    )


async def test_a_call_that_streams_both_ways_answers_each_message(start: Any, connect: Any) -> None:
    channel = connect(await start(Service(INGEST, Writes())))
    running = write_bars(channel)(batch(i) for i in range(1, 5))
    assert [reply.ack.sequence async for reply in running] == [1, 2, 3, 4]


async def test_an_error_within_a_call_that_streams_both_ways_reaches_the_caller(
    start: Any, connect: Any
) -> None:
    channel = connect(await start(Service(INGEST, Writes())))
    running = write_bars(channel)(batch(i) for i in (1, -1, 2))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        [reply async for reply in running]
    assert from_rpc_error(raised.value).reason is Reason.JOB_NOT_FOUND


async def test_raw_requests_come_as_the_bytes_that_were_sent(start: Any, connect: Any) -> None:
    channel = connect(await start(Service(INGEST, Writes(), raw_requests=frozenset({"WriteBars"}))))
    running = write_bars(channel)(batch(i) for i in (1, 1000))
    assert [reply.ack.sequence async for reply in running] == [batch(1).ByteSize(), batch(1000).ByteSize()]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_leaves_cancels_the_servicer(start: Any, connect: Any, stream: bool) -> None:
    cancelled = asyncio.Event()
    waiting = asyncio.Event()

    async def wait(symbol: str) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    servicer = Prices(lambda symbol: wait(symbol))
    server = await start(servicer)
    channel = connect(server)

    async def leave() -> None:
        if not stream:
            await channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)
        async for _ in channel.stream(f"{PRICE}/StreamBars", pb.StreamBarsRequest(limit=1), bytes):
            pass

    caller = asyncio.create_task(leave())
    await waiting.wait()
    caller.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)
    if stream:
        await asyncio.wait_for(servicer.closed.wait(), 5)
    await server.stop()
    labels = {
        "grpc_type": "server_stream" if stream else "unary",
        "grpc_service": PRICE[1:],
        "grpc_method": "StreamBars" if stream else "GetQuote",
        "grpc_code": "CANCELLED",
    }
    assert server.registry.get_sample_value("grpc_server_handled_total", labels) == 1


async def test_a_caller_that_leaves_during_a_message_is_not_an_error(
    start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller does not read, so its flow control holds the message back."""
    part = pb.StreamBarsResponse(header=series_pb2.BarSeries(symbol="x" * 1_000_000))

    class Endless:
        async def StreamBars(self, request: Any, context: Any) -> AsyncIterator[Any]:
            while True:
                yield part

    server = await start(Endless(), log_level="DEBUG")
    with capture_logs() as logs:
        async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
            stream = channel.unary_stream(f"{PRICE}/StreamBars")(b"")
            await stream.read()
            await asyncio.sleep(0.2)
            stream.cancel()
            await asyncio.sleep(0.2)
        await server.stop()
    assert [e["code"] for e in logs if e["event"] == "call"] == ["CANCELLED"]
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_past_its_bound_of_calls_the_server_refuses_and_then_recovers(start: Any, connect: Any) -> None:
    go, full = asyncio.Event(), asyncio.Event()

    async def wait(symbol: str) -> None:
        if servicer.calls == 3:
            full.set()
        await go.wait()

    servicer = Prices(lambda symbol: wait(symbol))
    channel = connect(await start(servicer, max_concurrent_calls=3))

    def ask() -> Any:
        return channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)

    served = [asyncio.create_task(ask()) for _ in range(3)]
    await full.wait()
    for _ in range(2):
        refused = await failure(ask())
        assert isinstance(refused, RateLimited)
        assert refused.reason is Reason.OWN_LIMIT
        assert refused.retry_after_s
    go.set()
    await asyncio.gather(*served, ask())


async def test_streams_have_a_bound_of_their_own(start: Any, connect: Any) -> None:
    async def wait(symbol: str) -> None:
        await asyncio.Event().wait()

    servicer = Prices()
    channel = connect(await start(servicer, max_concurrent_streams=1))
    servicer.act = lambda symbol: wait(symbol)
    first = channel.stream(f"{PRICE}/StreamBars", pb.StreamBarsRequest(limit=1), bytes)
    await anext(first)
    second = channel.stream(f"{PRICE}/StreamBars", pb.StreamBarsRequest(limit=1), bytes)
    assert (await failure(anext(second))).reason is Reason.OWN_LIMIT
    servicer.act = lambda symbol: None
    await channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)
    await first.aclose()


async def test_reads_are_retried_where_a_replica_is_away(start: Any, connect: Any) -> None:
    def act(symbol: str) -> None:
        if servicer.calls < 3:
            raise Unavailable(Reason.SERVICE_UNAVAILABLE, "the server is shutting down")

    servicer = Prices(act)
    channel = connect(await start(servicer), retry=True)
    await channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)
    assert servicer.calls == 3


async def test_reads_are_not_retried_where_the_service_decided(start: Any, connect: Any) -> None:
    servicer = Prices(raising(Unavailable(Reason.UPSTREAM_UNAVAILABLE, "away")))
    channel = connect(await start(servicer), retry=True)
    await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
    assert servicer.calls == 1


async def test_a_missing_service_is_unavailable(connect: Any) -> None:
    channel = connect("localhost:1")
    found = await failure(channel.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
    assert isinstance(found, Unavailable)
    assert (found.reason, found.message) == (Reason.SERVICE_UNAVAILABLE, "price does not answer")


async def test_a_blocking_channel_gives_the_same_errors(start: Any) -> None:
    server = await start(Prices(raising(symbol_not_found("NOSUCH"))))

    def ask() -> FinstageError:
        with grpc.insecure_channel(f"localhost:{server.port}", channel_options([])) as channel:
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(f"{PRICE}/GetQuote")(b"", timeout=5)
            return from_rpc_error(raised.value)

    found = await asyncio.to_thread(ask)
    assert vars(found) == vars(symbol_not_found("NOSUCH"))


async def test_a_slow_call_is_logged(start: Any, connect: Any) -> None:
    server = await start(Prices(), slow_call_s=1e-9)
    with capture_logs() as logs:
        await connect(server).call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)
        await server.stop()
    (event,) = [e for e in logs if e["event"] == "slow_call"]
    assert event["seconds"] > 0
    assert event["code"] == "OK"


async def test_each_call_is_logged_at_debug(start: Any, connect: Any) -> None:
    server = await start(Prices(raising(symbol_not_found("X"))), log_level="DEBUG")
    with capture_logs() as logs:
        await failure(connect(server).call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes))
        await server.stop()
    (event,) = [e for e in logs if e["event"] == "call"]
    assert (event["log_level"], event["code"]) == ("debug", "NOT_FOUND")


async def test_the_callers_request_id_is_taken_and_passed_on(start: Any, connect: Any) -> None:
    seen: list[str] = []

    def note(symbol: str) -> None:
        serving = call.current()
        assert serving is not None
        seen.append(serving.request_id)

    behind = connect(await start(Prices(note)))

    async def ask(symbol: str) -> None:
        note(symbol)
        await behind.call(f"{PRICE}/GetQuote", pb.GetQuoteRequest(), bytes)

    front = connect(await start(Prices(lambda symbol: ask(symbol))))
    method = front.grpc.unary_unary(f"{PRICE}/GetQuote")
    await method(b"", metadata=(("x-request-id", "abc-1"),))
    assert seen == ["abc-1", "abc-1"]
    await method(b"")
    assert seen[2] == seen[3] != ""
    await method(b"", metadata=(("x-request-id", "x" * 1000),))
    assert seen[4] == seen[5]
    assert len(seen[4]) <= 64


def test_a_servicer_with_a_name_that_the_contract_lacks_is_refused() -> None:
    class Typo:
        async def GetQoute(self, request: Any, context: Any) -> bytes:
            return b""

    class Kind:
        async def StreamBars(self, request: Any, context: Any) -> bytes:
            return b""

    limits = Limits(unary_calls=1, streams=1, message_bytes=1, slow_call_s=1, log_calls=False)
    descriptor = pb.DESCRIPTOR.services_by_name["PriceService"]
    for servicer, match in ((Typo(), "GetQoute"), (Kind(), "async generator")):
        metrics = CallMetrics(CollectorRegistry(), "server")
        with pytest.raises(TypeError, match=match):
            generic_handler(Service(descriptor, servicer), Calls(limits, None), metrics)
