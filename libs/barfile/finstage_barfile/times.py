"""The times of bars, however they are written: read in one way for all rows, the one that fits most."""

from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from finstage_barfile import epochs, text_times
from finstage_barfile.epochs import Epochs
from finstage_barfile.errors import Unreadable
from finstage_barfile.table import Cells, Mask
from finstage_barfile.text_times import Way
from finstage_market.columns import Int64s

NONE = np.iinfo(np.int64).min
# Offsets are in minutes.
Offsets = npt.NDArray[np.int16]


class Zoning(Enum):
    """The zone of the times: one that the file does not say, their own offsets, or UTC."""

    LOCAL = "local"
    OWN = "own"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True, eq=False)
class Clocks:
    """The times of n rows, as their own clocks show them.

    ms: int64[n], NONE where there is none. offsets: int16[n], of Zoning.OWN.
    refusals: why a row has no time, by row.
    has_clock: whether any of them has a time of day.
    """

    ms: Int64s
    offsets: Offsets | None
    refusals: dict[int, str]
    has_clock: bool


@dataclass(frozen=True, slots=True)
class TimesPlan:
    """How to read the times of a file: by `way` as text, by `epochs` as numbers; else they are timestamps."""

    zoning: Zoning
    how: str
    way: Way | None = None
    epochs: Epochs | None = None

    def read(self, cells: Cells) -> Clocks:
        """The times of some rows."""
        offsets: Offsets | None = None
        if self.epochs is not None:
            found = self.epochs.times(cells)
        elif self.way is not None:
            found, minutes = self.way.read(_text(cells))
            if minutes is not None:
                found = found.mask(minutes.isna().to_numpy())
                offsets = minutes.fillna(0).to_numpy().astype(np.int16)
        else:
            found, offsets = _of_timestamps(cells)
        exact = found.to_numpy()
        ms = exact.astype("datetime64[ms]")
        # No bar opens at a time finer than that, so it is not cut off.
        fine = ~np.isnat(exact) & (ms != exact)
        ms[fine] = np.datetime64("NaT")
        missing = np.flatnonzero(np.isnat(ms)).tolist()
        refusals = {row: self._refusal(cells.iloc[row], fine=bool(fine[row])) for row in missing}
        there = ms[~np.isnat(ms)]
        is_moment = self.epochs is not None or self.how == text_times.OWN_ZONE or offsets is not None
        has_clock = is_moment or _shows_clock(cells) or bool((there != there.astype("datetime64[D]")).any())
        return Clocks(ms.astype(np.int64), offsets, refusals, has_clock)

    def _refusal(self, cell: object, *, fine: bool) -> str:
        if pd.isna(cell):  # type: ignore[call-overload]
            return "it has no time"
        told = repr(str(cell))
        return f"{told} is finer than a millisecond" if fine else f"{told} is not a time, read as {self.how}"


def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone, such as UTC or America/New_York") from None


def plan(sample: Cells, *, date_format: str | None, is_utc: bool) -> TimesPlan:
    """How to read times of which these are some, in the file's order: text, timestamps or numbers.

    Args:
        date_format: how dates are written, as strptime has it, where they are text.
        is_utc: whether times that name no zone are UTC.

    Raises:
        Unreadable: none of them can be read.
    """
    present = sample.dropna()
    if present.empty:
        raise Unreadable("its column of times is empty")
    local = Zoning.INSTANT if is_utc else Zoning.LOCAL
    if pd.api.types.is_datetime64_any_dtype(sample):
        if sample.dt.tz is None:
            return TimesPlan(local, "timestamps, UTC by the column's name" if is_utc else "timestamps")
        zoning = Zoning.INSTANT if str(sample.dt.tz) in ("UTC", "Etc/UTC", "GMT") else Zoning.OWN
        return TimesPlan(zoning, text_times.OWN_ZONE)
    if not date_format and (judged := epochs.judged(present)):
        return TimesPlan(Zoning.INSTANT, judged.how, epochs=judged)
    text = _text(present)
    way = text_times.of_format(text, date_format) if date_format else text_times.likely(text)
    if way is None:
        form = f"of the form {date_format}" if date_format else "that can be read; ISO 8601 always can"
        raise Unreadable(f"{str(present.iloc[0])!r} is not a time {form}", settled_by="date_format")
    if way.has_offset or "%z" in way.format:
        return TimesPlan(Zoning.OWN, way.how, way=way)
    return TimesPlan(local, f"{way.how}, UTC by the column's name" if is_utc else way.how, way=way)


def _of_timestamps(cells: Cells) -> tuple["pd.Series[pd.Timestamp]", Offsets | None]:
    if cells.dt.tz is None:
        return cells, None
    clocks = cells.dt.tz_localize(None)
    difference = clocks - cells.dt.tz_convert("UTC").dt.tz_localize(None)
    minutes = difference.dt.total_seconds().fillna(0) / 60
    return clocks, np.round(minutes.to_numpy()).astype(np.int16)


def _shows_clock(cells: Cells) -> bool:
    """Whether a midnight is written as a time of day."""
    return pd.api.types.is_string_dtype(cells) and bool(cells.str.contains(":", na=False).any())


def _text(cells: Cells) -> "pd.Series[str]":
    """The cells as text; numbers are dates: 20240131."""
    return epochs.whole(cells).astype("str") if pd.api.types.is_numeric_dtype(cells) else cells


def present(ms: Int64s) -> Mask:
    """The rows that have a time."""
    there: Mask = ms != NONE
    return there
