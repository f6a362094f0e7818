"""Every known oddity of upstream data, as the market shows it; the numbers are those of sim/README.md."""

from typing import Any

import numpy as np
import pytest

from sim.anomalies import ANOMALIES
from sim.clock import FakeClock, epoch
from sim.listings import table

DAY_S = 86_400
COLUMNS = {"open", "high", "low", "close", "volume"}


def _quote(result: dict[str, Any]) -> dict[str, list[Any]]:
    quote: dict[str, list[Any]] = result["indicators"]["quote"][0]
    return quote


@pytest.mark.parametrize(("interval", "range_"), [("1m", "1d"), ("1d", "1y"), ("1wk", "1y")])
def test_1_an_all_null_bar_in_the_middle(chart: Any, interval: str, range_: str) -> None:
    result = chart("X-NULLBAR", interval=interval, range=range_)
    columns = [*_quote(result).values()]
    if interval != "1m":
        columns.append(result["indicators"]["adjclose"][0]["adjclose"])
    where = {tuple(i for i, value in enumerate(column) if value is None) for column in columns}
    assert len(where) == 1
    ((at,),) = where
    assert 0 < at < len(result["timestamp"]) - 1


def test_2_only_closes_and_one_is_null(chart: Any) -> None:
    result = chart("X-CLOSEONLY", interval="1d", range="6mo")
    assert _quote(result).keys() == {"close"}
    assert _quote(result)["close"].count(None) == 1
    assert result["indicators"]["adjclose"][0]["adjclose"].count(None) == 1


def test_3_the_live_price_off_the_grid_right_after_a_null_bar(chart: Any, clock: FakeClock) -> None:
    clock.set(epoch("2025-06-07T03:00:07Z"))  # a weekend night: this symbol trades at all hours
    result = chart("X-LIVETAIL", interval="1m", range="1d")
    assert result["timestamp"][-1] == clock()
    assert result["timestamp"][-2] == clock() - 7
    assert all(column[-2] is None and column[-1] is not None for column in _quote(result).values())


def test_4_the_live_price_outside_the_window(chart: Any, clock: FakeClock) -> None:
    end = int(clock()) - 2 * DAY_S
    window = {"period1": end - DAY_S, "period2": end}
    for interval in ("1m", "1d"):
        assert chart("X-TAILOUT", interval=interval, **window)["timestamp"][-1] == clock()
        assert chart("AAPL", interval=interval, **window)["timestamp"][-1] <= end


@pytest.mark.parametrize("interval", ["1wk", "1mo", "3mo"])
def test_5_a_second_bar_for_the_current_month(chart: Any, clock: FakeClock, interval: str) -> None:
    times = chart("AAPL", interval=interval, range="5y")["timestamp"]
    assert times[-1] == clock()
    assert times[-2] <= clock() - 2 * DAY_S
    assert len(set(times)) == len(times)


def test_6_the_current_day_at_the_live_time(chart: Any, clock: FakeClock) -> None:
    times = chart("BTC-USD", interval="1d", range="1mo")["timestamp"]
    assert times[-1] == clock()
    assert all(time % DAY_S == 0 for time in times[:-1])


def test_7_the_first_bar_before_period1(chart: Any) -> None:
    late = int(epoch("2025-03-05T23:00:00Z"))
    for interval in ("1d", "1wk"):
        result = chart("^GSPC", interval=interval, period1=late, period2=late + 60 * DAY_S)
        assert result["timestamp"][0] < late


def test_8_a_bar_exactly_at_period2(chart: Any) -> None:
    start = int(epoch("2025-03-03T00:00:00Z"))
    result = chart("BTC-USD", interval="1d", period1=start, period2=start + 2 * DAY_S)
    assert result["timestamp"] == [start, start + DAY_S, start + 2 * DAY_S]


def test_9_hours_start_at_half_past_and_end_with_a_stub(chart: Any, clock: FakeClock) -> None:
    clock.set(epoch("2025-06-04T21:00:00Z"))
    result = chart("AAPL", interval="1h", range="1d")
    steps = np.diff(result["timestamp"])
    assert result["timestamp"][0] % 3600 == 1800
    assert steps.tolist() == [3600] * 6 + [1800]
    assert _quote(result)["volume"][-1] == 0


