"""Domain errors to google.rpc.Status and back: the one place where the two meet."""

from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from finstage_market.errors import (
    AlreadyExists,
    DeadlineTooShort,
    FinstageError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RateLimited,
    Reason,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
)

DOMAIN = "finstage"
DETAILS_KEY = "grpc-status-details-bin"

# A status travels twice: as text (percent-encoded: up to three bytes for one) and as base64 details (four
# bytes for three). Peers refuse metadata past 8 KiB; 3 · 800 + 4/3 · 3,800 leaves room for the rest of it.
MAX_MESSAGE_BYTES = 800
MAX_METADATA_BYTES = 200
MAX_STATUS_BYTES = 3800

_Code = grpc.StatusCode
_CODES: dict[Reason, grpc.StatusCode] = {
    Reason.INVALID_FIELD: _Code.INVALID_ARGUMENT,
    Reason.SYMBOL_NOT_FOUND: _Code.NOT_FOUND,
    Reason.NO_DATA: _Code.NOT_FOUND,
    Reason.JOB_NOT_FOUND: _Code.NOT_FOUND,
    Reason.UPSTREAM_RATE_LIMITED: _Code.RESOURCE_EXHAUSTED,
    Reason.OWN_LIMIT: _Code.RESOURCE_EXHAUSTED,
    Reason.UPSTREAM_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.UPSTREAM_MALFORMED: _Code.UNAVAILABLE,
    Reason.UPSTREAM_UNAUTHORIZED: _Code.FAILED_PRECONDITION,
    Reason.SERVICE_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.DEADLINE_TOO_SHORT: _Code.DEADLINE_EXCEEDED,
    Reason.TOO_STALE: _Code.UNAVAILABLE,
    Reason.OUT_OF_SEQUENCE: _Code.FAILED_PRECONDITION,
    Reason.KEY_REUSED: _Code.ALREADY_EXISTS,
    Reason.JOB_ENDED: _Code.FAILED_PRECONDITION,
    Reason.RESUME_EXPIRED: _Code.FAILED_PRECONDITION,
    Reason.PAGE_EXPIRED: _Code.FAILED_PRECONDITION,
    Reason.INTERNAL: _Code.INTERNAL,
    Reason.UNAUTHENTICATED: _Code.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: _Code.PERMISSION_DENIED,
    Reason.UNIMPLEMENTED: _Code.UNIMPLEMENTED,
    Reason.TOO_FEW_BARS: _Code.FAILED_PRECONDITION,
}
_CODE_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in _Code}
# The wait where the error itself names none.
_RETRY_S = 1.0

_M = TypeVar("_M", bound=Message)


def code_of(status: status_pb2.Status) -> grpc.StatusCode:
    """Return the gRPC code of `status`."""
    return _CODE_BY_NUMBER.get(status.code, _Code.UNKNOWN)


def to_status(error: FinstageError) -> status_pb2.Status:
    """Return the status that tells a caller of `error`, with its details, within the limits of metadata."""
    code = _CODES[error.reason]
    message = _trimmed(error.message, MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=code.value[0], message=message)
    info = error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN)
    for key, value in error.metadata.items():
        info.metadata[key] = _trimmed(value, MAX_METADATA_BYTES)
    status.details.add().Pack(info)
    retry_after_s = error.retry_after_s
    if retry_after_s is None and code is _Code.UNAVAILABLE:
        retry_after_s = _RETRY_S
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(1000 * min(max(0.0, retry_after_s), 1e9)))
        status.details.add().Pack(retry)
    if isinstance(error, NotFound | AlreadyExists):
        resource = error_details_pb2.ResourceInfo(
            resource_type=_trimmed(error.resource_type, 100),
            resource_name=_trimmed(error.resource_name, 300),
        )
        status.details.add().Pack(resource)
    if isinstance(error, InvalidRequest):
        room = MAX_STATUS_BYTES - status.ByteSize()
        status.details.add().Pack(_bad_request(error.violations, room))
    return status


def reason_of(status: status_pb2.Status) -> Reason | None:
    """Return the reason that `status` gives; None when it is not one of Finstage's."""
    info = _detail(status, error_details_pb2.ErrorInfo)
    return Reason(info.reason) if info and info.domain == DOMAIN and info.reason in _REASONS else None


def from_status(status: status_pb2.Status, *, service: str = "the service") -> FinstageError:
    """Return the domain error for a status that is not OK.

    A status without Finstage's details (from a proxy, from gRPC itself) becomes an error by its code alone:
    its text is not meant for our callers. `service` names who answered.
    """
    reason = reason_of(status)
    if reason is None:
        return _from_code(code_of(status), service)
    error = _restored(reason, status)
    info = _detail(status, error_details_pb2.ErrorInfo)
    error.metadata = {} if info is None else dict(info.metadata)
    retry = _detail(status, error_details_pb2.RetryInfo)
    error.retry_after_s = None if retry is None else retry.retry_delay.ToTimedelta().total_seconds()
    return error


