"""Interval: the time that one bar covers."""

from enum import StrEnum

_SECOND_MS = 1000
_DAY_MS = 86_400_000


class Interval(StrEnum):
    """An interval, by the text that the contract and people write: "1m", "1d", "1mo"."""

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

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Return the interval that `text` names.

        Raises:
            ValueError: it is not supported; the message says which are. Case matters: "1M" could be a minute
                or a month.
        """
        try:
            return cls(text)
        except ValueError:
            raise ValueError(f"{text[:32]!r} is not supported; use {', '.join(cls)}") from None


_INTRADAY_S = {Interval.M1: 60, Interval.M5: 300, Interval.M15: 900, Interval.M30: 1800, Interval.H1: 3600}
