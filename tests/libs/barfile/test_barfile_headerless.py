"""Files without a header, and text above one: no row is lost, and what was recognised is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

import finstage_barfile as barfile
from finstage_barfile import BarFile, Unreadable

from .conftest import opened

ReadText = Callable[..., BarFile]


@pytest.mark.parametrize(
    ("rows", "zone", "first"),
    [
        (
            [f"1704067200000,10,12,9,11,5,{1704070799999},53957248.9,47134,682.5,28957416.8,0",
             f"1704070800000,11,12,10,11,6,{1704074399999},50984119.6,47796,670.5,28577143.4,0"],
            "", "2024-01-01 00:00",
        ),  # Binance
        (["1704067200,10,12,9,11,5,471", "1704070800,11,12,10,11,6,478"], "", "2024-01-01 00:00"),  # Kraken
        (["1704067200,10,12,9,11,10.5,5,471", "1704070800,11,12,10,11,11.1,6,478"], "", "2024-01-01 00:00"),
        (["20240101 000000;10;12;9;11;5", "20240101 010000;11;12;10;11;6"], "UTC",
         "2024-01-01 00:00"),  # HistData
        (["2024.01.01,00:00,10,12,9,11,5", "2024.01.01,01:00,11,12,10,11,6"], "UTC", "2024-01-01 00:00"),
        (["2024.01.01,00:00,10,12,9,11,5,0,2", "2024.01.01,01:00,11,12,10,11,6,0,2"], "UTC",
         "2024-01-01 00:00"),
        (["01/31/2024,09:00,10,12,9,11,5", "01/31/2024,10:00,11,12,10,11,6"], "UTC",
         "2024-01-31 09:00"),  # Kibot
        (["01/30/2024,10,12,9,11,5", "01/31/2024,11,12,10,11,6"], "", "2024-01-30 00:00"),
        (["A,20240130,10,12,9,11,5", "A,20240131,11,12,10,11,6"], "", "2024-01-30 00:00"),
        (["A,D,20240130,000000,10,12,9,11,5,0", "A,D,20240131,000000,11,12,10,11,6,0"], "UTC",
         "2024-01-30 00:00"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_known_shape_is_read_from_its_first_row(
    read_text: ReadText, rows: list[str], zone: str, first: str, end: str
) -> None:
    bars = read_text(end.join(rows) + end, interval=None, zone=zone, no_volume=False)
    assert opened(bars)[0] == first
    assert bars.columns.close.tolist() == [11, 11]
    assert bars.columns.open.tolist() == [10, 11]
    assert bars.columns.low.tolist() == [9, 10]
    assert bars.columns.volume.tolist() == [5, 6]
    assert (list(bars.rows), bars.refused) == ([1, 2], ())
    assert bars.guesses[0].text.startswith("it has no header; its columns were read as ")
    assert bars.guesses[0].settled_by == "columns"


def test_minutes_of_a_day_have_their_date_in_the_file_s_name(tmp_path: Path) -> None:
    path = tmp_path / "20240102_spy_minute_trade.csv"
    path.write_text(
        "34200000,1871500,1884400,1838900,1856400,82488\n34260000,1842200,1858800,1834300,1842500,5\n"
    )
    bars = barfile.read(path, time_zone=barfile.zone_of("America/New_York"))
    assert opened(bars) == ["2024-01-02 14:30", "2024-01-02 14:31"]
    assert bars.columns.close.tolist() == [185.64, 184.25]
    assert "price_scale" in [guess.settled_by for guess in bars.guesses]
    assert barfile.read(path, time_zone=barfile.zone_of("UTC"), price_scale=1).columns.close[0] == 1856400


def test_whole_prices_are_not_divided_unasked(read_text: ReadText) -> None:
    content = "20240102 00:00,79600,79800,78300,79600,17142847\n"
    with pytest.raises(Unreadable, match="its prices may be whole or in ten-thousandths") as caught:
        read_text(content, no_volume=False)
    assert caught.value.settled_by == "price_scale"
    for scale, close in ((1, 79600), (0.0001, 7.96)):
        bars = read_text(content, no_volume=False, price_scale=scale)
        assert bars.columns.close[0] == pytest.approx(close)


@pytest.mark.parametrize(
    "row", ["1704067200000,11,9,10,12,5", "1704067200000,10,11,9,1,1,1,1,1,1,1", "2024-01-02,x,10,11,9,11,3"]
)
def test_an_unknown_shape_is_asked_for_and_then_loses_no_row(read_text: ReadText, row: str) -> None:
    with pytest.raises(Unreadable, match="it has no header, and its first line is ") as caught:
        read_text(f"{row}\n{row}\n", interval="1d")
    assert caught.value.settled_by == "columns"


@pytest.mark.parametrize(
    "row", ["1704067200,9,12,10,11,5", "1704067200000,10,11,12,9,5", "2024-01-02,10.5,10.0,11,9.5,500"]
)
def test_which_price_is_the_open_is_not_guessed(read_text: ReadText, row: str) -> None:
    """Low, high and two others; or two others, high and low."""
    with pytest.raises(Unreadable, match="its prices are not in the order open, high, low, close") as caught:
        read_text(f"{row}\n", interval=None, no_volume=False)
    assert caught.value.settled_by == "columns"
    columns = ["time", "close", "open", "high", "low", "volume"]
    assert read_text(f"{row}\n", columns=columns).refused == ()


def test_an_adjusted_close_is_not_a_volume(read_text: ReadText) -> None:
    row = "2024-01-0{day},187.15,188.44,183.89,185.64,{adjusted},82488700\n"
    content = row.format(day=2, adjusted=184.73) + row.format(day=3, adjusted=184.73)
    bars = read_text(content, no_volume=False)
    assert bars.adjusted_close is not None
    assert (bars.adjusted_close[0], bars.columns.volume[0]) == (184.73, 82488700)
    with pytest.raises(Unreadable, match="its column 6 may be a volume or an adjusted close") as caught:
        read_text(row.format(day=2, adjusted=41.73), no_volume=False)
    assert caught.value.settled_by == "columns"
    bars = read_text(row.format(day=2, adjusted=5000), no_volume=False)
    assert (bars.columns.volume[0], bars.ignored) == (5000, ("openint",))


def test_columns_can_be_named(read_text: ReadText) -> None:
    content = "1704067200000,11,9,10,12,5\n1704070800000,11,10,11,12,6\n"
    columns = ["time", "close", "low", "open", "high", "volume"]
    bars = read_text(content, interval=None, columns=columns)
    assert (bars.columns.close.tolist(), list(bars.rows), bars.guesses) == ([11, 11], [1, 2], ())
    columns = ["-", "day", "open", "high", "low", "close", "volume"]
    bars = read_text("x,2024-01-02,1,2,1,2,9\n", columns=columns, no_volume=False)
    assert (opened(bars), bars.columns.volume[0]) == (["2024-01-02 00:00"], 9)


def test_named_columns_take_the_place_of_a_header(read_text: ReadText) -> None:
    bars = read_text(
        "Date,Open,High,Low,Close\n2024-01-02,1,3,0,2\n", columns=["time", "close", "high", "low", "open"]
    )
    assert (bars.columns.close[0], bars.refused) == (1, ())


@pytest.mark.parametrize(
    "above",
    [
        "https://www.CryptoDataDownload.com\n",
        "sep=,\n",
        "Symbol: AAPL\nExported on 2024-02-01, at noon\n\n",
        '"Historical prices, daily"\n\n',
    ],
)
def test_text_above_the_header_is_skipped_and_told(read_text: ReadText, above: str) -> None:
    bars = read_text(f"{above}Date,Open,High,Low,Close,Volume\n2024-01-02,1,3,0,2,5\n")
    assert (bars.columns.close[0], list(bars.rows)) == (2, [above.count("\n") + 2])
    assert above.startswith("sep=") or bars.notes[0].startswith("skipped above the table: ")


def test_lines_above_the_table_can_be_skipped(read_text: ReadText) -> None:
    content = "1,2,3,4,5,6\na,b,c,d,e,f\nTag,Open,High,Low,Close,Volume\n2024-01-02,1,3,0,2,5\n"
    bars = read_text(content, skip_rows=2, column_names={"time": "Tag"})
    assert (bars.columns.close[0], list(bars.rows)) == (2, [4])


def test_databento_s_billionths_are_told(read_text: ReadText) -> None:
    header = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
    prices = "372025000000000,372050000000000,372000000000000,372025000000000"
    row = f"1609160400000000000,33,1,5482,{prices},12,ESH1\n"
    bars = read_text(header + row, interval="1m")
    assert bars.columns.close[0] == 372025
    assert [guess.settled_by for guess in bars.guesses] == ["price_scale"]
    assert read_text(header + row, interval="1m", price_scale=1).columns.close[0] == 372025000000000
