"""Quotes of many symbols in one request, which the upstream gives only with its cookie and a crumb."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from finstage_runtime.clock import Clock
from services.ingest.providers.float32 import decimal
from services.ingest.providers.yahoo_chart import read_json
from services.ingest.providers.yahoo_quote import price_or_none
from services.ingest.providers.yahoo_symbols import INSTRUMENT_TYPES, same_instrument
from services.ingest.series import Instrument, Quote
from services.ingest.upstream.client import UpstreamClient
from services.ingest.upstream.outcomes import Failure, Outcome, malformed
from services.ingest.upstream.transport import Reply

QUOTE_PATH = "/v7/finance/quote"
CRUMB_PATH = "/v1/test/getcrumb"
# Symbols of one request. For fewer than MIN_SYMBOLS the chart API is asked, which needs no crumb.
MIN_SYMBOLS, MAX_SYMBOLS = 4, 50

# Seconds for cookie and crumb together. The chart API, which needs none, answers after that.
MAX_CRUMB_S = 3.0
# Seconds before a crumb is asked for again after a failure.
FAILED_S = 600.0

_CRUMB = re.compile(r"[\w./\\=%+-]{1,32}", re.ASCII)


class Crumbs:
    """The crumb that goes with the session's cookie; fetched when it is first needed. Never logged.

    cookies: the client of the host whose front page sets the cookie, whatever its status.
    """

    def __init__(self, client: UpstreamClient, cookies: UpstreamClient, *, clock: Clock) -> None:
        self._client = client
        self._cookies = cookies
        self._clock = clock
        self._crumb: str | Failure | None = None
        self._until = 0.0
        self._lock = threading.Lock()

    def get(self, deadline: float | None) -> str | Failure:
        """Return the crumb within MAX_CRUMB_S, or why there is none. A failure is the answer for FAILED_S."""
        latest = self._clock.monotonic() + MAX_CRUMB_S
        until = latest if deadline is None else min(deadline, latest)
        if not self._lock.acquire(timeout=max(0.0, until - self._clock.monotonic())):
            return Failure(Outcome.OUT_OF_TIME, "another call is fetching the crumb")
        try:
            failed = isinstance(self._crumb, Failure) and self._clock.monotonic() >= self._until
            if self._crumb is None or failed:
                self._crumb = self._fetch(until)
                self._until = self._clock.monotonic() + FAILED_S
                if isinstance(self._crumb, Failure) and until < latest:
                    self._until = 0.0  # the next caller may have more time
            return self._crumb
        finally:
            self._lock.release()

    def forget(self, crumb: str) -> None:
        """Forget a crumb that was refused: the next call fetches another."""
        with self._lock:
            if self._crumb == crumb:
                self._crumb = None

    def give_up(self, failure: Failure) -> None:
        """Make `failure` the answer for FAILED_S: new crumbs are refused too."""
        with self._lock:
            self._crumb, self._until = failure, self._clock.monotonic() + FAILED_S

    def resume(self) -> None:
        """Ask for the cookie, and for a crumb that failed, again from now on."""
        self._cookies.resume()
        with self._lock:
            self._until = 0.0

    def close(self) -> None:
        """Close the client of the cookies."""
        self._cookies.close()

    def _fetch(self, deadline: float) -> str | Failure:
        visited = self._cookies.get("/", {}, lambda reply: reply.status, deadline=deadline)
        if isinstance(visited, Failure):
            return visited
        if self._clock.monotonic() >= deadline:
            return Failure(Outcome.OUT_OF_TIME, "the cookie took all the time that there was")
        return self._client.get(CRUMB_PATH, {}, _read_crumb, deadline=deadline)


def _read_crumb(reply: Reply) -> str | Failure:
    """Read a crumb, which is a short word. "Too Many Requests" was once taken for one."""
    text = reply.body.decode("utf-8", "replace").strip()
    if "too many requests" in text.lower():
        return Failure(Outcome.RATE_LIMITED, "Too Many Requests, instead of a crumb")
    if reply.status != 200 or not _CRUMB.fullmatch(text):
        return malformed(f"status {reply.status} without a crumb")
    return text


class BatchQuotes:
    """Quotes of /v7/finance/quote. crumbs: None where the endpoint asks for none."""

    def __init__(self, client: UpstreamClient, crumbs: Crumbs | None) -> None:
        self._client = client
        self._crumbs = crumbs

    def fetch(
        self, symbols: Sequence[str], *, now_ms: int, deadline: float | None
    ) -> dict[str, Quote] | Failure:
        """Return the quotes of those symbols that the upstream has one for, by the symbol asked for.

        A refused crumb is fetched again, once.
        """
        answer = self._fetch(symbols, now_ms, deadline)
        if self._crumbs and _is_refusal(answer):
            answer = self._fetch(symbols, now_ms, deadline)
            if isinstance(answer, Failure) and _is_refusal(answer):
                self._crumbs.give_up(answer)
        return answer

    def resume(self) -> None:
        """Ask for crumbs again from now on."""
        if self._crumbs:
            self._crumbs.resume()

    def close(self) -> None:
        """Close the client of the crumbs."""
        if self._crumbs:
            self._crumbs.close()

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
            return _by_symbol(symbols, _quotes(results, now_ms, source))

        answer = self._client.get(QUOTE_PATH, params, read, deadline=deadline)
        if self._crumbs and crumb is not None and _is_refusal(answer):
            self._crumbs.forget(crumb)
        return answer


def _is_refusal(answer: object) -> bool:
    return isinstance(answer, Failure) and answer.outcome is Outcome.UNAUTHORIZED


def _by_symbol(symbols: Sequence[str], quotes: Iterable[Quote]) -> dict[str, Quote]:
    """Quotes by the symbol asked for, which the reply may call otherwise."""
    sent = {quote.symbol: quote for quote in quotes}
    found = {symbol: sent[symbol] for symbol in symbols if symbol in sent}
    for symbol in symbols:
        alias = next((name for name in sent if symbol not in found and same_instrument(symbol, name)), None)
        if alias is not None:
            found[symbol] = replace(sent[alias], symbol=symbol)
    return found


def _quotes(results: list[Any], now_ms: int, source: str) -> Iterator[Quote]:
    for entry in results:
        if not isinstance(entry, dict):
            continue
        symbol, currency, hint = entry.get("symbol"), entry.get("currency"), entry.get("priceHint")
        precision = hint if type(hint) is int and 0 <= hint <= 12 else None
        kind = INSTRUMENT_TYPES.get(str(entry.get("quoteType")).upper(), "")
        negative = Instrument(str(symbol), type=kind).may_be_negative

        def price_of(
            name: str,
            entry: Mapping[str, Any] = entry,
            precision: int | None = precision,
            negative: bool = negative,
        ) -> float | None:
            return price_or_none(decimal(_number(entry, name), precision), negative=negative)

        price, time_s = price_of("regularMarketPrice"), entry.get("regularMarketTime")
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
            price_precision=precision,
            previous_close=price_of("regularMarketPreviousClose"),
            day_open=price_of("regularMarketOpen"),
            day_high=price_of("regularMarketDayHigh"),
            day_low=price_of("regularMarketDayLow"),
            day_volume=volume if volume is not None and volume >= 0 else None,
            market_state="" if not isinstance(state, str) else "REGULAR" if state == "REGULAR" else "CLOSED",
        )


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if type(value) is float:
        return value
    return float(value) if type(value) is int else None
