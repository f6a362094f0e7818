"""Calendars: when exchanges are open, from exchange_calendars, by the codes that providers use.

They explain coverage (was there a session?) and time the watch list (is there one now?). They only ever add
to an answer: an exchange without a calendar, and one whose calendar cannot be made, is "not known".
See docs/adr/0004.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import exchange_calendars
import numpy as np
import numpy.typing as npt
import structlog

from finstage_market.columns import Int64s
from services.ingest.series import Instrument

Days = npt.NDArray[np.datetime64]
_log = structlog.get_logger(__name__)

# Few calendars know older sessions.
_SINCE = "1990-01-01"
# Seconds before a calendar that could not be made is tried again: a failure takes up to 2 s to happen.
RETRY_S = 3600.0

# The exchange codes of the chart API, and the calendars that hold for them.
_NAMES = {
    "XNYS": "NMS NGM NCM NYQ PCX ASE BTS NAS NIM SNP DJI WCB CBO PNK OQB OQX CXI",
    "XTSE": "TOR VAN NEO",
    "XLON": "LSE IOB FGI",
    "XETR": "GER",
    "XFRA": "FRA",
    "XPAR": "PAR",
    "XAMS": "AMS",
    "XBRU": "BRU",
    "XLIS": "LIS",
    "XMIL": "MIL",
    "XMAD": "MCE",
    "XSWX": "EBS",
    "XWBO": "VIE",
    "XCSE": "CPH",
    "XSTO": "STO",
    "XHEL": "HEL",
    "XOSL": "OSL",
    "XTKS": "JPX OSA",
    "XHKG": "HKG",
    "XSHG": "SHH SHZ",
    "XTAI": "TAI",
    "XKRX": "KSC KOE",
    "XSES": "SES",
    "XASX": "ASX",
    "XNZE": "NZE",
    "XBOM": "BSE NSI",
    "BVMF": "SAO",
    "XMEX": "MEX",
    "XTAE": "TLV",
    "XJSE": "JNB",
    "XIST": "IST",
    "CMES": "CMX NYM CME CBT",
    "24/5": "CCY",
    "24/7": "CCC",
}
_CALENDAR_OF = {code: name for name, codes in _NAMES.items() for code in codes.split()}
# A session of theirs begins on the day before the one that its bars are stamped with.
_OTHER_SESSIONS = {"CMES", "24/5"}


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The sessions of an exchange, n of them, in order.

    zone: the exchange's. days: datetime64[D][n], the sessions' dates there. opens_ms, closes_ms: int64[n].
    breaks_ms: int64[n, 2], start and end of the lunch break; the least int64 where there is none.
    sessions_are_days: whether a session lies within the day that its bars are stamped with.
    """

    name: str
    zone: tzinfo
    days: Days
    opens_ms: Int64s
    closes_ms: Int64s
    breaks_ms: Int64s
    sessions_are_days: bool

    def reaches(self, ms: int) -> bool:
        """Whether the calendar covers that time."""
        return bool(self.opens_ms[0] <= ms < self.closes_ms[-1])

    def is_open(self, ms: int) -> bool | None:
        """Whether a session is running, lunch break included; None: not known."""
        if not self.reaches(ms):
            return None
        at = int(np.searchsorted(self.opens_ms, ms, side="right")) - 1
        return bool(ms < self.closes_ms[at])

    def next_open_ms(self, ms: int) -> int | None:
        """The start of the first session after `ms`; None: not known."""
        at = int(np.searchsorted(self.opens_ms, ms, side="right"))
        return int(self.opens_ms[at]) if at < len(self.opens_ms) else None

    def restarts_grid(self, at: int, step_ms: int) -> bool:
        """Whether the bars of session number `at` are counted anew after its lunch break."""
        back_ms = int(self.breaks_ms[at, 1])
        return back_ms > self.opens_ms[at] and (back_ms - int(self.opens_ms[at])) % step_ms != 0

    def last_close_ms(self, ms: int) -> int | None:
        """The end of the newest session that was over at `ms`; None: not known."""
        at = int(np.searchsorted(self.closes_ms, ms, side="right")) - 1
        return int(self.closes_ms[at]) if at >= 0 and self.reaches(ms) else None


class Calendars:
    """Calendars by exchange, each made when it is first asked for. Safe to use from many threads.

    Making one takes 0.1 to 2 s, in which only callers who ask for the same calendar wait. One that cannot be
    made is "not known" for RETRY_S.

    make: builds the calendar of a name of exchange_calendars; may raise anything.
    """

    def __init__(
        self,
        make: "Callable[[str], Calendar] | None" = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make or _make
        self._monotonic = monotonic
        self._made: dict[str, Calendar] = {}
        self._failed_until: dict[str, float] = {}
        self._locks = {name: threading.Lock() for name in _NAMES}

    def of(self, instrument: Instrument) -> Calendar | None:
        """Return the calendar of the instrument's exchange; None: not known."""
        name = _CALENDAR_OF.get(instrument.exchange)
        if name is None:
            return None
        if name in self._made or self._has_failed(name):
            return self._made.get(name)
        with self._locks[name]:
            if name not in self._made and not self._has_failed(name):
                try:
                    self._made[name] = self._make(name)
                except Exception as error:
                    self._failed_until[name] = self._monotonic() + RETRY_S
                    detail = f"{type(error).__name__}: {error}"[:200]
                    _log.warning("calendar_not_made", calendar=name, detail=detail)
        return self._made.get(name)

    def _has_failed(self, name: str) -> bool:
        return self._monotonic() < self._failed_until.get(name, float("-inf"))


def _make(name: str) -> Calendar:
    try:
        made = exchange_calendars.get_calendar(name, start=_SINCE)
    except ValueError:  # it does not reach back that far
        made = exchange_calendars.get_calendar(name)
    schedule = made.schedule
    if schedule.empty:
        raise ValueError("a calendar without sessions")
    breaks = np.stack([_ms(schedule["break_start"]), _ms(schedule["break_end"])], axis=1)
    return Calendar(
        name=name,
        zone=made.tz,
        days=schedule.index.to_numpy().astype("datetime64[D]"),
        opens_ms=_ms(schedule["open"]),
        closes_ms=_ms(schedule["close"]),
        breaks_ms=breaks,
        sessions_are_days=name not in _OTHER_SESSIONS,
    )


def _ms(times: Any) -> Int64s:
    """Milliseconds of a column of times; NaT becomes the least int64, as in NumPy."""
    return np.asarray(times.dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype(np.int64))
