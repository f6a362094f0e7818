"""Servers: from settings and servicers to a process that serves until it is told to stop.

    async def main(settings: PriceSettings) -> None:
        ...
        await serve(settings, [Service(DESCRIPTOR, servicer)], registry=registry)

    settings = load(PriceSettings)
    logs.configure(level=settings.log_level, log_format=settings.log_format)
    run(main(settings))

is a service's __main__.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics

from finstage_market.connection import MAX_MESSAGE_BYTES
from finstage_rpc.listen import StartError, bind, cannot_bind, read_keys, split
from finstage_rpc.metrics import CallMetrics
from finstage_rpc.monitor import Monitor, rss_bytes
from finstage_rpc.reflection import add_reflection
from finstage_rpc.service import Calls, Limits, Service, generic_handler
from finstage_rpc.settings import ServerSettings

__all__ = ["Server", "StartError", "run", "serve"]

# How often a client may ping without being cut off, and how often we ask whether a silent one is there.
_PING_FLOOR_S, _PING_EVERY_S, _PING_TIMEOUT_S = 10, 60, 20
_MEMORY_EVERY_S = 10.0

_log = structlog.get_logger()


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
        self._running: _Running | None = None

    @property
    def ready(self) -> bool:
        """Whether calls are taken and every service is serving."""
        return self._running is not None and all(self._serving.values())

    async def start(self) -> None:
        """Binds both addresses and takes calls. `port` and `metrics_port` are then known.

        Raises:
            StartError: an address cannot be bound, or a file of the settings cannot be used.
        """
        settings = self._settings
        limits = Limits(
            unary_calls=settings.max_concurrent_calls,
            streams=settings.max_concurrent_streams,
            message_bytes=MAX_MESSAGE_BYTES,
            slow_call_s=settings.slow_call_s,
            log_calls=settings.log_level == "DEBUG",
        )
        self._calls = Calls(limits, read_keys(settings.api_keys_file))
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
        self.port = bind(server, settings)
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
        running, self._running = self._running, None
        if running is None:
            return
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

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, tell, number)
        await self.start()
        number = await told
        wait_s = self._settings.drain_wait_s if number is signal.SIGTERM else 0.0
        await self.stop(wait_s=wait_s, grace_s=self._settings.drain_grace_s)

    def _open_monitor(self) -> Monitor:
        host, port = split(self._settings.metrics_listen)
        loop = asyncio.get_running_loop()
        try:
            return Monitor(host, port, registry=self.registry, loop=loop, ready=lambda: self.ready)
        except OSError as error:
            raise cannot_bind("METRICS_LISTEN", self._settings.metrics_listen, error) from error


async def serve(
    settings: ServerSettings, services: Sequence[Service], *, registry: CollectorRegistry | None = None
) -> None:
    """Serves `services` until the process is told to stop: see Server.run."""
    await Server(settings, services, registry=registry).run()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a service's `main` on uvloop. A StartError ends the process with its line and exit code 1."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, that no dashboard asks for
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
        # Twice what is accepted: what is a little too long is refused by us, with details, and not by gRPC.
        ("grpc.max_receive_message_length", 2 * MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
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


async def _watch_memory(warning_mb: float) -> None:
    """Logs `memory_high` when the process grows past `warning_mb`, and again when it has been below since."""
    above = False
    while True:
        megabytes = rss_bytes() / 2**20
        if megabytes > warning_mb and not above:
            _log.warning("memory_high", resident_mb=round(megabytes), warning_mb=warning_mb)
        above = megabytes > warning_mb
        await asyncio.sleep(_MEMORY_EVERY_S)
