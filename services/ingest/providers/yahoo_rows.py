"""Rows of a chart under way to bars: the regular session's, the live quote put where it belongs."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from finstage_market.columns import VALUES, Float64s, Int64s
from services.ingest.hours.grid import HOUR_MS, MINUTE_MS, Grid, to_ms
from services.ingest.hours.zones import DAY_MS, local
from services.ingest.providers.yahoo_chart import HIGH, LOW, OPEN, VOLUME, Chart, Session
from services.ingest.series import RejectedRow, RejectReason

Mask = npt.NDArray[np.bool_]

# Prices of some exchanges reach Yahoo so late: what has not come by then will not.
DATA_DELAY_MS = 20 * MINUTE_MS

_ROUND_THE_CLOCK_MS = 23 * HOUR_MS


@dataclass(slots=True, eq=False)
class Rows:
    """Rows under way. values: float64[6, n]: open, high, low, close, volume, adjusted close.

    places: the place of each row in the reply.
    """

    times: Int64s
    values: npt.NDArray[np.float64]
    places: Int64s
    rejected: list[RejectedRow] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, chart: Chart) -> "Rows":
        return cls(chart.times_ms.copy(), chart.values.copy(), np.arange(len(chart.times_ms)))

    def __len__(self) -> int:
        return len(self.times)

    def missing(self) -> Mask:
        """Rows without an open, a high, a low or a close; all four zero means the same."""
        prices = self.values[:4]
        if len(self) and prices.min() > 0:  # false when any is NaN
            return np.zeros(len(self), dtype=bool)
        gone: Mask = np.isnan(prices).any(axis=0) | (prices == 0).all(axis=0)
        return gone

    def keep(self, which: Mask | Int64s) -> None:
        self.times, self.values, self.places = self.times[which], self.values[:, which], self.places[which]

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
    """The live quote among the rows: the slot that it was put on, and the time that it had."""

    slot_ms: int
    stamp_ms: int


def keep_sessions(rows: Rows, chart: Chart) -> Int64s | None:
    """Drops rows outside the regular sessions: pre and post market, and the closing stub.

    Returns int64[n], the start of each row's session; None when no session is known.
    """
    sessions = sorted({whole(s) for s in chart.sessions}, key=lambda s: s.start_ms)
    template = chart.current_session or (sessions[-1] if sessions else None)
    if template is None:
        return None
    starts = np.array([s.start_ms for s in sessions] or [2**62], dtype=np.int64)
    ends = np.array([s.end_ms for s in sessions] or [2**62], dtype=np.int64)
    at = np.maximum(np.searchsorted(starts, rows.times, side="right") - 1, 0)
    inside = (rows.times >= starts[at]) & (rows.times < ends[at])
    row_starts = starts[at]
    if not inside.all():
        listed = {local(s.start_ms, chart.zone).date() for s in sessions}
        for row in np.flatnonzero(~inside).tolist():
            session = session_like(whole(template), int(rows.times[row]), chart)
            if session and local(session.start_ms, chart.zone).date() not in listed:
                inside[row], row_starts[row] = True, session.start_ms
        rows.drop(~inside, "outside_session")
        row_starts = row_starts[inside]
    return row_starts


def whole(session: Session) -> Session:
    """Markets without a close are shown as 00:00 to 23:59; their last minute is a part of the day."""
    if session.end_ms - session.start_ms >= _ROUND_THE_CLOCK_MS:
        return Session(session.start_ms, session.start_ms + DAY_MS)
    return session


def session_like(template: Session, ms: int, chart: Chart) -> Session | None:
    """The session at the template's time of day that holds `ms`; None when none does."""
    length_ms = template.end_ms - template.start_ms
    opens = local(template.start_ms, chart.zone).time()
    start_ms = to_ms(datetime.combine(local(ms, chart.zone).date(), opens, chart.zone))
    return Session(start_ms, start_ms + length_ms) if start_ms <= ms < start_ms + length_ms else None


def place_live_row(
    rows: Rows, chart: Chart, grid: Grid, session_starts: Int64s | None, now_ms: int
) -> Live | None:
    """Puts the live quote that Yahoo appends as a last row on its slot, and together with a row there."""
    missing = rows.missing()
    with_values = np.flatnonzero(~missing)
    if not len(with_values):
        return None
    last = int(with_values[-1])
    earlier = rows.times[:last]
    stamp = int(rows.times[last])
    if last and stamp == earlier[-1] and same(rows.values[:, last - 1], rows.values[:, last]):
        return None
    if not grid.is_intraday:
        slot = _calendar_slot(earlier, stamp, chart, grid)
    else:
        start = None if session_starts is None else int(session_starts[last])
        is_quote = bool(np.ptp(rows.values[:4, last]) == 0 and not rows.values[VOLUME, last] > 0)
        slot = _intraday_slot(earlier, stamp, grid.step_ms, start, is_quote=is_quote)
        if slot is None and is_quote and _is_moment(stamp, chart.market_time_ms):
            if now_ms >= stamp + grid.step_ms + DATA_DELAY_MS:
                # By chance on the grid, and no bar has followed: trading has paused with it.
                rows.drop(np.arange(len(rows)) == last, "closing_quote")
                return None
            slot = stamp
    if slot is None:
        return None
    if last and earlier[-1] == slot:
        if not missing[last - 1]:
            _merge(rows.values[:, last - 1], into=rows.values[:, last])
        rows.times[last] = slot
        rows.drop(np.arange(len(rows)) == last - 1, "merged_with_live")
    else:
        rows.times[last] = slot
    return Live(slot, stamp)


def _is_moment(stamp: int, market_time_ms: int | None) -> bool:
    """Whether a row's time is the market time, down to its minute or exactly."""
    return market_time_ms is not None and 0 <= market_time_ms - stamp < MINUTE_MS


def _merge(regular: Float64s, *, into: Float64s) -> None:
    """The period's own row and the live one: of `regular` the open and the larger volume, of both the
    extremes, of the live one the close.

    Volumes are not added: in the recorded replies the period's includes the live day's already.
    """
    into[OPEN] = regular[OPEN]
    into[HIGH] = max(regular[HIGH], into[HIGH])
    # A low of zero is no low: it is refused later, and must not hide behind the live one's.
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
    # The grid starts anew after a lunch break: a row of full minutes that is no mere quote, or that was
    # there on an earlier day too, is on it.
    days_before = stamp - DAY_MS * np.arange(1, 8)
    if stamp % MINUTE_MS == 0 and (not is_quote or np.isin(days_before, earlier).any()):
        return None
    return stamp - off_ms


def _calendar_slot(earlier: Int64s, stamp: int, chart: Chart, grid: Grid) -> int | None:
    """As _intraday_slot(), for daily bars and longer: a live row has a time of day that others have not."""
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
    return to_ms(datetime.combine(when.date(), of_day, zone))
