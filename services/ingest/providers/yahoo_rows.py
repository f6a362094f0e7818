"""Rows of a chart on their way to bars: the regular session's, with the live quote put on its slot."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finstage_market.columns import VALUES, Float64s, Int64s
from services.ingest.hours.grid import HOUR_MS, MINUTE_MS, Grid, midnight, to_ms
from services.ingest.hours.zones import DAY_MS, clock_times, local
from services.ingest.providers.yahoo_chart import CLOSE, HIGH, LOW, OPEN, VOLUME, Chart, Session
from services.ingest.series import RejectedRow, RejectReason

Mask = npt.NDArray[np.bool_]

# Prices of some exchanges reach Yahoo this late. What has not come by then will not.
DATA_DELAY_MS = 20 * MINUTE_MS

# Markets without a close are shown as 00:00 to 23:59, on the day of 23 hours too.
_ROUND_THE_CLOCK_MS = 23 * HOUR_MS - MINUTE_MS
# Four zeros are a missing row, unless the other prices are as close to zero as this.
_NEAR_ZERO = 0.5
# The last trade of a period that is over lies no further from its end than a long weekend.
_LAST_TRADE_MS = 7 * DAY_MS


@dataclass(slots=True, eq=False)
class Rows:
    """Rows of a reply. values: float64[6, n]: open, high, low, close, volume, adjusted close.

    places: the place of each row in the reply.
    session_starts: int64[n], the start of each row's session; None: not known.
    may_be_negative: whether zero is a price of the instrument's kind.
    """

    times: Int64s
    values: npt.NDArray[np.float64]
    places: Int64s
    session_starts: Int64s | None = None
    may_be_negative: bool = False
    rejected: list[RejectedRow] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, chart: Chart) -> "Rows":
        places = np.arange(len(chart.times_ms))
        may_be_negative = chart.instrument.may_be_negative
        return cls(chart.times_ms.copy(), chart.values.copy(), places, may_be_negative=may_be_negative)

    def __len__(self) -> int:
        return len(self.times)

    def missing(self) -> Mask:
        """bool[n]: rows without an open, a high, a low or a close; four zeros are a missing row too."""
        prices = self.values[:4]
        if len(self) and prices.min() > 0:  # false when any is NaN
            return np.zeros(len(self), dtype=bool)
        null: Mask = np.any(np.isnan(prices), axis=0)
        zero: Mask = np.all(prices == 0, axis=0)
        if self.may_be_negative and zero.any():
            others = np.abs(prices[CLOSE, ~null & ~zero])
            if not len(others) or np.median(others) < _NEAR_ZERO:
                return null
        return null | zero

    def zero(self) -> Mask:
        """bool[n]: rows with a zero that is not a price, by the instrument's kind or by the other prices."""
        prices = self.values[:4]
        zero: Mask = np.any(prices == 0, axis=0)
        if self.may_be_negative and zero.any():
            one_side = (prices.min(axis=0) == 0) | (prices.max(axis=0) == 0)
            far = np.abs(prices).max(axis=0) > _NEAR_ZERO
            zero = zero & one_side & far
        return zero

    def in_later_session(self, row: int, other: int) -> bool:
        """Whether a row's session begins after the other row, whose bar it then cuts short."""
        return self.session_starts is not None and bool(self.session_starts[row] > self.times[other])

    def keep(self, which: Mask | Int64s) -> None:
        self.times, self.values, self.places = self.times[which], self.values[:, which], self.places[which]
        if self.session_starts is not None:
            self.session_starts = self.session_starts[which]

    def drop(self, which: Mask, cause: str) -> None:
        if which.any():
            self.dropped[cause] += int(which.sum())
            self.keep(~which)

    def reject(self, row: int, reason: RejectReason, detail: str) -> None:
        """Note a refused row; the caller takes it out."""
        values = " ".join(f"{n}={v!r}" for n, v in zip(VALUES, self.values[:5, row].tolist(), strict=True))
        self.rejected.append(RejectedRow(int(self.places[row]), int(self.times[row]), reason, detail, values))

    def put_in_order(self) -> None:
        if not (self.times[1:] > self.times[:-1]).all():
            self.keep(np.argsort(self.times, kind="stable"))


class Live(NamedTuple):
    """The live quote among the rows: the slot that it is on, and the time that it came with."""

    slot_ms: int
    stamp_ms: int


