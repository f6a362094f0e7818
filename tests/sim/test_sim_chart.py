"""Chart replies: their shape and windows, compared with recorded replies and with each other."""

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import requests

from sim.clock import FakeClock, epoch
from sim.server import Sim

DAY_S = 86_400
# Replies recorded with their URL, for symbols that the market has.
RECORDED = [
    "aapl_1d_split_dividend_2020",
    "aapl_1m_weekend_empty_200",
    "btc_usd_1d",
    "dji_1mo",
    "eurusd_1d",
    "fchi_3mo",
    "fund_0p000071w8_to_1d",
    "gc_future_1d",
    "gspc_1d",
    "gspc_1m_1day",
    "ixic_1wk",
    "msft_1d_1y_dividends",
    "nvda_1d_1y_split",
    "ocdo_l_gbp_pence_1d",
    "orsted_co_dkk_1d",
    "qqq_etf_1d",
    "tsla_1d_2010_2023",
    "tsla_30m_prepost",
]
OHLC = ("open", "high", "low", "close")


def _recorded(fixtures: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = fixtures / "yahoo"
    result = json.loads((folder / f"{name}.json").read_text())["chart"]["result"][0]
    return result, json.loads((folder / "manifest.json").read_text())[f"{name}.json"]


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_request_gets_bars_at_the_recorded_times(
    sim: Sim, clock: FakeClock, fixtures: Path, name: str
) -> None:
    """Sessions, holidays, daylight saving and window edges agree with real ones, for TSLA over 13 years."""
    recorded, request = _recorded(fixtures, name)
    clock.set(parsedate_to_datetime(request["headers"]["date"]).timestamp())
    url = urlsplit(request["url"])
    ours = requests.get(sim.url + url.path, params=dict(parse_qsl(url.query)), timeout=10).json()
    result = ours["chart"]["result"][0]
    assert result.get("timestamp") == recorded.get("timestamp")
    assert result["indicators"].keys() == recorded["indicators"].keys()
    assert result["indicators"]["quote"][0].keys() == recorded["indicators"]["quote"][0].keys()
    assert recorded["meta"].keys() <= result["meta"].keys()
    fixed = ("currency", "exchangeName", "instrumentType", "gmtoffset", "timezone", "exchangeTimezoneName")
    for field in (*fixed, "priceHint", "dataGranularity", "range", "validRanges"):
        assert result["meta"][field] == recorded["meta"][field], field
    assert result["meta"].get("tradingPeriods") == recorded["meta"].get("tradingPeriods")


@pytest.mark.parametrize("name", ["msft_1d_1y_dividends", "aapl_1m_weekend_empty_200", "tsla_1d_2010_2023"])
def test_meta_has_the_fields_of_a_recent_reply_and_no_other(
    sim: Sim, clock: FakeClock, fixtures: Path, name: str
) -> None:
    recorded, request = _recorded(fixtures, name)
    url = urlsplit(request["url"])
    clock.set(parsedate_to_datetime(request["headers"]["date"]).timestamp())
    ours = requests.get(sim.url + url.path, params=dict(parse_qsl(url.query)), timeout=10).json()
    meta = ours["chart"]["result"][0]["meta"]
    assert meta.keys() == recorded["meta"].keys()
    assert {k: type(v) for k, v in meta.items() if "Close" not in k and "Price" not in k} == {
        k: type(v) for k, v in recorded["meta"].items() if "Close" not in k and "Price" not in k
    }
    assert meta["firstTradeDate"] == recorded["meta"]["firstTradeDate"]
    assert meta["currentTradingPeriod"] == recorded["meta"]["currentTradingPeriod"]


@pytest.mark.parametrize("symbol", ["AAPL", "BTC-USD", "EURUSD=X", "GC=F", "VOD.L", "^GSPC", "X-CSV"])
def test_quote_and_every_interval_have_the_same_last_price(chart: Any, get: Any, symbol: str) -> None:
    quote = get("/v7/finance/quote", symbols=symbol).json()["quoteResponse"]["result"][0]
    price = quote["regularMarketPrice"]
    for interval, range_ in [
        *((interval, "1d") for interval in ("1m", "5m", "15m", "30m", "60m", "1h")),
        *((interval, "1y") for interval in ("1d", "1wk", "1mo", "3mo")),
    ]:
        result = chart(symbol, interval=interval, range=range_)
        assert result["meta"]["regularMarketPrice"] == price
        assert result["meta"]["regularMarketTime"] == quote["regularMarketTime"]
        columns = result["indicators"]["quote"][0]
        assert columns["close"][-1] == pytest.approx(price, rel=1e-6)
        assert {len(column) for column in columns.values()} == {len(result["timestamp"])}
    assert quote["currency"] == result["meta"]["currency"]


def test_prices_are_single_precision_written_as_doubles(chart: Any) -> None:
    close = np.array(chart("AAPL", interval="1d", range="1y")["indicators"]["quote"][0]["close"])
    assert np.array_equal(close, close.astype(np.float32).astype(float))
    assert not np.array_equal(close, np.round(close, 2))


@pytest.mark.parametrize("symbol", ["AAPL", "BTC-USD", "GBPUSD=X", "^N225"])
def test_weeks_and_months_are_aggregates_of_days(chart: Any, symbol: str) -> None:
    start, end = epoch("2023-01-01T00:00:00Z"), epoch("2024-12-31T00:00:00Z")
    window = {"period1": int(start), "period2": int(end)}
    days = chart(symbol, interval="1d", **window)
    times = np.array(days["timestamp"])
    quote = {name: np.array(days["indicators"]["quote"][0][name]) for name in (*OHLC, "volume")}
    for interval in ("1wk", "1mo"):
        longer = chart(symbol, interval=interval, **window)
        edges = longer["timestamp"]
        bars = longer["indicators"]["quote"][0]
        for k in range(1, len(edges) - 1):
            a, b = edges[k : k + 2]
            inside = (times >= a) & (times < b)
            assert bars["open"][k] == quote["open"][inside][0]
            assert bars["high"][k] == quote["high"][inside].max()
            assert bars["low"][k] == quote["low"][inside].min()
            assert bars["close"][k] == quote["close"][inside][-1]
            assert bars["volume"][k] == quote["volume"][inside].sum()


def test_an_intraday_reply_ends_with_the_forming_bar_and_the_live_price_off_the_grid(chart: Any) -> None:
    result = chart("AAPL", interval="5m", range="1d")
    assert result["timestamp"][-2:] == [epoch("2025-06-04T15:30:00Z"), epoch("2025-06-04T15:30:07Z")]
    quote = result["indicators"]["quote"][0]
    assert quote["open"][-1] == quote["high"][-1] == quote["low"][-1] == quote["close"][-2]
    assert quote["volume"][-1] == 0
    assert "adjclose" not in result["indicators"]


def test_after_the_close_there_is_a_stub_until_the_next_session_opens(chart: Any, clock: FakeClock) -> None:
    close = epoch("2025-06-06T20:00:00Z")  # a Friday
    for at in ("2025-06-06T20:00:00Z", "2025-06-08T12:00:00Z"):
        clock.set(epoch(at))
        times = chart("AAPL", interval="1h", range="1d")["timestamp"]
        assert [time - close for time in times[-2:]] == [-1800, 0]
    clock.set(epoch("2025-06-09T13:30:00Z"))
    window = {"period1": int(close - DAY_S), "period2": int(close + 3600)}
    assert chart("AAPL", interval="1h", **window)["timestamp"][-1] == close - 1800


def test_the_current_day_carries_the_time_of_the_last_trade(chart: Any, clock: FakeClock) -> None:
    assert chart("AAPL", interval="1d", range="5d")["timestamp"][-1] == clock()
    clock.set(epoch("2025-06-04T23:00:00Z"))
    assert chart("AAPL", interval="1d", range="5d")["timestamp"][-1] == epoch("2025-06-04T20:00:00Z")
    clock.set(epoch("2025-06-05T05:00:00Z"))  # settled: on the grid
    assert chart("AAPL", interval="1d", range="5d")["timestamp"][-1] == epoch("2025-06-04T13:30:00Z")
    clock.set(epoch("2025-06-05T14:00:00Z"))
    assert chart("AAPL", interval="1d", range="5d")["timestamp"][-2] == epoch("2025-06-04T13:30:00Z")


def test_the_current_month_has_a_second_bar_which_is_today(chart: Any, clock: FakeClock) -> None:
    result = chart("AAPL", interval="1mo", range="1y")
    today = chart("AAPL", interval="1d", range="1d")
    assert result["timestamp"][-2:] == [epoch("2025-06-01T04:00:00Z"), clock()]
    for name in (*OHLC, "volume"):
        assert result["indicators"]["quote"][0][name][-1] == today["indicators"]["quote"][0][name][-1]


def test_pre_and_post_market_come_on_request(chart: Any, clock: FakeClock) -> None:
    clock.set(epoch("2025-06-05T01:00:00Z"))
    result = chart("AAPL", interval="30m", range="1d", includePrePost="true")
    times = result["timestamp"]
    assert times[0] == epoch("2025-06-04T08:00:00Z")
    assert times[-1] == epoch("2025-06-04T23:30:00Z")
    volume = np.array(result["indicators"]["quote"][0]["volume"])
    regular = (np.array(times) >= epoch("2025-06-04T13:30:00Z")) & (
        np.array(times) < epoch("2025-06-04T20:00:00Z")
    )
    assert (volume[regular] > 0).all()
    assert not volume[~regular].any()
    periods = result["meta"]["tradingPeriods"]
    assert {part: len(days) for part, days in periods.items()} == {"pre": 1, "regular": 1, "post": 1}
    without = chart("AAPL", interval="30m", range="1d")
    assert isinstance(without["meta"]["tradingPeriods"], list)
    assert len(without["timestamp"]) == 14  # 13 bars and the stub


def test_the_pre_market_of_a_day_is_there_before_its_session(chart: Any, clock: FakeClock) -> None:
    clock.set(epoch("2025-06-05T12:00:10Z"))
    times = chart("AAPL", interval="1m", range="1d", includePrePost="true")["timestamp"]
    assert times[0] == epoch("2025-06-05T08:00:00Z")
    assert times[-1] == epoch("2025-06-05T12:00:00Z")


@pytest.mark.parametrize(
    ("params", "status", "code", "words"),
    [
        (
            {"interval": "5h"},
            400,
            "Bad Request",
            "Invalid input - interval=5h is not supported. Valid intervals: [1m",
        ),
        ({"range": "7d"}, 400, "Bad Request", "Invalid input - range=7d is not supported. Valid ranges: [1d"),
        ({"period1": "x", "interval": "1d"}, 400, "Bad Request", "period1=x"),
        ({"period1": 1000, "period2": 900, "interval": "1d"}, 400, "Bad Request", "cannot be after end date"),
        (
            {"period1": 1000, "period2": 2000, "interval": "1d"},
            400,
            "Bad Request",
            "Data doesn't exist for startDate = 1000, endDate = 2000",
        ),
        (
            {"period1": 1750000000, "period2": 1760000000, "interval": "1d"},
            400,
            "Bad Request",
            "Data doesn't exist for startDate = 1750000000, endDate = 1760000000",
        ),
    ],
)
def test_refusals_are_in_yahoos_words(
    get: Any, params: dict[str, Any], status: int, code: str, words: str
) -> None:
    response = get("/v8/finance/chart/AAPL", **params)
    body = response.json()["chart"]
    assert (response.status_code, body["result"], body["error"]["code"]) == (status, None, code)
    assert words in body["error"]["description"]


def test_an_unknown_symbol_is_404(get: Any) -> None:
    response = get("/v8/finance/chart/NOSUCH", interval="1d", range="5d")
    assert response.status_code == 404
    assert response.json() == {
        "chart": {
            "result": None,
            "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"},
        }
    }


