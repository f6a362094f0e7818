"""A circuit breaker: after some failures in a row, no more calls but one probe at a time."""

from collections.abc import Callable


class Breaker:
    """Closed: every call passes. Open: one call per `retry_s` passes, and closes it if it succeeds."""

    def __init__(
        self,
        *,
        failures: int,
        retry_s: float,
        monotonic: Callable[[], float],
        changed: Callable[[bool], None],
    ) -> None:
        """Opens after `failures` in a row; `changed` is told of every opening (True) and closing (False)."""
        self._limit = failures
        self._retry_s = retry_s
        self._monotonic = monotonic
        self._changed = changed
        self._failures = 0
        self._next_probe = 0.0
        self.open = False

    def allows(self) -> bool:
        """Whether a call may be made now."""
        if not self.open:
            return True
        now = self._monotonic()
        if now < self._next_probe:
            return False
        self._next_probe = now + self._retry_s
        return True

    def succeeded(self) -> None:
        self._failures = 0
        if self.open:
            self.open = False
            self._changed(False)

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._limit and not self.open:
            self.open = True
            self._next_probe = self._monotonic() + self._retry_s
            self._changed(True)
