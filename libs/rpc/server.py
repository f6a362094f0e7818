"""Servers: from settings and servicers to a process that serves until it is told to stop.

async def main() -> None:
    settings = load(PriceSettings)
    configure(level=settings.log_level, log_format=settings.log_format)
    ...
    await serve(settings, [Service(DESCRIPTOR, servicer)], registry=registry)

run(main())
"""

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from libs.rpc.keys import ApiKeys
from libs.rpc.metrics import CallMetrics
from libs.rpc.monitor import Monitor, rss_bytes
from libs.rpc.reflection import add_reflection
from libs.rpc.service import Calls, Limits, Service, generic_handler
from libs.rpc.settings import PREFIX, ServerSettings

MESSAGE_BYTES = 4 * 1024 * 1024

# How often a client may ping without being cut off, and how often we ask whether a silent one is there.
_PING_FLOOR_S, _PING_EVERY_S, _PING_TIMEOUT_S = 10, 60, 20
_MEMORY_EVERY_S = 10.0

_log = structlog.get_logger()


class StartError(Exception):
    """The server cannot start; the message is the one line that says why."""


@dataclass(frozen=True, slots=True)
class _Running:
    server: grpc.aio.Server
    monitor: Monitor
    memory: asyncio.Task[None]


class Server:
    """A gRPC server with health, reflection and, over HTTP, /metrics, /healthz and /readyz.

    registry: where its metrics go; a service's own metrics belong there too. Use each server once.
    """

    def __init__(
        self,
        settings: ServerSettings,
        services: Sequence[Service],
        *,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.port = 0
        self.metrics_port = 0
        self._settings = settings
        self._services = services
        self._names = [service.descriptor.full_name for service in services]
        self._health = health.aio.HealthServicer()
        self._serving: dict[str, bool] = dict.fromkeys(self._names, True)
        self._draining = False
        self._running: _Running | None = None

    @property
    def ready(self) -> bool:
        """Whether calls are taken and every service is serving."""
        return self._running is not None and not self._draining and all(self._serving.values())

    async def start(self) -> None:
        """Binds both addresses and takes calls. `port` and `metrics_port` are then known.

        Raises:
            StartError: an address cannot be bound, or a file of the settings cannot be used.
        """
        settings = self._settings
        limits = Limits(
            unary_calls=settings.max_concurrent_calls,
            streams=settings.max_concurrent_streams,
            message_bytes=MESSAGE_BYTES,
            slow_call_s=settings.slow_call_s,
            log_calls=settings.log_level == "DEBUG",
        )
        self._calls = Calls(limits, _keys(settings.api_keys_file))
        metrics = CallMetrics(self.registry, "server")
        ProcessCollector(registry=self.registry)
        Gauge(
            "finstage_resident_memory_bytes", "Resident memory of the process.", registry=self.registry
        ).set_function(rss_bytes)
        Gauge(
            "finstage_calls_in_flight", "Calls being served, streams too.", registry=self.registry
        ).set_function(lambda: len(self._calls))

        server = grpc.aio.server(options=_options(settings))
        server.add_generic_rpc_handlers([generic_handler(s, self._calls, metrics) for s in self._services])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        add_reflection(server, [*self._names, "grpc.health.v1.Health"])
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self.port = _bind(server, settings)
        monitor = self._open_monitor()
        self.metrics_port = monitor.port
        await server.start()
        memory = asyncio.create_task(_watch_memory(settings.memory_warning_mb))
        self._running = _Running(server, monitor, memory)
        _log.info("serving", services=self._names, port=self.port, metrics_port=self.metrics_port)

    async def set_serving(self, serving: bool, service: str | None = None) -> None:
        """What health says of the service of that full name, or of all.

        The server as a whole ("") is serving when all its services are.
        """
        for name in self._names if service is None else [service]:
            self._serving[name] = serving
            await self._health.set(name, _status(serving))
        await self._health.set("", _status(all(self._serving.values())))

    async def stop(self, *, wait_s: float = 0.0, grace_s: float = 0.0) -> None:
        """Stops: health says NOT_SERVING; after `wait_s`, calls are refused and those that are watched end
        with UNAVAILABLE; what still runs after `grace_s` ends so too."""
        if self._running is None:
            return
        running = self._running
        self._draining = True
        _log.info("draining", calls=len(self._calls), wait_s=wait_s, grace_s=grace_s)
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(wait_s)
        self._calls.stop(all_calls=False)
        stopped = asyncio.create_task(running.server.stop(grace_s + 10))
        await self._calls.until_idle(grace_s)
        self._calls.stop(all_calls=True)
        await self._calls.until_idle(1.0)
        # Replies that have left the servicers may still be on their way out.
        await asyncio.wait([stopped], timeout=0.2)
        await running.server.stop(None)
        await stopped
        running.memory.cancel()
        await asyncio.to_thread(running.monitor.close)
        _log.info("stopped")

    async def run(self) -> None:
        """Starts, serves until SIGTERM or SIGINT, and stops: on SIGTERM with the settings' wait and grace, on
        SIGINT (somebody sits there) without the wait. A second signal ends the process at once.

        Raises:
            StartError: as `start`.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Future[signal.Signals] = loop.create_future()

        def tell(number: signal.Signals) -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
            told.set_result(number)

        await self.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, tell, number)
        number = await told
        wait_s = self._settings.drain_wait_s if number is signal.SIGTERM else 0.0
        await self.stop(wait_s=wait_s, grace_s=self._settings.drain_grace_s)

    def _open_monitor(self) -> Monitor:
        host, port = _split(self._settings.metrics_listen)
        loop = asyncio.get_running_loop()
        try:
            return Monitor(host, port, registry=self.registry, loop=loop, ready=lambda: self.ready)
        except OSError as error:
            raise _cannot_bind("METRICS_LISTEN", self._settings.metrics_listen, error) from error


async def serve(
    settings: ServerSettings, services: Sequence[Service], *, registry: CollectorRegistry | None = None
) -> None:
    """Serves `services` until the process is told to stop: see Server.run."""
    await Server(settings, services, registry=registry).run()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a service's `main` on uvloop. A StartError ends the process with its line and exit code 1."""
    try:
        uvloop.run(main)
    except StartError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # or a second server on the same port starts, and takes half of the calls
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", _PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_FLOOR_S * 1000),
        ("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.max_connection_age_grace_s * 1000)),
    ]


def _status(serving: bool) -> Any:
    kinds = health_pb2.HealthCheckResponse
    return kinds.SERVING if serving else kinds.NOT_SERVING


def _keys(path: Path | None) -> ApiKeys | None:
    if path is None:
        return None
    try:
        return ApiKeys.read(path)
    except (OSError, ValueError) as error:
        raise StartError(f"{PREFIX}API_KEYS_FILE: {path} cannot be used: {error}") from error


def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    credentials = _credentials(settings)
    _probe(settings.listen)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.listen)
        return server.add_secure_port(settings.listen, credentials)
    except RuntimeError as error:
        raise _cannot_bind("LISTEN", settings.listen, error) from error


