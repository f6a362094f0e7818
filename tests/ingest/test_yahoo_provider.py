"""The Yahoo provider over HTTP, against recorded replies."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from prometheus_client import CollectorRegistry

from finstage_market.errors import InvalidRequest, NotFound, Reason
from finstage_market.interval import Interval
from finstage_runtime.clock import SystemClock
from services.ingest.hours.calendars import Calendars
from services.ingest.hours.gaps import with_gaps
from services.ingest.providers.api import Provider
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.series import GapReason, Quote, SeriesKey
from services.ingest.upstream.metrics import UpstreamMetrics
from tests.ingest.replay import ReplayServer, replaying

DAY_MS = 86_400_000


@pytest.fixture
def server(fixtures: Path) -> Iterator[ReplayServer]:
    with replaying(fixtures / "yahoo") as running:
        yield running


@pytest.fixture
def provider(server: ReplayServer) -> Iterator[Provider]:
    settings = UpstreamSettings(url=server.url)
    parts = Parts(settings, SystemClock(), UpstreamMetrics(CollectorRegistry()))
    made = open_provider("yahoo", parts)
    yield made
    made.close()


def windows(server: ReplayServer) -> list[tuple[int, int]]:
    """Return (period1, period2) of each request, in seconds."""
    queries = [parse_qs(urlsplit(target).query) for target in server.asked]
    return [(int(q["period1"][0]), int(q["period2"][0])) for q in queries]


def now_ms() -> int:
    return round(SystemClock().wall() * 1000)


def test_a_daily_history_is_one_request_for_all_of_it(provider: Provider, server: ReplayServer) -> None:
    fetched = provider.fetch_bars(SeriesKey("TSLA", Interval.D1), None, None, deadline=None)
    assert (len(fetched.bars.columns), fetched.bars.last_is_final, fetched.source) == (3303, True, "yahoo")
    assert fetched.bars.adjusted_close is not None
    assert len(fetched.bars.adjusted_close) == 3303
    assert fetched.instrument.first_bar_ms == 1_277_818_200_000
    [(start, end)] = windows(server)
    assert start < 0
    assert end * 1000 >= fetched.fetched_at_ms
    query = parse_qs(urlsplit(server.asked[0]).query)
    assert (query["interval"], query["events"], query["includePrePost"]) == (
        ["1d"],
        ["div,split,capitalGains"],
        ["false"],
    )


def test_minutes_are_requested_by_the_week_and_a_month_back(provider: Provider, server: ReplayServer) -> None:
    fetched = provider.fetch_bars(SeriesKey("^GSPC", Interval.M1), None, None, deadline=None)
    asked = windows(server)
    assert len(asked) == 5
    assert all(0 < end - start <= 7 * 86_400 + 1 for start, end in asked)
    assert now_ms() - fetched.start_ms < 30 * DAY_MS
    # The recording is older, so none of its bars is in the window.
    assert len(fetched.bars.columns) == 0


def test_what_lies_before_the_upstreams_limit_is_a_gap(provider: Provider) -> None:
    start_ms = now_ms() - 100 * DAY_MS
    fetched = provider.fetch_bars(SeriesKey("TSLA", Interval.M30), start_ms, None, deadline=None)
    [gap] = fetched.gaps
    assert (gap.reason, gap.start_ms) == (GapReason.PROVIDER_LIMIT, start_ms)
    assert now_ms() - gap.end_ms < 60 * DAY_MS


def test_what_lies_before_the_listing_is_a_gap(provider: Provider) -> None:
    for start_ms in (0, None):
        fetched = provider.fetch_bars(SeriesKey("TSLA", Interval.D1), start_ms, None, deadline=None)
        gap = with_gaps(fetched, Calendars()).gaps[0]
        assert (gap.reason, gap.start_ms, gap.end_ms) == (
            GapReason.BEFORE_LISTING,
            fetched.start_ms,
            1_277_818_200_000,
        )


def test_whole_weeks_are_requested(provider: Provider, server: ReplayServer) -> None:
    """The request adds a week or two on both sides and drops them, because edge weeks may be cut off."""
    start_ms, end_ms = 1_600_000_000_000, 1_620_000_000_000
    fetched = provider.fetch_bars(SeriesKey("AAPL", Interval.W1), start_ms, end_ms, deadline=None)
    [(start, end)] = windows(server)
    assert start * 1000 <= start_ms - 7 * DAY_MS
    assert end * 1000 >= end_ms + 7 * DAY_MS
    times = fetched.bars.columns.open_time_ms
    assert (times[0] >= start_ms, times[-1] < end_ms, fetched.bars.last_is_final) == (True, True, True)


def test_a_known_symbol_without_data_gives_no_bars(provider: Provider) -> None:
    for symbol in ("APS.AX", "CAPIO.ST", "^VXAPL", "BEKE"):
        fetched = provider.fetch_bars(SeriesKey(symbol, Interval.D1), None, None, deadline=None)
        assert (len(fetched.bars.columns), fetched.as_of_ms) == (0, None)


def test_an_unknown_symbol_is_not_found(provider: Provider) -> None:
    with pytest.raises(NotFound) as bars:
        provider.fetch_bars(SeriesKey("SI", Interval.D1), None, None, deadline=None)
    assert (bars.value.reason, bars.value.resource_name) == (Reason.SYMBOL_NOT_FOUND, "SI")
    with pytest.raises(NotFound):
        provider.instrument("NOSUCH", deadline=None)


def test_quotes_are_in_the_order_asked_each_with_its_own_error(provider: Provider) -> None:
    first, second, third, fourth = provider.fetch_quotes(
        ["AAPL", "NOSUCH", "OCDO.L", "CAPIO.ST"], deadline=None
    )
    assert isinstance(first, Quote)
    assert (first.price, first.source, first.market_state) == (129.55, "yahoo", "CLOSED")
    assert isinstance(second, NotFound)
    assert second.reason is Reason.SYMBOL_NOT_FOUND
    assert isinstance(third, Quote)
    assert (third.price, third.currency) == (1897.5, "GBp")
    assert isinstance(fourth, NotFound)
    assert fourth.reason is Reason.NO_DATA


def test_an_instrument_is_read_from_meta(provider: Provider) -> None:
    found = provider.instrument("OCDO.L", deadline=None)
    assert (found.symbol, found.type, found.exchange, found.currency) == ("OCDO.L", "EQUITY", "LSE", "GBp")
    assert (found.time_zone, found.price_precision, found.source) == ("Europe/London", 2, "yahoo")


def test_search_gives_instruments(provider: Provider) -> None:
    found = provider.search("GSPC", limit=5, deadline=None)
    assert [(each.symbol, each.type) for each in found] == [("^GSPC", "INDEX")]


def test_a_symbol_never_leaves_its_place_in_the_path(provider: Provider, server: ReplayServer) -> None:
    for symbol in ("../../x?y=1", "A/B", "A?x=1", "A#", "A B", "", "..", "%2E%2E", "Ä"):
        with pytest.raises(InvalidRequest):
            provider.fetch_bars(SeriesKey(symbol, Interval.D1), None, None, deadline=None)
    assert server.asked == []
    provider.instrument("^GSPC", deadline=None)
    assert server.asked[0].startswith("/v8/finance/chart/%5EGSPC?")


def test_a_reply_of_another_symbol_is_not_the_answer(server: ReplayServer, provider: Provider) -> None:
    """One such reply may be a mix-up. After two, the error names the symbol that has the data."""
    server.by_key["MSFT", "1d"] = server.by_key["TSLA", "1d"]
    asks: list[Callable[[], object]] = [
        lambda: provider.fetch_bars(SeriesKey("MSFT", Interval.D1), None, None, deadline=None),
        lambda: provider.instrument("MSFT", deadline=None),
    ]
    for ask in asks:
        with pytest.raises(NotFound, match="ask for TSLA") as error:
            ask()
        assert (error.value.reason, error.value.resource_name) == (Reason.SYMBOL_NOT_FOUND, "MSFT")
    assert len(server.asked) == 4
    [quote] = provider.fetch_quotes(["MSFT"], deadline=None)
    assert isinstance(quote, NotFound)


def test_a_reply_of_another_granularity_has_no_data_of_the_series(
    server: ReplayServer, provider: Provider
) -> None:
    """For a granularity that it does not keep, the upstream always sends another one."""
    server.by_key["VFINX", "1mo"] = server.by_key["VFINX", "3mo"]
    fetched = provider.fetch_bars(SeriesKey("VFINX", Interval.MO1), None, None, deadline=None)
    assert len(fetched.bars.columns) == 0
