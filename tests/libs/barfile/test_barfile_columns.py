"""The meaning of columns, and their tickers."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import finstage_barfile as barfile
from finstage_barfile import BarFile, Unreadable
from finstage_market.interval import Interval

ReadText = Callable[..., BarFile]

LONG = """date,open,high,low,close,volume,Name
2024-01-01,15,15,15,15,1,AAL
2024-01-02,16,16,16,16,1,AAL
2024-01-01,60,60,60,60,1,AAPL
2024-01-02,61,61,61,one,1,AAPL
2024-01-03,62,62,62,62,1,AAPL
"""
WIDE = """Date,AAPL.Open,AAPL.High,AAPL.Low,AAPL.Close,MSFT.Open,MSFT.High,MSFT.Low,MSFT.Close
2024-01-01,10,11,9,10.5,310,311,309,310.5
"""
# As yfinance writes it: Close above AAPL; in another release the two rows are swapped.
TWO_ROWS = """Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume
Ticker,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT
Date,,,,,,,,,,
2024-01-01,10.5,310.5,11,311,9,309,10,310,100,200
"""


def test_one_ticker_s_rows_are_taken_from_a_file_of_several(read_text: ReadText) -> None:
    bars = read_text(LONG, ticker="aapl")
    assert list(bars.columns.close) == [60, 62]
    assert list(bars.rows) == [4, 6]
    assert [each.row for each in bars.refused] == [5]
    assert (bars.ticker, bars.passed_over) == ("AAPL", {"AAL": 2})
    assert bars.column_names["symbol"] == "Name"
    bars = read_text(LONG, ticker="AAL")
    assert (list(bars.columns.close), bars.passed_over) == ([15, 16], {"AAPL": 3})


@pytest.mark.parametrize(
    ("ticker", "told"),
    [
        (None, "column 'Name' holds 'AAL', 'AAPL'"),
        ("MSFT", "column 'Name' holds 'AAL', 'AAPL', and not MSFT"),
    ],
)
def test_rows_of_several_tickers_are_never_one_series(
    read_text: ReadText, ticker: str | None, told: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        read_text(LONG, ticker=ticker)
    assert (str(caught.value), caught.value.settled_by) == (told, "ticker")


def test_the_first_tickers_are_listed_and_the_others_counted(read_text: ReadText) -> None:
    rows = "".join(f"2024-01-01,1,1,1,1,T{number:04}\n" for number in range(1500))
    with pytest.raises(Unreadable, match="holds 'T0000', 'T0001', 'T0002', 'T0003', 'T0004' and 1,495 more"):
        read_text("date,open,high,low,close,ticker\n" + rows)


@pytest.mark.parametrize("name", ["<TICKER>", "Symbol", "instrument", "Name"])
def test_a_file_of_another_ticker_is_refused(read_text: ReadText, name: str) -> None:
    content = f"{name},date,open,high,low,close\nAAPL.US,2024-01-01,1,1,1,1\n"
    with pytest.raises(Unreadable, match=r"holds 'AAPL\.US', and not AAPL"):
        read_text(content, ticker="AAPL")
    assert read_text(content, ticker="aapl.us").ticker == "AAPL.US"
    assert read_text(content).ticker == "AAPL.US"


def test_rows_without_a_ticker_are_skipped(read_text: ReadText) -> None:
    bars = read_text("date,open,high,low,close,sym\n2024-01-01,1,1,1,1,A\n2024-01-02,1,1,1,1,\n", ticker="A")
    assert (list(bars.rows), bars.passed_over) == ([2], {"": 1})


def test_a_company_s_name_is_a_ticker_only_when_asked_for(read_text: ReadText) -> None:
    content = "date,open,high,low,close,name\n2024-01-01,1,1,1,1,Apple Inc.\n"
    bars = read_text(content, ticker="AAPL")
    assert (bars.ticker, bars.ignored) == (None, ("name",))
    with pytest.raises(Unreadable, match=r"holds 'Apple Inc\.', and not AAPL"):
        read_text(content, ticker="AAPL", column_names={"symbol": "name"})
    assert read_text(content, ticker="apple inc.", column_names={"symbol": "name"}).ticker == "Apple Inc."


def test_a_parquet_of_several_tickers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": pd.to_datetime(["2024-01-01"] * 2 + ["2024-01-02"]), "sym": ["A", "B", "A"]})
    prices = {name: [1.0, 2.0, 3.0] for name in ("open", "high", "low", "close")}
    frame.assign(**prices, sym=frame["sym"].astype("category")).to_parquet(tmp_path / "b.parquet")
    bars = barfile.read(tmp_path / "b.parquet", interval=Interval.D1, ticker="A")
    assert (list(bars.columns.close), list(bars.rows), bars.passed_over) == ([1, 3], [1, 3], {"B": 1})


@pytest.mark.parametrize("content", [WIDE, TWO_ROWS])
def test_one_ticker_s_columns_are_taken_from_a_file_of_several(read_text: ReadText, content: str) -> None:
    bars = read_text(content, ticker="msft")
    assert (bars.columns.open[0], bars.columns.close[0]) == (310, 310.5)
    assert (bars.ticker, bars.column_names["close"]) == ("MSFT", "MSFT.Close")
    assert "AAPL.Close" in bars.ignored
    assert list(bars.rows) == [content.count("\n")]
    for ticker, told in ((None, "AAPL, MSFT"), ("IBM", "AAPL, MSFT, and not of IBM")):
        with pytest.raises(Unreadable) as caught:
            read_text(content, ticker=ticker)
        assert (str(caught.value), caught.value.settled_by) == (f"its prices are those of {told}", "ticker")


@pytest.mark.parametrize(
    "header",
    [
        "Price,Close,High,Low,Open,Volume\nTicker,A,A,A,A,A\nDate,,,,,\n",
        "Ticker,A,A,A,A,A\nPrice,Close,High,Low,Open,Volume\nDate,,,,,\n",
        ",Close,High,Low,Open,Volume\nDate,A,A,A,A,A\n",
        "Price,Close,High,Low,Open,Volume\n,A,A,A,A,A\n",
    ],
)
def test_a_header_of_two_rows(read_text: ReadText, header: str) -> None:
    bars = read_text(header + "2024-01-01,10.5,11,9,10,100\n2024-01-02,10.5,11,9,10,100\n", ticker="A")
    assert (bars.columns.open[0], bars.columns.close[0], bars.columns.volume[0]) == (10, 10.5, 100)
    assert list(bars.rows) == [header.count("\n") + 1, header.count("\n") + 2]
    assert bars.refused == ()
    with pytest.raises(Unreadable, match="its prices are those of A, and not of B"):
        read_text(header + "2024-01-01,10.5,11,9,10,100\n", ticker="B")


def test_a_parquet_of_columns_that_have_two_names(tmp_path: Path) -> None:
    names = pd.MultiIndex.from_product([["Open", "High", "Low", "Close"], ["A", "B"]])
    frame = pd.DataFrame([range(8)], columns=names, index=pd.DatetimeIndex(["2024-01-01"], name="Date"))
    frame.to_parquet(tmp_path / "b.parquet")
    bars = barfile.read(tmp_path / "b.parquet", interval=Interval.D1, ticker="B")
    assert (bars.columns.open[0], bars.columns.close[0]) == (1, 7)


def test_two_columns_of_one_name_are_refused_unless_one_is_named(read_text: ReadText) -> None:
    content = "date,open,high,low,Close,Close,Note,Note\n2024-01-01,1,1,1,1,2,x,y\n"
    with pytest.raises(Unreadable, match=r"columns 'Close' and 'Close\.2' could each be close") as caught:
        read_text(content)
    assert (caught.value.settled_by, caught.value.fields) == ("column_names", ("close",))
    assert read_text(content, column_names={"close": "Close"}).columns.close[0] == 1
    assert read_text(content, column_names={"close": "Close.2"}).columns.close[0] == 2
    with pytest.raises(Unreadable, match=r"columns 'Close' and 'Close\.1' could each be close"):
        read_text(content.replace("Close,Close", "Close,Close.1"))


@pytest.mark.parametrize(
    "name",
    [
        "Adj Close", "Adj. Close", "adj_close", "AdjClose", "Adjusted Close", "adjusted_close",
        "close (adj.)", "Close Adj.", "5. adjusted close", "Adj Close**", "Adjusted",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [True, False])
def test_an_adjusted_close_is_never_the_close(read_text: ReadText, name: str, *, before: bool) -> None:
    names = [name, "Close"] if before else ["Close", name]
    bars = read_text(f"date,open,high,low,{','.join(names)}\n2024-01-01,1,3,1,{'1,2' if before else '2,1'}\n")
    assert bars.adjusted_close is not None
    assert (bars.columns.close[0], bars.adjusted_close[0]) == (2, 1)
    with pytest.raises(Unreadable, match="no column for close"):
        read_text(f"date,open,high,low,{name}\n2024-01-01,1,1,1,1\n")


def test_adjusted_prices_and_volumes_are_not_read(read_text: ReadText) -> None:
    """Quandl's files have such columns."""
    adjusted = "Adj. Open,Adj. High,Adj. Low,Adj. Close,Adj. Volume"
    bars = read_text(
        f"Date,Open,High,Low,Close,Volume,Ex-Dividend,Split Ratio,{adjusted}\n"
        "2024-01-02,10,11,9,10.5,5,0,1,5,5.5,4.5,5.25,10\n"
    )
    assert bars.adjusted_close is not None
    assert (bars.columns.open[0], bars.columns.volume[0], bars.adjusted_close[0]) == (10, 5, 5.25)
    assert bars.ignored == ("Adj. Open", "Adj. High", "Adj. Low", "Adj. Volume")


@pytest.mark.parametrize("name", ["Adjusted", "Adj. Close"])
def test_a_ticker_may_have_dots(read_text: ReadText, name: str) -> None:
    content = f"date,BRK.B.Open,BRK.B.High,BRK.B.Low,BRK.B.Close,BRK.B.{name}\n2024-01-01,1,1,1,1,2\n"
    bars = read_text(content, ticker="BRK.B")
    assert bars.adjusted_close is not None
    assert (bars.ticker, bars.columns.close[0], bars.adjusted_close[0]) == ("BRK.B", 1, 2)