def from_rpc_error(error: grpc.RpcError, *, service: str = "the service") -> FinstageError:
    """Return the domain error for a failed call, caused by `error`. `service` names who was called."""
    assert isinstance(error, grpc.aio.AioRpcError | grpc.Call)
    status = None
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = _parsed(value)
    # Finstage's details never contradict the code of the call.
    if status is None or status.code != error.code().value[0]:
        found = _from_code(error.code(), service)
    else:
        found = from_status(status, service=service)
    found.__cause__ = error
    return found


def _restored(reason: Reason, status: status_pb2.Status) -> FinstageError:
    message = status.message
    match _CODES[reason]:
        case _Code.INVALID_ARGUMENT:
            bad = _detail(status, error_details_pb2.BadRequest) or error_details_pb2.BadRequest()
            found = [Violation(v.field, v.description) for v in bad.field_violations]
            return InvalidRequest(found or [Violation("", message)])
        case _Code.NOT_FOUND | _Code.ALREADY_EXISTS as code:
            kind = NotFound if code is _Code.NOT_FOUND else AlreadyExists
            what = _detail(status, error_details_pb2.ResourceInfo) or error_details_pb2.ResourceInfo()
            return kind(reason, message, resource_type=what.resource_type, resource_name=what.resource_name)
        case _Code.DEADLINE_EXCEEDED:
            return DeadlineTooShort(message)
        case _Code.UNIMPLEMENTED:
            return Unimplemented("", message)
        case code:
            return _PLAIN.get(code, FinstageError)(reason, message)


_PLAIN: dict[grpc.StatusCode, type[FinstageError]] = {
    _Code.RESOURCE_EXHAUSTED: RateLimited,
    _Code.UNAVAILABLE: Unavailable,
    _Code.FAILED_PRECONDITION: PreconditionFailed,
    _Code.UNAUTHENTICATED: Unauthenticated,
    _Code.PERMISSION_DENIED: PermissionDenied,
}


def _from_code(code: grpc.StatusCode, service: str) -> FinstageError:
    answered = f"{service} answered {code.name}"
    match code:
        case _Code.UNAVAILABLE | _Code.CANCELLED:
            return Unavailable(
                Reason.SERVICE_UNAVAILABLE, f"{service} does not answer", retry_after_s=_RETRY_S
            )
        case _Code.DEADLINE_EXCEEDED:
            return DeadlineTooShort(f"{service} did not answer in the time given")
        case _Code.RESOURCE_EXHAUSTED:
            return RateLimited(Reason.OWN_LIMIT, f"{answered}: a message or a limit was exceeded")
        case _Code.INVALID_ARGUMENT:
            return InvalidRequest([Violation("", answered)])
        case _Code.UNAUTHENTICATED:
            return Unauthenticated(Reason.UNAUTHENTICATED, answered)
        case _Code.PERMISSION_DENIED:
            return PermissionDenied(Reason.PERMISSION_DENIED, answered)
        case _Code.UNIMPLEMENTED:
            return Unimplemented("", f"{service} does not have this call")
        case _:
            return FinstageError(Reason.INTERNAL, answered)


_REASONS = frozenset(reason.value for reason in Reason)


def _bad_request(violations: tuple[Violation, ...], room: int) -> error_details_pb2.BadRequest:
    """Return as many of `violations` as fit into `room` bytes; the last one says how many were left out."""
    bad = error_details_pb2.BadRequest()
    room -= 200  # the type's name, and the line that says what was left out
    for count, violation in enumerate(violations):
        bad.field_violations.add(
            field=_trimmed(violation.field, 200), description=_trimmed(violation.description, 600)
        )
        if bad.ByteSize() > room:
            bad.field_violations.pop()
            left = len(violations) - count
            bad.field_violations.add(field="", description=f"and {left} more violations, left out here")
            break
    return bad


def _trimmed(text: str, limit: int) -> str:
    """Return `text` as valid UTF-8, cut to at most `limit` bytes."""
    data = text.encode("utf-8", errors="replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", errors="ignore") + "…"


def _parsed(data: bytes) -> status_pb2.Status | None:
    try:
        return status_pb2.Status.FromString(data)
    except DecodeError:
        return None


def _detail(status: status_pb2.Status, kind: type[_M]) -> _M | None:
    for packed in status.details:
        found = kind()
        try:
            if packed.Unpack(found):
                return found
        except DecodeError:
            return None
    return None
