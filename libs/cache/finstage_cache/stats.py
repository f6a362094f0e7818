"""What a cache counted."""

from dataclasses import dataclass, fields

from .backend import BackendCounts, Size


@dataclass(slots=True)
class Counts:
    """The counters of one `Cache`; requests are counted by key, so 200 keys in one call are 200."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot. Counters are since the cache was made, or since `clear_stats`."""

    hits: int
    misses: int
    stale: int
    coalesced: int
    negative: int
    loads: int
    """Keys that loaders were asked for."""
    load_errors: int
    """Of these, the ones that failed."""
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
    """Calls that the backend could not answer: each a miss, or a store that did not happen."""
    invalidations: int
    entries: int
    """Held in this process's memory now."""
    bytes: int
    """What these weigh."""

    @property
    def requests(self) -> int:
        """Keys asked for."""
        return self.hits + self.misses + self.stale + self.coalesced + self.negative

    @property
    def hit_rate(self) -> float:
        """The share of requests answered from what was held (hit, stale, negative); 0.0 before the first."""
        held = self.hits + self.stale + self.negative
        return held / self.requests if self.requests else 0.0


def snapshot(counts: Counts, backend: BackendCounts, size: Size, since: "Stats | None" = None) -> Stats:
    """The counters as they are, less those of an earlier snapshot."""
    now = {f.name: getattr(source, f.name) for source in (counts, backend) for f in fields(source)}
    if since is not None:
        now = {name: value - getattr(since, name) for name, value in now.items()}
    return Stats(**now, entries=size.entries, bytes=size.bytes)
