"""MarketCache: quotes, series and instruments from the cache, and from ingest where the cache has none.

Every call is answered in its caller's time: with what is held, marked stale, when the load does not come in
time; with an error that says so when nothing is held. The load goes on for later callers.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from finstage.market.v1 import instrument_pb2, provenance_pb2, quote_pb2, series_pb2
from finstage.store.v1 import market_store_service_pb2 as store_pb2
from finstage_cache import (
    ABSENT,
    Absent,
    Answer,
    Cache,
    Codec,
    Loaded,
    LoadTimeout,
    Policy,
    Status,
    keys,
    protobuf,
)
from finstage_market.errors import (
    DeadlineTooShort,
    FinstageError,
    NotFound,
    Reason,
    Unavailable,
    symbol_not_found,
)
from finstage_market.interval import Interval
from finstage_market.statuses import from_status
from finstage_rpc.deadline import time_left_s
from finstage_runtime.deadline import margin_s
from services.price.held_series import HELD_SERIES, HeldSeries
from services.price.market_store import MarketStore

LOAD_TIMEOUT_S = 30.0
# A caller with an answer to fall back on does not wait longer than this for a load.
PATIENCE_S = 3.0
# A caller that joined a load of another with less time asks again; so often at most.
MAX_JOINED = 3
NEGATIVE_S = 5.0
# When to ask again for a series that ingest could not refresh.
UNREFRESHED_S = 10.0
# Ingest is asked for a slightly younger series than the caller wants, so that it does not expire on arrival.
ASKED_SHARE = 0.9
# Callers use few different ages.
MAX_POLICIES = 256

_T = TypeVar("_T")
_QUOTE = protobuf(quote_pb2.Quote)
_INSTRUMENT = protobuf(instrument_pb2.Instrument)
_SEARCH = protobuf(store_pb2.SearchInstrumentsResponse)
_CACHE_STATUS = {
    Status.HIT: provenance_pb2.CACHE_STATUS_HIT,
    Status.MISS: provenance_pb2.CACHE_STATUS_MISS,
    Status.STALE: provenance_pb2.CACHE_STATUS_STALE,
    Status.COALESCED: provenance_pb2.CACHE_STATUS_COALESCED,
}
CacheStatus = provenance_pb2.CacheStatus


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old an answer may be.

    max_age_s: an answer fetched from the provider within so many seconds needs no new load.
    allow_stale: whether an older answer is better than an error when the load fails.
    """

    max_age_s: float
    allow_stale: bool = True


