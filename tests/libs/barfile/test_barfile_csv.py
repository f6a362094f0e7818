"""CSV files as found in practice."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import finstage_barfile as barfile
from finstage_barfile import BarFile, NoColumn, NoRows, NoZone, Unreadable
from finstage_market.interval import Interval


def read(path: Path, *, time_zone: str | None = None, intraday: bool = False, **mapping: str) -> BarFile:
    zone = None if time_zone is None else barfile.zone_of(time_zone)
    interval = Interval.M1 if intraday else Interval.D1
    return barfile.read(path, column_names=mapping, time_zone=zone, interval=interval)


def text(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text(content)
    return path


def opened(bars: BarFile, row: int) -> str:
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


def test_prefixed_names_an_adjusted_close_and_unknown_columns(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/aapl_daily_2015_2017.csv")
    assert bars.column_names["open"] == "AAPL.Open"
    assert bars.column_names["adjusted_close"] == "AAPL.Adjusted"
    assert bars.ignored == ("dn", "mavg", "up", "direction")
    assert bars.adjusted_close is not None
    assert bars.adjusted_close[0] == 122.905254


def test_newest_first_is_reversed_and_line_numbers_stay(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/aet_l_1d_100x_error.csv")
    assert (np.diff(bars.columns.open_time_ms) > 0).all()
    assert list(bars.rows) == list(range(24, 1, -1))
    assert opened(bars, -1) == "2022-06-06T00:00:00", "midnight in London's summer is of its own date"


def test_offsets_that_change_with_the_season(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/ken_ta_1d_bad_dividend.csv")
    assert (opened(bars, 0), opened(bars, -1)) == ("2022-01-02T00:00:00", "2024-08-22T00:00:00")


def test_local_times_need_their_zone(fixtures: Path) -> None:
    path = fixtures / "ohlcv/spy_1m_2020-12.csv"
    with pytest.raises(NoZone, match=r"its times \('2020-12-15 09:30'\) name no time zone"):
        read(path, intraday=True)
    bars = read(path, intraday=True, time_zone="America/New_York")
    assert opened(bars, 0) == "2020-12-15T14:30:00"


def test_an_hour_that_the_clock_shows_twice_is_refused_not_guessed(tmp_path: Path) -> None:
    path = text(tmp_path, "time,open,high,low,close\n2024-11-03 00:30,1,1,1,1\n2024-11-03 01:30,1,1,1,1\n")
    bars = read(path, intraday=True, time_zone="America/New_York")
    assert [each.row for each in bars.refused] == [3]
    assert list(bars.rows) == [2]


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
    assert list(bars.rows) == [5, 3]
    assert [(each.row, each.reason) for each in bars.refused] == [
        (4, "'total' is not a time, read as year-month-day")
    ]


def test_a_cell_that_is_not_a_number_is_quoted_in_the_error(tmp_path: Path) -> None:
    cells = ("$x,1,1,1,1", "1,1,1,-,1", "1,1,1,1_0,1", "1,1,1.2M,1,0x1", "1,1,1,1,1")
    rows = "".join(f"2024-01-0{day},{line}\n" for day, line in enumerate(cells, 1))
    bars = read(text(tmp_path, "date,open,high,low,close,volume\n" + rows))
    assert list(bars.rows) == [6]
    assert [(each.row, each.what, each.cell, each.reason) for each in bars.refused] == [
        (2, "open", "$x", "open is '$x', which is not a number"),
        (3, "close", "-", "close is '-', which is not a number"),
        (4, "close", "1_0", "close is '1_0', which is not a number"),
        (5, "low", "1.2M", "low is '1.2M', which is not a number; volume is '0x1', which is not a number"),
    ]


@pytest.mark.parametrize("decimal", [None, ".", ","])
def test_it_is_quoted_whatever_the_decimal_sign(tmp_path: Path, decimal: str | None) -> None:
    path = text(tmp_path, "date;open;high;low;close;volume\n2024-01-01;1;1;1;NAN;x\n2024-01-02;1;1;1;1;\n")
    bars = barfile.read(path, interval=Interval.D1, decimal=decimal)
    assert [(each.row, each.what, each.cell) for each in bars.refused] == [(2, "close", "NAN")]
    assert list(bars.columns.volume) == [0]


def test_an_empty_price_is_nan_and_an_empty_volume_is_none(tmp_path: Path) -> None:
    rows = "2024-01-01,1,1,n/a,,5\n2024-01-02,1,1,1,1,\n2024-01-03,1,1,1,1,-\n"
    bars = read(text(tmp_path, "date,open,high,low,close,volume\n" + rows))
    assert np.isnan([bars.columns.low[0], bars.columns.close[0]]).all()
    assert list(bars.columns.volume) == [5, 0, 0]
    assert bars.refused == ()


def test_a_file_without_readable_rows_is_refused_by_its_first_row_s_reason(tmp_path: Path) -> None:
    path = text(tmp_path, "date,open,high,low,close\n2024-01-01,1,1,1,one\n2024-01-02,1,1,1,two\n")
    with pytest.raises(Unreadable, match="none of its rows can be read; line 2: close is 'one'"):
        read(path)


def test_a_column_can_be_named(tmp_path: Path) -> None:
    path = text(tmp_path, "Datum,Open,High,Low,Schluss,Close\n2024-01-01,1,3,0,2,9\n")
    bars = read(path, time="Datum", close="Schluss")
    assert bars.columns.close[0] == 2


@pytest.mark.parametrize(
    ("content", "error", "line"),
    [
        (b"when,open,high,low\n", NoColumn, "no column for time, close; the file has when, open, high, low"),
        (b"date,open,high,low,close\n", NoRows, "there are no rows in it"),
        (b"date,open,high,low,close\n\n,,,,\n", NoRows, "there are no rows in it"),
        (b"date,open,high,low,close\nx,1,1,1,1\n", Unreadable, "'x' is not a time that can be read"),
        (b"date,open,high,low,close\n,1,1,1,1\n", Unreadable, "its column of times is empty"),
        (b"", Unreadable, "it is empty"),
        (b"\n \n", Unreadable, "it is empty"),
        (b"d\0a\0t\0e\0", Unreadable, "it holds zero bytes, so it is not UTF-8 text"),
        (b"date,open,high,low,close\n2024-01-01,1,1,1,1,caf\xe9\n", Unreadable, "it is not UTF-8 text"),
        (b'date,open,high,low,close\n2024-01-01,"1,1,1,1\n', Unreadable, "a quotation mark is never closed"),
        (b"\x1f\x8b\x08\0damaged", Unreadable, "it is compressed, and damaged"),
    ],
)
def test_a_file_that_is_not_understood_is_one_line(
    tmp_path: Path, content: bytes, error: type[Unreadable], line: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        read(path)
    assert type(caught.value) is error
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file or directory"):
        read(tmp_path / "none.csv")
    with pytest.raises(Unreadable, match="Is a directory"):
        read(tmp_path)


def test_a_mapping_to_a_missing_column_is_reported(tmp_path: Path) -> None:
    path = text(tmp_path, "date,open,high,low,close\n2024-01-01,1,1,1,1\n")
    with pytest.raises(Unreadable, match="no column 'Settle' for close; the file has date, open"):
        read(path, close="Settle")
    with pytest.raises(ValueError, match="'price' is not one of time, open"):
        read(path, price="close")


def test_an_error_about_missing_columns_names_the_fields_to_map(tmp_path: Path) -> None:
    with pytest.raises(NoColumn) as caught:
        read(text(tmp_path, "date,open\n2024-01-01,1\n"))
    assert caught.value.fields == ("high", "low", "close")


@pytest.mark.parametrize("line", ["1,5,1,6,1,4,1,5", "1,1,1,1,2"])
def test_cells_that_belong_to_no_column_are_never_dropped(tmp_path: Path, line: str) -> None:
    """A decimal comma in a file separated by commas would otherwise shift every price."""
    header, row = "date,open,high,low,close\n", f"2024-01-01,{line}\n"
    with pytest.raises(Unreadable, match="line 2"):
        read(text(tmp_path, header + row))
    bars = read(text(tmp_path, header + "2024-01-02,1,1,1,1\n2024-01-03,1,1,1,1\n" + row))
    assert list(bars.rows) == [2, 3]
    assert [(each.row, each.what, each.cell) for each in bars.refused] == [(4, "cells", row.strip())]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("compressed", [False, True])
def test_a_line_of_more_cells_than_the_header_is_refused_alone(
    tmp_path: Path, end: str, place: int, compressed: bool
) -> None:
    lines = [f"2024-01-0{day},1,1,1,{day},7" for day in range(1, 6)]
    lines.insert(place, "2024-01-09,1,1,1,1,1,,8")
    lines = ["date,open,high,low,close,volume", *lines, '2024-01-08,1,1,1,"8",8,,', ""]
    content = end.join(lines).encode()
    path = tmp_path / "bars.csv"
    path.write_bytes(gzip.compress(content) if compressed else content)
    bars = read(path)
    assert list(bars.columns.close) == [1, 2, 3, 4, 5, 8]
    assert list(bars.rows) == [row for row in range(2, 9) if row != place + 2]
    (refused,) = bars.refused
    assert (refused.row, refused.reason) == (place + 2, "8 cells, and the header has 6")


def test_a_second_header_of_another_order_is_refused(tmp_path: Path) -> None:
    """As where files were put one after another; the same header again is left out."""
    header, row = "Date,Open,High,Low,Close,Volume\n", "2024-01-0{},1,2,1,2,7\n"
    bars = read(text(tmp_path, header + row.format(2) + header + row.format(3)))
    assert list(bars.rows) == [2, 4]
    for end in ("", '2024-01-04,1,2,1,2,"7"\n2024-01-05,1\n'):
        other = "Date,Close,High,Low,Open,Volume\n"
        with pytest.raises(
            Unreadable, match=r"line 3 is a header too \(Date, Close, High, Low, Open, Volume"
        ):
            read(text(tmp_path, header + row.format(2) + other + row.format(3) + end))


def test_a_row_that_ends_before_a_used_column_is_refused(tmp_path: Path) -> None:
    """As where a file was cut off: a volume that is not there is not a volume of 0."""
    content = "date,open,high,low,close,volume,note\n2024-01-02,1,1,1,1,7,\n2024-01-03,1,1,1,1,7\n"
    bars = read(text(tmp_path, content + "2024-01-04,1,1,1,9.9,\n2024-01-05,1,1,1,9.9"))
    assert (list(bars.rows), list(bars.columns.volume)) == ([2, 3, 4], [7, 7, 0])
    (refused,) = bars.refused
    assert (refused.row, refused.what, refused.cell, refused.reason) == (
        5, "cells", "2024-01-05,1,1,1,9.9", "5 cells, and the header has 7",
    )  # fmt: skip


def test_separators_at_the_end_and_blank_lines_at_the_beginning(tmp_path: Path) -> None:
    bars = read(text(tmp_path, "\n\ndate,open,high,low,close\n2024-01-01,1,1,1,2,\n2024-01-02,1,1,1,3,\n"))
    assert list(bars.columns.close) == [2, 3]
    assert list(bars.rows) == [4, 5]


def test_an_index_without_a_name_is_the_time(tmp_path: Path) -> None:
    """DataFrame.to_csv writes such an index."""
    bars = read(text(tmp_path, ",Open,High,Low,Close\n2024-01-01,1,1,1,1\n"))
    assert bars.column_names["time"] == ""
    assert opened(bars, 0) == "2024-01-01T00:00:00"


def test_a_file_compressed_by_gzip(fixtures: Path, tmp_path: Path) -> None:
    plain = fixtures / "ohlcv/btc_daily_2017_2021.csv"
    packed = tmp_path / "btc.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert (read(packed).columns.close == read(plain).columns.close).all()


def test_times_with_a_zone_among_others_without(tmp_path: Path) -> None:
    """Times without a zone are not read as UTC."""
    rows = "2024-01-01T09:30Z,1,1,1,1\n2024-01-01 10:30+01,1,1,1,1\n2024-01-01 09:32,1,1,1,1\n"
    rows += "2024-01-01 09:33+02:0,1,1,1,1\n"
    bars = read(text(tmp_path, "time,open,high,low,close\n" + rows), intraday=True)
    assert [opened(bars, row) for row in (0, 1)] == ["2024-01-01T09:30:00"] * 2
    assert [each.reason for each in bars.refused] == [
        f"'{cell}' is not a time, read as times with their own zone"
        for cell in ("2024-01-01 09:32", "2024-01-01 09:33+02:0")
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "2024-01-02 09:30:00+00",
        "2024-01-02 09:30:00 UTC",
        "2024-01-02T10:30+0100",
        "20240102T0930Z",
        "2024-01-02 09:30:00 +0000 UTC",
        "2024-01-02 04:30 EST",
        "2024-01-02 16:30:00.000 GMT+0700",
    ],
)
def test_ways_to_write_a_zone(tmp_path: Path, cell: str) -> None:
    bars = read(text(tmp_path, f"time,open,high,low,close\n{cell},1,1,1,1\n"), intraday=True)
    assert opened(bars, 0) == "2024-01-02T09:30:00"


@pytest.mark.parametrize(
    ("cells", "first", "how"),
    [
        (("63072000", "126230400"), "1972-01-01", "s since 1970"),
        (("-94694400", "0", "126230400"), "1967-01-01", "s since 1970"),
        (("63072000000", "126230400000"), "1972-01-01", "ms since 1970"),
        (("1704067200.0", "1704153600.0"), "2024-01-01", "s since 1970"),
        (("1704067200000000000", "1704153600000000000"), "2024-01-01", "ns since 1970"),
    ],
)
def test_the_largest_of_the_numbers_tells_their_unit(
    tmp_path: Path, cells: tuple[str, ...], first: str, how: str
) -> None:
    rows = "".join(f"{cell},1,1,1,1\n" for cell in (*cells, "", "total"))
    bars = read(text(tmp_path, "time,open,high,low,close\n" + rows))
    assert opened(bars, 0) == f"{first}T00:00:00"
    assert bars.times == how
    assert len(bars.columns) == len(cells)


def test_the_format_that_fits_most_rows_is_taken(tmp_path: Path) -> None:
    rows = "total,,,,\n" + "".join(f"{day}/1/2024 09:30,1,1,1,1\n" for day in range(1, 32))
    bars = read(text(tmp_path, "date,open,high,low,close\n" + rows), time_zone="UTC")
    assert bars.times == "day/month/year, UTC"
    assert len(bars.columns) == 31


def test_a_year_that_no_exchange_has_seen_is_refused(tmp_path: Path) -> None:
    rows = "0000-01-01,1,1,1,1\n2024-01-01,1,1,1,1\n2024-01-02,1,1,1,1\n"
    bars = read(text(tmp_path, "date,open,high,low,close\n" + rows))
    assert [each.row for each in bars.refused] == [2]


def test_words_are_not_times(tmp_path: Path) -> None:
    bars = read(text(tmp_path, "date,open,high,low,close\n2024-01-01,1,1,1,1\nnow,1,1,1,1\ntoday,1,1,1,1\n"))
    assert [each.cell for each in bars.refused] == ["now", "today"]


def test_a_time_finer_than_a_millisecond_is_refused(tmp_path: Path) -> None:
    rows = "2024-01-01T00:00:00.0000005Z,1,1,1,1\n2024-01-01T00:00:00.001Z,1,1,1,1\n"
    bars = read(text(tmp_path, "time,open,high,low,close\n" + rows))
    assert list(bars.columns.open_time_ms) == [1_704_067_200_001]
    assert [(each.row, each.reason) for each in bars.refused] == [
        (2, "'2024-01-01T00:00:00.0000005Z' is finer than a millisecond")
    ]
    with pytest.raises(Unreadable, match=r"none of its rows can be read; line 2: '2024-.* is finer"):
        read(text(tmp_path, "time,open,high,low,close\n" + rows.splitlines()[0]))


@pytest.mark.parametrize(
    ("zone", "date", "first"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00"),  # no midnight: 00:00 is 01:00
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00"),  # two midnights
    ],
)
def test_a_date_is_the_first_moment_of_its_day(tmp_path: Path, zone: str, date: str, first: str) -> None:
    path = text(tmp_path, f"date,open,high,low,close\n{date},1,1,1,1\n")
    bars = barfile.read(path, interval=Interval.D1, date_zone=barfile.zone_of(zone))
    assert opened(bars, 0) == first


def test_dividends_are_events(fixtures: Path) -> None:
    bars = read(fixtures / "ohlcv/ken_ta_1d_bad_dividend.csv")
    assert bars.ignored == ()
    assert {event.kind for event in bars.events} == {"dividends"}


@pytest.mark.parametrize("name", ["Mars/X", "", "../UTC", "America"])
def test_an_unknown_zone(name: str) -> None:
    with pytest.raises(ValueError, match="is not an IANA time zone, such as UTC or America/New_York"):
        barfile.zone_of(name)
