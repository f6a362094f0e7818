"""Ordered fallback, over HTTP: the providers asked, the trail, and the failure that callers see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from finstage_market.errors import DeadlineTooShort, NotFound, Reason, Unavailable
from finstage_market.interval import Interval
from finstage_runtime.clock import SystemClock
from services.ingest.hours.calendars import Calendars
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider, open_providers
from services.ingest.providers.fallback import Providers
from services.ingest.providers.file import FileProvider
from services.ingest.series import Attempt, Quote, SeriesKey
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.retry import RetryPolicy
from tests.ingest.scripted_upstream import Answer, ScriptedUpstream, SkippingClock, upstream

UNKNOWN = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found"}}}'
AAPL = SeriesKey("AAPL", Interval.D1)


@pytest.fixture
def server() -> Iterator[ScriptedUpstream]:
    with upstream() as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "AAPL_1d.csv").write_text("date,open,high,low,close\n2020-01-02,1,2,0.5,1.25\n")
    return tmp_path


@pytest.fixture
def providers(server: ScriptedUpstream, files: Path) -> Providers:
    """The providers yahoo, then file."""
    clock = SystemClock()
    settings = UpstreamSettings(url=server.url, retry=RetryPolicy(retries=0, reconnects=0))
    yahoo = open_provider("yahoo", Parts(settings, clock, UpstreamMetrics(CollectorRegistry())))
    return Providers([yahoo, FileProvider(files, clock=clock)], Calendars())


def test_the_first_provider_that_answers_is_enough(providers: Providers) -> None:
    [quote] = providers.fetch_quotes(["AAPL"], deadline=None)
    assert isinstance(quote, Quote)
    assert (quote.price, quote.source, quote.attempts) == (1.5, "yahoo", ())


def test_when_a_provider_is_away_the_next_answers_and_the_trail_shows_it(
    providers: Providers, server: ScriptedUpstream
) -> None:
    server.answers = [Answer(503)]
    trail = (Attempt("yahoo", "UPSTREAM_UNAVAILABLE"), Attempt("file", "data"))
    [quote] = providers.fetch_quotes(["AAPL"], deadline=None)
    assert isinstance(quote, Quote)
    assert (quote.price, quote.source, quote.attempts) == (1.25, "file", trail)
    fetched = providers.fetch_bars(AAPL, None, None, deadline=None)
    assert (len(fetched.bars.columns), fetched.attempts) == (1, trail)


def test_a_quote_is_not_waited_for_while_another_provider_may_have_it(
    files: Path, server: ScriptedUpstream
) -> None:
    """The first one asks us to come back in 20 s; alone it is waited for."""
    server.answers = [Answer(429, headers={"Retry-After": "20"}), Answer()]
    clock = SkippingClock()
    parts = Parts(UpstreamSettings(url=server.url), clock, UpstreamMetrics(CollectorRegistry()), clock.sleep)
    yahoo = open_provider("yahoo", parts)
    both = Providers([yahoo, FileProvider(files, clock=clock)], Calendars())
    [quote] = both.fetch_quotes(["AAPL"], deadline=clock.monotonic() + 60)
    assert isinstance(quote, Quote)
    assert (quote.source, clock.slept) == ("file", [])
    [quote] = Providers([yahoo], Calendars()).fetch_quotes(["AAPL"], deadline=clock.monotonic() + 60)
    assert isinstance(quote, Quote)
    assert (quote.source, len(clock.slept)) == ("yahoo", 1)


def test_a_provider_without_bars_is_skipped(providers: Providers) -> None:
    """The scripted reply has a quote but no rows."""
    fetched = providers.fetch_bars(AAPL, None, None, deadline=None)
    assert fetched.attempts == (Attempt("yahoo", "NO_DATA"), Attempt("file", "data"))


def test_the_next_provider_is_asked_only_for_the_missing_part_of_a_batch(
    providers: Providers, server: ScriptedUpstream
) -> None:
    server.answers = [Answer(), Answer(404, UNKNOWN)]
    first, second = providers.fetch_quotes(["AAPL", "OTHER"], deadline=None)
    assert isinstance(first, Quote)
    assert first.source == "yahoo"
    assert isinstance(second, Unavailable | NotFound)


def test_a_symbol_is_unknown_only_when_all_say_so(providers: Providers, server: ScriptedUpstream) -> None:
    server.answers = [Answer(404, UNKNOWN)]
    with pytest.raises(NotFound) as error:
        providers.instrument("OTHER", deadline=None)
    assert error.value.reason is Reason.SYMBOL_NOT_FOUND
    server.answers = [Answer(503)]
    with pytest.raises(Unavailable):
        providers.instrument("OTHER", deadline=None)
    [answer] = providers.fetch_quotes(["OTHER"], deadline=None)
    assert isinstance(answer, Unavailable)


def test_the_address_of_an_upstream_is_never_that_of_the_local_market(server: ScriptedUpstream) -> None:
    with upstream(Answer(503)) as market:
        retry = RetryPolicy(retries=0, reconnects=0)
        settings = UpstreamSettings(url=server.url, sim_url=market.url, retry=retry)
        parts = Parts(settings, SystemClock(), UpstreamMetrics(CollectorRegistry()))
        both = open_providers(["sim", "yahoo"], parts)
        [quote] = both.fetch_quotes(["AAPL"], deadline=None)
        assert isinstance(quote, Quote)
        assert (quote.source, len(market.asked), len(server.asked)) == ("yahoo", 1, 1)
        both.close()


def test_a_short_deadline_asks_no_other_provider(providers: Providers) -> None:
    with pytest.raises(DeadlineTooShort):
        providers.fetch_bars(AAPL, None, None, deadline=SystemClock().monotonic() - 1)


def test_a_series_stays_with_the_provider_that_began_it(providers: Providers) -> None:
    assert providers.pinned("file:yahoo.csv+file+client:x").name == "file"
    assert providers.pinned("yahoo").name == "yahoo"
    assert providers.pinned("file:AAPL_1d.csv+client:x").name == "yahoo+file"
    assert providers.pinned("file:a.csv+yahoo").name == "yahoo"
    assert [status.provider for status in providers.status()] == ["yahoo"]