def mend_midnights(rows: Rows, chart: Chart) -> None:
    """Put daily and longer rows that are stamped an hour or two before local midnight on it.

    Around changes of the clocks Yahoo computes some midnights with the other offset.
    """
    if not chart.instrument.time_zone:
        return
    shown = clock_times(rows.times, chart.zone) % DAY_MS
    early = (shown >= DAY_MS - 2 * HOUR_MS) & (shown % HOUR_MS == 0)
    for row in np.flatnonzero(early).tolist():
        if not _is_moment(int(rows.times[row]), chart.market_time_ms):
            rows.times[row] = to_ms(midnight(local(int(rows.times[row]), chart.zone), days=1))


def keep_sessions(rows: Rows, chart: Chart) -> None:
    """Drop rows outside the regular sessions: pre and post market, and the closing stub.

    Sets session_starts, where a session is known.
    """
    sessions = sorted({whole(s, chart.zone) for s in chart.sessions}, key=lambda s: s.start_ms)
    template = chart.current_session or (sessions[-1] if sessions else None)
    if template is None:
        return
    starts = np.array([s.start_ms for s in sessions] or [2**62], dtype=np.int64)
    ends = np.array([s.end_ms for s in sessions] or [2**62], dtype=np.int64)
    at = np.maximum(np.searchsorted(starts, rows.times, side="right") - 1, 0)
    inside = (rows.times >= starts[at]) & (rows.times < ends[at])
    row_starts = starts[at]
    if not inside.all():
        listed = {local(s.start_ms, chart.zone).date() for s in sessions}
        for row in np.flatnonzero(~inside).tolist():
            session = session_like(template, int(rows.times[row]), chart.zone)
            if session and local(session.start_ms, chart.zone).date() not in listed:
                inside[row], row_starts[row] = True, session.start_ms
    rows.session_starts = row_starts
    rows.drop(~inside, "outside_session")


def whole(session: Session, zone: tzinfo) -> Session:
    """Return the session with its last minute, where the market has no close: to the next day's start."""
    if session.end_ms - session.start_ms < _ROUND_THE_CLOCK_MS:
        return session
    start = local(session.start_ms, zone)
    return Session(session.start_ms, _at(start.date() + timedelta(days=1), start.time(), zone))


def session_like(template: Session, ms: int, zone: tzinfo) -> Session | None:
    """Return the session at the template's hours that holds `ms`, on whichever day; None when none does."""
    opens, closes = local(template.start_ms, zone), local(template.end_ms, zone)
    day = local(ms, zone).date()
    for begun in (day, day - timedelta(days=1)):  # one that began yesterday may run past midnight
        ends = _at(begun + (closes.date() - opens.date()), closes.time(), zone)
        session = whole(Session(_at(begun, opens.time(), zone), ends), zone)
        if session.start_ms <= ms < session.end_ms:
            return session
    return None


def _at(day: date, of_day: time, zone: tzinfo) -> int:
    """The time of day on a day. Of an hour that the clocks show twice, the first; one skipped is the next."""
    return to_ms(datetime.combine(day, of_day.replace(fold=0), zone))


def place_live_row(rows: Rows, chart: Chart, grid: Grid, now_ms: int) -> Live | None:
    """Put the live quote that Yahoo appends as a last row on its slot, merged with a row that is there.

    Where that row's time is over, it is final as it stands, and the quote is left out.
    """
    missing = rows.missing()
    with_values = np.flatnonzero(~missing)
    if not len(with_values):
        return None
    last = int(with_values[-1])
    earlier = rows.times[:last]
    stamp = int(rows.times[last])
    is_last = np.arange(len(rows)) == last
    if last and stamp == earlier[-1] and same(rows.values[:, last - 1], rows.values[:, last]):
        return None
    if not grid.is_intraday:
        slot = _calendar_slot(earlier, stamp, chart, grid)
    else:
        start = None if rows.session_starts is None else int(rows.session_starts[last])
        is_quote = bool(np.ptp(rows.values[:4, last]) == 0 and not rows.values[VOLUME, last] > 0)
        slot = _intraday_slot(earlier, stamp, grid.step_ms, start, is_quote=is_quote)
        if slot is None and is_quote and _is_moment(stamp, chart.market_time_ms):
            if now_ms >= stamp + grid.step_ms + DATA_DELAY_MS:
                # It is on the grid by chance, and no bar has followed: trading has paused since.
                rows.drop(is_last, "closing_quote")
                return None
            slot = stamp
    if slot is None or (slot == stamp and not grid.is_intraday):
        return None
    if last and earlier[-1] == slot:
        if not missing[last - 1]:
            if _is_settled(slot, stamp, chart, grid, now_ms):
                rows.drop(is_last, "closing_quote")
                return None
            _merge(rows.values[:, last - 1], into=rows.values[:, last])
        rows.times[last] = slot
        rows.drop(np.arange(len(rows)) == last - 1, "merged_with_live")
    else:
        rows.times[last] = slot
    return Live(slot, stamp)


