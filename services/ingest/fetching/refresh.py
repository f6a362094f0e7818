"""Refreshing series: fetch what is missing or too old, notice restated history, commit once."""

import structlog

from finstage_market.errors import FinstageError, no_data
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from finstage_runtime.flight import SingleFlight
from services.ingest.fetching.restatement import reach_ms, why_restated
from services.ingest.providers.fallback import Providers
from services.ingest.series import Attempt, FetchedBars, SeriesKey, SeriesState
from services.ingest.store.api import Store
from services.ingest.upstream.outcomes import TIME_MAY_MEND

_log = structlog.get_logger(__name__)

# How many stored bars a refresh asks for again, to see whether they still are what they were.
OVERLAP_BARS = 5


class Refresher:
    """Keeps series as fresh as callers ask, with one refresh a series at a time.

    A series is refreshed by the provider that began it, where there are several.

    upstream: where calls of the provider block.
    database, writing: where reads and writes of the store do: writes may wait long for each other.
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
        self._flights: SingleFlight[SeriesKey, SeriesState] = SingleFlight(retry_on=TIME_MAY_MEND)
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
        state = await self._database.run(self._store.series, key)
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

    async def fetch(self, key: SeriesKey, start_ms: int | None, end_ms: int | None) -> FetchedBars:
        """Bars that opened in [start_ms, end_ms) from where those that are stored came from; not written.

        Raises:
            FinstageError: as Provider.fetch_bars() does.
        """
        state = await self._database.run(self._store.series, key)
        return await self._fetch(key, state, start_ms, end_ms, deadline=None)

    async def _refresh(self, key: SeriesKey, deadline: float | None) -> SeriesState:
        tail = await self._database.run(self._store.read, key, limit=OVERLAP_BARS + 1)
        if tail is None or not len(tail.columns):
            fetched = await self._fetch(key, None, deadline=deadline)
            # What was refused is kept with its reasons, also where nothing else came.
            if not len(fetched.columns) and not fetched.rejected and tail is None:
                raise no_data(key.symbol, key.interval)
            return await self._write(fetched, replace=tail is None)
        fetched = await self._fetch(key, tail.state, int(tail.columns.open_time_ms[0]), deadline=deadline)
        reason = await self._database.run(why_restated, self._store, tail, fetched)
        if not reason:
            # All final bars are there again: what replacing removes is a forming bar that came to nothing.
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
        """Bars from the provider that the series came from, where one has brought any of it."""
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
        written = await self._writing.run(self._store.write_fetched, fetched, replace=replace)
        return written.state
