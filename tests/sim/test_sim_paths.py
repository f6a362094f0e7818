"""The other paths: quotes, search, CSV, and symbols that need care in a URL."""

from typing import Any

import pytest

from sim.clock import FakeClock, epoch
from sim.instruments import Kind
from sim.listings import table
from sim.server import Sim


def test_quotes_keep_the_request_order_without_unknown_symbols(get: Any) -> None:
    body = get("/v7/finance/quote", symbols="MSFT,NOSUCH,btc-usd,M&M.NS").json()["quoteResponse"]
    assert body["error"] is None
    assert [quote["symbol"] for quote in body["result"]] == ["MSFT", "BTC-USD", "M&M.NS"]


def test_a_quote_without_symbols_is_refused(get: Any) -> None:
    response = get("/v7/finance/quote")
    assert response.status_code == 400
    assert response.json()["quoteResponse"]["error"]["code"] == "Bad Request"


@pytest.mark.parametrize(
    ("symbol", "at", "state"),
    [
        ("AAPL", "2025-06-04T12:00:00Z", "PRE"),
        ("AAPL", "2025-06-04T15:00:00Z", "REGULAR"),
        ("AAPL", "2025-06-04T21:00:00Z", "POST"),
        ("AAPL", "2025-06-05T03:00:00Z", "CLOSED"),
        ("AAPL", "2025-06-07T15:00:00Z", "CLOSED"),
        ("7203.T", "2025-06-04T03:00:00Z", "CLOSED"),
        ("BTC-USD", "2025-06-07T15:00:00Z", "REGULAR"),
        ("EURUSD=X", "2025-06-07T15:00:00Z", "CLOSED"),
        ("VFINX", "2025-06-04T15:00:00Z", "CLOSED"),
    ],
)
def test_a_quote_says_whether_the_market_is_open(
    get: Any, clock: FakeClock, symbol: str, at: str, state: str
) -> None:
    clock.set(epoch(at))
    quote = get("/v7/finance/quote", symbols=symbol).json()["quoteResponse"]["result"][0]
    assert quote["marketState"] == state


def test_a_quotes_day_is_the_daily_bar(get: Any, chart: Any) -> None:
    quote = get("/v7/finance/quote", symbols="VOD.L").json()["quoteResponse"]["result"][0]
    bars = chart("VOD.L", interval="1d", range="5d")["indicators"]["quote"][0]
    day = [quote[f"regularMarket{name}"] for name in ("Open", "DayHigh", "DayLow", "Price", "Volume")]
    assert day == pytest.approx([bars[name][-1] for name in ("open", "high", "low", "close", "volume")])
    assert quote["regularMarketPreviousClose"] == pytest.approx(bars["close"][-2])
    assert quote["currency"] == "GBp"


@pytest.mark.parametrize("symbol", ["M&M.NS", "^GSPC", "EURUSD=X", "aapl", "BRK-B", "0P000071W8.TO"])
def test_symbols_are_found_percent_encoded_and_in_lower_case(chart: Any, symbol: str) -> None:
    assert chart(symbol, interval="1d", range="1mo")["meta"]["symbol"] == symbol.upper()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("apple", "AAPL"),
        ("AAPL", "AAPL"),
        ("msf", "MSFT"),
        ("gspc", "^GSPC"),
        ("vodafone", "VOD.L"),
        ("bitcoin", "BTC-USD"),
    ],
)
def test_search_finds_by_symbol_and_by_name(get: Any, text: str, first: str) -> None:
    body = get("/v1/finance/search", q=text).json()
    found = body["quotes"][0]
    assert found["symbol"] == first
    assert {"shortname", "longname", "quoteType", "exchange", "exchDisp", "typeDisp", "score"} <= found.keys()
    assert body["count"] == len(body["quotes"])


def test_search_ranks_symbols_with_defects_last_and_counts(get: Any) -> None:
    symbols = [q["symbol"] for q in get("/v1/finance/search", q="a", quotesCount="100").json()["quotes"]]
    defective = [symbol.startswith("X-") for symbol in symbols]
    assert any(defective)
    assert defective == sorted(defective)
    assert len(get("/v1/finance/search", q="a", quotesCount="3").json()["quotes"]) == 3
    assert get("/v1/finance/search", q="").json()["quotes"] == []


def test_the_table_has_every_kind_of_instrument(get: Any) -> None:
    listed = get("/admin/symbols").json()
    real = [entry for entry in listed if not entry["symbol"].startswith("X-")]
    assert len(real) >= 40
    assert len({entry["kind"] for entry in real}) == 7
    assert {"USD", "GBp", "EUR", "JPY", "DKK", "INR"} <= {entry["currency"] for entry in real}
    assert set(table()) == {entry["symbol"] for entry in listed}


def test_every_symbol_answers_at_every_interval(get: Any, sim: Sim) -> None:
    """The reply is a refusal, an empty result or bars: always one that the API could give."""
    for symbol in table():
        for interval, range_ in [("1m", "1d"), ("1h", "5d"), ("1d", "1mo"), ("1wk", "1y"), ("3mo", "max")]:
            response = get(f"/v8/finance/chart/{symbol.replace('&', '%26')}", interval=interval, range=range_)
            assert response.status_code in (200, 400, 401, 404, 422, 429)
            if not symbol.startswith("X-"):
                result = response.json()["chart"]["result"][0]
                no_minutes = sim.market.instruments[symbol].kind is Kind.FUND and interval in ("1m", "1h")
                assert ("timestamp" in result) != no_minutes


def test_history_comes_as_csv_too(get: Any, chart: Any) -> None:
    response = get("/v7/finance/download/KO", interval="1d", range="1mo")
    lines = response.text.splitlines()
    assert response.headers["Content-Type"] == "text/csv"
    assert lines[0] == "Date,Open,High,Low,Close,Adj Close,Volume"
    assert lines[-1].startswith("2025-06-04,")
    assert len(lines) - 1 == len(chart("KO", interval="1d", range="1mo")["timestamp"])


def test_health_and_unknown_paths(get: Any) -> None:
    assert get("/healthz").json()["status"] == "ok"
    assert get("/v8/finance/chart/").status_code == 404
    assert get("/nothing").status_code == 404
    assert get("/admin/nothing").status_code == 404
