"""Interval: the time that one bar covers."""

from enum import StrEnum
from typing import cast

from finstage.market.v1 import series_pb2

_SECOND_MS = 1000
_DAY_MS = 86_400_000


class Interval(StrEnum):
    """An interval by its text, as people and the command write it."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    D1 = "1d"
    W1 = "1w"
    MO1 = "1mo"

    @property
    def is_intraday(self) -> bool:
        """Whether a session has several bars of it."""
        return self in _INTRADAY_S

    @property
    def nominal_ms(self) -> int:
        """Its length in milliseconds; a month counts as 30 days.

        For pacing and estimates, not for calendars.
        """
        if self in _INTRADAY_S:
            return _INTRADAY_S[self] * _SECOND_MS
        return {Interval.D1: 1, Interval.W1: 7, Interval.MO1: 30}[self] * _DAY_MS

    @property
    def proto(self) -> series_pb2.Interval:
        """The contract's value for it."""
        return cast("series_pb2.Interval", series_pb2.Interval.Value(f"INTERVAL_{self.value.upper()}"))

    @classmethod
    def from_proto(cls, value: int) -> "Interval":
        """The interval for the contract's value.

        Raises:
            ValueError: UNSPECIFIED, or a number that the contract does not have.
        """
        if value == series_pb2.INTERVAL_UNSPECIFIED or value not in series_pb2.Interval.values():
            raise ValueError(f"must be one of {accepted_enum(series_pb2.Interval)}")
        return cls(
            series_pb2.Interval.Name(series_pb2.Interval.ValueType(value)).removeprefix("INTERVAL_").lower()
        )

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """The interval that a person wrote.

        Raises:
            ValueError: none of ours.
        """
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise ValueError(f"interval {text!r} is none of {', '.join(cls)}") from None


_INTRADAY_S = {Interval.M1: 60, Interval.M5: 300, Interval.M15: 900, Interval.M30: 1800, Interval.H1: 3600}


def accepted_enum(enum: object) -> str:
    """The names that a request may use for a field of the contract's enum `enum`, for error messages."""
    names: list[str] = enum.keys()  # type: ignore[attr-defined]
    return ", ".join(name for name in names if not name.endswith("_UNSPECIFIED"))
