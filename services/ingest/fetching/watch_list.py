"""The watch list: series kept fresh by themselves, in step with their bars and their market's hours."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from finstage_market.errors import FinstageError
from finstage_market.interval import Interval
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.refresh import Refresher
from services.ingest.hours.calendars import Calendar, Calendars
from services.ingest.hours.grid import HOUR_MS, MINUTE_MS
from services.ingest.series import SeriesKey
from services.ingest.store.api import Store
from services.ingest.upstream.outcomes import TIME_MAY_MEND

_log = structlog.get_logger(__name__)

# How often a series is refreshed while its market is open: with each bar, or so that the forming bar of a
# longer interval is never older than this.
PERIOD_MS = {
    Interval.M1: MINUTE_MS,
    Interval.M5: 5 * MINUTE_MS,
    Interval.M15: 15 * MINUTE_MS,
    Interval.M30: 15 * MINUTE_MS,
    Interval.H1: 15 * MINUTE_MS,
    Interval.D1: 15 * MINUTE_MS,
    Interval.W1: HOUR_MS,
    Interval.MO1: HOUR_MS,
}
# After a bar's end, for it to be there.
LAG_MS = 5_000
# After the close, for the last prices to be there.
SETTLE_MS = 30 * MINUTE_MS
# Seconds before a series whose refresh failed is tried again, unless the failure asks for more. They double,
# up to the greatest, with each failure in a row that time alone does not mend, such as an unknown symbol.
RETRY_S = 60.0
MAX_RETRY_S = 3600.0
REFRESH_DEADLINE_S = 60.0
MAX_AT_ONCE = 4
# Seconds after which a changed calendar, or a clock that was set, is noticed.
MAX_SLEEP_S = 300.0


def next_refresh_ms(
    interval: Interval, *, fetched_ms: int | None, now_ms: int, calendar: Calendar | None
) -> int:
    """Return when a series that was last fetched at fetched_ms (None: never) is due.

    While its market is open: LAG_MS after each of its periods ends. Once more SETTLE_MS after the close. Then
    not before the first period of the next session has ended. Where the hours are not known the market counts
    as open.
    """
    if fetched_ms is None:
        return now_ms
    period_ms = PERIOD_MS[interval]
    due_ms = max(now_ms, (fetched_ms - LAG_MS) // period_ms * period_ms + period_ms + LAG_MS)
    if calendar is None or calendar.is_open(due_ms) is not False:
        return due_ms
    closed_ms = calendar.last_close_ms(due_ms)
    if closed_ms is not None and fetched_ms < closed_ms + SETTLE_MS:
        return max(due_ms, closed_ms + SETTLE_MS)
    opens_ms = calendar.next_open_ms(due_ms)
    return due_ms if opens_ms is None else opens_ms + period_ms + LAG_MS


class WatchList:
    """Keeps series fresh while `run` runs. A series that fails, however it fails, holds up no other."""

    def __init__(
        self,
        watched: Sequence[SeriesKey],
        *,
        refresher: Refresher,
        store: Store,
        database: BoundedExecutor,
        calendars: Calendars,
        clock: Clock,
    ) -> None:
        self._watched = tuple(watched)
        self._refresher = refresher
        self._store = store
        self._database = database
        self._calendars = calendars
        self._clock = clock
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._not_before_ms: dict[SeriesKey, int] = {}
        self._failures: Counter[SeriesKey] = Counter()

    async def run(self) -> None:
        """Refresh the series that are due, again and again, until cancelled."""
        while self._watched:
            await self.refresh_due()
            next_ms = min([await self._due_ms(key) for key in self._watched])
            await asyncio.sleep(min(max(0.0, (next_ms - self._now_ms()) / 1000), MAX_SLEEP_S))

    async def refresh_due(self) -> list[SeriesKey]:
        """Refresh the series that are due, and return them."""
        due = [key for key in self._watched if await self._due_ms(key) <= self._now_ms()]
        await asyncio.gather(*(self._refresh(key) for key in due))
        return due

    async def _due_ms(self, key: SeriesKey) -> int:
        """When a series is due next."""
        not_before_ms = self._not_before_ms.get(key, 0)
        if not_before_ms > self._now_ms():
            return not_before_ms
        try:
            state = await self._database.run(self._store.bars.state, key)
            instrument = await self._database.run(self._store.instruments.get, key.symbol)
            calendar = None
            if instrument is not None:
                calendar = await asyncio.to_thread(self._calendars.of, instrument)
            fetched_ms = None if state is None else state.fetched_at_ms
            return next_refresh_ms(
                key.interval, fetched_ms=fetched_ms, now_ms=self._now_ms(), calendar=calendar
            )
        except Exception as error:
            return self._failed(key, error)

    async def _refresh(self, key: SeriesKey) -> None:
        failure: Exception | None
        async with self._at_once:
            deadline = self._clock.monotonic() + REFRESH_DEADLINE_S
            try:
                _, failure = await self._refresher.ensure(
                    key, max_age_s=0.0, deadline=deadline, patience_s=None
                )
            except Exception as error:
                failure = error
        if failure is not None:
            self._failed(key, failure)
            return
        self._not_before_ms.pop(key, None)
        del self._failures[key]

    def _failed(self, key: SeriesKey, error: Exception) -> int:
        """Put a series off, and return until when."""
        wait_s = RETRY_S
        if not isinstance(error, TIME_MAY_MEND):
            wait_s = min(RETRY_S * 2 ** self._failures[key], MAX_RETRY_S)
            self._failures[key] += 1
        reason, asked_s = type(error).__name__, None
        if isinstance(error, FinstageError):
            reason, asked_s = error.reason.value, error.retry_after_s
        wait_s = max(wait_s, asked_s or 0.0)
        detail = " ".join(str(error).split())[:200]
        _log.warning(
            "watched_series_not_refreshed", series=str(key), reason=reason, detail=detail, retry_in_s=wait_s
        )
        self._not_before_ms[key] = self._now_ms() + round(wait_s * 1000)
        return self._not_before_ms[key]

    def _now_ms(self) -> int:
        return round(self._clock.wall() * 1000)
