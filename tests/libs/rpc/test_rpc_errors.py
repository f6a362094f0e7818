"""Domain errors and statuses."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

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
from finstage_market.statuses import (
    MAX_MESSAGE_BYTES,
    MAX_STATUS_BYTES,
    code_of,
    from_rpc_error,
    from_status,
    reason_of,
)
from finstage_rpc.errors import to_status, trailers

CODES = {
    Reason.INVALID_FIELD: "INVALID_ARGUMENT",
    Reason.SYMBOL_NOT_FOUND: "NOT_FOUND",
    Reason.NO_DATA: "NOT_FOUND",
    Reason.JOB_NOT_FOUND: "NOT_FOUND",
    Reason.UPSTREAM_RATE_LIMITED: "RESOURCE_EXHAUSTED",
    Reason.OWN_LIMIT: "RESOURCE_EXHAUSTED",
    Reason.UPSTREAM_UNAVAILABLE: "UNAVAILABLE",
    Reason.UPSTREAM_MALFORMED: "UNAVAILABLE",
    Reason.UPSTREAM_UNAUTHORIZED: "FAILED_PRECONDITION",
    Reason.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    Reason.DEADLINE_TOO_SHORT: "DEADLINE_EXCEEDED",
    Reason.TOO_STALE: "UNAVAILABLE",
    Reason.OUT_OF_SEQUENCE: "FAILED_PRECONDITION",
    Reason.KEY_REUSED: "ALREADY_EXISTS",
    Reason.JOB_ENDED: "FAILED_PRECONDITION",
    Reason.RESUME_EXPIRED: "FAILED_PRECONDITION",
    Reason.PAGE_EXPIRED: "FAILED_PRECONDITION",
    Reason.INTERNAL: "INTERNAL",
    Reason.UNAUTHENTICATED: "UNAUTHENTICATED",
    Reason.PERMISSION_DENIED: "PERMISSION_DENIED",
    Reason.UNIMPLEMENTED: "UNIMPLEMENTED",
    Reason.TOO_FEW_BARS: "FAILED_PRECONDITION",
}
PLAIN: dict[str, type[FinstageError]] = {
    "RESOURCE_EXHAUSTED": RateLimited,
    "UNAVAILABLE": Unavailable,
    "FAILED_PRECONDITION": PreconditionFailed,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "INTERNAL": FinstageError,
}


def example(reason: Reason) -> FinstageError:
    """Return an error as a service raises it for `reason`."""
    match CODES[reason]:
        case "INVALID_ARGUMENT":
            return InvalidRequest([Violation("symbol", "'' was given"), Violation("limit", "0 was given")])
        case "NOT_FOUND":
            return NotFound(reason, "none", resource_type="symbol", resource_name="NOSUCH")
        case "ALREADY_EXISTS":
            return AlreadyExists(reason, "there", resource_type="idempotency_key", resource_name="k")
        case "DEADLINE_EXCEEDED":
            return DeadlineTooShort("2 s are needed")
        case "UNIMPLEMENTED":
            return Unimplemented("GetBars")
        case code:
            return PLAIN[code](reason, "what happened", retry_after_s=2.5)


def detail(status: status_pb2.Status, kind: Any) -> Any:
    """Return the status's only detail of a kind, or None."""
    found = [d for d in status.details if d.Is(kind.DESCRIPTOR)]
    assert len(found) <= 1
    return kind.FromString(found[0].value) if found else None


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_code_and_its_error_info(reason: Reason) -> None:
    status = to_status(example(reason))
    assert code_of(status).name == CODES[reason]
    info = detail(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (reason.value, "finstage")
    assert reason_of(status) is reason


@pytest.mark.parametrize("reason", Reason)
def test_an_error_survives_the_way_to_a_status_and_back(reason: Reason) -> None:
    error = example(reason)
    back = from_status(to_status(error))
    assert type(back) is type(error)
    assert vars(back) == vars(error)
    assert str(back) == str(error)


def test_invalid_requests_name_each_field() -> None:
    status = to_status(example(Reason.INVALID_FIELD))
    bad = detail(status, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [
        ("symbol", "'' was given"),
        ("limit", "0 was given"),
    ]


@pytest.mark.parametrize("reason", [Reason.SYMBOL_NOT_FOUND, Reason.KEY_REUSED])
def test_missing_and_existing_things_are_named(reason: Reason) -> None:
    error = example(reason)
    assert isinstance(error, NotFound | AlreadyExists)
    resource = detail(to_status(error), error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == (error.resource_type, error.resource_name)


def test_unavailable_always_says_when_to_try_again() -> None:
    told = detail(to_status(Unavailable(Reason.TOO_STALE, "old")), error_details_pb2.RetryInfo)
    assert told.retry_delay.ToMilliseconds() > 0
    limited = RateLimited(Reason.UPSTREAM_RATE_LIMITED, "wait", retry_after_s=61.25)
    assert detail(to_status(limited), error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 61_250


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan"), 1e300])
def test_an_absurd_retry_time_is_still_sent(seconds: float) -> None:
    told = from_status(to_status(RateLimited(Reason.OWN_LIMIT, "wait", retry_after_s=seconds)))
    assert told.retry_after_s is not None
    assert 0 <= told.retry_after_s <= 1e9


def test_an_unknown_exception_is_reported_only_by_an_id_in_the_log() -> None:
    secret = "password=hunter2"
    with capture_logs() as logs:
        status = to_status(ValueError(secret))
    (event,) = logs
    assert (event["event"], event["log_level"]) == ("internal_error", "error")
    assert isinstance(event["exc_info"], ValueError)
    assert code_of(status) is grpc.StatusCode.INTERNAL
    assert status.message == f"internal error {event['error_id']}"
    assert secret.encode() not in status.SerializeToString()


def test_two_unknown_exceptions_have_two_ids() -> None:
    with capture_logs():
        assert to_status(ValueError()).message != to_status(ValueError()).message


def test_a_timeout_of_ours_is_an_internal_error() -> None:
    with capture_logs():
        assert code_of(to_status(TimeoutError())) is grpc.StatusCode.INTERNAL


def test_a_group_of_domain_errors_is_reported_by_its_first() -> None:
    inner = ExceptionGroup("b", [Unavailable(Reason.TOO_STALE, "old"), DeadlineTooShort("late")])
    assert reason_of(to_status(ExceptionGroup("a", [inner]))) is Reason.TOO_STALE


def test_a_group_with_an_unknown_exception_is_internal() -> None:
    group = ExceptionGroup("a", [Unavailable(Reason.TOO_STALE, "old"), ValueError()])
    with capture_logs():
        assert reason_of(to_status(group)) is Reason.INTERNAL


@given(st.lists(st.builds(Violation, st.text(), st.text(max_size=2000)), min_size=1, max_size=40))
def test_any_violations_fit_into_metadata(violations: list[Violation]) -> None:
    status = to_status(InvalidRequest(violations))
    assert len(status.message.encode()) <= MAX_MESSAGE_BYTES
    assert status.ByteSize() <= MAX_STATUS_BYTES
    assert detail(status, error_details_pb2.BadRequest).field_violations


@given(st.text(max_size=5000), st.text(max_size=5000), st.text(max_size=5000))
def test_any_text_fits_into_metadata(message: str, kind: str, name: str) -> None:
    error = NotFound(Reason.NO_DATA, message, resource_type=kind, resource_name=name)
    status = to_status(error)
    assert len(status.message.encode()) <= MAX_MESSAGE_BYTES
    assert status.ByteSize() <= MAX_STATUS_BYTES


def test_text_that_is_not_unicode_can_be_sent() -> None:
    assert to_status(Unavailable(Reason.TOO_STALE, "a\ud800b")).message == "a?b"


def test_omitted_violations_are_counted() -> None:
    violations = [Violation(f"specs[{i}].name", "x" * 300) for i in range(100)]
    bad = detail(to_status(InvalidRequest(violations)), error_details_pb2.BadRequest)
    kept = len(bad.field_violations) - 1
    assert 5 < kept < 100
    assert f"{100 - kept} more" in bad.field_violations[-1].description


def test_a_decided_unavailable_is_not_retried_by_grpc_itself() -> None:
    upstream = trailers(to_status(Unavailable(Reason.UPSTREAM_UNAVAILABLE, "away")))
    assert dict(upstream)["grpc-retry-pushback-ms"] == "-1"
    replica = trailers(to_status(Unavailable(Reason.SERVICE_UNAVAILABLE, "stops")))
    assert "grpc-retry-pushback-ms" not in dict(replica)


FOREIGN = {
    "UNAVAILABLE": (Unavailable, Reason.SERVICE_UNAVAILABLE),
    "CANCELLED": (Unavailable, Reason.SERVICE_UNAVAILABLE),
    "DEADLINE_EXCEEDED": (DeadlineTooShort, Reason.DEADLINE_TOO_SHORT),
    "RESOURCE_EXHAUSTED": (RateLimited, Reason.OWN_LIMIT),
    "INVALID_ARGUMENT": (InvalidRequest, Reason.INVALID_FIELD),
    "UNAUTHENTICATED": (Unauthenticated, Reason.UNAUTHENTICATED),
    "PERMISSION_DENIED": (PermissionDenied, Reason.PERMISSION_DENIED),
    "UNIMPLEMENTED": (Unimplemented, Reason.UNIMPLEMENTED),
}


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_a_foreign_status_is_judged_by_its_code_and_not_by_its_text(code: grpc.StatusCode) -> None:
    secret = "ipv4:10.0.0.7:50053 refused"
    found = from_rpc_error(
        grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=secret), service="ingest"
    )
    assert (type(found), found.reason) == FOREIGN.get(code.name, (FinstageError, Reason.INTERNAL))
    assert secret not in str(found)
    assert isinstance(found.__cause__, grpc.aio.AioRpcError)


@pytest.mark.parametrize(
    "details",
    [b"\xff\xff", status_pb2.Status(code=5, message="other").SerializeToString(), b""],
    ids=["garbage", "of another code", "empty"],
)
def test_damaged_details_count_as_none(details: bytes) -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", details))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, details="x")
    assert from_rpc_error(error).reason is Reason.SERVICE_UNAVAILABLE


def test_a_foreign_status_message_is_read_by_its_code() -> None:
    foreign = status_pb2.Status(code=8, message="quota")
    foreign.details.add().Pack(error_details_pb2.ErrorInfo(reason="QUOTA", domain="googleapis.com"))
    assert from_status(foreign).reason is Reason.OWN_LIMIT
