"""Lookups: one request to the provider for all who ask for the same at the same time."""

import asyncio
import copy
from collections.abc import Sequence

from finstage_market.errors import FinstageError
from finstage_runtime.executor import BoundedExecutor
from finstage_runtime.flight import SingleFlight
from services.ingest.providers.api import Provider
from services.ingest.series import Instrument, Quote
from services.ingest.upstream.outcomes import TIME_MAY_MEND

# Symbols that go to the provider in one call, so that it can ask for them in one request.
MOST = 50


class Lookups:
    """Quotes, instruments and searches of a provider, for an event loop.

    upstream: where calls of the provider block.

    Every method raises what the provider's does, and RateLimited (OWN_LIMIT) when too many wait already.
    """

    def __init__(self, provider: Provider, *, upstream: BoundedExecutor) -> None:
        self._provider = provider
        self._upstream = upstream
        self._quotes: SingleFlight[str, Quote] = SingleFlight(retry_on=TIME_MAY_MEND)
        self._instruments: SingleFlight[str, Instrument] = SingleFlight(retry_on=TIME_MAY_MEND)
        self._searches: SingleFlight[tuple[str, int], list[Instrument]] = SingleFlight(retry_on=TIME_MAY_MEND)

    async def quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        """As Provider.fetch_quotes(). Symbols that nobody asks for yet go to it together, MOST at a time."""
        unique = list(dict.fromkeys(symbols))
        new = [symbol for symbol in unique if symbol not in self._quotes]
        group_of: dict[str, _Group] = {}
        for first in range(0, len(new), MOST):
            group = _Group(new[first : first + MOST])
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
            # Who flies again wants a new answer.
            asked, group = group or _Group([symbol]), None
            answer = (await asked.ask(self._provider, self._upstream, until))[symbol]
            if isinstance(answer, FinstageError):
                raise answer
            return answer

        try:
            return await self._quotes.do(symbol, ask, deadline=deadline)
        except FinstageError as error:
            return copy.copy(error)


class _Group:
    """Symbols that are asked for in one call, when the first of their flights begins."""

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = symbols
        self._answers: asyncio.Future[list[Quote | FinstageError]] | None = None

    async def ask(
        self, provider: Provider, upstream: BoundedExecutor, deadline: float | None
    ) -> dict[str, Quote | FinstageError]:
        """The answers by symbol."""
        if self._answers is None:
            asking = upstream.run(provider.fetch_quotes, self.symbols, deadline=deadline)
            self._answers = asyncio.ensure_future(asking)
        answers = await asyncio.shield(self._answers)
        return dict(zip(self.symbols, answers, strict=True))