@pytest.mark.parametrize(
    ("interval", "back", "length", "accepted"),
    [
        ("1m", 29, 7, True),
        ("1m", 29, 8, False),
        ("1m", 31, 1, False),
        ("5m", 59, 59, True),
        ("5m", 61, 1, False),
        ("15m", 61, 1, False),
        ("30m", 61, 1, False),
        ("1h", 729, 729, True),
        ("1h", 731, 1, False),
        ("1d", 9000, 9000, True),
    ],
)
def test_intraday_data_has_a_limited_reach(
    get: Any, clock: FakeClock, interval: str, back: int, length: int, accepted: bool
) -> None:
    start = int(clock()) - back * DAY_S
    end = start + length * DAY_S
    response = get("/v8/finance/chart/AAPL", interval=interval, period1=start, period2=end)
    if accepted:
        assert response.status_code == 200
        return
    assert response.status_code == 422
    error = response.json()["chart"]["error"]
    assert error["code"] == "Unprocessable Entity"
    assert error["description"].startswith(
        f"{interval} data not available for startTime={start} and endTime={end}. "
    )


@pytest.mark.parametrize(
    ("range_", "days"),
    [("1d", 1), ("5d", 5), ("1mo", 22), ("6mo", 125), ("1y", 250), ("10y", 2515), ("max", 11_212)],
)
def test_ranges_are_as_long_as_they_say(chart: Any, range_: str, days: int) -> None:
    result = chart("AAPL", interval="1d", range=range_)
    assert len(result["timestamp"]) == pytest.approx(days, abs=2)
    assert result["meta"]["range"] == range_


