"""Calendars: when exchanges are open, from exchange_calendars, by the codes that providers use.

They explain coverage (was there a session?) and time the watch list (is there one now?). Where the exchange
is not known, or its calendar does not reach, nothing is said. See docs/adr/0004.
"""

import threading
from dataclasses import dataclass
from typing import Any

import exchange_calendars
import numpy as np
import numpy.typing as npt

from finstage_market.columns import Int64s
from services.ingest.series import Instrument

Days = npt.NDArray[np.datetime64]

# Older sessions are not asked about: few calendars know them.
_SINCE = "1990-01-01"

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
# Their sessions are not those of the days that providers stamp bars with.
_OTHER_SESSIONS = {"CMES", "24/5"}


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The sessions of an exchange, n of them, in order.

    days: datetime64[D][n], their dates there. opens_ms, closes_ms: int64[n].
    breaks_ms: int64[n, 2], start and end of the lunch break; the least int64 where there is none.
    sessions_are_days: whether a session lies within the day that its bars are stamped with.
    """

    name: str
    days: Days
    opens_ms: Int64s
    closes_ms: Int64s
    breaks_ms: Int64s
    sessions_are_days: bool

    @property
    def never_closes(self) -> bool:
        """Whether every day has a session."""
        return self.name == "24/7"

    def reaches(self, ms: int) -> bool:
        """Whether anything is known of that time."""
        return bool(self.opens_ms[0] <= ms < self.closes_ms[-1])

    def is_open(self, ms: int) -> bool | None:
        """Whether a session is on at that time, which may pause for lunch; None: not known."""
        if not self.reaches(ms):
            return None
        at = int(np.searchsorted(self.opens_ms, ms, side="right")) - 1
        return bool(ms < self.closes_ms[at])

    def next_open_ms(self, ms: int) -> int | None:
        """When the first session after that time begins; None: not known."""
        at = int(np.searchsorted(self.opens_ms, ms, side="right"))
        return int(self.opens_ms[at]) if at < len(self.opens_ms) else None

    def restarts_grid(self, at: int, step_ms: int) -> bool:
        """Whether bars of the session `at` do not simply count on through its lunch break."""
        back_ms = int(self.breaks_ms[at, 1])
        return back_ms > self.opens_ms[at] and (back_ms - int(self.opens_ms[at])) % step_ms != 0

    def last_close_ms(self, ms: int) -> int | None:
        """When the newest session that had ended by then ended; None: not known."""
        at = int(np.searchsorted(self.closes_ms, ms, side="right")) - 1
        return int(self.closes_ms[at]) if at >= 0 and self.reaches(ms) else None


class Calendars:
    """Calendars by exchange, each made when it is first asked for. Safe to use from many threads."""

    def __init__(self) -> None:
        self._made: dict[str, Calendar] = {}
        self._lock = threading.Lock()

    def of(self, instrument: Instrument) -> Calendar | None:
        """The calendar of the instrument's exchange; None: not known. Making one takes 0.1 s."""
        name = _CALENDAR_OF.get(instrument.exchange)
        if name is None:
            return None
        with self._lock:
            if name not in self._made:
                self._made[name] = _make(name)
            return self._made[name]


def _make(name: str) -> Calendar:
    try:
        made = exchange_calendars.get_calendar(name, start=_SINCE)
    except ValueError:  # it does not reach so far
        made = exchange_calendars.get_calendar(name)
    schedule = made.schedule
    breaks = np.stack([_ms(schedule["break_start"]), _ms(schedule["break_end"])], axis=1)
    return Calendar(
        name=name,
        days=schedule.index.to_numpy().astype("datetime64[D]"),
        opens_ms=_ms(schedule["open"]),
        closes_ms=_ms(schedule["close"]),
        breaks_ms=breaks,
        sessions_are_days=name not in _OTHER_SESSIONS,
    )


def _ms(times: Any) -> Int64s:
    """NaT becomes the least int64, as NumPy has it."""
    return np.asarray(times.dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype(np.int64))
