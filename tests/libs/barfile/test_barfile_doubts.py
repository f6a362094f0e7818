"""Ambiguous content: the whole file decides, or an argument does, or it is refused."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import finstage_barfile as barfile
from finstage_barfile import BarFile, NoZone, Unreadable
from finstage_market.interval import Interval

from .conftest import opened

ReadText = Callable[..., BarFile]

PRICES = "10,11,9,10.5,100"


@pytest.mark.parametrize(
    "content",
    [
        f"Date,Time,Open,High,Low,Close,Volume\n2024-01-02,09:00:00,{PRICES}\n2024-01-02,10:00,{PRICES}\n",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2024.01.02\t09:00:00\t10\t11\t9\t10.5\t100\t0\t1\n2024.01.02\t10:00:00\t10\t11\t9\t10.5\t100\t0\t1\n",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        f"A,60,20240102,090000,{PRICES},0\nA,60,20240102,100000,{PRICES},0\n",
        f"date,time,open,high,low,close,volume\n20240102,900,{PRICES}\n20240102,1000,{PRICES}\n",
        f"date,time,open,high,low,close,volume\n01/02/2024,9:00 AM,{PRICES}\n01/02/2024,10:00 AM,{PRICES}\n",
        f"date,time,open,high,low,close,volume\n2024-01-02 00:00,09:00,{PRICES}\n2024-01-02,10:00,{PRICES}\n",
    ],
)
def test_a_time_of_day_in_a_column_of_its_own(read_text: ReadText, content: str) -> None:
    bars = read_text(content, interval="1h", zone="UTC")
    assert opened(bars) == ["2024-01-02 09:00", "2024-01-02 10:00"]
    assert bars.column_names["time"].upper().replace("<", "").replace(">", "") == "DATE+TIME"
    assert not {"Time", "time", "<TIME>"} & set(bars.ignored)
    if "AM" not in content:
        with pytest.raises(NoZone):
            read_text(content, interval="1h")


def test_two_columns_of_a_time_can_be_named(read_text: ReadText) -> None:
    content = f"day,at,open,high,low,close,volume\n02.01.2024,09:00,{PRICES}\n02.01.2024,x,{PRICES}\n"
    bars = read_text(content, interval="1h", zone="UTC", column_names={"time": "day+at"})
    assert (opened(bars), bars.column_names["time"]) == (["2024-01-02 09:00"], "day+at")
    assert [(each.row, each.cell) for each in bars.refused] == [(3, "02.01.2024 x")]
    with pytest.raises(Unreadable, match="no column 'clock' for time; the file has day, at"):
        read_text(content, column_names={"time": "day+clock"})


def test_other_columns_are_not_read_as_times_of_day(read_text: ReadText) -> None:
    content = f"date,time,open,high,low,close,volume\n2024-01-02 09:00Z,1704186000,{PRICES}\n"
    bars = read_text(content, interval="1h")
    assert (bars.column_names["time"], bars.ignored) == ("date", ("time",))
    bars = read_text(f"timestamp,time,open,high,low,close,volume\n1704186000,09:00,{PRICES}\n", interval="1h")
    assert (bars.column_names["time"], bars.times, bars.ignored) == ("timestamp", "s since 1970", ("time",))


@pytest.mark.parametrize("cell", ["2024-01-02", "20240102", "01/02/2024", "Jan 02 2024"])
def test_dates_alone_are_refused_for_intraday_bars(read_text: ReadText, cell: str) -> None:
    content = f"date,hour,open,high,low,close,volume\n{cell},9,{PRICES}\n{cell},10,{PRICES}\n"
    with pytest.raises(Unreadable) as caught:
        read_text(content, interval="1h", zone="UTC", date_format="%b %d %Y" if "Jan" in cell else None)
    told = f"its times ({cell!r}) are dates alone, and 1h bars need a time of day"
    assert (str(caught.value), caught.value.settled_by, caught.value.fields) == (
        told,
        "column_names",
        ("time",),
    )


def test_an_explicit_midnight_is_a_time_of_day(read_text: ReadText) -> None:
    bars = read_text(
        f"time,open,high,low,close,volume\n2024-01-02 00:00,{PRICES}\n", interval="1h", zone="UTC"
    )
    assert opened(bars) == ["2024-01-02 00:00"]


def test_dates_and_times_of_day_of_a_parquet(tmp_path: Path) -> None:
    moments = pd.to_datetime(["2024-01-02 09:00", "2024-01-02 10:00"])
    table = {"date": pa.array(moments.date), "time": pa.array(moments.time)}
    prices = {name: [1.0, 2.0] for name in ("open", "high", "low", "close")}
    for dates in (table["date"], pa.array(moments.normalize()), table["date"].cast(pa.string())):
        parquet.write_table(pa.table(table | {"date": dates} | prices), tmp_path / "b.parquet")
        utc = barfile.zone_of("UTC")
        bars = barfile.read(tmp_path / "b.parquet", interval=Interval.H1, time_zone=utc)
        assert opened(bars) == ["2024-01-02 09:00", "2024-01-02 10:00"]


def test_dotted_thousands_are_not_a_thousandth(read_text: ReadText) -> None:
    header, row = "Date;Open;High;Low;Close;Volume\n", "02.01.2024;38.000;38.500;37.900;38.100;1.000\n"
    with pytest.raises(Unreadable, match=r"column 'Open' has '38\.000', which can be 38 or 38000") as caught:
        read_text(header + row)
    assert caught.value.settled_by == "decimal"
    for content in (
        row + "03.01.2024;38.000;38.500;37.900;38.100;1.234.567\n",
        row.replace("38.100", "38.100,5"),
    ):
        bars = read_text(header + content)
        assert (bars.columns.open[0], bars.columns.volume[0], bars.decimal) == (38000, 1000, ",")
    for decimal, price in ((",", 38000), (".", 38)):
        assert read_text(header + row, decimal=decimal).columns.open[0] == price


def test_quoted_commas_are_not_read_as_thousands_unasked(read_text: ReadText) -> None:
    header, row = "Date,Open,High,Low,Close\n", '2024-01-02,"10,500","11,000","9,000","10,500"\n'
    with pytest.raises(Unreadable, match="column 'Open' has '10,500', which can be 10500 or"):
        read_text(header + row)
    assert read_text(header + row.replace("11,000", "11,25")).columns.open[0] == 10.5
    assert read_text(header + row.replace("11,000", "11,000.25")).columns.open[0] == 10500


def test_three_decimals_are_accepted_and_reported(read_text: ReadText) -> None:
    """USDJPY has such prices; any separator but a semicolon may stand between them."""
    for separator in ",\t|":
        lines = ("Date,Open,High,Low,Close", "2024-01-02,141.023,141.100,141.000,141.050")
        bars = read_text("\n".join(lines).replace(",", separator))
        assert bars.columns.open[0] == 141.023
        assert [(each.text, each.settled_by) for each in bars.guesses] == [
            ("'141.023' in column 'Open' was read with a decimal point", "decimal")
        ]


def test_an_unused_column_does_not_decide_the_decimal_sign(read_text: ReadText) -> None:
    bars = read_text('date,open,high,low,close,change\n2024-01-02,1.5,1.5,1.5,1.5,"0,5"\n')
    assert (bars.columns.open[0], bars.guesses) == (1.5, ())


def dated(*dates: str) -> str:
    return "Date,Open,High,Low,Close\n" + "".join(f"{date},1,1,1,1\n" for date in dates)


@pytest.mark.parametrize("sign", "/-")
def test_a_day_above_12_decides(read_text: ReadText, sign: str) -> None:
    for month_first in (True, False):
        dates = [f"{month:02}/01/2022" if month_first else f"01/{month:02}/2022" for month in range(1, 13)]
        dates.append("01/31/2022" if month_first else "31/01/2022")
        bars = read_text(dated(*(date.replace("/", sign) for date in dates)))
        assert bars.times == f"{'month/day' if month_first else 'day/month'}/year, UTC".replace("/", sign)
        assert (opened(bars)[1], bars.guesses) == ("2022-01-31 00:00", ())


def test_without_one_the_distance_of_the_bars_decides(read_text: ReadText) -> None:
    months = dated(*(f"01/{month:02}/2022" for month in range(1, 13)))
    bars = read_text(months, interval="1mo")
    assert opened(bars)[:2] == ["2022-01-01 00:00", "2022-02-01 00:00"]
    assert [(each.text, each.settled_by) for each in bars.guesses] == [
        ("'01/01/2022' was read as day/month/year, because its bars are 1mo apart then", "date_format")
    ]
    assert opened(read_text(months))[:2] == ["2022-01-01 00:00", "2022-01-02 00:00"]
    days = dated("03/06/2024", "04/06/2024", "05/06/2024", "06/06/2024")
    assert opened(read_text(days))[0] == "2024-06-03 00:00"


def test_a_guessed_date_order_is_reported_and_can_be_given(read_text: ReadText) -> None:
    bars = read_text(dated("03/06/2024"))
    assert (opened(bars), bars.times) == (["2024-03-06 00:00"], "month/day/year, UTC")
    assert [each.text for each in bars.guesses] == [
        "'03/06/2024' was read as month/day/year, and could be day/month/year"
    ]
    bars = read_text(dated("03/06/2024"), date_format="%d/%m/%Y")
    assert (opened(bars), bars.times, bars.guesses) == (["2024-06-03 00:00"], "%d/%m/%Y, UTC", ())


def test_days_first_and_months_first_in_one_column_are_refused(read_text: ReadText) -> None:
    content = dated("01/02/2022", "12/25/2022", "25/12/2022", "03/04/2022")
    told = "its times '12/25/2022' and '25/12/2022' do not agree whether the day or the month comes first"
    with pytest.raises(Unreadable) as caught:
        read_text(content)
    assert (str(caught.value), caught.value.settled_by) == (told, "date_format")
    assert [each.row for each in read_text(content, date_format="%m/%d/%Y").refused] == [4]


def test_a_date_format_may_leave_the_time_of_day_out(read_text: ReadText) -> None:
    content = dated("03/06/24 09:30", "04/06/24 09:30")
    for date_format in ("%d/%m/%y", "%d/%m/%y %H:%M"):
        bars = read_text(content, interval="1h", zone="UTC", date_format=date_format)
        assert opened(bars)[0] == "2024-06-03 09:30"
    with pytest.raises(Unreadable, match="'03/06/24 09:30' is not a time of the form %Y-%m-%d"):
        read_text(content, date_format="%Y-%m-%d")
    zoned = read_text(dated("03/06/24 09:30 +0200"), interval="1h", date_format="%d/%m/%y %H:%M %z")
    assert opened(zoned) == ["2024-06-03 07:30"]


def test_nasdaq_s_own_export(read_text: ReadText) -> None:
    bars = read_text(
        "Date,Close/Last,Volume,Open,High,Low\n"
        '02/23/2024,$182.52,45119680,$185.01,$185.04,$182.23\n02/22/2024,"$1,184.37",52292210,$183.48,$184.96,$182.46\n'
    )
    assert opened(bars) == ["2024-02-22 00:00", "2024-02-23 00:00"]
    assert (list(bars.columns.close), bars.columns.low[1]) == ([1184.37, 182.52], 182.23)
    assert (bars.guesses, bars.refused) == ((), ())


@pytest.mark.parametrize("dates", [("01/31/2024", "01/30/2024"), ("Jan 31, 2024", "Jan 30, 2024")])
def test_investing_com_s_own_export(read_text: ReadText, dates: tuple[str, str]) -> None:
    bars = read_text(
        '"Date","Price","Open","High","Low","Vol.","Change %"\n'
        f'"{dates[0]}","4,184.40","4,187.04","4,187.10","4,184.35","55.47M","-1.94%"\n'
        f'"{dates[1]}","4,188.04","4,190.94","4,191.80","4,187.47","1.2K","-1.92%"\n'
    )
    assert opened(bars) == ["2024-01-30 00:00", "2024-01-31 00:00"]
    assert list(bars.columns.close) == [4188.04, 4184.4]
    assert list(bars.columns.volume) == [1200, 55470000]
    assert (bars.ignored, bars.guesses, bars.refused) == (("Change %",), (), ())


def test_lines_are_those_of_the_file_after_a_quoted_line_break(read_text: ReadText) -> None:
    content = (
        '\n"Date",Open,High,Low,"Close\n(USD)",Note\n'
        '2024-01-02,1,1,1,1,"a\nb\r\nc"\n'
        "2024-01-03,1,1,1,1,c\n\n2024-01-04,1,1,1,one,c\n"
        '2024-01-05,1,1,1,1,"d, e, f, g, h, i\nj"\n2024-01-06,1,1,1,1,k,7\n2024-01-07,1,1,1,1,'
    )
    bars = read_text(content, column_names={"close": "Close\n(USD)"})
    assert list(bars.rows) == [4, 7, 10, 13]
    assert [(each.row, each.what) for each in bars.refused] == [(9, "close"), (12, "cells")]


def test_times_with_several_prices_are_refused_as_several_series(read_text: ReadText) -> None:
    """No name shows that a column, here the region, holds tickers."""
    header = "date,open,high,low,close,region\n"
    days = [f"2024-01-{day:02}" for day in range(1, 11)]
    rows = [f"{day},{price},{price},{price},{price},{price}x\n" for price in (1, 9) for day in days]
    with pytest.raises(Unreadable) as caught:
        read_text(header + "".join(rows))
    told = "10 of its 20 rows have the time of another row and other prices, as in a file of several tickers"
    assert (str(caught.value), caught.value.settled_by, caught.value.fields) == (
        told,
        "column_names",
        ("symbol",),
    )
    assert (
        len(read_text(header + "".join(rows), column_names={"symbol": "region"}, ticker="9X").columns) == 10
    )
    for some in (rows[:10] * 2, rows[:12]):
        assert len(read_text(header + "".join(some)).columns) == len(some), "left to who takes the bars"


@pytest.mark.parametrize("interval", ["1d", "30m", "5m"])
def test_bars_closer_than_their_interval_are_refused(read_text: ReadText, interval: str) -> None:
    content = dated(*(f"2024-01-02T09:{minute:02}Z" for minute in range(30)))
    with pytest.raises(Unreadable) as caught:
        read_text(content, interval=interval)
    told = f"its times are 1 min apart, and {interval} bars cannot be"
    assert (str(caught.value), caught.value.settled_by) == (told, "interval")
    assert len(read_text(content, interval="1m").columns) == 30


def test_prices_in_two_currencies_are_refused_and_the_currencies_named(read_text: ReadText) -> None:
    content = "Date,Symbol,Open,High,Low,Close,Volume,Currency\n" + "".join(
        f"2024-01-{day:02},{symbol},{close},{close},{close},{close},1,{currency}\n"
        for day, symbol, close, currency in (
            (2, "VOD", 70, "GBX"), (2, "TSLA", 240, "USD"), (3, "VOD", 0.7, "GBP"), (3, "TSLA", 238, "")
        )
    )  # fmt: skip
    with pytest.raises(Unreadable, match=r"column 'Currency' holds 'GBX', 'GBP': .* not all in one currency"):
        read_text(content, ticker="VOD")
    assert read_text(content, ticker="TSLA").columns.close.tolist() == [240, 238]
