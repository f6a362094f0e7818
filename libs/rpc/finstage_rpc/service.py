"""Servicers on the wire: everything that happens around the method that answers an RPC.

A servicer is a plain class with the contract's RPCs as async methods, or as async generators where the reply
is a stream:

    async def GetQuote(self, request: GetQuoteRequest, context: Context) -> GetQuoteResponse | bytes: ...
    async def WatchQuotes(self, request, context) -> AsyncIterator[WatchQuotesResponse | bytes]: ...
    async def WriteBars(self, requests: AsyncIterator[WriteBarsRequest], context) -> AsyncIterator[...]: ...

It raises domain errors, and returns the message or its serialised bytes. One wrapper, built once per method,
does the rest; there is no chain of interceptors per call.
"""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from finstage_market.connection import is_endless
from finstage_market.errors import (
    InvalidRequest,
    RateLimited,
    Reason,
    Unavailable,
    Unimplemented,
    Violation,
    over_limit,
)
from finstage_market.statuses import code_of
from finstage_rpc import call
from finstage_rpc.call import Call, Context
from finstage_rpc.errors import to_status, trailers
from finstage_rpc.keys import ApiKeys
from finstage_rpc.metrics import CallMetrics, MethodMetrics, grpc_type

_Code = grpc.StatusCode
_Body = Callable[[Any, Context], Awaitable[bytes | None]]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """One service of a server.

    descriptor: price_service_pb2.DESCRIPTOR.services_by_name["PriceService"].
    servicer: an object with the RPCs as methods; an RPC that it lacks is UNIMPLEMENTED.
    raw_requests: names of the RPCs that get their requests as bytes, unparsed.
    """

    descriptor: ServiceDescriptor
    servicer: object
    raw_requests: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server, and which calls it logs.

    unary_calls, streams: how many unary calls and streams may be served at once.
    message_bytes: the longest message, either way. A servicer checks raw requests itself.
    slow_call_s: unary calls that take this long are logged.
    log_calls: log each call, at debug.
    """

    unary_calls: int
    streams: int
    message_bytes: int
    slow_call_s: float
    log_calls: bool


class Calls:
    """The calls being served: admission, counts, and their end when the server stops."""

    def __init__(self, limits: Limits, keys: ApiKeys | None) -> None:
        self.limits = limits
        self._keys = keys
        self._unary: set[asyncio.Task[Any]] = set()
        self._streams: dict[asyncio.Task[Any], bool] = {}
        self._stopped: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._unary) + len(self._streams)

    def admit(self, task: asyncio.Task[Any], context: Context, *, stream: bool, endless: bool) -> str:
        """Count the call that `task` serves, until `leave`. Return the name of its key; empty without keys.

        Raises:
            Unauthenticated: the server needs a key, and the call has none that is known.
            RateLimited: too many calls are being served.
            Unavailable: the server is stopping, and the stream has no end.
        """
        caller = "" if self._keys is None else self._keys.check(context.invocation_metadata() or ())
        if stream:
            if self._stopping and endless:
                raise _stopping()
            _check(len(self._streams), self.limits.streams, "streams")
            self._streams[task] = endless
        else:
            _check(len(self._unary), self.limits.unary_calls, "calls")
            self._unary.add(task)
        self._idle.clear()
        return caller

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Forget the call of `task`, which has ended."""
        self._unary.discard(task)
        self._streams.pop(task, None)
        self._stopped.discard(task)
        if not len(self):
            self._idle.set()

    def was_stopped(self, task: asyncio.Task[Any]) -> bool:
        """Return whether `stop`, not the caller, cancelled `task`."""
        return task in self._stopped

    def stop(self, *, all_calls: bool) -> None:
        """End the endless streams, or all calls, with UNAVAILABLE."""
        self._stopping = True
        running = [*self._unary, *self._streams] if all_calls else [t for t, e in self._streams.items() if e]
        for task in running:
            if task not in self._stopped:
                self._stopped.add(task)
                task.cancel()

    async def until_idle(self, seconds: float) -> None:
        """Wait until no call is being served, at most `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)


def _check(running: int, limit: int, what: str) -> None:
    if running >= limit:
        raise over_limit(f"the server already serves {limit} {what}, its limit")


def _stopping() -> Unavailable:
    return Unavailable(Reason.SERVICE_UNAVAILABLE, "the server is shutting down", retry_after_s=1.0)


def generic_handler(service: Service, calls: Calls, metrics: CallMetrics) -> grpc.GenericRpcHandler:
    """Return the handler of `service` for grpc.aio.

    Raises:
        TypeError: the servicer has an RPC that the contract lacks, or one that streams differently.
    """
    descriptor, servicer = service.descriptor, service.servicer
    rpcs = {name for name in dir(type(servicer)) if name[:1].isupper()}
    if extra := rpcs - set(descriptor.methods_by_name):
        raise TypeError(f"{descriptor.full_name} has no {', '.join(sorted(extra))}")
    unknown = service.raw_requests - set(descriptor.methods_by_name)
    if unknown:
        raise TypeError(f"{descriptor.full_name} has no {', '.join(sorted(unknown))}")
    handlers = {}
    for name, method in descriptor.methods_by_name.items():
        behaviour = getattr(servicer, name, None)
        rpc = _Rpc(method, behaviour, calls, metrics, raw_request=name in service.raw_requests)
        handlers[name] = rpc.handler()
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


class UnknownMethods(grpc.GenericRpcHandler):
    """The handler of last resort. Methods that no service here has are UNIMPLEMENTED, with an ErrorInfo."""

    def __init__(self, services: Sequence[str]) -> None:
        """services: the full names of those that are here."""
        self._services = ", ".join(services)

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        message = f"this server has no method {details.method}; its services are {self._services}"

        async def refuse(requests: AsyncIterator[bytes], context: Context) -> None:
            status = to_status(Unimplemented(details.method, message))
            await context.abort(code_of(status), status.message, trailers(status))

        # On the wire, one message each way is a stream of one.
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(refuse)
        return handler


class _Rpc:
    """One RPC of one servicer. Its handler takes and returns bytes, so that parsing errors are mapped too."""

    def __init__(
        self,
        method: MethodDescriptor,
        behaviour: Callable[..., Any] | None,
        calls: Calls,
        metrics: CallMetrics,
        *,
        raw_request: bool,
    ) -> None:
        self._path = f"/{method.containing_service.full_name}/{method.name}"
        self._in, self._out = method.client_streaming, method.server_streaming
        self._behaviour = self._checked(behaviour)
        self._request = GetMessageClass(method.input_type)
        self._response = GetMessageClass(method.output_type)
        self._raw_request = raw_request
        self._calls = calls
        self._limits = calls.limits
        kind = grpc_type(client_streaming=self._in, server_streaming=self._out)
        self._metrics = MethodMetrics(metrics, self._path, kind)
        self._is_stream = kind != "unary"
        self._endless = is_endless(method)

    def handler(self) -> "grpc.RpcMethodHandler[Any, Any]":
        """Return the handler for grpc.aio, without serializers, so that it is given bytes."""
        body: _Body = self._stream if self._out else self._unary

        async def serve(request: Any, context: Context) -> Any:
            return await self._serve(request, context, body)

        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[self._in, self._out]
        handler: grpc.RpcMethodHandler[Any, Any] = make(serve)
        return handler

    def _checked(self, behaviour: Callable[..., Any] | None) -> Callable[..., Any]:
        if behaviour is None:
            return self._unimplemented_stream if self._out else self._unimplemented
        fits = inspect.isasyncgenfunction if self._out else inspect.iscoroutinefunction
        if not fits(behaviour):
            raise TypeError(f"{self._path} must be an async {'generator' if self._out else 'method'}")
        return behaviour

    async def _unimplemented(self, request: Any, context: Context) -> bytes:
        raise Unimplemented(self._path.rpartition("/")[2])

    async def _unimplemented_stream(self, request: Any, context: Context) -> AsyncIterator[bytes]:
        raise Unimplemented(self._path.rpartition("/")[2])
        yield b""

    async def _serve(self, request: Any, context: Context, body: _Body) -> bytes | None:
        begun = time.perf_counter()
        metrics, calls = self._metrics, self._calls
        metrics.started()
        serving = Call(self._path, context)
        call.enter(serving)
        task = asyncio.current_task()
        assert task is not None
        code = _Code.OK
        error: Exception
        try:
            try:
                serving.caller = calls.admit(task, context, stream=self._is_stream, endless=self._endless)
                return await body(request, context)
            except asyncio.CancelledError:
                if not calls.was_stopped(task):
                    late = serving.deadline is not None and time.monotonic() >= serving.deadline
                    code = _Code.DEADLINE_EXCEEDED if late else _Code.CANCELLED
                    raise
                task.uncancel()
                error = _stopping()
            except grpc.aio.BaseError:
                raise
            except Exception as caught:
                error = caught
            status = to_status(error)
            code = code_of(status)
            await context.abort(code, status.message, trailers(status))
        except grpc.aio.AbortError:
            raise
        except grpc.aio.BaseError:
            # The caller left while a message was on its way to it. gRPC would log that as our error.
            code = _Code.CANCELLED
            raise asyncio.CancelledError from None
        finally:
            calls.leave(task)
            seconds = time.perf_counter() - begun
            metrics.handled[code]()
            metrics.seconds(seconds)
            if seconds >= self._limits.slow_call_s and not self._is_stream:
                _log.warning("slow_call", seconds=round(seconds, 6), code=code.name)
            elif self._limits.log_calls:
                _log.debug("call", seconds=round(seconds, 6), code=code.name)

    async def _unary(self, request: Any, context: Context) -> bytes:
        response = await self._behaviour(self._received(request), context)
        data = self._serialised(response)
        self._metrics.sent()
        return data

    async def _stream(self, request: Any, context: Context) -> None:
        # gRPC could iterate the generator itself. Writing here keeps every failure of the stream inside the
        # error mapping, and closes the generator before the call ends.
        async with contextlib.aclosing(self._behaviour(self._received(request), context)) as responses:
            async for response in responses:
                await context.write(self._serialised(response))
                self._metrics.sent()

    def _received(self, request: Any) -> Any:
        return self._parsed_all(request) if self._in else self._parsed(request)

    async def _parsed_all(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Message | bytes]:
        async for request in requests:
            yield self._parsed(request)

    def _parsed(self, data: bytes) -> Message | bytes:
        self._metrics.received()
        if self._raw_request:
            return data
        self._check_length("request", data, "send")
        try:
            return self._request.FromString(data)
        except DecodeError:
            name = self._request.DESCRIPTOR.full_name
            raise InvalidRequest([Violation("", f"the bytes given are not a {name}")]) from None

    def _serialised(self, response: Message | bytes) -> bytes:
        if isinstance(response, bytes):
            data = response
        elif isinstance(response, self._response):
            data = response.SerializeToString()
        else:
            raise TypeError(f"{self._path} answered with a {type(response).__name__}")
        self._check_length("reply", data, "ask for")
        return data

    def _check_length(self, kind: str, data: bytes, do: str) -> None:
        limit = self._limits.message_bytes
        if len(data) > limit:
            raise RateLimited(
                Reason.OWN_LIMIT, f"the {kind} has {len(data)} bytes; the limit is {limit}: {do} less at once"
            )
