"""Refreshing series: fetch what is missing or too old, notice restated history, commit once."""

import structlog

from finstage_market.errors import FinstageError, no_data
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.flights import Flights
from services.ingest.fetching.restatement import reach_ms, why_restated
from services.ingest.providers.fallback import Providers
from services.ingest.series import Attempt, FetchedBars, SeriesKey, SeriesState
from services.ingest.store.api import Store
from services.ingest.upstream.outcomes import no_usable_data

_log = structlog.get_logger(__name__)

# How many stored bars a refresh asks for again, to see whether they are still the same.
OVERLAP_BARS = 5
# Seconds that the refresh of a series that is held is waited for.
PATIENCE_S = 3.0


class Refresher:
    """Keeps series as fresh as callers ask, with one refresh a series at a time.

    A series is refreshed by the provider that began it, where there are several.

    upstream: the threads for calls of the provider.
    database, writing: the threads for reads and writes of the store; writes may wait long for each other.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        *,
        upstream: BoundedExecutor,
        database: BoundedExecutor,
        writing: BoundedExecutor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._providers = providers
        self._upstream = upstream
        self._database = database
        self._writing = writing
        self._clock = clock
        self._flights: Flights[SeriesKey, SeriesState] = Flights(
            lambda failure, key: failure.as_error(key.symbol, key.interval), clock=clock
        )
        self._trails: dict[SeriesKey, tuple[Attempt, ...]] = {}

    async def ensure(
        self,
        key: SeriesKey,
        *,
        max_age_s: float,
        deadline: float | None,
        patience_s: float | None = PATIENCE_S,
    ) -> tuple[SeriesState, FinstageError | None]:
        """Return the series, refreshed where that was longer than max_age_s ago, and why a refresh failed.

        It returns in the caller's time, with a margin: a series that is held, and whose refresh is late, is
        returned as it is, and the refresh goes on. A series that only clients wrote is theirs: no provider is
        asked for it until a backfill makes it a provider's too.

        Args:
            deadline: in clock.monotonic() seconds; None: none.
            patience_s: how long the refresh of a series that is held is waited for at most; None: until the
                deadline.

        Raises:
            FinstageError: as Provider.fetch_bars() does, where the store has no bars; so NotFound (NO_DATA).
        """
        state = await self._database.run(self._store.bars.state, key)
        failure: FinstageError | None = None
        if state is None or not self._is_fresh(state, max_age_s):
            is_held = state is not None and state.count > 0
            try:
                state = await self._flights.do(
                    key,
                    lambda until: self._refresh(key, until),
                    deadline=deadline,
                    patience_s=patience_s if is_held else None,
                )
            except FinstageError as error:
                if state is None or not is_held:
                    raise
                _log.warning("refresh_failed", series=str(key), reason=error.reason, detail=error.message)
                failure = error
        if not state.count:
            raise await self._database.run(self._why_empty, state)
        return state, failure

    def trail(self, key: SeriesKey) -> tuple[Attempt, ...]:
        """Return who was asked when this process last fetched the series; empty: the first one answered."""
        return self._trails.get(key, ())

    def _why_empty(self, state: SeriesState) -> FinstageError:
        """The error for a series without bars, with the reason where its rows were refused."""
        key = state.key
        refused = self._store.rejections.find(
            symbol=key.symbol, interval=key.interval, source=state.source or None, limit=1
        )
        if not refused:
            return no_data(key.symbol, key.interval)
        return no_usable_data(key.symbol, key.interval, refused[0].row.detail)

    def _is_fresh(self, state: SeriesState, max_age_s: float) -> bool:
        if state.fetched_at_ms is None:
            return state.count > 0
        return self._clock.wall() * 1000 - state.fetched_at_ms < max_age_s * 1000

    async def fetch(self, key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        """Return bars that opened in [start_ms, end_ms), from the provider of the stored ones; write nothing.

        Raises:
            FinstageError: as Provider.fetch_bars() does.
        """
        state = await self._database.run(self._store.bars.state, key)
        return await self._fetch(key, state, start_ms, end_ms, deadline=None)

    async def _refresh(self, key: SeriesKey, deadline: float | None) -> SeriesState:
        tail = await self._database.run(self._store.bars.read, key, limit=OVERLAP_BARS + 1)
        if tail is None or not len(tail.columns):
            fetched = await self._fetch(key, None, deadline=deadline)
            # Refused rows are kept with their reasons, also where nothing else came.
            if not len(fetched.bars.columns) and not fetched.bars.rejected and tail is None:
                raise no_data(key.symbol, key.interval)
            return await self._write(fetched, replace=tail is None)
        fetched = await self._fetch(key, tail.state, int(tail.columns.open_time_ms[0]), deadline=deadline)
        reason = await self._database.run(why_restated, self._store.bars, tail, fetched)
        if not reason:
            # All final bars are there again, so replacing removes only a forming bar that came to nothing.
            return await self._write(fetched, replace=reach_ms(fetched) == fetched.start_ms)
        _log.info("history_restated", series=str(key), reason=reason)
        return await self._write(await self._fetch(key, tail.state, deadline=deadline), replace=True)

    async def _fetch(
        self,
        key: SeriesKey,
        state: SeriesState | None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        deadline: float | None,
    ) -> FetchedBars:
        """Bars from the provider that the series came from, or from the first one that has them."""
        providers = self._providers
        if state is not None and state.count and state.fetched_at_ms is not None:
            # Another provider's history would look like a restatement of this one.
            providers = providers.pinned(state.source)
        fetched = await self._upstream.run(providers.fetch_bars, key, start_ms, end_ms, deadline=deadline)
        self._trails.pop(key, None)
        if fetched.attempts:
            self._trails[key] = fetched.attempts
        return fetched

    async def _write(self, fetched: FetchedBars, *, replace: bool) -> SeriesState:
        written = await self._writing.run(self._store.fetched.write, fetched, replace=replace)
        return written.state
