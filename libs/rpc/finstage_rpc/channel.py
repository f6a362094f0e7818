"""Channels: how a service, or a program, calls a service.

    channel = open_channel("localhost:50053", settings, name="ingest", retry=[MARKET_STORE])
    reply = await channel.call(f"{STORE}/FetchQuotes", request, FetchQuotesResponse)
    async for chunk in channel.stream(f"{STORE}/ReadBars", request, bytes): ...
    await channel.close()

Failures are domain errors. While this process serves a call, the calls that it makes inherit the caller's
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
    """A lasting connection to the replicas behind one target.

    grpc: gRPC's channel, for generated stubs. Calls made there inherit nothing and raise gRPC's errors.
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
        """Return the reply of a unary call.

        method: its full name, "/finstage.price.v1.PriceService/GetBars".
        reply: the type of the reply: its message, or bytes for the message unparsed.
        timeout_s: the longest that the call may take; None: the settings' CALL_TIMEOUT_S. The caller's
            deadline also applies.

        Raises:
            FinstageError: the service's error; Unavailable (SERVICE_UNAVAILABLE) when our timeout ends first;
                DeadlineTooShort when the caller's deadline does.
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
        """Yield the replies of a streaming call. Closing the iterator (contextlib.aclosing) cancels the call.

        timeout_s: the longest that the whole stream may take; None: only the caller's deadline applies.

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
        """Close the connection; running calls end."""
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
            # Our own timeout ended, which the caller can do nothing about.
            message = f"{self.name} did not answer in time"
            return Unavailable(Reason.SERVICE_UNAVAILABLE, message, retry_after_s=1.0)
        if isinstance(found, Unauthenticated | PermissionDenied) and call.current() is not None:
            # The refused key is ours, not the caller's.
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
    """Open a channel to `target`: "HOST:PORT", or "dns:///HOST:PORT" to spread calls over a name's addresses.

    It connects at the first call, and reconnects by itself. Call this inside an event loop.

    name: the service's name in errors: "ingest".
    retry: services whose idempotent calls are retried, within the deadline, when they are UNAVAILABLE.
    metrics: CallMetrics(registry, "client"), shared by all channels of a registry.
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
