"""The retry budget: retries are paid for by successes, so that an outage is not multiplied."""

import threading


class RetryBudget:
    """A bucket of tokens, full at first. A retry takes one, a success puts `per_success` back.

    With 0.5 a success, every second request may fail for long before retries run out; when all fail,
    `capacity` retries are made and no more. Safe to use from many threads.
    """

    def __init__(self, *, capacity: float = 50.0, per_success: float = 0.5) -> None:
        self._capacity = capacity
        self._per_success = per_success
        self._tokens = capacity
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Retries that may be made now."""
        return self._tokens

    def take(self) -> bool:
        """Whether a retry may be made; it is paid for then."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def earn(self) -> None:
        """A request succeeded."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + self._per_success)
