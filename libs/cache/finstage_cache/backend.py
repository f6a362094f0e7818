"""What a backend is. `Cache` needs nothing else of one, and the contract suite in tests/ holds each to
this."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .answer import Answer, Held
from .codecs import Codec


@dataclass(slots=True)
class BackendCounts:
    """What happened inside a backend since it was made."""

    evictions: int = 0
    """Entries that left to make room."""
    expirations: int = 0
    """Entries that left because their time was over (memory only: Redis keeps its own count)."""
    refused: int = 0
    """Entries larger than the backend's bound, not stored."""
    damaged: int = 0
    """Envelopes that were damaged, each a miss."""
    other_schema: int = 0
    """Envelopes of another codec or format version, each a miss."""
    errors: int = 0
    """Calls that the backend could not answer in time."""
    invalidations: int = 0
    """Entries dropped from memory because another process changed them."""


class Backend(Protocol):
    """A place for answers. Keys are non-empty text.

    A backend MUST: give back an equal value and its times, or nothing; never give an answer at or past its
    `error_for`; raise Unavailable, within a bounded time, when it cannot answer; raise CodecError for a
    value that it cannot hold. It need not keep anything.
    """

    counts: BackendCounts

    @property
    def locks(self) -> "Locks | None":
        """The locks of the processes that share this backend; None if no other process sees it."""
        ...

    def peek(self, key: str) -> Answer[Any] | None:
        """An answer at hand that is positive and surely fresh, else None: no waiting, no judging."""
        ...

    @property
    def put(self) -> "Callable[[str, Answer[Any]], bool] | None":
        """Stores one answer at once (False: refused, as too large); None if storing has to be waited for."""
        ...

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]: ...

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        """Store, and revoke the claims of loads under way; how many were stored. An entry larger than the
        bound is refused and counted."""
        ...

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete, and revoke the claims of loads under way; how many entries there were."""
        ...

    async def expire(self, key: str, unless: Callable[[Any], bool], codec: Codec[Any]) -> bool:
        """End the freshness of what is held, its other times as they were, unless `unless` is true of its
        value; whether it was fresh until now. Claims stay."""
        ...

    async def clear(self) -> None:
        """Delete everything of this backend's own, and nothing else."""
        ...

    def size(self) -> "Size": ...

    async def aclose(self) -> None: ...


class Size(NamedTuple):
    """What is held in this process's memory."""

    entries: int
    bytes: int


class Claimed(NamedTuple):
    """The outcome of a claim: whether this process may load the key, and what is held for it now."""

    ours: bool
    held: Held | None


class Locks(Protocol):
    """One load per key among all processes. A claim expires by itself; a process that dies blocks nothing."""

    claim_s: float
    """How long a claim lasts unless kept up."""

    async def claim(self, keys: Iterable[str], token: bytes, codec: Codec[Any]) -> dict[str, Claimed]:
        """Claim the keys that no one else has. A token is `OWNER:NUMBER`; an earlier one of the same owner is
        overtaken, so that a claim which could not be given up does not block its own process."""
        ...

    async def keep(self, keys: Iterable[str], token: bytes) -> None:
        """Extend the claims that are still ours."""
        ...

    async def settle(self, answers: Mapping[str, Answer[Any]], token: bytes, codec: Codec[Any]) -> set[str]:
        """Store the answers whose claim is still ours, give those claims up, and say which these were."""
        ...

    async def release(self, keys: Iterable[str], token: bytes) -> None:
        """Give up the claims that are still ours."""
        ...
