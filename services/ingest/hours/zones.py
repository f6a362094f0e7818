"""Time zones: names to zones, and local days of whole columns of times."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from finstage_market.columns import Int64s

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Offsets are looked up in steps within which no zone has changed its offset and changed it back.
_STEP_S = 14 * 86_400
_FIRST_S, _END_S = -5_364_662_400, 7_258_118_400  # the years 1800 to 2200


def zone_of(name: str) -> tzinfo | None:
    """Return the zone of an IANA name; None: there is none of that name."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a plain name, or a folder of the zone files
        return None


def local(ms: int, zone: tzinfo) -> datetime:
    """Return the aware local time of `ms`."""
    return (_EPOCH + timedelta(seconds=ms // 1000)).astimezone(zone)


def local_days(times: Int64s, zone: tzinfo) -> Int64s:
    """int64[n]: the local date of each time, in days since 1970-01-01. Needs no order."""
    return clock_times(times, zone) // DAY_MS


def clock_times(times: Int64s, zone: tzinfo) -> Int64s:
    """int64[n]: what clocks in the zone show, as milliseconds since they showed 1970-01-01 00:00."""
    starts, offsets = _offsets(zone)
    shown: Int64s = times + offsets[np.searchsorted(starts, times, side="right") - 1]
    return shown


@lru_cache(maxsize=256)
def _offsets(zone: tzinfo) -> tuple[Int64s, Int64s]:
    """The offsets of a zone, in ms, and the times in ms from which on they hold; the first holds always."""
    changes: list[tuple[int, int]] = [(-(2**62), _offset_s(_FIRST_S, zone))]
    if not isinstance(zone, timezone):
        for start_s in range(_FIRST_S, _END_S, _STEP_S):
            end_s = start_s + _STEP_S
            if (after_s := _offset_s(end_s, zone)) != changes[-1][1]:
                changes.append((_change_s(start_s, end_s, zone) * 1000, after_s))
    starts, offsets = np.array(changes, dtype=np.int64).T
    return starts, offsets * 1000


def _change_s(start_s: int, end_s: int, zone: tzinfo) -> int:
    """The first second in (start_s, end_s] whose offset is the one at end_s."""
    after_s = _offset_s(end_s, zone)
    while end_s - start_s > 1:
        middle_s = (start_s + end_s) // 2
        if _offset_s(middle_s, zone) == after_s:
            end_s = middle_s
        else:
            start_s = middle_s
    return end_s


def _offset_s(at_s: int, zone: tzinfo) -> int:
    offset = (_EPOCH + timedelta(seconds=at_s)).astimezone(zone).utcoffset()
    return round(offset.total_seconds()) if offset else 0
