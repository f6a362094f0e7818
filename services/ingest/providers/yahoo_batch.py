"""Quotes of many symbols in one request, which the upstream gives only with its cookie and a crumb."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finstage_runtime.clock import Clock
from services.ingest.providers.yahoo_chart import read_json
from services.ingest.series import Quote
from services.ingest.upstream.client import UpstreamClient
from services.ingest.upstream.outcomes import Failure, Outcome, malformed
from services.ingest.upstream.transport import Reply

QUOTE_PATH = "/v7/finance/quote"
CRUMB_PATH = "/v1/test/getcrumb"
# Symbols a request; below the least the chart API is asked, which needs no crumb.
MOST, LEAST = 50, 4

# After a failure to get a crumb.
FAILED_S = 600.0

_CRUMB = re.compile(r"[\w./\\=%+-]{1,32}", re.ASCII)


class Crumbs:
    """The crumb that goes with the session's cookie; fetched when it is first needed. Never logged.

    cookie_url: a page that sets the cookie; its status does not matter.
    """

    def __init__(self, client: UpstreamClient, *, cookie_url: str, clock: Clock) -> None:
        self._client = client
        self._cookie_url = cookie_url
        self._clock = clock
        self._crumb: str | Failure | None = None
        self._until = 0.0
        self._lock = threading.Lock()

    def get(self, deadline: float | None) -> str | Failure:
        """The crumb, or why there is none. A failure is not asked about again for FAILED_S."""
        with self._lock:
            failed = isinstance(self._crumb, Failure) and self._clock.monotonic() >= self._until
            if self._crumb is None or failed:
                self._crumb = self._fetch(deadline)
                self._until = self._clock.monotonic() + FAILED_S
            return self._crumb

    def forget(self, crumb: str) -> None:
        """It was refused: the next call fetches another."""
        with self._lock:
            if self._crumb == crumb:
                self._crumb = None

    def give_up(self, failure: Failure) -> None:
        """New ones are refused too: `failure` is the answer for FAILED_S."""
        with self._lock:
            self._crumb, self._until = failure, self._clock.monotonic() + FAILED_S

    def _fetch(self, deadline: float | None) -> str | Failure:
        visited = self._client.get(
            "/", {}, lambda reply: reply.status, deadline=deadline, base=self._cookie_url
        )
        if isinstance(visited, Failure):
            return visited
        return self._client.get(CRUMB_PATH, {}, _read_crumb, deadline=deadline)


def _read_crumb(reply: Reply) -> str | Failure:
    """A crumb is a short word. "Too Many Requests" was once sent, and taken, for one."""
    text = reply.body.decode("utf-8", "replace").strip()
    if "too many requests" in text.lower():
        return Failure(Outcome.RATE_LIMITED, "Too Many Requests, instead of a crumb")
    if reply.status != 200 or not _CRUMB.fullmatch(text):
        return malformed(f"status {reply.status} with what is no crumb")
    return text


class BatchQuotes:
    """Quotes by /v7/finance/quote. crumbs: None where the endpoint asks for none."""

    def __init__(self, client: UpstreamClient, crumbs: Crumbs | None) -> None:
        self._client = client
        self._crumbs = crumbs

    def fetch(
        self, symbols: Sequence[str], *, now_ms: int, deadline: float | None
    ) -> dict[str, Quote] | Failure:
        """The quotes of those symbols that the upstream has one for.

        A refused crumb is fetched again, once.
        """
        answer = self._fetch(symbols, now_ms, deadline)
        if self._crumbs and _is_refusal(answer):
            answer = self._fetch(symbols, now_ms, deadline)
            if isinstance(answer, Failure) and _is_refusal(answer):
                self._crumbs.give_up(answer)
        return answer

    def _fetch(
        self, symbols: Sequence[str], now_ms: int, deadline: float | None
    ) -> dict[str, Quote] | Failure:
        params: dict[str, str | int] = {"symbols": ",".join(symbols)}
        crumb: str | Failure | None = self._crumbs.get(deadline) if self._crumbs else None
        if isinstance(crumb, Failure):
            return crumb
        if crumb is not None:
            params["crumb"] = crumb
        source = self._client.name

        def read(reply: Reply) -> dict[str, Quote] | Failure:
            found = read_json(reply.status, reply.body)
            if isinstance(found, Failure):
                return found
            response = found.get("quoteResponse")
            results = response.get("result") if isinstance(response, dict) else None
            if reply.status != 200 or not isinstance(results, list):
                return malformed(f"status {reply.status} without a list of quotes")
            return {quote.symbol: quote for quote in _quotes(results, now_ms, source)}

        answer = self._client.get(QUOTE_PATH, params, read, deadline=deadline)
        if self._crumbs and crumb is not None and _is_refusal(answer):
            self._crumbs.forget(crumb)
        return answer


def _is_refusal(answer: object) -> bool:
    return isinstance(answer, Failure) and answer.outcome is Outcome.UNAUTHORIZED


def _quotes(results: list[Any], now_ms: int, source: str) -> Iterator[Quote]:
    for entry in results:
        if not isinstance(entry, dict):
            continue
        symbol, currency, hint = entry.get("symbol"), entry.get("currency"), entry.get("priceHint")
        price, time_s = _positive(entry, "regularMarketPrice"), entry.get("regularMarketTime")
        if not isinstance(symbol, str) or price is None or type(time_s) is not int:
            continue
        volume = _number(entry, "regularMarketVolume")
        state = entry.get("marketState")
        yield Quote(
            symbol=symbol.upper(),
            price=price,
            currency=currency if isinstance(currency, str) else "",
            market_time_ms=time_s * 1000,
            source=source,
            fetched_at_ms=now_ms,
            price_precision=hint if type(hint) is int and 0 <= hint <= 12 else None,
            previous_close=_positive(entry, "regularMarketPreviousClose"),
            day_open=_positive(entry, "regularMarketOpen"),
            day_high=_positive(entry, "regularMarketDayHigh"),
            day_low=_positive(entry, "regularMarketDayLow"),
            day_volume=volume if volume is not None and volume >= 0 else None,
            market_state="" if not isinstance(state, str) else "REGULAR" if state == "REGULAR" else "CLOSED",
        )


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if type(value) is float:
        return value
    return float(value) if type(value) is int else None


def _positive(values: Mapping[str, Any], name: str) -> float | None:
    value = _number(values, name)
    return value if value is not None and value > 0 else None
