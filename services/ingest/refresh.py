"""Refreshing series: fetch what is missing or too old, notice restated history, commit once."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import structlog

from libs.cache.clock import Clock
from libs.market.columns import PRICES
from libs.market.errors import FinstageError, no_data
from libs.rpc.executor import BoundedExecutor, run_blocking
from services.ingest.providers.api import Provider
from services.ingest.providers.fallback import Providers
from services.ingest.series import Attempt, EventKind, FetchedBars, GapReason, SeriesKey, SeriesState
from services.ingest.store.api import Store
from services.ingest.store.values import SeriesRead
from services.ingest.upstream.flight import SingleFlight

T = TypeVar("T")
_log = structlog.get_logger(__name__)

# How many stored bars a refresh asks for again, to see whether they still are what they were.
OVERLAP_BARS = 5
# Adjusted prices are products of ratios, and rounded: equal to so much of the price.
_ADJUSTED_TOLERANCE = 1e-5


class Refresher:
    """Keeps series as fresh as callers ask, with one refresh a series at a time.

    A series is refreshed by the provider that began it, where there are several.

    upstream: where calls of the provider block.
    database, writing: where reads and writes of the store do: writes may wait long for each other.
    """

    def __init__(
        self,
        store: Store,
        provider: Provider,
        *,
        upstream: BoundedExecutor,
        database: BoundedExecutor,
        writing: BoundedExecutor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._provider = provider
        self._upstream = upstream
        self._database = database
        self._writing = writing
        self._clock = clock
        self._flights: SingleFlight[SeriesKey, SeriesState] = SingleFlight()
        self._trails: dict[SeriesKey, tuple[Attempt, ...]] = {}

    async def ensure(
        self, key: SeriesKey, *, max_age_s: float, deadline: float | None
    ) -> tuple[SeriesState, FinstageError | None]:
        """The series, refreshed where it was refreshed longer than max_age_s ago; and why that failed.

        A series that only clients wrote is theirs: no provider is asked for it, whatever its symbol. (A
        backfill of it makes it a provider's too.)

        deadline: in clock.monotonic() seconds; None: none.

        Raises:
            NotFound: SYMBOL_NOT_FOUND, NO_DATA, where the store has no bars; and so the
                other errors of providers.
        """
        state = await run_blocking(self._database, self._store.series, key)
        failure: FinstageError | None = None
        if state is None or not self._is_fresh(state, max_age_s):
            try:
                state = await self._flights.do(
                    key, lambda until: self._refresh(key, until), deadline=deadline
                )
            except FinstageError as error:
                if state is None or not state.count:
                    raise
                _log.warning("refresh_failed", series=str(key), reason=error.reason, detail=error.message)
                failure = error
        if not state.count:
            raise no_data(key.symbol, key.interval)
        return state, failure

    def trail(self, key: SeriesKey) -> tuple[Attempt, ...]:
        """Who was asked when this process last fetched the series; empty when the first one answered."""
        return self._trails.get(key, ())

    def _is_fresh(self, state: SeriesState, max_age_s: float) -> bool:
        if state.fetched_at_ms is None:
            return state.count > 0
        return self._clock.wall() * 1000 - state.fetched_at_ms < max_age_s * 1000

    async def _refresh(self, key: SeriesKey, deadline: float | None) -> SeriesState:
        tail = await self._in_database(self._store.read, key, limit=OVERLAP_BARS + 1)
        if tail is None or not len(tail.columns):
            fetched = await self._fetch(self._provider, key, None, deadline)
            # What was refused is kept with its reasons, also where nothing else came.
            if not len(fetched.columns) and not fetched.rejected and tail is None:
                raise no_data(key.symbol, key.interval)
            return await self._write(fetched, replace=tail is None)
        provider = self._provider
        if isinstance(provider, Providers):
            provider = provider.pinned(tail.state.source)
        fetched = await self._fetch(provider, key, int(tail.columns.open_time_ms[0]), deadline)
        reason = await self._in_database(self._why_restated, tail, fetched)
        if not reason:
            # All final bars are there again: what replacing removes is a forming bar that came to nothing.
            return await self._write(fetched, replace=_reach_ms(fetched) == fetched.start_ms)
        _log.info("history_restated", series=str(key), reason=reason)
        return await self._write(await self._fetch(provider, key, None, deadline), replace=True)

    async def _fetch(
        self, provider: Provider, key: SeriesKey, start_ms: int | None, deadline: float | None
    ) -> FetchedBars:
        fetched = await run_blocking(
            self._upstream, provider.fetch_bars, key, start_ms, None, deadline=deadline
        )
        self._trails.pop(key, None)
        if fetched.attempts:
            self._trails[key] = fetched.attempts
        return fetched

    async def _write(self, fetched: FetchedBars, *, replace: bool) -> SeriesState:
        written = await run_blocking(self._writing, self._store.write_fetched, fetched, replace=replace)
        return written.state

    def _why_restated(self, tail: SeriesRead, fetched: FetchedBars) -> str:
        """What shows that bars before the tail changed too; empty: nothing does.

        A final bar with another volume, or one that comes late, is written without that: providers correct
        the newest volumes, and fill minutes in, without touching what lies before.
        """
        key = fetched.key
        known = set(self._store.events(key.symbol))
        kinds = {EventKind.SPLIT} if key.interval.is_intraday else set(EventKind)
        for event in fetched.events:
            if event.kind in kinds and event not in known:
                return f"a {event.kind.lower().replace('_', ' ')} that was not known"
        stored = tail.columns[: len(tail.columns) - (not tail.last_is_final)]
        stored = stored[stored.open_time_ms >= _reach_ms(fetched)]
        rows = np.searchsorted(fetched.columns.open_time_ms, stored.open_time_ms)
        there = rows < len(fetched.columns)
        there[there] = fetched.columns.open_time_ms[rows[there]] == stored.open_time_ms[there]
        if not there.all():
            return "a final bar is gone"
        again = fetched.columns[rows]
        if any(not np.array_equal(getattr(stored, name), getattr(again, name)) for name in PRICES):
            return "a final bar has other prices"
        if fetched.adjusted_close is not None and len(stored):
            # The stored adjusted closes are seen through a read that applies them.
            adjusted = self._store.read(key, limit=len(tail.columns), adjustment="ALL")
            if adjusted is not None and len(adjusted.columns) == len(tail.columns):
                before = adjusted.columns.close[np.isin(adjusted.columns.open_time_ms, stored.open_time_ms)]
                now = fetched.adjusted_close[rows]
                given = ~np.isnan(now)
                if not np.allclose(before[given], now[given], rtol=_ADJUSTED_TOLERANCE, atol=0.0):
                    return "a final bar has another adjusted close"
        return ""

    async def _in_database(self, fn: Callable[..., T], *args: object, **kwargs: object) -> T:
        return await run_blocking(self._database, fn, *args, **kwargs)


def _reach_ms(fetched: FetchedBars) -> int:
    """From where on the answer tells what there is; its end when it has no bars, and so tells nothing."""
    if not len(fetched.columns):
        return fetched.end_ms
    limits = [gap.end_ms for gap in fetched.gaps if gap.reason is GapReason.PROVIDER_LIMIT]
    return max([fetched.start_ms, *limits])
