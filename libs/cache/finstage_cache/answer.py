"""What a cache answers: the value, what kind of answer it is, and its times."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .errors import ValueAbsent

T = TypeVar("T")


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""What a loader returns to say "there is no such thing": cacheable, and not the same as None."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """What a loader may return in place of a value, to say more about it.

    stored: when its age begins, in Unix seconds: when the value was made, where that was before the load.
    fresh_s: how long it is fresh, where that is less than the policy says; it is not refreshed early then.
    """

    value: T | Absent
    stored: float | None = None
    fresh_s: float | None = None


class Status(StrEnum):
    """What an answer was."""

    HIT = "hit"
    """Found, and fresh."""
    MISS = "miss"
    """Loaded by this call."""
    STALE = "stale"
    """Past its freshness: served while a refresh runs, or because the load failed."""
    COALESCED = "coalesced"
    """Loaded by another call, or another process, that this call waited for."""
    NEGATIVE = "negative"
    """Known to be absent: found so, or loaded so."""


class Answer(Generic[T]):
    """One answer. It is shared between callers, as its value is: treat both as immutable.

    `stored` is in Unix seconds; `fresh_for` and `error_for` are seconds after it, and `stale_s` after the end
    of freshness; `load_s` is what the load took (0.0 for a value that was `set`); `weight` is its bytes
    by its codec. The datetimes are aware, in UTC.
    """

    __slots__ = ("_value", "error_for", "fresh_for", "load_s", "stale_s", "status", "stored", "weight")

    def __init__(
        self,
        value: T | Absent,
        status: Status,
        stored: float,
        fresh_for: float,
        stale_s: float,
        error_for: float,
        load_s: float,
        weight: int,
    ) -> None:
        self._value = value
        self.status = status
        self.stored = stored
        self.fresh_for = fresh_for
        self.stale_s = stale_s
        self.error_for = error_for
        self.load_s = load_s
        self.weight = weight

    @property
    def value(self) -> T:
        """The value. Raises ValueAbsent if there is none (`absent`)."""
        value = self._value
        if value is ABSENT:
            raise ValueAbsent("the answer is that there is no value: look at .absent first")
        return value

    @property
    def absent(self) -> bool:
        """Whether the answer is that there is no value."""
        return self._value is ABSENT

    @property
    def stored_at(self) -> datetime:
        """When the value was loaded or set, or when its loader said that it was made."""
        return datetime.fromtimestamp(self.stored, UTC)

    def age_s(self, wall: float) -> float:
        """How old it is. Hosts' clocks differ a little: what was stored "later than now" was stored now."""
        return max(0.0, wall - self.stored)

    def expired(self, age_s: float) -> "Answer[T]":
        """The same answer, not fresh from this age on; an absence is then gone."""
        error_for = age_s if self.absent else self.error_for
        fresh_for = min(self.fresh_for, age_s)
        return Answer(
            self._value,
            self.status,
            self.stored,
            fresh_for,
            self.stale_s,
            error_for,
            self.load_s,
            self.weight,
        )

    def marked(self, status: Status) -> "Answer[T]":
        """The same answer with another status; absence stays NEGATIVE unless it is STALE."""
        if self._value is ABSENT and status is not Status.STALE:
            status = Status.NEGATIVE
        if status is self.status:
            return self
        return Answer(
            self._value,
            status,
            self.stored,
            self.fresh_for,
            self.stale_s,
            self.error_for,
            self.load_s,
            self.weight,
        )

    def __repr__(self) -> str:
        what = "ABSENT" if self.absent else repr(self._value)
        return f"Answer({what:.80}, {self.status}, stored_at={self.stored_at.isoformat()})"


Held: TypeAlias = tuple[Answer[Any], float]
"""What a backend holds for a key: the answer (HIT or NEGATIVE), and its age in seconds by the backend's
clock."""
