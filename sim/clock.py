"""The market's clock: the wall clock, or a fake one that tests and demonstrations move."""

import datetime as dt
import threading
import time
from collections.abc import Callable

Clock = Callable[[], float]


def epoch(iso: str) -> float:
    """Return the epoch second of an ISO 8601 time; UTC when it has no offset. Raises ValueError."""
    at = dt.datetime.fromisoformat(iso)
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()


class FakeClock:
    """A clock that starts at `start_s` (epoch seconds) and runs `speed` times as fast as real time.

    With `speed` 0 it stands still until `advance` or `set` moves it. Safe to share between threads.
    """

    def __init__(self, start_s: float, *, speed: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._speed = speed
        self._base_s, self._since_s = start_s, time.monotonic()

    def __call__(self) -> float:
        with self._lock:
            return self._base_s + (time.monotonic() - self._since_s) * self._speed

    def set(self, to_s: float) -> None:
        """Move to an epoch second."""
        with self._lock:
            self._base_s, self._since_s = to_s, time.monotonic()

    def advance(self, by_s: float) -> None:
        """Move forward (or, with a negative number, back)."""
        self.set(self() + by_s)
