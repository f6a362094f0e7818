"""When a request is tried again, and after how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import structlog
from tenacity import RetryCallState, Retrying, retry_if_result

from finstage_runtime.clock import Clock
from services.ingest.upstream.outcomes import Failure, Outcome, Trouble
from services.ingest.upstream.waits import may_wait

T = TypeVar("T")
_log = structlog.get_logger(__name__)

# An upstream that asks for longer is probed after this: a date in 2099 is a mistake, or meant for another.
MAX_RETRY_AFTER_S = 600.0
# A retry is begun only when an attempt as long as the last one fits before the deadline too, counted within
# these bounds: the last one may have waited for its turn.
_MIN_ROOM_S, _MAX_ROOM_S = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how long. Waits grow exponentially from base_s, with full jitter, up to max_wait_s.

    retries: requests after the first one.
    reconnects: further requests, at once, after a connection was reset: one reset is chance, not load.
    """

    retries: int = 3
    base_s: float = 2.0
    max_wait_s: float = 60.0
    reconnects: int = 1


class Retrier:
    """Repeats requests whose failure another try can mend, within the deadline."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        rng: random.Random,
        provider: str,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._provider = provider

    def run(
        self, attempt: Callable[[], T | Failure], *, deadline: float | None, may_retry: Callable[[], bool]
    ) -> T | Failure:
        """Return the result of the last attempt.

        A retry that does not fit before the deadline (clock.monotonic() seconds; None: none), or for which
        the upstream asks to wait longer than the policy's longest, is not begun: the failure, which says when
        to come back, is returned at once.

        Args:
            may_retry: asked before each retry, and only then.
        """

        reconnects = 0
        took_s = 0.0

        def timed() -> T | Failure:
            nonlocal took_s
            started = self._clock.monotonic()
            result = attempt()
            took_s = self._clock.monotonic() - started
            return result

        def wait_s(state: RetryCallState) -> float:
            nonlocal reconnects
            failure = _failure(state)
            if failure and failure.trouble is Trouble.RESET and reconnects < self._policy.reconnects:
                reconnects += 1
                return 0.0
            return self._wait_s(state.attempt_number - reconnects, failure)

        def stop(state: RetryCallState) -> bool:
            pause_s = state.upcoming_sleep
            fits = pause_s <= self._policy.max_wait_s
            if deadline is not None:
                room_s = min(max(took_s, _MIN_ROOM_S), _MAX_ROOM_S)
                fits = fits and self._clock.monotonic() + pause_s + room_s < deadline
            failure, retries = _failure(state), state.attempt_number - reconnects
            if retries > self._policy.retries or not fits:
                return True
            if failure and pause_s > 0 and not may_wait(failure, pause_s):
                return True
            return not may_retry()

        retrying = Retrying(
            retry=retry_if_result(lambda result: isinstance(result, Failure) and result.mendable),
            wait=wait_s,
            stop=stop,
            sleep=self._sleep,
            before_sleep=self._tell,
            retry_error_callback=_last_result,
        )
        result: T | Failure = retrying(timed)
        return result

    def _wait_s(self, retry: int, failure: Failure | None) -> float:
        ceiling_s = self._policy.base_s * 2.0 ** (retry - 1)
        wait_s = min(self._rng.uniform(0.0, ceiling_s), self._policy.max_wait_s)
        asked_s = failure.retry_after_s if failure else None
        # The upstream's wait is the least: a request before its end would be refused again.
        return wait_s if asked_s is None else max(wait_s, asked_s)

    def _tell(self, state: RetryCallState) -> None:
        failure = _failure(state)
        _log.info(
            "api_call_retry",
            provider=self._provider,
            attempt=state.attempt_number,
            wait_s=round(state.upcoming_sleep, 3),
            outcome=failure.outcome.value if failure else Outcome.UNAVAILABLE.value,
            detail=failure.detail if failure else "",
        )


def retry_after_s(value: str | None, *, wall_s: float) -> float | None:
    """Seconds that a Retry-After header asks for, at most MAX_RETRY_AFTER_S; None: it has neither form.

    wall_s: now, for the HTTP-date form.
    """
    if value is None:
        return None
    try:
        wait_s = float(value) if value.strip().isdecimal() else _until(value, wall_s)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wait_s), MAX_RETRY_AFTER_S)


def _until(date: str, wall_s: float) -> float:
    return parsedate_to_datetime(date).timestamp() - wall_s


def _failure(state: RetryCallState) -> Failure | None:
    result = state.outcome.result() if state.outcome else None
    return result if isinstance(result, Failure) else None


def _last_result(state: RetryCallState) -> object:
    return state.outcome.result() if state.outcome else None
