"""The protocol of providers."""

from collections.abc import Sequence
from typing import Protocol

from finstage_market.errors import FinstageError
from services.ingest.series import FetchedBars, Instrument, Quote, SeriesKey
from services.ingest.upstream.guard import ProviderStatus


class Provider(Protocol):
    """Where market data comes from. Every method blocks and is safe to call from many threads.

    `deadline` is in clock.monotonic() seconds; None: none. Nothing is waited for that cannot end before it.

    Every method may raise:
        RateLimited: UPSTREAM_RATE_LIMITED, with when to come back.
        Unavailable: UPSTREAM_UNAVAILABLE or UPSTREAM_MALFORMED.
        PreconditionFailed: UPSTREAM_UNAUTHORIZED.
        DeadlineTooShort: the deadline has passed.
    """

    @property
    def name(self) -> str:
        """Its name in provenance, settings and metrics: "yahoo"."""
        ...

    def fetch_bars(
        self, key: SeriesKey, start_ms: int | None, end_ms: int | None, *, deadline: float | None
    ) -> FetchedBars:
        """Bars that opened in [start_ms, end_ms).

        start_ms None: as far back as the provider has them. end_ms None: to now. A symbol that is known but
        has no bars there gives an answer without bars, with a gap where the reason is known.

        Raises:
            NotFound: SYMBOL_NOT_FOUND.
        """
        ...

    def fetch_quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        """A quote, or why there is none, for each symbol in order.

        Errors are in the list, not raised; NotFound (SYMBOL_NOT_FOUND, NO_DATA) too.
        """
        ...

    def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        """What a symbol names.

        Raises:
            NotFound: SYMBOL_NOT_FOUND.
        """
        ...

    def search(self, query: str, *, limit: int, deadline: float | None) -> list[Instrument]:
        """Instruments with `query` in their symbol or name, the best match first."""
        ...

    def status(self) -> list[ProviderStatus]:
        """How its upstream fares: one entry; of several providers one each, in the order they are asked."""
        ...

    def close(self) -> None:
        """Let go of all connections; what waits, in any thread, ends by Unavailable (SERVICE_UNAVAILABLE)."""
        ...