def _is_settled(slot_ms: int, stamp: int, chart: Chart, grid: Grid, now_ms: int) -> bool:
    """Whether the row of a slot will not change any more, though the live quote stands beside it.

    A quote that stopped well before the end of its week or month may come from a reply that is long old.
    """
    end_ms = trading_end_ms(slot_ms, chart, grid)
    return now_ms >= end_ms + DATA_DELAY_MS and stamp >= end_ms - _LAST_TRADE_MS


def trading_end_ms(open_ms: int, chart: Chart, grid: Grid) -> int:
    """Return when trading in a bar ends: with its session, if that is sooner than the bar's nominal end."""
    end_ms = grid.end_ms(open_ms, chart.zone)
    if not grid.is_intraday and grid.days != 1:
        return end_ms
    sessions = [*chart.sessions, *([chart.current_session] if chart.current_session else [])]
    for session in (whole(each, chart.zone) for each in sessions):
        if session.start_ms <= open_ms < session.end_ms:
            return min(end_ms, session.end_ms)
    alike = session_like(sessions[-1], open_ms, chart.zone) if sessions else None
    return min(end_ms, alike.end_ms) if alike else end_ms


def _is_moment(stamp: int, market_time_ms: int | None) -> bool:
    """Whether a row's time is the market time, exactly or down to the minute."""
    return market_time_ms is not None and 0 <= market_time_ms - stamp < MINUTE_MS


def _merge(regular: Float64s, *, into: Float64s) -> None:
    """Merge the period's own row into the live one: its open, the extremes of both, the larger volume.

    Volumes are not added: in the recorded replies the period's includes the live day's already.
    """
    into[OPEN] = regular[OPEN]
    into[HIGH] = max(regular[HIGH], into[HIGH])
    # A low of zero is refused later, so it must not hide behind the live one's.
    into[LOW] = min(regular[LOW], into[LOW])
    into[VOLUME] = np.fmax(regular[VOLUME], into[VOLUME])


def same(one: Float64s, other: Float64s) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def _intraday_slot(
    earlier: Int64s, stamp: int, step_ms: int, session_start: int | None, *, is_quote: bool
) -> int | None:
    """The slot of a last row that is the live quote; None when the row is on the grid.

    is_quote: it has one price and no volume.
    """
    before = int(earlier[-1]) if len(earlier) else None
    if before is not None and session_start is not None and before < session_start:
        before = None
    if before is not None and stamp < before + step_ms:
        return before
    base = next((ms for ms in (before, session_start) if ms is not None), stamp - stamp % step_ms)
    off_ms = (stamp - base) % step_ms
    if off_ms == 0:
        return None
    # The grid starts anew after a lunch break: a row of full minutes is on it when it is not a mere quote, or
    # was there on an earlier day too.
    days_before = stamp - DAY_MS * np.arange(1, 8)
    if stamp % MINUTE_MS == 0 and (not is_quote or np.isin(days_before, earlier).any()):
        return None
    return stamp - off_ms


def _calendar_slot(earlier: Int64s, stamp: int, chart: Chart, grid: Grid) -> int | None:
    """As _intraday_slot(), for daily bars and longer: the live row has a time of day that no other has."""
    zone = chart.zone
    before = int(earlier[-1]) if len(earlier) else None
    if before is not None and stamp < grid.end_ms(before, zone):
        return before
    when = local(stamp, zone)
    opening = local(chart.current_session.start_ms, zone) if chart.current_session else None
    usual = {local(ms, zone).time() for ms in earlier[-5:].tolist()}
    if grid.days != 1:
        usual.add(time())
    elif opening:
        usual.add(opening.time())
    if when.time() in usual or (not usual and stamp % MINUTE_MS == 0):
        return None
    if grid.days != 1:
        return grid.calendar_open_ms(stamp, zone)
    if opening and opening.date() == when.date():
        return to_ms(opening)
    of_day = local(before, zone).time() if before is not None else opening.time() if opening else time()
    return _at(when.date(), of_day, zone)
