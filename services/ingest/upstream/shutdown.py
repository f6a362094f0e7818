"""The end of asking: what ends the waits of all threads when the process stops."""

import threading

from finstage_market.errors import Reason, Unavailable


class Closing:
    """Open until close(), which any thread may call."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def close(self) -> None:
        """End all waits, and let none begin."""
        self._closed.set()

    def check(self) -> None:
        """Whether one may go on.

        Raises:
            Unavailable: SERVICE_UNAVAILABLE: it is closed.
        """
        if self._closed.is_set():
            raise Unavailable(Reason.SERVICE_UNAVAILABLE, "ingest is stopping", retry_after_s=1.0)

    def sleep(self, seconds: float) -> None:
        """Wait; raises as check() does, at once when it is closed meanwhile."""
        self._closed.wait(seconds)
        self.check()
