"""CSV files as people have them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finstage_client import csvfile
from finstage_client.csvfile import Unreadable


def read(
    path: Path, *, time_zone: str | None = None, intraday: bool = False, **mapping: str
) -> csvfile.BarFile:
    return csvfile.read(path, mapping=mapping, time_zone=time_zone, intraday=intraday)


def text(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text(content)
    return path


def opened(bars: csvfile.BarFile, row: int) -> str:
    return pd.Timestamp(bars.columns.open_time_ms[row], unit="ms").isoformat()


def test_byte_order_mark_and_month_first_dates(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/spx_daily_1990_2022.csv")
    assert len(bars.columns) == 8111
    assert bars.times == "month/day/year, UTC"
    assert (opened(bars, 0), opened(bars, -1)) == ("1990-01-02T00:00:00", "2022-03-10T00:00:00")
    assert bars.columns.close[-1] == 4259.52
    assert bars.refused == ()


def test_fractional_volumes_are_kept_exactly(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/btc_daily_2017_2021.csv")
    assert (len(bars.columns), bars.columns.volume[0]) == (1246, 795.150377)


def test_prefixed_names_an_adjusted_close_and_columns_that_are_not_ours(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/aapl_daily_2015_2017.csv")
    assert bars.mapping["open"] == "AAPL.Open"
    assert bars.mapping["adjusted_close"] == "AAPL.Adjusted"
    assert bars.ignored == ("dn", "mavg", "up", "direction")
    assert bars.adjusted_close is not None
    assert bars.adjusted_close[0] == 122.905254


def test_newest_first_is_turned_round_and_lines_stay_those_of_the_file(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/aet_l_1d_100x_error.csv")
    assert (np.diff(bars.columns.open_time_ms) > 0).all()
    assert list(bars.lines) == list(range(24, 1, -1))
    assert opened(bars, -1) == "2022-06-05T23:00:00", "midnight in London's summer"


def test_offsets_that_change_with_the_season(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/ken_ta_1d_bad_dividend.csv")
    assert (opened(bars, 0), opened(bars, -1)) == ("2022-01-01T22:00:00", "2024-08-21T21:00:00")


def test_local_times_need_their_zone(fixtures: Path) -> None:
    path = fixtures / "ohlcv/spy_1m_2020-12.csv"
    with pytest.raises(Unreadable, match="name no time zone; say which with --time-zone"):
        read(path, intraday=True)
    bars = read(path, intraday=True, time_zone="America/New_York")
    assert opened(bars, 0) == "2020-12-15T14:30:00"


def test_an_hour_that_the_clock_shows_twice_is_refused_not_guessed(tmp_path: Path) -> None:
    path = text(tmp_path, "time,open,high,low,close\n2024-11-03 00:30,1,1,1,1\n2024-11-03 01:30,1,1,1,1\n")
    bars = read(path, intraday=True, time_zone="America/New_York")
    assert [each.line for each in bars.refused] == [3]
    assert list(bars.lines) == [2]


def test_day_first_dates_are_seen_where_only_they_fit(tmp_path: Path) -> None:
    bars = read(text(tmp_path, "date,open,high,low,close\n1/2/2024,1,1,1,1\n31/1/2024,1,1,1,1\n"))
    assert bars.times == "day/month/year, UTC"
    assert [opened(bars, row) for row in (0, 1)] == ["2024-01-31T00:00:00", "2024-02-01T00:00:00"]


@pytest.mark.parametrize(
    "cell", ["1704067200", "1704067200000", "20240101", "2024-01-01", "2024-01-01T00:00:00Z", "01.01.2024"]
)
def test_ways_to_write_a_time(tmp_path: Path, cell: str) -> None:
    bars = read(text(tmp_path, f"Date;O;H;L;C\n{cell};1;1;1;1\n"))
    assert opened(bars, 0) == "2024-01-01T00:00:00"


def test_a_row_without_a_time_is_refused_with_its_line(tmp_path: Path) -> None:
    content = "date,open,high,low,close\n\n2024-01-02,2,2,2,2\ntotal,,,,\n2024-01-01,1,1,1,1\n"
    bars = read(text(tmp_path, content))
    assert list(bars.columns.close) == [1, 2]
    assert list(bars.lines) == [5, 3]
    assert [(each.line, each.reason) for each in bars.refused] == [
        (4, "'total' is no time, read as year-month-day, UTC")
    ]


def test_cells_that_are_no_numbers_go_out_as_nan_and_an_empty_volume_is_none(tmp_path: Path) -> None:
    rows = '2024-01-01,1,1,n/a,-,5\n2024-01-02,"1,234.5",1e3,1,1_0,\n2024-01-03,1,1,1,1,x\n'
    bars = read(text(tmp_path, "date,open,high,low,close,volume\n" + rows)).columns
    assert list(bars.open) == [1, 1234.5, 1]
    assert bars.high[1] == 1000
    assert np.isnan([bars.low[0], bars.close[0], bars.close[1], bars.volume[2]]).all()
    assert bars.volume[1] == 0


def test_a_decimal_comma_is_never_taken_for_thousands(tmp_path: Path) -> None:
    bars = read(text(tmp_path, "date;open;high;low;close\n2024-01-01;1,234;1,234;1,234;1,234\n"))
    assert np.isnan(bars.columns.close[0])


def test_a_column_can_be_named(tmp_path: Path) -> None:
    path = text(tmp_path, "Datum,Open,High,Low,Schluss,Close\n2024-01-01,1,3,0,2,9\n")
    bars = read(path, time="Datum", close="Schluss")
    assert bars.columns.close[0] == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("when,open,high,low\n", "no column for time, close; the file has when, open, high, low; say which "
         "with --map time=COLUMN --map close=COLUMN"),
        ("date,open,high,low,close\n", "there are no rows in it"),
        ("date,open,high,low,close\nx,1,1,1,1\n", "'x' is no time that can be read"),
        ("", "no column for time"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_understood_is_one_line(tmp_path: Path, content: str, line: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(text(tmp_path, content))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_map_to_what_is_not_there_is_told(tmp_path: Path) -> None:
    path = text(tmp_path, "date,open,high,low,close\n2024-01-01,1,1,1,1\n")
    with pytest.raises(Unreadable, match="has no column 'Settle'; the file has date, open"):
        read(path, close="Settle")
    with pytest.raises(Unreadable, match="'price' is none of time, open"):
        read(path, price="close")
    with pytest.raises(Unreadable, match="No such file"):
        read(tmp_path / "none.csv")
