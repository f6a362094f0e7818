"""The retry budget: successes pay for retries, so that retries do not multiply an outage."""

import threading


class RetryBudget:
    """A bucket of tokens, full at first. A retry takes one, a success puts `per_success` back.

    With 0.5 a success, every second request may fail for a long time before retries run out. When all fail,
    there are `capacity` retries and no more. Safe to use from many threads.
    """

    def __init__(self, *, capacity: float = 50.0, per_success: float = 0.5) -> None:
        self._capacity = capacity
        self._per_success = per_success
        self._tokens = capacity
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """The number of retries that may be made now."""
        return self._tokens

    def take(self) -> bool:
        """Take a token for a retry. False: there is none."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def earn(self) -> None:
        """Put back the tokens of a success."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + self._per_success)
