"""Lookups: one request to the provider for all who ask for the same thing at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from finstage_market.errors import FinstageError
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from finstage_runtime.flight import fresh_copy
from services.ingest.fetching.flights import Flights
from services.ingest.providers.api import Provider
from services.ingest.series import Instrument, Quote
from services.ingest.upstream.outcomes import malformed
from services.ingest.upstream.waits import listen_to_waits

# Symbols of one call of the provider, which can ask for them in one request.
MAX_SYMBOLS = 50
# Quotes that are remembered, to notice one that is older.
MAX_REMEMBERED = 20_000
# Clocks differ by so much. A market time further ahead of now is wrong.
MAX_AHEAD_MS = 60_000


class Lookups:
    """Quotes, instruments and searches of a provider, for an event loop.

    Every method answers in its caller's time (fetching/flights.py) and raises what the provider's does, and
    RateLimited (OWN_LIMIT) when too many calls wait already.

    upstream: the threads for calls of the provider.
    """

    def __init__(self, provider: Provider, *, upstream: BoundedExecutor, clock: Clock) -> None:
        self._provider = provider
        self._upstream = upstream
        self._newest = _NewestQuotes()
        self._quotes: Flights[str, Quote] = Flights(
            lambda failure, symbol: failure.as_error(symbol, "quote"), clock=clock
        )
        self._instruments: Flights[str, Instrument] = Flights(
            lambda failure, symbol: failure.as_error(symbol, "instrument"), clock=clock
        )
        self._searches: Flights[tuple[str, int], list[Instrument]] = Flights(
            lambda failure, search: failure.as_error(search[0], "search"), clock=clock
        )

    async def quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        """As Provider.fetch_quotes(), MAX_SYMBOLS at a time of those that no one is asking for yet.

        A quote whose market time is before that of one returned earlier, or ahead of now, is not newer: the
        earlier one is returned again. Without an earlier one, a quote ahead of now is refused as malformed.
        """
        unique = list(dict.fromkeys(symbols))
        new = [symbol for symbol in unique if symbol not in self._quotes]
        group_of: dict[str, _Group] = {}
        for first in range(0, len(new), MAX_SYMBOLS):
            group = _Group(new[first : first + MAX_SYMBOLS])
            group_of |= dict.fromkeys(group.symbols, group)
        answers = await asyncio.gather(*(self._quote(s, group_of.get(s), deadline) for s in unique))
        by_symbol = dict(zip(unique, answers, strict=True))
        return [by_symbol[symbol] for symbol in symbols]

    async def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        """As Provider.instrument()."""

        async def ask(until: float | None) -> Instrument:
            return await self._upstream.run(self._provider.instrument, symbol, deadline=until)

        return await self._instruments.do(symbol, ask, deadline=deadline)

    async def search(self, query: str, *, limit: int, deadline: float | None) -> list[Instrument]:
        """As Provider.search()."""

        async def ask(until: float | None) -> list[Instrument]:
            return await self._upstream.run(self._provider.search, query, limit=limit, deadline=until)

        return await self._searches.do((query, limit), ask, deadline=deadline)

    async def _quote(
        self, symbol: str, group: "_Group | None", deadline: float | None
    ) -> Quote | FinstageError:
        async def ask(until: float | None) -> Quote:
            nonlocal group
            # A second flight must not reuse the first one's answer.
            asked, group = group or _Group([symbol]), None
            listen_to_waits(self._quotes.listener(asked.symbols))
            answer = (await asked.ask(self._provider, self._upstream, until))[symbol]
            if isinstance(answer, FinstageError):
                raise answer
            return self._newest.of(answer)

        try:
            return await self._quotes.do(symbol, ask, deadline=deadline)
        except FinstageError as error:
            return fresh_copy(error)


class _Group:
    """Symbols that are asked for in one call, when the first of their flights begins."""

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = symbols
        self._answers: asyncio.Future[list[Quote | FinstageError]] | None = None

    async def ask(
        self, provider: Provider, upstream: BoundedExecutor, deadline: float | None
    ) -> dict[str, Quote | FinstageError]:
        """Return the answers by symbol."""
        if self._answers is None:
            asking = upstream.run(provider.fetch_quotes, self.symbols, deadline=deadline)
            self._answers = asyncio.ensure_future(asking)
        answers = await asyncio.shield(self._answers)
        return dict(zip(self.symbols, answers, strict=True))


class _NewestQuotes:
    """The newest quote of each symbol by its market time. Nodes of an upstream lag behind each other."""

    def __init__(self) -> None:
        self._by_source: OrderedDict[tuple[str, str], Quote] = OrderedDict()

    def of(self, quote: Quote) -> Quote:
        """Return the quote, its market time at most now, or the one before where this is not newer.

        Raises:
            Unavailable: UPSTREAM_MALFORMED, where the quote's time is ahead of now and there is none before.
        """
        key, now_ms = (quote.source, quote.symbol), quote.fetched_at_ms
        before, ahead_ms = self._by_source.get(key), quote.market_time_ms - now_ms
        if before is not None and (ahead_ms > MAX_AHEAD_MS or quote.market_time_ms < before.market_time_ms):
            return replace(before, fetched_at_ms=now_ms, attempts=quote.attempts)
        if ahead_ms > MAX_AHEAD_MS:
            detail = f"a quote from {ahead_ms // 1000} s ahead of now: when it was made is not known"
            raise malformed(detail).as_error(quote.symbol, "quote")
        if ahead_ms > 0:
            quote = replace(quote, market_time_ms=now_ms)
        self._by_source[key] = quote
        self._by_source.move_to_end(key)
        if len(self._by_source) > MAX_REMEMBERED:
            self._by_source.popitem(last=False)
        return quote
