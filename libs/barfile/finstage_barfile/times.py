"""The times of bars, however they are written: read in one way for all rows, the one that fits most."""

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from finstage_barfile import epochs, text_times
from finstage_barfile.errors import NoZone, Unreadable
from finstage_barfile.table import Cells, Guess, Timestamps
from finstage_market.interval import Interval

Datetimes = npt.NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """The time of each row.

    utc: datetime64[ms], NaT where there is none.
    how: how they were read, for people.
    guess: what of that was guessed.
    refusal: says of a row that has none, why.
    """

    utc: Datetimes
    how: str
    guess: Guess | None
    refusal: Callable[[int], str]


def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone, such as UTC or America/New_York") from None


def read(
    cells: Cells, time_zone: ZoneInfo | None, *, interval: Interval, date_format: str | None = None
) -> Times:
    """The times that `cells` say.

    Args:
        cells: text, timestamps with or without a zone, or numbers.
        time_zone: the zone of times that name none. None: UTC, for dates.
        interval: that of the bars; those shorter than a day need times of day, and a zone.
        date_format: how dates are written, as strptime has it, where they are text.

    Raises:
        Unreadable: none can be read, or they are dates and the bars are shorter. NoZone: they need a zone,
            and there is none.
    """
    present = cells.dropna()
    if present.empty:
        raise Unreadable("its column of times is empty")
    (found, how), guess = _read(cells, interval, date_format)
    readable = found.notna().to_numpy()
    if not readable.any():
        form = f"of the form {date_format}" if date_format else "that can be read; ISO 8601 always can"
        raise Unreadable(f"{str(present.iloc[0])!r} is no time {form}", settled_by="date_format")
    intraday = interval.is_intraday
    if intraday and _are_dates(cells, found):
        raise Unreadable(
            f"its times ({str(present.iloc[0])!r}) are dates alone, and {interval} bars need a time of day",
            settled_by="mapping",
            fields=["time"],
        )
    times = found
    if found.dt.tz is None:
        if intraday and time_zone is None:
            raise NoZone(str(cells[readable].iloc[0]))
        zone = time_zone or ZoneInfo("UTC")
        times, how = _localised(found, zone, dates=not intraday), f"{how}, {zone.key}"
    exact = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    utc = exact.astype("datetime64[ms]")
    # Bars open at no such time, so to cut it off would be to mend it.
    fine = ~np.isnat(exact) & (utc != exact)
    utc[fine] = np.datetime64("NaT")

    def refusal(row: int) -> str:
        if pd.isna(cells.iloc[row]):
            return "it has no time"
        cell = repr(str(cells.iloc[row]))
        if fine[row]:
            return f"{cell} is finer than a millisecond"
        if not pd.isna(found.iloc[row]):
            return f"{cell} is shown twice, or never, by the clocks of that zone; read as {how}"
        return f"{cell} is no time, read as {how}"

    return Times(utc, how, guess, refusal)


def _read(
    cells: Cells, interval: Interval, date_format: str | None
) -> tuple[text_times.Reading, Guess | None]:
    """Timestamps, UTC where the cells say it and else without a zone, NaT where a cell is none; how they were
    read, and what was guessed for that."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return (cells, text_times.OWN_ZONE if cells.dt.tz is not None else "timestamps"), None
    is_text = not pd.api.types.is_numeric_dtype(cells)
    if date_format:
        return text_times.read_as(cells if is_text else _dates(cells), date_format), None
    if is_text:
        return text_times.read(cells, interval)
    epoch = epochs.of_numbers(cells)
    return (epoch, None) if epoch else text_times.read(_dates(cells), interval)


def _are_dates(cells: Cells, found: Timestamps) -> bool:
    """Whether none of the times has a time of day."""
    if found.dt.tz is not None:
        return False
    times = found.dropna().to_numpy()
    if (times != times.astype("datetime64[D]")).any():
        return False
    # One that is written is one at midnight.
    return not (pd.api.types.is_string_dtype(cells) and bool(cells.str.contains(":", na=False).any()))


def _dates(numbers: Cells) -> "pd.Series[str]":
    """Numbers as text: 20240131."""
    return epochs.whole(numbers).astype("str")


def _localised(times: Timestamps, zone: ZoneInfo, *, dates: bool) -> Timestamps:
    """The times of the zone's clocks, NaT where they show one twice, or never: it is not guessed at.

    dates: midnight is the day's first moment, whatever the clocks do then.
    """
    found = times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if dates and (at := (found.isna() & (times == times.dt.normalize())).to_numpy()).any():
        first = np.ones(int(at.sum()), dtype=bool)  # of two midnights the first is the one of summer time
        found[at] = times[at].dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return found
