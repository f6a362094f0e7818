"""Answers: a value, how it was found, and its times."""

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
"""Returned by a loader for a value that does not exist. It is cacheable, and not the same as None."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """A value with times of its own, which a loader may return in place of the bare value.

    stored: Unix seconds from which the age counts, for a value made before the load.
    fresh_s: a shorter freshness than the policy's; such a value is not refreshed early.
    """

    value: T | Absent
    stored: float | None = None
    fresh_s: float | None = None


class Status(StrEnum):
    """How an answer was found."""

    HIT = "hit"
    """Found, and fresh."""
    MISS = "miss"
    """Loaded by this call."""
    STALE = "stale"
    """No longer fresh: served while a refresh runs, or because the load failed."""
    COALESCED = "coalesced"
    """Loaded by another call, or another process, that this call waited for."""
    NEGATIVE = "negative"
    """Known to be absent, found or loaded."""


class Answer(Generic[T]):
    """One answer. Callers share it and its value: treat both as immutable.

    `stored` is in Unix seconds. `fresh_for` and `error_for` are seconds after it, `stale_s` seconds after the
    end of freshness. `load_s` is the duration of the load (0.0 after a `set`), `weight` the bytes counted by
    the codec. The datetimes are aware, in UTC.
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
        """The value. Raises ValueAbsent if the answer is `absent`."""
        value = self._value
        if value is ABSENT:
            raise ValueAbsent("the answer is that no value exists; check .absent first")
        return value

    @property
    def absent(self) -> bool:
        """Whether the answer is that no value exists."""
        return self._value is ABSENT

    @property
    def stored_at(self) -> datetime:
        """When the value was loaded or set, or made according to its loader."""
        return datetime.fromtimestamp(self.stored, UTC)

    def age_s(self, wall: float) -> float:
        """The age. Hosts' clocks differ a little: a time later than now counts as now."""
        return max(0.0, wall - self.stored)

    def expired(self, age_s: float) -> "Answer[T]":
        """The same answer with its freshness ended at this age; an absence is gone from then on."""
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
"""A held answer (HIT or NEGATIVE), and its age in seconds by the backend's clock."""
