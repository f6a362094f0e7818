"""Channels: how one service, or a program, calls another.

    channel = open_channel("localhost:50053", settings, name="ingest", retry=[MARKET_STORE])
    reply = await channel.call(f"{STORE}/FetchQuotes", request, FetchQuotesResponse)
    async for chunk in channel.stream(f"{STORE}/ReadBars", request, bytes): ...
    await channel.close()

Failures are domain errors. Within a call that this process serves, what it calls inherits the caller's
deadline, less a margin, and its request id.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from finstage_market.connection import channel_options, credentials
from finstage_market.errors import (
    DeadlineTooShort,
    FinstageError,
    PermissionDenied,
    Reason,
    Unauthenticated,
    Unavailable,
)
from finstage_market.statuses import from_rpc_error
from finstage_rpc import call
from finstage_rpc.deadline import downstream_timeout_s
from finstage_rpc.metrics import CallMetrics, MethodMetrics, grpc_type
from finstage_rpc.settings import ChannelSettings

R = TypeVar("R", bound=Message | bytes)


class Channel:
    """A connection, kept up, to the replicas behind one target.

    grpc: the channel of gRPC, for generated stubs; calls made there inherit nothing, and fail gRPC's way.
    """

    def __init__(
        self, channel: grpc.aio.Channel, *, name: str, settings: ChannelSettings, metrics: CallMetrics
    ) -> None:
        self.grpc = channel
        self.name = name
        self._timeout_s = settings.call_timeout_s
        key = settings.api_key
        self._metadata = () if key is None else (("authorization", f"Bearer {key.get_secret_value()}"),)
        self._metrics = metrics
        self._methods: dict[tuple[str, type], tuple[Any, MethodMetrics]] = {}

    async def call(
        self, method: str, request: Message | bytes, reply: type[R], *, timeout_s: float | None = None
    ) -> R:
        """The reply of a unary call.

        method: its full name, "/finstage.price.v1.PriceService/GetBars".
        reply: the type of the reply: its message, or bytes for the message as it came.
        timeout_s: the most that the call may take; None: the settings' CALL_TIMEOUT_S. The caller's
            deadline holds too.

        Raises:
            FinstageError: what the service answered; Unavailable (SERVICE_UNAVAILABLE) when it did not,
                in our time; DeadlineTooShort when it did not, in the caller's.
        """
        multicallable, metrics = self._method(method, reply, stream=False)
        own_s = self._timeout_s if timeout_s is None else timeout_s
        timeout = downstream_timeout_s(own_s)
        begun = time.perf_counter()
        metrics.started()
        code = grpc.StatusCode.OK
        try:
            metrics.sent()
            response = await multicallable(request, timeout=timeout, metadata=self._inherited())
            metrics.received()
            return cast("R", response)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            raise self._domain_error(error, own_timeout=timeout == own_s) from error
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            metrics.handled[code]()
            metrics.seconds(time.perf_counter() - begun)

    async def stream(
        self, method: str, request: Message | bytes, reply: type[R], *, timeout_s: float | None = None
    ) -> AsyncGenerator[R, None]:
        """The replies of a call that streams them. Leaving the iteration early cancels the call, at once
        where the iterator is closed (contextlib.aclosing).

        timeout_s: the most that the whole stream may take; None: no limit but the caller's deadline.

        Raises:
            FinstageError: as `call`, at any point of the stream.
        """
        multicallable, metrics = self._method(method, reply, stream=True)
        timeout = downstream_timeout_s(timeout_s)
        begun = time.perf_counter()
        metrics.started()
        code = grpc.StatusCode.CANCELLED
        running = None
        try:
            metrics.sent()
            running = multicallable(request, timeout=timeout, metadata=self._inherited())
            async for response in running:
                metrics.received()
                yield response
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
            raise self._domain_error(error, own_timeout=timeout == timeout_s) from error
        finally:
            if running is not None:
                running.cancel()
            metrics.handled[code]()
            metrics.seconds(time.perf_counter() - begun)

    async def close(self) -> None:
        """Ends the connection, and with it the calls that run."""
        await self.grpc.close()

    def _method(self, method: str, reply: type[R], *, stream: bool) -> tuple[Any, MethodMetrics]:
        found = self._methods.get((method, reply))
        if found is None:
            make = self.grpc.unary_stream if stream else self.grpc.unary_unary
            parse = None if reply is bytes else cast("type[Message]", reply).FromString
            kind = grpc_type(client_streaming=False, server_streaming=stream)
            multicallable = make(method, request_serializer=_serialised, response_deserializer=parse)
            found = multicallable, MethodMetrics(self._metrics, method, kind)
            self._methods[method, reply] = found
        return found

    def _inherited(self) -> tuple[tuple[str, str], ...]:
        serving = call.current()
        if serving is None:
            return self._metadata
        return (*self._metadata, (call.REQUEST_ID_KEY, serving.request_id))

    def _domain_error(self, error: grpc.aio.AioRpcError, *, own_timeout: bool) -> FinstageError:
        found = from_rpc_error(error, service=self.name)
        if isinstance(found, DeadlineTooShort) and own_timeout:
            # It was our own patience that ended, and our caller can do nothing about that.
            message = f"{self.name} did not answer in time"
            return Unavailable(Reason.SERVICE_UNAVAILABLE, message, retry_after_s=1.0)
        if isinstance(found, Unauthenticated | PermissionDenied) and call.current() is not None:
            # It is our key that was refused, not our caller's.
            message = f"{self.name} refuses the key of this service"
            return Unavailable(Reason.SERVICE_UNAVAILABLE, message, retry_after_s=60.0)
        return found


def open_channel(
    target: str,
    settings: ChannelSettings,
    *,
    name: str,
    retry: Iterable[ServiceDescriptor] = (),
    metrics: CallMetrics | None = None,
) -> Channel:
    """A channel to `target`: "HOST:PORT", or "dns:///HOST:PORT" to spread calls over all of a name's
    addresses. It connects at the first call, and anew by itself. Within an event loop only.

    name: what is there, for errors: "ingest".
    retry: services whose idempotent calls are retried, within the deadline, when they are UNAVAILABLE.
    metrics: CallMetrics(registry, "client"), one for all the channels of a registry.
    """
    options = channel_options(retry)
    tls = credentials(ca=settings.tls_ca, key=settings.tls_key, cert=settings.tls_cert)
    if tls is None:
        channel = grpc.aio.insecure_channel(target, options=options)
    else:
        channel = grpc.aio.secure_channel(target, tls, options=options)
    if metrics is None:
        metrics = CallMetrics(CollectorRegistry(), "client")
    return Channel(channel, name=name, settings=settings, metrics=metrics)


def _serialised(request: Message | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