class MarketCache:
    """What price serves, by symbol.

    Every method raises NotFound, and the errors of MarketStore when there is nothing that may be served
    instead; Unavailable (TOO_STALE) when there is, and it was not wanted.
    """

    def __init__(
        self,
        cache: Cache,
        store: MarketStore,
        *,
        fresh_s: float,
        stale_for_s: float,
        now_s: Callable[[], float],
    ) -> None:
        """
        Args:
            fresh_s: how long an answer is served without a load, unless the caller says otherwise.
            stale_for_s: how long after that it is kept, for the time that ingest is away.
            now_s: the clock, in epoch seconds.
        """
        self._cache = cache
        self._store = store
        self._now_s = now_s
        self._fresh_s = fresh_s
        self._stale_for_s = stale_for_s
        self._policy = lru_cache(MAX_POLICIES)(self._new_policy)

    async def quote(self, symbol: str, freshness: Freshness) -> tuple[quote_pb2.Quote, CacheStatus]:
        """Return the quote of one symbol. It is shared: do not change it."""

        async def load() -> quote_pb2.Quote | Absent:
            [result] = await self._store.quotes([symbol], timeout_s=LOAD_TIMEOUT_S)
            found = _quote_or_error(result)
            if isinstance(found, Exception):
                raise found
            return found

        answer = await self._one(keys.key("price.quote", symbol), load, freshness, codec=_QUOTE)
        return self._present(answer, symbol, freshness)

    async def quotes(
        self, symbols: Sequence[str], freshness: Freshness
    ) -> list[tuple[quote_pb2.Quote, CacheStatus] | FinstageError]:
        """Return a quote or an error for each symbol, in the order asked."""
        names = {keys.key("price.quote", symbol): symbol for symbol in symbols}

        async def load(missing: list[str]) -> dict[str, quote_pb2.Quote | Absent | Exception]:
            asked = [names[name] for name in missing]
            results = await self._store.quotes(asked, timeout_s=LOAD_TIMEOUT_S)
            return dict(zip(missing, map(_quote_or_error, results), strict=True))

        policy = self._policy(freshness.max_age_s)
        batch = await self._cache.get_or_load_many(names, load, policy, codec=_QUOTE, wait_s=_wait_s)
        by_symbol: dict[str, tuple[quote_pb2.Quote, CacheStatus] | FinstageError] = {}
        for name, symbol in names.items():
            try:
                by_symbol[symbol] = self._present(batch[name], symbol, freshness)
            except LoadTimeout:
                by_symbol[symbol] = _too_late()
            except FinstageError as error:
                by_symbol[symbol] = error
        return [by_symbol[symbol] for symbol in symbols]

    async def series(
        self, symbol: str, interval: Interval, adjustment: series_pb2.Adjustment, freshness: Freshness
    ) -> tuple[HeldSeries, CacheStatus]:
        """Return the whole series."""
        asked_s = ASKED_SHARE * freshness.max_age_s

        async def load() -> Loaded[HeldSeries]:
            oldest_s = self._now_s() - asked_s
            held = await self._store.series(
                symbol, interval, adjustment, max_age_s=asked_s, timeout_s=LOAD_TIMEOUT_S
            )
            if held.refresh_error:
                # Judged by the time it was fetched, it would be asked for by every call.
                return Loaded(held, fresh_s=UNREFRESHED_S)
            if held.fetched_s is None:
                return Loaded(held)
            # The clock of ingest's host may be wrong; the series is no older than was asked for.
            return Loaded(held, stored=max(held.fetched_s, oldest_s))

        name = _series_key(symbol, interval, adjustment)
        answer = await self._one(name, load, freshness, codec=HELD_SERIES)
        fetched_s = None if answer.absent else answer.value.fetched_s
        held, status = self._present(answer, symbol, freshness, fetched_s)
        # With an error, ingest answered with what it has stored.
        if held.refresh_error and self._now_s() - (fetched_s or 0.0) > freshness.max_age_s:
            if not freshness.allow_stale:
                raise Unavailable(
                    Reason.TOO_STALE,
                    f"{symbol} could not be refreshed ({held.refresh_error.reason}), "
                    "and allow_stale is false",
                    retry_after_s=1.0,
                )
            status = provenance_pb2.CACHE_STATUS_STALE
        return held, status

    async def outdate(self, symbol: str, interval: Interval, revision: int) -> None:
        """Make the next call load a series again that is held in an older revision than `revision`.

        Until that load succeeds, the held series is served as stale. A load under way goes on if it brings
        that revision or a later one.
        """
        for adjustment in (series_pb2.ADJUSTMENT_SPLITS, series_pb2.ADJUSTMENT_ALL):
            await self._cache.expire(
                _series_key(symbol, interval, adjustment),
                lambda held: held.header.version.revision >= revision,
                codec=HELD_SERIES,
            )

    async def outdate_all(self) -> None:
        """Make the next calls load everything again."""
        await self._cache.clear()

    async def instrument(self, symbol: str) -> tuple[instrument_pb2.Instrument, CacheStatus]:
        """Return what the symbol names."""

        async def load() -> instrument_pb2.Instrument:
            return await self._store.instrument(symbol, timeout_s=LOAD_TIMEOUT_S)

        freshness = Freshness(max_age_s=86_400.0)
        answer = await self._one(keys.key("price.instrument", symbol), load, freshness, codec=_INSTRUMENT)
        return self._present(answer, symbol, freshness)

    async def search(
        self, query: str, types: Sequence[int], limit: int
    ) -> tuple[Sequence[instrument_pb2.Instrument], CacheStatus]:
        """Return matching instruments, best first."""

        async def load() -> store_pb2.SearchInstrumentsResponse:
            return await self._store.search(query, types, limit, timeout_s=LOAD_TIMEOUT_S)

        name = keys.key("price.search", query.casefold(), sorted(types), limit)
        answer = await self._one(name, load, Freshness(max_age_s=600.0), codec=_SEARCH)
        return answer.value.instruments, _CACHE_STATUS[answer.status]

    async def _one(
        self,
        name: str,
        load: Callable[[], Awaitable[_T | Absent | Loaded[_T]]],
        freshness: Freshness,
        *,
        codec: Codec[_T],
    ) -> Answer[_T]:
        loads = 0

        async def found() -> _T | Loaded[_T] | Absent:
            nonlocal loads
            loads += 1
            try:
                return await load()
            except NotFound as error:
                if error.reason is Reason.SYMBOL_NOT_FOUND:
                    return ABSENT
                raise

        policy = self._policy(freshness.max_age_s)
        for _ in range(MAX_JOINED):
            try:
                return await self._cache.get_or_load(name, found, policy, codec=codec, wait_s=_wait_s)
            except LoadTimeout:
                break
            except DeadlineTooShort:
                if loads:  # this call's own load, with all of its time
                    raise
        raise _too_late()

    def _present(
        self, answer: Answer[_T], symbol: str, freshness: Freshness, fetched_s: float | None = None
    ) -> tuple[_T, CacheStatus]:
        """Return the value and its status. fetched_s: when it was fetched; None: when it was loaded."""
        if answer.status is Status.STALE and not freshness.allow_stale:
            made = answer.stored_at if fetched_s is None else datetime.fromtimestamp(fetched_s, UTC)
            raise Unavailable(
                Reason.TOO_STALE,
                f"what is held of {symbol} is from {made.isoformat(timespec='seconds')}, "
                "the source does not answer, and allow_stale is false",
                retry_after_s=1.0,
            )
        if answer.absent:
            raise symbol_not_found(symbol)
        return answer.value, _CACHE_STATUS[answer.status]

    def _new_policy(self, max_age_s: float) -> Policy:
        # Later callers get what is stored here too, so it is kept for as long as they may want it.
        return Policy(
            fresh_s=max(max_age_s, self._fresh_s),
            stale_on_error_s=self._stale_for_s,
            negative_s=NEGATIVE_S,
            max_age_s=max_age_s,
            patience_s=PATIENCE_S,
            load_timeout_s=LOAD_TIMEOUT_S,
        )


def _wait_s() -> float | None:
    """Return how long the current call may wait for a load; None: its caller set no deadline."""
    left_s = time_left_s()
    if left_s is None:
        return None
    return max(0.0, left_s - margin_s(left_s))


def _too_late() -> DeadlineTooShort:
    return DeadlineTooShort("ingest did not answer in the time given; it goes on, so ask again")


def _series_key(symbol: str, interval: Interval, adjustment: series_pb2.Adjustment) -> str:
    return keys.key("price.series", symbol, interval.value, int(adjustment))


def _quote_or_error(result: quote_pb2.QuoteResult) -> quote_pb2.Quote | Absent | Exception:
    if result.WhichOneof("result") == "quote":
        return result.quote
    error = from_status(result.error, service="ingest")
    return ABSENT if error.reason is Reason.SYMBOL_NOT_FOUND else error
