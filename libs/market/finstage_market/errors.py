"""Domain errors, without gRPC.

statuses.py alone turns them into google.rpc.Status and back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """finstage.market.v1.ErrorReason without its prefix; each is described there."""

    INVALID_FIELD = "INVALID_FIELD"
    SYMBOL_NOT_FOUND = "SYMBOL_NOT_FOUND"
    NO_DATA = "NO_DATA"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    UPSTREAM_RATE_LIMITED = "UPSTREAM_RATE_LIMITED"
    OWN_LIMIT = "OWN_LIMIT"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    UPSTREAM_MALFORMED = "UPSTREAM_MALFORMED"
    UPSTREAM_UNAUTHORIZED = "UPSTREAM_UNAUTHORIZED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"
    TOO_STALE = "TOO_STALE"
    OUT_OF_SEQUENCE = "OUT_OF_SEQUENCE"
    KEY_REUSED = "KEY_REUSED"
    JOB_ENDED = "JOB_ENDED"
    RESUME_EXPIRED = "RESUME_EXPIRED"
    PAGE_EXPIRED = "PAGE_EXPIRED"
    INTERNAL = "INTERNAL"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    TOO_FEW_BARS = "TOO_FEW_BARS"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong.

    field: its path: "symbol", "specs[1].params[timeperiod]"; empty: the whole message.
    description: what was given and what is accepted.
    """

    field: str
    description: str


class FinstageError(Exception):
    """The base of all errors that a caller may see.

    reason: why, from the contract's list.
    retry_after_s: seconds after which a retry makes sense; None when it does not, or that is not known.
    metadata: facts that a program may need, by the keys that the contract names at the reason.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        # copy.copy() must work for errors whose __init__ takes other arguments.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[FinstageError], args: tuple[object, ...], state: dict[str, object]) -> FinstageError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InvalidRequest(FinstageError):
    """Fields of the request are wrong."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        told = (f"{v.field}: {v.description}" if v.field else v.description for v in violations)
        super().__init__(Reason.INVALID_FIELD, "; ".join(told))
        self.violations = tuple(violations)


class NotFound(FinstageError):
    """The thing that was asked for does not exist.

    resource_type, resource_name: what: ("symbol", "NOSUCH"), ("series", "AAPL/1m"), ("job", "…").
    """

    def __init__(self, reason: Reason, message: str, *, resource_type: str, resource_name: str) -> None:
        super().__init__(reason, message)
        self.resource_type = resource_type
        self.resource_name = resource_name


class AlreadyExists(FinstageError):
    """The thing to create exists already, with other content."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        resource_type: str,
        resource_name: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, metadata=metadata)
        self.resource_type = resource_type
        self.resource_name = resource_name


class RateLimited(FinstageError):
    """A limit was reached: UPSTREAM_RATE_LIMITED or OWN_LIMIT."""


class Unavailable(FinstageError):
    """A source does not answer, or not with data: UPSTREAM_UNAVAILABLE, UPSTREAM_MALFORMED,
    SERVICE_UNAVAILABLE, TOO_STALE."""


class DeadlineTooShort(FinstageError):
    """The caller's deadline is too short for an answer."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.DEADLINE_TOO_SHORT, message)


class PreconditionFailed(FinstageError):
    """The state of things does not allow the call: OUT_OF_SEQUENCE, JOB_ENDED, RESUME_EXPIRED, PAGE_EXPIRED,
    UPSTREAM_UNAUTHORIZED."""


class Unauthenticated(FinstageError):
    """No key, or an unknown one."""


class PermissionDenied(FinstageError):
    """The key may not make this call."""


class Unimplemented(FinstageError):
    """The contract has the RPC; a later release brings its behaviour."""

    def __init__(self, method: str, message: str | None = None) -> None:
        default = f"{method} is in the contract and not yet in this release"
        super().__init__(Reason.UNIMPLEMENTED, default if message is None else message)


def over_limit(message: str) -> RateLimited:
    """Return the error for a limit of this server that is reached for now."""
    return RateLimited(Reason.OWN_LIMIT, message, retry_after_s=1.0)


def symbol_not_found(symbol: str) -> NotFound:
    """Return the error for a symbol that no provider knows."""
    return NotFound(
        Reason.SYMBOL_NOT_FOUND,
        f"no provider knows the symbol {symbol}",
        resource_type="symbol",
        resource_name=symbol,
    )


def no_data(symbol: str, what: str) -> NotFound:
    """Return the error for a known symbol without data of this kind: an interval, or "quote"."""
    return NotFound(
        Reason.NO_DATA,
        f"{symbol} is known, but has no {what} data",
        resource_type="series",
        resource_name=f"{symbol}/{what}",
    )
