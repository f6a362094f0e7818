"""Times that are written as text: the ways to write them, and which of them a column is written in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finstage_barfile import offsets
from finstage_barfile.table import Text, Timestamps

OWN_ZONE = "times with their own zone"
ISO = "year-month-day"

# pandas takes "now" and "today" for times.
_NO_WORD = r"-?\d|[A-Za-z]+ \d"
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", " %H%M%S")
_OF_DAY = ("%H", "%I", "%X", "%c", "%T")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to write a time. format: as strptime has it; empty for ISO 8601.

    other: the name of the way that differs from it in what comes first, day or month.
    has_offset: whether an offset follows.
    """

    name: str
    format: str
    other: str = ""
    has_offset: bool = False

    @property
    def how(self) -> str:
        """How the times were read, for people."""
        if not self.has_offset:
            return self.name
        return OWN_ZONE if self.name == ISO else f"{self.name}, {OWN_ZONE}"

    def read(self, cells: Text) -> tuple[Timestamps, "pd.Series[float] | None"]:
        """The clock times that the cells show, NaT where one is written in another way; their offsets."""
        cells = cells.where(cells.str.match(_NO_WORD, na=False))
        if "%z" in self.format:
            utc = pd.to_datetime(cells, format=self.format, errors="coerce", utc=True)
            texts = cells.str.extract(r"(Z|[+-]\d\d:?\d\d)(?!.*[+-]\d\d:?\d\d)")[0]
            signed = texts.str.replace("Z", "+0000").str.replace(":", "").astype("float64")
            offset = np.sign(signed) * (np.abs(signed) // 100 * 60 + np.abs(signed) % 100)
            return utc.dt.tz_localize(None) + pd.to_timedelta(offset, unit="m"), offset
        minutes: pd.Series[float] | None = None
        if self.has_offset:
            cells, minutes = offsets.split(cells)
        if not self.format:
            cells = cells.mask(cells.str.contains(offsets.PERHAPS, na=False))
        return pd.to_datetime(cells, format=self.format or "ISO8601", errors="coerce"), minutes

    def swapped(self) -> "Way":
        """The other order of day and month."""
        swapped = self.format.replace("%m", "%-").replace("%d", "%m").replace("%-", "%d")
        return Way(self.other, swapped, self.name, self.has_offset)


# Only a day above 12 tells some pairs of these apart; without one, the first of the pair is used.
_DATES = (
    Way("month/day/year", "%m/%d/%Y", "day/month/year"),
    Way("day/month/year", "%d/%m/%Y", "month/day/year"),
    Way("day-month-year", "%d-%m-%Y", "month-day-year"),
    Way("month-day-year", "%m-%d-%Y", "day-month-year"),
    Way("day.month.year", "%d.%m.%Y"),
    Way("Jan 31, 2024", "%b %d, %Y"),
    Way("January 31, 2024", "%B %d, %Y"),
    Way("31-Jan-2024", "%d-%b-%Y"),
    Way("31-January-2024", "%d-%B-%Y"),
    Way("31-Jan-24", "%d-%b-%y"),
    Way("31 Jan 2024", "%d %b %Y"),
    Way("31 January 2024", "%d %B %Y"),
    Way("month/day/year", "%m/%d/%y", "day/month/year"),
    Way("day/month/year", "%d/%m/%y", "month/day/year"),
    Way("day.month.year", "%d.%m.%y"),
    Way(ISO, "%Y-%m-%d"),  # ISO 8601 has no AM and PM
)


def likely(sample: Text) -> Way | None:
    """The way that most of the sample is written in, the first of equals; None for an unknown way."""
    has_offset = offsets.are_there(sample)
    dates = [Way(d.name, d.format + c, d.other, has_offset) for d in _DATES for c in _CLOCKS]
    return _best(sample, [Way(ISO, "", has_offset=has_offset), *dates])


def of_format(sample: Text, date_format: str) -> Way | None:
    """The way that a format of strptime says; one without a time of day is also tried with one after it."""
    clocks = ("",) if any(part in date_format for part in _OF_DAY) else _CLOCKS
    ways = [Way(date_format, date_format + clock) for clock in clocks]
    if "%z" not in date_format:
        ways += [Way(way.name, way.format, has_offset=True) for way in ways]
    return _best(sample, ways)


def _best(sample: Text, ways: Sequence[Way]) -> Way | None:
    best, most = None, 0
    for way in ways:
        fits = int(way.read(sample)[0].count())
        if fits > most:
            best, most = way, fits
        if fits == len(sample):
            break
    return best
