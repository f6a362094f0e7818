"""Ordered fallback: several providers as one, with a record of who was asked."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar

import structlog

from finstage_market.errors import DeadlineTooShort, FinstageError, InvalidRequest, NotFound
from services.ingest.hours.calendars import Calendars
from services.ingest.hours.gaps import with_gaps
from services.ingest.providers.api import Provider
from services.ingest.series import Attempt, FetchedBars, Instrument, Quote, SeriesKey
from services.ingest.upstream.guard import ProviderStatus
from services.ingest.upstream.waits import no_wait_over

T = TypeVar("T")
DATA = "data"
# Seconds that a provider may wait to be asked (again) while there is another one to ask.
MAX_WAIT_S = 1.0
_log = structlog.get_logger(__name__)


class Providers:
    """Implements Provider over several: they are asked in order until one has an answer. Gaps in its bars are
    explained by the calendars.

    The `attempts` of an answer are empty when the first provider asked had it.

    providers: at least one.
    """

    def __init__(self, providers: Sequence[Provider], calendars: Calendars) -> None:
        self._providers = tuple(providers)
        self._calendars = calendars

    @property
    def name(self) -> str:
        return "+".join(provider.name for provider in self._providers)

    def pinned(self, source: str) -> "Providers":
        """Return the provider that a series came from, by its SeriesState.source; all if none has that name.

        A series is refreshed by the provider that began it, because another one's history may have other
        prices and would look like a restatement.
        """
        names = source.split("+")
        own = [provider for provider in self._providers if provider.name in names]
        return Providers(own[:1] or self._providers, self._calendars)

    def fetch_bars(
        self, key: SeriesKey, start_ms: int | None, end_ms: int | None, *, deadline: float | None
    ) -> FetchedBars:
        def has_bars(fetched: FetchedBars) -> bool:
            return len(fetched.bars.columns) > 0

        fetched, attempts = self._first(
            lambda provider: provider.fetch_bars(key, start_ms, end_ms, deadline=deadline), has_bars
        )
        return replace(with_gaps(fetched, self._calendars), attempts=attempts)

    def fetch_quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        answers: list[Quote | FinstageError] = []
        trails: list[tuple[Attempt, ...]] = [() for _ in symbols]
        missing = list(range(len(symbols)))
        for provider in self._providers:
            with self._giving_way(provider):
                found = provider.fetch_quotes([symbols[i] for i in missing], deadline=deadline)
            answers = answers or list(found)
            for i, answer in zip(missing, found, strict=True):
                trails[i] += (Attempt(provider.name, _outcome(answer)),)
                answers[i] = answer if isinstance(answer, Quote) else _worse(answers[i], answer)
            missing = [i for i in missing if _goes_on(answers[i])]
            if not missing:
                break
        return [
            replace(answer, attempts=trail) if isinstance(answer, Quote) and len(trail) > 1 else answer
            for answer, trail in zip(answers, trails, strict=True)
        ]

    def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        def ask(provider: Provider) -> Instrument:
            with self._giving_way(provider):
                return provider.instrument(symbol, deadline=deadline)

        return self._first(ask, _any)[0]

    def search(self, query: str, *, limit: int, deadline: float | None) -> list[Instrument]:
        def ask(provider: Provider) -> list[Instrument]:
            with self._giving_way(provider):
                return provider.search(query, limit=limit, deadline=deadline)

        return self._first(ask, bool)[0]

    def status(self) -> list[ProviderStatus]:
        return [status for provider in self._providers for status in provider.status()]

    def resume(self, name: str = "") -> None:
        """Ask the provider of that name again from now on; all of them when the name is empty."""
        for provider in self._providers:
            if name in ("", provider.name):
                provider.resume()

    def close(self) -> None:
        for provider in self._providers:
            provider.close()

    def _giving_way(self, provider: Provider) -> AbstractContextManager[None]:
        """A block without long waits, unless this provider is the last.

        Bars are worth waiting for, because the provider that has them first keeps the series.
        """
        return nullcontext() if provider is self._providers[-1] else no_wait_over(MAX_WAIT_S)

    def _first(
        self, ask: Callable[[Provider], T], suffices: Callable[[T], bool]
    ) -> tuple[T, tuple[Attempt, ...]]:
        """The first sufficient answer and the attempts up to it; else the first one, or the worst error."""
        trail: tuple[Attempt, ...] = ()
        poor: list[T] = []
        worst: FinstageError | None = None
        for provider in self._providers:
            try:
                answer = ask(provider)
            except FinstageError as error:
                if not _goes_on(error):
                    raise
                trail += (Attempt(provider.name, error.reason.value),)
                worst = error if worst is None else _worse(worst, error)
                continue
            if suffices(answer):
                trail += (Attempt(provider.name, DATA),)
                return answer, trail if len(trail) > 1 else ()
            trail += (Attempt(provider.name, "NO_DATA"),)
            poor.append(answer)
        if len(trail) > 1:
            _log.info("providers_exhausted", trail=[f"{a.provider}: {a.outcome}" for a in trail])
        if worst is not None and (not poor or not isinstance(worst, NotFound)):
            raise worst
        return poor[0], trail if len(trail) > 1 else ()


def _any(_: object) -> bool:
    return True


def _outcome(answer: Quote | FinstageError) -> str:
    return DATA if isinstance(answer, Quote) else answer.reason.value


def _goes_on(answer: Quote | FinstageError) -> bool:
    """Whether another provider may do better: it cannot when time is short or the request is wrong."""
    return isinstance(answer, FinstageError) and not isinstance(answer, DeadlineTooShort | InvalidRequest)


def _worse(one: Quote | FinstageError, other: FinstageError) -> FinstageError:
    """The failure to tell, of two: a symbol is unknown only when every provider says so."""
    return one if isinstance(one, FinstageError) and not isinstance(one, NotFound) else other
