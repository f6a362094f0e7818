"""The protocol of providers."""

from collections.abc import Sequence
from typing import Protocol

from finstage_market.errors import FinstageError
from services.ingest.series import FetchedBars, Instrument, Quote, SeriesKey
from services.ingest.upstream.guard import ProviderStatus


class Provider(Protocol):
    """A source of market data. Every method blocks and is safe to call from many threads.

    `deadline` is in clock.monotonic() seconds; None: none. No wait is begun that cannot end before it.

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
        """Return bars that opened in [start_ms, end_ms).

        start_ms None: as far back as the provider has them. end_ms None: to now. For a known symbol without
        bars there the answer has none, and a gap where the reason is known.

        Raises:
            NotFound: SYMBOL_NOT_FOUND.
        """
        ...

    def fetch_quotes(self, symbols: Sequence[str], *, deadline: float | None) -> list[Quote | FinstageError]:
        """Return a quote, or the error instead of it, for each symbol in order.

        The errors of single symbols, NotFound (SYMBOL_NOT_FOUND, NO_DATA) too, are returned, not raised.
        """
        ...

    def instrument(self, symbol: str, *, deadline: float | None) -> Instrument:
        """Return the instrument of a symbol.

        Raises:
            NotFound: SYMBOL_NOT_FOUND.
        """
        ...

    def search(self, query: str, *, limit: int, deadline: float | None) -> list[Instrument]:
        """Return instruments with `query` in their symbol or name, the best match first."""
        ...

    def status(self) -> list[ProviderStatus]:
        """Return how its upstream fares: one entry, or none when it has no upstream."""
        ...

    def resume(self) -> None:
        """Ask the upstream again from now on, whatever it asked us to wait."""
        ...

    def close(self) -> None:
        """Close all connections. Calls that wait, in any thread, raise Unavailable (SERVICE_UNAVAILABLE)."""
        ...