def test_10_the_first_intraday_bar_of_a_session_without_volume(chart: Any) -> None:
    result = chart("X-ZEROFIRST", interval="1m", range="5d")
    days = [time // DAY_S for time in result["timestamp"]]
    firsts = [i for i, day in enumerate(days) if i == 0 or day != days[i - 1]]
    assert len(firsts) == 5
    assert [_quote(result)["volume"][i] for i in firsts] == [0] * 5
    assert _quote(result)["volume"].count(0) == 6  # five opens, and the live tail


@pytest.mark.parametrize(
    ("symbol", "interval", "start"), [("X-EMPTY", "1d", "2025-05-01"), ("AAPL", "1m", "2025-05-31")]
)
def test_11_no_data_with_status_200(chart: Any, symbol: str, interval: str, start: str) -> None:
    period1 = int(epoch(start))
    result = chart(symbol, interval=interval, period1=period1, period2=period1 + DAY_S)
    assert "timestamp" not in result
    assert result["indicators"]["quote"] == [{}]
    assert result["indicators"].get("adjclose") == (None if interval == "1m" else [{}])
    assert result["meta"]["symbol"] == symbol


@pytest.mark.parametrize(("symbol", "bars"), [("X-BAREMETA", True), ("X-DELISTED", False)])
def test_12_null_and_missing_meta(chart: Any, symbol: str, bars: bool) -> None:
    result = chart(symbol, interval="1d", range="1mo")
    assert result["meta"]["currency"] is None
    assert result["meta"]["firstTradeDate"] is None
    assert not {"regularMarketPrice", "chartPreviousClose", "previousClose"} & result["meta"].keys()
    assert ("timestamp" in result) == bars


def test_12_previous_close_is_in_intraday_replies_only(chart: Any) -> None:
    assert "previousClose" not in chart("AAPL", interval="1d", range="1mo")["meta"]
    assert "previousClose" in chart("AAPL", interval="5m", range="1d")["meta"]


def test_13_trading_periods_have_two_shapes(chart: Any) -> None:
    plain = chart("AAPL", interval="5m", range="1d")["meta"]["tradingPeriods"]
    extended = chart("AAPL", interval="5m", range="1d", includePrePost="true")["meta"]["tradingPeriods"]
    assert [[period.keys() for period in day] for day in plain] == [
        [{"timezone", "start", "end", "gmtoffset"}]
    ]
    assert extended["regular"] == plain


def test_14_no_adjusted_close_intraday(chart: Any) -> None:
    assert chart("AAPL", interval="1h", range="5d")["indicators"].keys() == {"quote"}
    assert chart("AAPL", interval="1d", range="5d")["indicators"].keys() == {"quote", "adjclose"}


def test_15_an_events_key_is_its_bars_time_and_its_date_the_days(chart: Any) -> None:
    events = chart("AAPL", interval="1mo", range="5y", events="div")["events"]["dividends"]
    assert events
    assert all(int(key) != value["date"] for key, value in events.items())


def test_16_events_without_a_bar_and_before_1970(chart: Any) -> None:
    result = chart("X-ORPHAN", interval="1d", range="1y", events="div,splits")
    keys = {int(key) for kind in result["events"].values() for key in kind}
    assert len(keys - set(result["timestamp"])) == 2
    assert min(keys) < 0
    ibm = chart("IBM", interval="1d", range="max", events="div,splits")["events"]["splits"]
    assert (min(map(int, ibm)), {"5:4", "3:2"} <= {s["splitRatio"] for s in ibm.values()}) == (
        -177417000,
        True,
    )


@pytest.mark.parametrize(
    ("symbol", "kind"), [("NVDA", float), ("X-FLOATSPLIT", float), ("AAPL", int), ("X-CSV", int)]
)
def test_17_split_numerators_as_4_or_4_point_0(chart: Any, symbol: str, kind: type) -> None:
    splits = chart(symbol, interval="1d", range="max", events="splits")["events"]["splits"]
    assert {type(split[name]) for split in splits.values() for name in ("numerator", "denominator")} == {kind}


def test_18_capital_gains_and_impossible_lows(chart: Any) -> None:
    assert chart("VFINX", interval="3mo", range="max", events="div,capitalGains")["events"]["capitalGains"]
    quote = _quote(chart("X-BADLOW", interval="1d", range="3mo"))
    assert quote["low"].count(0.0) == 1
    assert sum(low > open_ for low, open_ in zip(quote["low"], quote["open"], strict=True)) == 1


@pytest.mark.parametrize("symbol", ["^GSPC", "^IXIC", "BTC-USD"])
def test_19_volume_above_31_bits(chart: Any, symbol: str) -> None:
    assert max(_quote(chart(symbol, interval="1d", range="1y"))["volume"]) > 2**31


@pytest.mark.parametrize(("symbol", "interval"), [("EURUSD=X", "1d"), ("^FCHI", "1mo"), ("SAP.DE", "1d")])
def test_20_bars_move_with_daylight_saving(chart: Any, symbol: str, interval: str) -> None:
    times = chart(symbol, interval=interval, range="1y")["timestamp"][:-1]
    hours = {time % DAY_S // 3600 for time in times}
    assert len(hours) == 2
    assert max(hours) - min(hours) in (1, 23)


def test_21_the_market_time_is_older_than_the_last_bar_or_years_newer(chart: Any) -> None:
    stale = chart("X-STALETIME", interval="1d", range="1mo")
    assert stale["meta"]["regularMarketTime"] < stale["timestamp"][0]
    window = {"period1": int(epoch("2015-01-01")), "period2": int(epoch("2015-06-01"))}
    old = chart("AAPL", interval="1d", **window)
    assert old["meta"]["regularMarketTime"] > old["timestamp"][-1] + 9 * 365 * DAY_S


def test_22_pence_and_a_hundredfold_jump(chart: Any) -> None:
    assert chart("OCDO.L", interval="1d", range="1mo")["meta"]["currency"] == "GBp"
    result = chart("X-PENCE.L", interval="1d", range="1y")
    steps = np.array(_quote(result)["close"])
    jumps = steps[1:] / steps[:-1]
    assert result["meta"]["currency"] == "GBp"
    assert [int((jumps > 50).sum()), int((jumps < 0.02).sum())] == [1, 1]


def test_23_closes_without_timestamps_and_ragged_columns(chart: Any) -> None:
    result = chart("X-NOTIME", interval="1d", range="5d")
    assert "timestamp" not in result
    assert len(_quote(result)["close"]) == 5
    lengths = {
        name: len(column) for name, column in _quote(chart("X-RAGGED", interval="1d", range="5d")).items()
    }
    assert lengths == {"open": 4, "high": 5, "low": 5, "close": 5, "volume": 3}


def test_24_csv_as_other_tools_write_it(get: Any) -> None:
    text = get("/v7/finance/download/X-CSV", range="1mo").content.decode()
    assert text.startswith("\ufeffDate,Open,High,Low,Close,Adj Close,Volume\n6/4/2025,")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    assert [row[0] for row in rows][:2] == ["6/4/2025", "6/3/2025"]
    assert all(row[-1].endswith(".25") for row in rows)


@pytest.mark.parametrize(
    ("symbol", "status", "content_type", "words"),
    [
        ("X-NODATA", 400, "application/json", "Data doesn't exist for startDate = "),
        ("X-GONE", 404, "application/json", "No data found, symbol may be delisted"),
        ("X-REACH", 422, "application/json", "must be within the last 60 days"),
        ("X-CRUMB", 401, "application/json", "Invalid Crumb"),
        ("X-BUSY", 429, "text/plain", "Too Many Requests"),
        ("X-BUSYHTML", 429, "text/html", "<h1>Too Many Requests</h1>"),
        ("X-BUSY200", 200, "text/plain", "Too Many Requests"),
        ("X-ERROR200", 200, "application/json", '"error":{"code"'),
    ],
)
def test_25_refusals(get: Any, symbol: str, status: int, content_type: str, words: str) -> None:
    response = get(f"/v8/finance/chart/{symbol}", interval="1d", range="5d")
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith(content_type)
    assert words in response.text


def test_any_symbol_can_be_given_an_anomaly(chart: Any, get: Any) -> None:
    before = chart("KO", interval="1d", range="1mo")
    assert get("/admin/anomalies", symbol="KO", name="null_bar").status_code == 200
    assert _quote(chart("KO", interval="1d", range="1mo"))["close"].count(None) == 1
    get("/admin/anomalies/clear")
    assert chart("KO", interval="1d", range="1mo") == before


def test_unknown_anomalies_are_refused_and_all_are_listed(get: Any) -> None:
    assert get("/admin/anomalies").json().keys() == ANOMALIES.keys()
    assert get("/admin/anomalies", symbol="KO", name="none").status_code == 400
    assert get("/admin/anomalies", symbol="NOSUCH", name="null_bar").status_code == 400


def test_every_anomaly_has_a_symbol() -> None:
    shown = {name for instrument in table().values() for name in instrument.anomalies}
    assert shown == ANOMALIES.keys()
