"""Exceptions to the statuses that callers see."""

import secrets

import grpc
import structlog
from google.rpc import status_pb2  # type: ignore[import-untyped]

from finstage_market import statuses
from finstage_market.errors import FinstageError, Reason

DETAILS_KEY = statuses.DETAILS_KEY

_log = structlog.get_logger()


def to_status(error: BaseException) -> status_pb2.Status:
    """Return the status that tells a caller of `error`, with its details, within the limits of metadata.

    A group of exceptions is told by its first one if all are domain errors. Any other exception is logged as
    `internal_error`, with its traceback, under a new id; the caller sees the id and nothing else.
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

    UNAVAILABLE also tells the caller's gRPC library not to retry by itself, but where this process is the
    one that is away (SERVICE_UNAVAILABLE), and another replica may do better at once.
    """
    details = (DETAILS_KEY, status.SerializeToString())
    if (
        status.code == grpc.StatusCode.UNAVAILABLE.value[0]
        and statuses.reason_of(status) is not Reason.SERVICE_UNAVAILABLE
    ):
        return (details, ("grpc-retry-pushback-ms", "-1"))
    return (details,)
