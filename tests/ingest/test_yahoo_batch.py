"""Quotes of many symbols in one request, with cookie and crumb, over HTTP."""

import asyncio
import json
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from finstage_market.errors import FinstageError, NotFound
from finstage_runtime.clock import SYSTEM
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.lookups import Lookups
from services.ingest.providers.api import Provider
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.providers.yahoo_batch import FAILED_S, MAX_CRUMB_S
from services.ingest.series import Quote
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.retry import RetryPolicy
from sim.server import start
from tests.ingest.scripted_upstream import CHART, Answer, ScriptedUpstream, SkippingClock, upstream

SYMBOLS = ["AAPL", "MSFT", "QQQ", "GME", "NOSUCH"]
UNKNOWN = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found"}}}'
REFUSED = b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}'


class Yahoo(ScriptedUpstream):
    """Sets a cookie, gives crumbs "crumb-1", "crumb-2", …, and accepts only the newest, with the cookie."""

    cookie_after_s = 0.0
    crumb = b"crumb-1"
    taken = b"crumb-1"

    def take(self, path: str, headers: dict[str, str]) -> Answer:
        super().take(path, headers)
        url = urlsplit(path)
        query = parse_qs(url.query)
        match url.path:
            case "/":
                return Answer(404, b"gone", {"Set-Cookie": "A3=secret-cookie"}, delay_s=self.cookie_after_s)
            case "/v1/test/getcrumb":
                return Answer(200 if "A3" in headers.get("Cookie", "") else 401, self.crumb)
            case "/v7/finance/quote":
                if query["crumb"] != [self.taken.decode()] or "A3" not in headers.get("Cookie", ""):
                    return Answer(401, REFUSED)
                symbols = [s for s in query["symbols"][0].split(",") if s != "NOSUCH"]
                return Answer(
                    body=json.dumps({"quoteResponse": {"result": list(map(entry, symbols))}}).encode()
                )
            case _:
                symbol = url.path.rpartition("/")[2]
                return (
                    Answer(404, UNKNOWN)
                    if symbol == "NOSUCH"
                    else Answer(body=CHART.replace(b"AAPL", symbol.encode()))
                )


def entry(symbol: str) -> dict[str, object]:
    return {
        "symbol": symbol,
        "currency": "USD",
        "priceHint": 2,
        "regularMarketPrice": 12.5,
        "regularMarketTime": 1_700_000_000,
        "regularMarketPreviousClose": 12.0,
        "regularMarketVolume": 100,
        "marketState": "POST",
    }


@pytest.fixture
def server() -> Iterator[Yahoo]:
    with upstream() as running:
        running.__class__ = Yahoo
        assert isinstance(running, Yahoo)
        yield running


@pytest.fixture
def clock() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def provider(server: Yahoo, clock: SkippingClock) -> Provider:
    settings = UpstreamSettings(url=server.url, max_rate_per_s=1000, retry=RetryPolicy(retries=0))
    return open_provider("yahoo", Parts(settings, clock, UpstreamMetrics(CollectorRegistry()), clock.sleep))


def paths(server: Yahoo) -> list[str]:
    return [urlsplit(path).path for _, path, _ in server.asked]


def prices(answers: list[Quote | FinstageError]) -> list[float | None]:
    return [answer.price if isinstance(answer, Quote) else None for answer in answers]


def test_many_symbols_are_one_request_and_missing_ones_are_requested_alone(
    provider: Provider, server: Yahoo
) -> None:
    answers = provider.fetch_quotes(SYMBOLS, deadline=None)
    assert prices(answers) == [12.5, 12.5, 12.5, 12.5, None]
    assert isinstance(answers[-1], NotFound)
    assert paths(server) == ["/", "/v1/test/getcrumb", "/v7/finance/quote", "/v8/finance/chart/NOSUCH"]
    quote = answers[0]
    assert isinstance(quote, Quote)
    assert (quote.market_time_ms, quote.previous_close, quote.market_state) == (
        1_700_000_000_000,
        12.0,
        "CLOSED",
    )
    provider.fetch_quotes(SYMBOLS[:4], deadline=None)
    assert paths(server)[4:] == ["/v7/finance/quote"]


