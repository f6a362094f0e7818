"""Clocks, passed in as parameters: the wall clock stamps values, the monotonic clock measures their age."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks in seconds: `wall` since 1970-01-01 UTC, `monotonic` from any origin and never backwards."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class ManualClock:
    """A clock that moves only when told: for tests."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self._wall = wall
        self._monotonic = 0.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, wall: float) -> None:
        """Correct the wall clock, as NTP does: no time passes."""
        self._wall = wall


SYSTEM = SystemClock()
