"""Ambiguous files of the provider, settled by index.toml."""

from pathlib import Path

import pytest

from finstage_market.errors import Reason, Unavailable
from finstage_market.interval import Interval
from finstage_runtime.clock import SYSTEM
from services.ingest.providers.file import FileProvider
from services.ingest.series import EventKind, FetchedBars, SeriesKey


def fetch(folder: Path, content: str, index: str = "") -> FetchedBars:
    (folder / "AAPL_1d.csv").write_text(content)
    (folder / "index.toml").write_text(f'[[file]]\npath = "AAPL_1d.csv"\n{index}\n')
    key = SeriesKey("AAPL", Interval.D1)
    return FileProvider(folder, clock=SYSTEM).fetch_bars(key, None, None, deadline=None)


@pytest.mark.parametrize(
    ("content", "index", "told", "close"),
    [
        (
            "Ticker,Date,Open,High,Low,Close\nAAPL.US,2024-01-02,1,1,1,1\nMSFT.US,2024-01-02,2,2,2,2\n",
            'ticker = "AAPL.US"',
            "column 'Ticker' holds 'AAPL.US', 'MSFT.US', and not AAPL; ticker in index.toml says it",
            1,
        ),
        (
            "Date;Open;High;Low;Close\n2024-01-02;38.000;38.000;38.000;38.000\n",
            'decimal = ","',
            "column 'Open' has '38.000', which can be 38 or 38000; no other number of the file tells which; "
            "decimal in index.toml says it",
            38000,
        ),
        (
            "Date,Open,High,Low,Close\n25/12/2023,1,1,1,1\n12/26/2023,2,2,2,2\n",
            'date_format = "%d/%m/%Y"',
            "its times '12/26/2023' and '25/12/2023' do not agree whether the day or the month comes first; "
            "date_format in index.toml says it",
            1,
        ),
    ],
)
def test_the_error_names_the_option_and_the_index_supplies_it(
    tmp_path: Path, content: str, index: str, told: str, close: float
) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(tmp_path, content)
    assert (caught.value.reason, caught.value.message) == (
        Reason.UPSTREAM_MALFORMED,
        f"AAPL_1d.csv cannot be read: {told}",
    )
    assert list(fetch(tmp_path, content, index).bars.columns.close) == [close]


def test_a_wrong_decimal_sign_in_the_index_is_reported(tmp_path: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"decimal of 'AAPL_1d.csv': ';' was given; one of \. , is accepted"
    ):
        fetch(tmp_path, "Date,Open,High,Low,Close\n2024-01-02,1,1,1,1\n", 'decimal = ";"')


SPLIT = (
    "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n2020-08-27,508,510,495,500,38,0,0\n"
    "2020-08-28,504,506,498,499,46,0.8,0\n2020-08-31,127,131,126,129,225,0,4\n"
)


def test_raw_prices_are_adjusted_and_splits_and_dividends_are_events(tmp_path: Path) -> None:
    fetched = fetch(tmp_path, SPLIT)
    assert fetched.bars.columns.close.tolist() == [125, 124.75, 129]
    assert fetched.bars.columns.volume.tolist() == [152, 184, 225]
    assert {event.kind: event.amount or event.numerator for event in fetched.events} == {
        EventKind.DIVIDEND: 0.2,
        EventKind.SPLIT: 4,
    }


@pytest.mark.parametrize(
    ("content", "index", "close", "volume"),
    [
        ("1704153600,2,1,1.5,3,5\n", 'columns = "time,close,low,open,high,volume"', 2, 5),
        ("Date,Open,High,Low,Last,Settle,Menge\n2024-01-02,1,3,1,2,2.5,5\n",
         'column_names = { close = "Last", volume = "Menge" }', 2, 5),
        ("Date,Open,High,Low,Close,Menge\n2024-01-02,1,3,1,2,5\n", "no_volume = true", 2, 0),
        ("Date,Open,High,Low,Close,Volume\n2024-01-02,1,3,1,2,5\n", "price_scale = 0.5", 1, 5),
        ("a,b,c,d\nDate,Open,High,Low,Close,Volume\n2024-01-02,1,3,1,2,5\n", "skip_rows = 1", 2, 5),
        ("Date,Open,High,Low,Close,Volume\n2024-01-03T00:00Z,1,3,1,2,5\n", 'stamp = "end"', 2, 5),
        ("Date,Open,High,Low,Close,Volume,split\n2024-01-01,8,8,8,8,5,1\n2024-01-02,2,3,2,2,5,4\n",
         'prices = "adjusted"', 8, 5),
    ],
)  # fmt: skip
def test_the_index_says_what_the_options_of_the_command_say(
    tmp_path: Path, content: str, index: str, close: float, volume: float
) -> None:
    columns = fetch(tmp_path, content, index).bars.columns
    assert (columns.close[0], columns.volume[0]) == (close, volume)


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ('skip_rows = "1"', "skip_rows of 'AAPL_1d.csv': '1' was given; a whole number is accepted"),
        ("no_volume = 1", "no_volume of 'AAPL_1d.csv': 1 was given; true or false is accepted"),
        ("skip_rows = true", "skip_rows of 'AAPL_1d.csv': True was given; a whole number is accepted"),
        ('price_scale = "x"', "price_scale of 'AAPL_1d.csv': 'x' was given; a number is accepted"),
        ('stamp = "x"', "stamp of 'AAPL_1d.csv': 'x' was given; one of start end is accepted"),
        ('column_names = { x = "y" }', "'x' is not one of time, open"),
    ],
)
def test_a_wrong_value_of_the_index_is_told(tmp_path: Path, index: str, told: str) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(tmp_path, SPLIT, index)
    assert told in caught.value.message


def test_a_coarser_file_than_its_name_says_is_malformed(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-{day:02},1,1,1,1,1\n" for day in (1, 8, 15, 22))
    with pytest.raises(Unavailable, match="its bars look like 1w, not 1d"):
        fetch(tmp_path, f"Date,Open,High,Low,Close,Volume\n{rows}")