def test_a_refused_crumb_is_fetched_again_once(provider: Provider, server: Yahoo) -> None:
    provider.fetch_quotes(SYMBOLS[:4], deadline=None)
    server.crumb = server.taken = b"crumb-2"
    assert prices(provider.fetch_quotes(SYMBOLS[:4], deadline=None)) == [12.5] * 4
    asked = paths(server)[3:]
    assert asked == ["/v7/finance/quote", "/", "/v1/test/getcrumb", "/v7/finance/quote"]


@pytest.mark.parametrize("crumb", [b"Too Many Requests", b"<html>", b"", b"x" * 33, b"\x00"])
def test_an_invalid_crumb_is_not_used(
    provider: Provider, server: Yahoo, clock: SkippingClock, crumb: bytes
) -> None:
    """The chart API answers instead, and no crumb is requested for a while."""
    server.crumb = crumb
    for _ in range(2):
        assert prices(provider.fetch_quotes(SYMBOLS[:4], deadline=None)) == [1.5] * 4
    assert paths(server).count("/v1/test/getcrumb") == 1
    server.crumb = b"crumb-1"
    clock.sleep(FAILED_S)
    assert prices(provider.fetch_quotes(SYMBOLS[:4], deadline=None)) == [12.5] * 4


def test_crumbs_that_are_all_refused_are_given_up_for_a_while(provider: Provider, server: Yahoo) -> None:
    server.taken = b"another"
    for _ in range(3):
        assert prices(provider.fetch_quotes(SYMBOLS[:4], deadline=None)) == [1.5] * 4
    assert paths(server).count("/v7/finance/quote") == 2


def test_cookie_and_crumb_are_in_no_log_and_no_error(provider: Provider, server: Yahoo) -> None:
    with capture_logs() as logs:
        provider.fetch_quotes(SYMBOLS, deadline=None)
        server.taken = b"another"
        answers = provider.fetch_quotes(SYMBOLS, deadline=None)
    told = repr(logs) + repr(answers) + repr(provider.status())
    assert "secret-cookie" not in told
    assert "crumb-1" not in told


def test_a_cookie_that_does_not_come_holds_quotes_up_once_and_not_for_long(
    provider: Provider, server: Yahoo
) -> None:
    """The chart API needs none."""
    server.cookie_after_s = 6.0
    for at_most_s in (MAX_CRUMB_S + 1, 1):
        started = time.monotonic()
        quotes = provider.fetch_quotes(["A", "B", "C", "D"], deadline=started + 20)
        assert time.monotonic() - started < at_most_s
        assert all(isinstance(quote, Quote) for quote in quotes)


def test_a_few_symbols_need_no_crumb(provider: Provider, server: Yahoo) -> None:
    provider.fetch_quotes(SYMBOLS[:3], deadline=None)
    assert set(paths(server)) == {f"/v8/finance/chart/{symbol}" for symbol in SYMBOLS[:3]}


async def test_five_hundred_symbols_are_ten_requests() -> None:
    """The simulated market needs no crumb; unknown symbols are requested one by one."""
    with start() as sim:
        known = [symbol for symbol in sim.market.instruments if not symbol.startswith("X-")]
        settings = UpstreamSettings(sim_url=sim.url)
        parts = Parts(settings, SkippingClock(), UpstreamMetrics(CollectorRegistry()))
        provider = open_provider("sim", parts)
        upstream_threads = BoundedExecutor(threads=8, queued=1000, name="upstream")
        lookups = Lookups(provider, upstream=upstream_threads, clock=SYSTEM)
        answers, _ = await asyncio.gather(
            lookups.quotes(known, deadline=None), lookups.quotes(known[:7], deadline=None)
        )
        assert [a.symbol for a in answers if isinstance(a, Quote)] == known
        assert sim.stats.summary()["by_path"] == {"quote": -(-len(known) // 50)}
        upstream_threads.close()
