"""The interface of a backend, checked for each one by tests/libs/cache/test_cache_contract.py."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .answer import Answer, Held
from .codecs import Codec


@dataclass(slots=True)
class BackendCounts:
    """Counters of a backend since it was made."""

    evictions: int = 0
    """Entries that left to make room."""
    expirations: int = 0
    """Entries that left because they expired (memory only: Redis keeps its own count)."""
    refused: int = 0
    """Entries not stored, because they exceed the backend's limit."""
    damaged: int = 0
    """Damaged envelopes, each a miss."""
    other_schema: int = 0
    """Envelopes of another codec or format version, each a miss."""
    errors: int = 0
    """Calls not answered in time, or answered with an error."""
    invalidations: int = 0
    """Entries dropped from memory because another process changed them."""


class Backend(Protocol):
    """A place that holds answers by key. Keys are non-empty text.

    A backend MUST
    - return an equal value with its times, or nothing, and never an answer at or past its `error_for`;
    - raise Unavailable, within a bounded time, when it cannot answer;
    - raise CodecError for a value that it cannot hold.

    It MAY drop any entry at any time.
    """

    counts: BackendCounts

    @property
    def locks(self) -> "Locks | None":
        """The locks of the processes that share this backend; None if it belongs to this process alone."""
        ...

    def peek(self, key: str) -> Answer[Any] | None:
        """A value that is certainly fresh and needs no waiting, else None."""
        ...

    @property
    def put(self) -> "Callable[[str, Answer[Any]], bool] | None":
        """Stores one answer without waiting (False: refused as too large); None if storing needs waiting."""
        ...

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]: ...

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        """Store, and revoke the claims of loads under way; return how many were stored. An entry that exceeds
        the limit is refused and counted."""
        ...

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Delete, and revoke the claims of loads under way; return how many entries were held."""
        ...

    async def expire(self, key: str, unless: Callable[[Any], bool], codec: Codec[Any]) -> bool:
        """End the freshness of the held answer, unless `unless` is true for its value; return whether it was
        fresh until now. Its other times and all claims stay as they are."""
        ...

    async def clear(self) -> None:
        """Delete all entries of this backend, and nothing else."""
        ...

    def size(self) -> "Size": ...

    async def aclose(self) -> None: ...


class Size(NamedTuple):
    """The extent of what this process holds in memory."""

    entries: int
    bytes: int


class Claimed(NamedTuple):
    """The outcome of a claim: whether this process may load the key, and the answer held now."""

    ours: bool
    held: Held | None


class Locks(Protocol):
    """One load per key among all processes. A claim expires by itself; a process that dies blocks nothing."""

    claim_s: float
    """Seconds that a claim lasts, unless extended by `keep`."""

    async def claim(self, keys: Iterable[str], token: bytes, codec: Codec[Any]) -> dict[str, Claimed]:
        """Claim the keys that nobody else has claimed. A token is `OWNER:NUMBER`. It replaces earlier tokens
        of the same owner, so that a claim that could not be released does not block its own process."""
        ...

    async def keep(self, keys: Iterable[str], token: bytes) -> None:
        """Extend the claims that still stand."""
        ...

    async def settle(self, answers: Mapping[str, Answer[Any]], token: bytes, codec: Codec[Any]) -> set[str]:
        """Store the answers whose claims still stand, release these claims, and return their keys."""
        ...

    async def release(self, keys: Iterable[str], token: bytes) -> None:
        """Release the claims that still stand."""
        ...
