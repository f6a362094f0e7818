"""Outcomes of asking an upstream, and the one place that turns them into domain errors."""

from dataclasses import dataclass
from enum import StrEnum

from finstage_market.errors import (
    DeadlineTooShort,
    FinstageError,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Reason,
    Unavailable,
    no_data,
    symbol_not_found,
)

# When to come back, where the upstream did not say.
UNAVAILABLE_RETRY_S = 5.0
MALFORMED_RETRY_S = 30.0
RATE_LIMITED_RETRY_S = 60.0

# Errors that a caller with a later deadline may avoid.
TIME_MAY_MEND = (DeadlineTooShort, RateLimited, Unavailable)


class Outcome(StrEnum):
    """The outcome of a request; the values are those of metrics, GetUpstreamStatus and provenance."""

    DATA = "data"
    NOT_FOUND = Reason.SYMBOL_NOT_FOUND.value
    NO_DATA = Reason.NO_DATA.value
    RATE_LIMITED = Reason.UPSTREAM_RATE_LIMITED.value
    UNAVAILABLE = Reason.UPSTREAM_UNAVAILABLE.value
    MALFORMED = Reason.UPSTREAM_MALFORMED.value
    UNAUTHORIZED = Reason.UPSTREAM_UNAUTHORIZED.value
    OWN_LIMIT = Reason.OWN_LIMIT.value
    OUT_OF_TIME = Reason.DEADLINE_TOO_SHORT.value


class Trouble(StrEnum):
    """What happened to a connection."""

    TIMEOUT = "timeout"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request brought no data.

    detail: for people and logs; never holds a cookie, a key or a whole URL.
    retry_after_s: what the upstream asked us to wait; None when it did not say.
    mendable: whether sending the same request again can help.
    trouble: what happened to the connection, where that is the reason.
    refused: whether there was something, which cannot be used; `detail` says what.
    instead: the symbol that the upstream answers with, where it is another one than was asked for.
    """

    outcome: Outcome
    detail: str
    retry_after_s: float | None = None
    mendable: bool = False
    trouble: Trouble | None = None
    refused: bool = False
    instead: str = ""

    def as_error(self, symbol: str, what: str) -> FinstageError:
        """Return the domain error of a request for `what` (an interval, "quote") of `symbol`."""
        match self.outcome:
            case Outcome.NOT_FOUND if self.instead:
                return NotFound(
                    Reason.SYMBOL_NOT_FOUND,
                    f"the upstream answers {self.instead} for {symbol}; ask for {self.instead}",
                    resource_type="symbol",
                    resource_name=symbol,
                )
            case Outcome.NOT_FOUND:
                return symbol_not_found(symbol)
            case Outcome.NO_DATA if self.refused:
                return no_usable_data(symbol, what, self.detail)
            case Outcome.NO_DATA:
                return no_data(symbol, what)
            case Outcome.RATE_LIMITED:
                wait_s = RATE_LIMITED_RETRY_S if self.retry_after_s is None else self.retry_after_s
                return RateLimited(Reason.UPSTREAM_RATE_LIMITED, self.detail, retry_after_s=wait_s)
            case Outcome.OWN_LIMIT:
                return RateLimited(Reason.OWN_LIMIT, self.detail, retry_after_s=self.retry_after_s)
            case Outcome.OUT_OF_TIME:
                return DeadlineTooShort(self.detail)
            case Outcome.UNAUTHORIZED:
                return PreconditionFailed(Reason.UPSTREAM_UNAUTHORIZED, self.detail)
            case Outcome.MALFORMED:
                return Unavailable(Reason.UPSTREAM_MALFORMED, self.detail, retry_after_s=MALFORMED_RETRY_S)
            case _:
                wait_s = UNAVAILABLE_RETRY_S if self.retry_after_s is None else self.retry_after_s
                return Unavailable(Reason.UPSTREAM_UNAVAILABLE, self.detail, retry_after_s=wait_s)


def malformed(detail: str) -> Failure:
    """Return the failure of an answer that is not data. Another request may bring data."""
    return Failure(Outcome.MALFORMED, detail)


def no_usable_data(symbol: str, what: str, refused: str) -> NotFound:
    """Return the error for a symbol whose only data of this kind were refused; refused: which, and why."""
    return NotFound(
        Reason.NO_DATA,
        f"{symbol} is known, but its {what} data were refused: {refused}",
        resource_type="series",
        resource_name=f"{symbol}/{what}",
    )
