"""Health as grpc.health.v1 defines it: of each service, and, under the empty name, of the server."""

from collections.abc import Iterable
from typing import Any

from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]

from finstage_rpc.call import Context

HEALTH = "grpc.health.v1.Health"
_SERVING = health_pb2.HealthCheckResponse.SERVING


class Health(health.aio.HealthServicer):  # type: ignore[misc]
    """The servicer of grpcio-health-checking, which lacks List."""

    def __init__(self, services: Iterable[str]) -> None:
        """services: the full names of the services, all of which are serving."""
        super().__init__()
        self._services = tuple(services)

    async def start(self) -> None:
        """Say that each service is serving."""
        for service in self._services:
            await self.set(service, _SERVING)

    async def List(self, request: Any, context: Context) -> Any:
        checks = {
            service: await self.Check(health_pb2.HealthCheckRequest(service=service), context)
            for service in ("", *self._services)
        }
        return health_pb2.HealthListResponse(statuses=checks)
