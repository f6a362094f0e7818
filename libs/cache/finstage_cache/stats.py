"""Statistics: the counters of a cache, and the log events that go with them."""

import logging
from dataclasses import dataclass, fields

from structlog.typing import FilteringBoundLogger

from .answer import Status
from .backend import BackendCounts, Size

_HIT, _MISS, _STALE, _COALESCED, _NEGATIVE = Status


@dataclass(slots=True)
class Counts:
    """The counters of one `Cache`. Requests are counted by key: one call for 200 keys is 200 requests."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    coalesced: int = 0
    negative: int = 0
    loads: int = 0
    load_errors: int = 0
    load_seconds: float = 0.0
    sets: int = 0
    deletes: int = 0


class Recorder:
    """Counts what a cache does, and logs it. `debug`: whether the events of single calls are logged."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.counts = Counts()
        self.debug = log.is_enabled_for(logging.DEBUG)
        self._log = log

    def answered(self, key: str, status: Status) -> None:
        """Count and log the answer to one request."""
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
            self.log_answer(key, status)

    def log_answer(self, key: str, status: Status) -> None:
        """Log an answer that is counted already."""
        event = "cache_miss" if status in (_MISS, _COALESCED) else "cache_hit"
        self._log.debug(event, key=key, status=status.value)

    def log_set(self, key: str, status: Status) -> None:
        self._log.debug("cache_set", key=key, status=status.value)

    def log_delete(self, key: str) -> None:
        self._log.debug("cache_delete", key=key)

    def log_failed_refresh(self, key: str, error: Exception) -> None:
        self._log.warning("cache_refresh_failed", key=key, error=repr(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot. Counters start when the cache is made, and again at `clear_stats`."""

    hits: int
    misses: int
    stale: int
    coalesced: int
    negative: int
    loads: int
    """Keys that loaders were asked for."""
    load_errors: int
    """Loads that failed."""
    load_seconds: float
    """Time spent in loaders."""
    sets: int
    """Entries stored, by `set` or by a load."""
    deletes: int
    """Entries deleted, by `delete`."""
    evictions: int
    expirations: int
    refused: int
    damaged: int
    other_schema: int
    errors: int
    """Calls that the backend could not answer: each is a miss, or a store that did not happen."""
    invalidations: int
    entries: int
    """Entries in this process's memory now."""
    bytes: int
    """Their weight."""

    @property
    def requests(self) -> int:
        """Requests, by key."""
        return self.hits + self.misses + self.stale + self.coalesced + self.negative

    @property
    def hit_rate(self) -> float:
        """The share of requests answered without a load (hit, stale, negative); 0.0 before the first."""
        held = self.hits + self.stale + self.negative
        return held / self.requests if self.requests else 0.0


def snapshot(counts: Counts, backend: BackendCounts, size: Size, since: Stats | None = None) -> Stats:
    """The counters now, less those of an earlier snapshot."""
    now = {f.name: getattr(source, f.name) for source in (counts, backend) for f in fields(source)}
    if since is not None:
        now = {name: value - getattr(since, name) for name, value in now.items()}
    return Stats(**now, entries=size.entries, bytes=size.bytes)
