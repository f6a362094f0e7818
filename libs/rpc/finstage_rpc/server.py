"""Servers: from settings and servicers to a process that serves until a signal stops it.

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
from grpc_health.v1 import health_pb2_grpc  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics

from finstage_market.connection import MAX_MESSAGE_BYTES
from finstage_rpc.health import HEALTH, Health
from finstage_rpc.listen import StartError, bind, cannot_bind, read_keys, split
from finstage_rpc.metrics import CallMetrics
from finstage_rpc.monitor import Monitor, rss_bytes
from finstage_rpc.reflection import add_reflection
from finstage_rpc.service import Calls, Limits, Service, UnknownMethods, generic_handler
from finstage_rpc.settings import ServerSettings

__all__ = ["Listener", "Server", "StartError", "run", "serve"]

# A client that pings more often is cut off; a silent client is pinged, and dropped when it does not answer.
_MIN_PING_INTERVAL_S, _PING_EVERY_S, _PING_TIMEOUT_S = 10, 60, 20
_MEMORY_EVERY_S = 10.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and the services that are called there.

    setting: which setting the address comes from, for errors: "STORE_LISTEN".
    address: HOST:PORT; port 0 takes a free one.
    """

    setting: str
    address: str
    services: Sequence[Service]

    @property
    def names(self) -> list[str]:
        """The full names of the services."""
        return [service.descriptor.full_name for service in self.services]


@dataclass(frozen=True, slots=True)
class _Running:
    servers: list[grpc.aio.Server]
    healths: list[Health]
    monitor: Monitor
    memory: asyncio.Task[None]


class Server:
    """A gRPC server with health, reflection and, over HTTP, /metrics, /healthz and /readyz.

    services: what LISTEN serves.
    beside: further addresses with services of their own. Limits, keys, metrics and the stop are shared;
        health and reflection at an address tell of its services alone.
    registry: where its metrics go; a service's own metrics belong there too. Use each server once.
    """

    def __init__(
        self,
        settings: ServerSettings,
        services: Sequence[Service],
        *,
        beside: Sequence[Listener] = (),
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.ports: dict[str, int] = {}
        self.metrics_port = 0
        self._settings = settings
        self._listeners = [Listener("LISTEN", settings.listen, services), *beside]
        self._running: _Running | None = None

    @property
    def port(self) -> int:
        """The port of LISTEN. `ports` has every listener's, by its setting."""
        return self.ports["LISTEN"]

    @property
    def ready(self) -> bool:
        """Whether calls are accepted."""
        return self._running is not None

    async def start(self) -> None:
        """Bind every address and accept calls. `ports` and `metrics_port` are known from then on.

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

        servers, healths = [], []
        for listener in self._listeners:
            server, health = grpc.aio.server(options=_options(settings)), Health(listener.names)
            await health.start()
            server.add_generic_rpc_handlers(
                [generic_handler(service, self._calls, metrics) for service in listener.services]
            )
            health_pb2_grpc.add_HealthServicer_to_server(health, server)
            add_reflection(server, [*listener.names, HEALTH])
            server.add_generic_rpc_handlers([UnknownMethods(listener.names)])
            self.ports[listener.setting] = bind(
                server, settings, setting=listener.setting, address=listener.address
            )
            servers.append(server)
            healths.append(health)
        monitor = self._open_monitor()
        self.metrics_port = monitor.port
        for server in servers:
            await server.start()
        memory = asyncio.create_task(_watch_memory(settings.memory_warning_mb))
        self._running = _Running(servers, healths, monitor, memory)
        for listener in self._listeners:
            port = self.ports[listener.setting]
            _log.info("serving", services=listener.names, port=port, metrics_port=self.metrics_port)

    async def stop(self, *, wait_s: float = 0.0, grace_s: float = 0.0) -> None:
        """Stop. Health says NOT_SERVING at once. After `wait_s`, new calls are refused, and endless
        streams end as UNAVAILABLE; so do calls that still run `grace_s` later."""
        running, self._running = self._running, None
        if running is None:
            return
        _log.info("draining", calls=len(self._calls), wait_s=wait_s, grace_s=grace_s)
        for health in running.healths:
            await health.enter_graceful_shutdown()
        await asyncio.sleep(wait_s)
        self._calls.stop(all_calls=False)
        stopped = asyncio.gather(*(server.stop(grace_s + 10) for server in running.servers))
        await self._calls.until_idle(grace_s)
        self._calls.stop(all_calls=True)
        await self._calls.until_idle(1.0)
        # Replies that have left the servicers may still be on their way out.
        await asyncio.wait([stopped], timeout=0.2)
        for server in running.servers:
            await server.stop(None)
        await stopped
        running.memory.cancel()
        await asyncio.to_thread(running.monitor.close)
        _log.info("stopped")

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, and stop: on SIGTERM with the settings' wait and grace, on
        SIGINT, which a person sends, without the wait. A second signal ends the process at once.

        Raises:
            StartError: as `start`.
        """
        loop = asyncio.get_running_loop()
        received: asyncio.Future[signal.Signals] = loop.create_future()

        def receive(number: signal.Signals) -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
            received.set_result(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, receive, number)
        await self.start()
        number = await received
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
    settings: ServerSettings,
    services: Sequence[Service],
    *,
    beside: Sequence[Listener] = (),
    registry: CollectorRegistry | None = None,
) -> None:
    """Serve until a signal stops the process: see Server and Server.run."""
    await Server(settings, services, beside=beside, registry=registry).run()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a service's `main` on uvloop. A StartError ends the process with its line and exit code 1."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which no dashboard reads
    try:
        uvloop.run(main)
    except StartError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # or a second server could share the port and take half of the calls
        # Twice the limit: a message a little over it is refused by us, with details, and not by gRPC.
        ("grpc.max_receive_message_length", 2 * MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", _PING_EVERY_S * 1000),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_S * 1000),
        ("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", round(settings.max_connection_age_grace_s * 1000)),
    ]


async def _watch_memory(warning_mb: float) -> None:
    """Log `memory_high` each time the process grows past `warning_mb`."""
    above = False
    while True:
        megabytes = rss_bytes() / 2**20
        if megabytes > warning_mb and not above:
            _log.warning("memory_high", resident_mb=round(megabytes), warning_mb=warning_mb)
        above = megabytes > warning_mb
        await asyncio.sleep(_MEMORY_EVERY_S)