def _probe(address: str) -> None:
    """Binds and lets go of `address`: the system says why it cannot be had, gRPC does not."""
    host, port = _split(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise _cannot_bind("LISTEN", address, error) from error


def _cannot_bind(setting: str, address: str, error: Exception) -> StartError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StartError(f"{PREFIX}{setting}: {address} cannot be bound: {why}")


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        check.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        names = f"{settings.tls_cert} and {settings.tls_key}"
        raise StartError(f"{PREFIX}TLS_CERT, {PREFIX}TLS_KEY: {names} cannot be used: {error}") from error
    client_ca: bytes | None = None
    if settings.tls_client_ca is not None:
        try:
            check.load_verify_locations(settings.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            path = settings.tls_client_ca
            raise StartError(f"{PREFIX}TLS_CLIENT_CA: {path} cannot be used: {error}") from error
        client_ca = settings.tls_client_ca.read_bytes()
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


async def _watch_memory(warning_mb: float) -> None:
    """Logs `memory_high` when the process grows past `warning_mb`, and again when it has been below since."""
    above = False
    while True:
        megabytes = rss_bytes() / 2**20
        if megabytes > warning_mb and not above:
            _log.warning("memory_high", resident_mb=round(megabytes), warning_mb=warning_mb)
        above = megabytes > warning_mb
        await asyncio.sleep(_MEMORY_EVERY_S)