def test_ytd_starts_with_the_year(chart: Any) -> None:
    assert chart("AAPL", interval="1d", range="ytd")["timestamp"][0] == epoch("2025-01-02T14:30:00Z")


def test_events_are_keyed_by_bar_and_dated_by_day(chart: Any) -> None:
    window = {"period1": int(epoch("2020-08-01T00:00:00Z")), "period2": int(epoch("2020-12-31T00:00:00Z"))}
    for interval in ("1d", "1wk", "1mo"):
        result = chart("AAPL", interval=interval, events="div,splits", **window)
        split = {"date": 1598880600, "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
        ((key, value),) = result["events"]["splits"].items()
        assert value == split
        keys = [key, *result["events"]["dividends"]]
        assert {int(k) for k in keys} <= set(result["timestamp"])
        assert (int(key) == split["date"]) == (interval == "1d")
    assert "splits" not in chart("AAPL", interval="1d", events="div", **window)["events"]
    assert "events" not in chart("AAPL", interval="1d", **window)


def test_event_names_are_taken_in_all_their_spellings(chart: Any) -> None:
    for events in ("div,splits", "div|split|earn", "div,splits,capitalGains"):
        assert {"dividends", "splits"} <= chart("AAPL", interval="1d", range="max", events=events)[
            "events"
        ].keys()


def test_a_restated_split_divides_the_whole_history(chart: Any, get: Any, clock: FakeClock) -> None:
    before = chart("MSFT", interval="1d", range="1mo")
    assert get("/admin/restate", symbol="msft", ratio="4:1").status_code == 200
    after = chart("MSFT", interval="1d", range="1mo", events="splits")
    old, new = (np.array(r["indicators"]["quote"][0]["close"]) for r in (before, after))
    assert new * 4 == pytest.approx(old, rel=1e-6)
    assert after["timestamp"] == before["timestamp"]
    assert after["meta"]["regularMarketPrice"] == pytest.approx(before["meta"]["regularMarketPrice"] / 4)
    ((_, split),) = after["events"]["splits"].items()
    assert split["splitRatio"] == "4:1"
    assert get("/admin/restate/clear").status_code == 200
    assert chart("MSFT", interval="1d", range="1mo") == before


def test_a_restated_dividend_changes_adjusted_closes_only(chart: Any, get: Any) -> None:
    before = chart("MSFT", interval="1d", range="1mo")
    get("/admin/restate", symbol="MSFT", kind="dividend", amount="5")
    after = chart("MSFT", interval="1d", range="1mo")
    assert after["indicators"]["quote"] == before["indicators"]["quote"]
    old, new = (np.array(r["indicators"]["adjclose"][0]["adjclose"]) for r in (before, after))
    assert (new[:-1] < old[:-1]).all()
    assert new[-1] == old[-1]


def test_a_correction_changes_one_day_at_every_interval(chart: Any, get: Any) -> None:
    def state() -> tuple[Any, Any]:
        return chart("MSFT", interval="1d", range="1mo"), chart("MSFT", interval="5m", range="5d")

    days, minutes = state()
    get("/admin/restate", symbol="MSFT", kind="correction", days="2", factor="1.1")
    new_days, new_minutes = state()
    ratio = np.array(new_days["indicators"]["quote"][0]["high"]) / days["indicators"]["quote"][0]["high"]
    assert ratio == pytest.approx([1.0] * (len(ratio) - 3) + [1.1, 1.0, 1.0])
    ratio = np.array(new_minutes["indicators"]["quote"][0]["low"]) / minutes["indicators"]["quote"][0]["low"]
    assert sorted({round(float(r), 4) for r in ratio}) == [1.0, 1.1]


def test_25_years_of_days_are_one_reply(chart: Any, clock: FakeClock) -> None:
    window = {"period1": int(clock()) - 25 * 365 * DAY_S, "period2": int(clock())}
    assert len(chart("^GSPC", interval="1d", **window)["timestamp"]) > 6200


def test_an_index_of_1927_has_bars_from_1927(chart: Any) -> None:
    result = chart("^GSPC", interval="1mo", range="max")
    assert result["meta"]["firstTradeDate"] == -1325583000
    assert result["timestamp"][0] < -1_325_000_000
