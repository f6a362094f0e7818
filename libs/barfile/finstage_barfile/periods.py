"""When bars open: instants within the day; for days, weeks and months the midnight of their date."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from finstage_barfile import clock_changes
from finstage_barfile.errors import NoZone
from finstage_barfile.times import NONE, Offsets, Zoning, present
from finstage_market.columns import Int64s
from finstage_market.interval import Interval

STAMPS = ("start", "end")
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
# A day's last minute: a stamp then is of the day that ends.
_LAST_MINUTE_MS = _DAY_MS - _MINUTE_MS


def open_times(
    clocks: Int64s,
    offsets: Offsets | None,
    zoning: Zoning,
    interval: Interval,
    *,
    time_zone: ZoneInfo | None,
    date_zone: ZoneInfo,
    is_end: bool,
    has_clock: bool,
) -> Int64s:
    """int64[n], the open times of bars in milliseconds, in the order of the rows; NONE where there is none.

    Within the day a time is an instant. A day is that of the stamp's own offset, else of `time_zone`; it
    opens at midnight in `date_zone`, and so do its week, on Monday, and its month. A week that is stamped on
    a Sunday is the one that begins, as its sessions do, but for one that is stamped at its end. An instant
    that shows no zone stays as it is, where it is not at midnight: the series' own zone tells its day.

    Args:
        clocks: times as their clocks show them.
        time_zone: the zone of times that name none.
        is_end: whether the times are those of the bars' last moment; a date alone is that of its day.
        has_clock: whether the times are not dates alone.

    Raises:
        NoZone: the times are local, and `time_zone` is not given.
    """
    if interval.is_intraday:
        utc = _instants(clocks, offsets, zoning, time_zone)
        if is_end:
            ends = -(-utc // _MINUTE_MS) * _MINUTE_MS
            utc = np.where(present(utc), ends - interval.nominal_ms, NONE)
        return utc
    shown = clocks.copy()
    is_plain = np.zeros(len(clocks), dtype=np.bool_)
    if zoning is not Zoning.LOCAL:
        is_utc = present(clocks) & (True if offsets is None or zoning is Zoning.INSTANT else offsets == 0)
        of_day = clocks % _DAY_MS
        is_plain = is_utc & (of_day != 0) & (of_day < _LAST_MINUTE_MS)
        if time_zone is not None and is_plain.any():
            shown[is_plain] = _shown(clocks[is_plain], time_zone)
            is_plain[:] = False
    days = (shown - (is_end and has_clock)) // _DAY_MS
    opens = np.full(len(clocks), NONE)
    there = present(clocks)
    opens[there] = clock_changes.midnights(
        _first_days(days[there], interval, is_end=is_end) * _DAY_MS, date_zone
    )
    opens[is_plain] = clocks[is_plain]
    return opens


def _instants(clocks: Int64s, offsets: Offsets | None, zoning: Zoning, zone: ZoneInfo | None) -> Int64s:
    if zoning is Zoning.OWN and offsets is not None:
        return np.where(present(clocks), clocks - offsets.astype(np.int64) * _MINUTE_MS, NONE)
    if zoning is not Zoning.LOCAL:
        return clocks
    if zone is None:
        raise NoZone(said(int(clocks[present(clocks)][0])))
    return clock_changes.to_utc(clocks, zone)


def _shown(utc: Int64s, zone: ZoneInfo) -> Int64s:
    moments = pd.DatetimeIndex(utc.view("datetime64[ms]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return moments.to_numpy().astype("datetime64[ms]").astype(np.int64)


def _first_days(days: Int64s, interval: Interval, *, is_end: bool) -> Int64s:
    if interval is Interval.MO1:
        return days.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    if interval is Interval.W1:
        weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
        return days - np.where((weekday == 6) & (not is_end), -1, weekday)
    return days


def sundays(clocks: Int64s) -> int:
    """How many times are Sundays, or at the first or last minute of one."""
    there = clocks[present(clocks)]
    of_day = there % _DAY_MS
    is_sunday = (there // _DAY_MS + 3) % 7 == 6
    return int((is_sunday & ((of_day == 0) | (of_day >= _LAST_MINUTE_MS))).sum())


def kept_instants(clocks: Int64s, opens: Int64s) -> int:
    """How many times that are not midnight are the open times of their days, weeks or months."""
    return int((present(clocks) & (clocks == opens) & (clocks % _DAY_MS != 0)).sum())


def said(ms: int) -> str:
    """A clock time for people, its seconds where they are not 0."""
    text = str(np.datetime64(ms, "ms")).replace("T", " ")
    return (
        text.removesuffix(".000").removesuffix(":00")
        if text.endswith(":00.000")
        else text.removesuffix(".000")
    )
