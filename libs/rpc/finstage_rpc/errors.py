"""Exceptions as the statuses that callers see."""

import secrets

import grpc
import structlog
from google.rpc import status_pb2  # type: ignore[import-untyped]

from finstage_market import statuses
from finstage_market.errors import FinstageError, Reason

DETAILS_KEY = statuses.DETAILS_KEY

_log = structlog.get_logger()


def to_status(error: BaseException) -> status_pb2.Status:
    """Return the status for `error`, with its details, cut to what metadata may hold.

    A group of domain errors is answered with its first one. An exception that is not a domain error is logged
    as `internal_error`, with its traceback, under a new id; the caller sees the id and nothing else.
    """
    while isinstance(error, BaseExceptionGroup) and not error.split(FinstageError)[1]:
        error = error.exceptions[0]
    if not isinstance(error, FinstageError):
        error_id = secrets.token_hex(8)
        _log.error("internal_error", error_id=error_id, exc_info=error)
        error = FinstageError(Reason.INTERNAL, f"internal error {error_id}")
    return statuses.to_status(error)


def trailers(status: status_pb2.Status) -> tuple[tuple[str, str | bytes], ...]:
    """Return the trailing metadata that carries the details of `status`.

    With UNAVAILABLE it also tells the caller's gRPC library not to retry by itself, except for
    SERVICE_UNAVAILABLE: then another replica may answer at once.
    """
    details = (DETAILS_KEY, status.SerializeToString())
    if (
        status.code == grpc.StatusCode.UNAVAILABLE.value[0]
        and statuses.reason_of(status) is not Reason.SERVICE_UNAVAILABLE
    ):
        return (details, ("grpc-retry-pushback-ms", "-1"))
    return (details,)
