"""A signal that ends the waits of all threads when the process stops."""

import threading

from finstage_market.errors import Reason, Unavailable


class Shutdown:
    """Not begun until `close`, which any thread may call."""

    def __init__(self) -> None:
        self._begun = threading.Event()

    def close(self) -> None:
        """End all waits, and refuse new ones."""
        self._begun.set()

    def check(self) -> None:
        """Return if the process is not stopping.

        Raises:
            Unavailable: SERVICE_UNAVAILABLE: it is stopping.
        """
        if self._begun.is_set():
            raise Unavailable(Reason.SERVICE_UNAVAILABLE, "ingest is stopping", retry_after_s=1.0)

    def sleep(self, seconds: float) -> None:
        """Wait. Raises like `check`, as soon as the shutdown begins."""
        self._begun.wait(seconds)
        self.check()
