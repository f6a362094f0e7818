"""Ambiguous files of the provider, settled by index.toml."""

from pathlib import Path

import pytest

from finstage_market.errors import Reason, Unavailable
from finstage_market.interval import Interval
from finstage_runtime.clock import SYSTEM
from services.ingest.providers.file import FileProvider
from services.ingest.series import FetchedBars, SeriesKey


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
