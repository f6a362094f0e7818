"""Counting what happened, and telling the log."""

import logging

from structlog.typing import FilteringBoundLogger

from .answer import Status
from .stats import Counts

_HIT, _MISS, _STALE, _COALESCED, _NEGATIVE = Status


class Tally:
    """The counters and the events of one cache. `debug`: whether events of every call are wanted."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.counts = Counts()
        self.debug = log.is_enabled_for(logging.DEBUG)
        self._log = log

    def asked(self, key: str, status: Status) -> None:
        """A key was asked for, and this is what the answer was."""
        counts = self.counts
        if status is _HIT:
            counts.hits += 1
        elif status is _MISS:
            counts.misses += 1
        elif status is _STALE:
            counts.stale += 1
        elif status is _COALESCED:
            counts.coalesced += 1
        else:
            counts.negative += 1
        if self.debug:
            self.tell_asked(key, status)

    def tell_asked(self, key: str, status: Status) -> None:
        """The event alone, for what is counted already."""
        event = "cache_miss" if status in (_MISS, _COALESCED) else "cache_hit"
        self._log.debug(event, key=key, status=status.value)

    def tell_set(self, key: str, status: Status) -> None:
        self._log.debug("cache_set", key=key, status=status.value)

    def tell_delete(self, key: str) -> None:
        self._log.debug("cache_delete", key=key)

    def refresh_failed(self, key: str, error: Exception) -> None:
        self._log.warning("cache_refresh_failed", key=key, error=repr(error))
