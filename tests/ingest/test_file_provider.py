"""The file provider over real histories, with the quirks of real files."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finstage_market.errors import NotFound, Reason, Unavailable
from finstage_market.interval import Interval
from finstage_runtime.clock import SystemClock
from services.ingest.providers.file import FileProvider
from services.ingest.series import EventKind, FetchedBars, FlagReason, Quote, SeriesKey

INDEX = """
[[file]]
path = "spx_daily_1990_2022.csv"
symbol = "^SPX"
interval = "1d"
time_zone = "America/New_York"
name = "S&P 500"
type = "INDEX"
currency = "USD"
[[file]]
path = "btc_daily_2017_2021.csv"
symbol = "BTC-USD"
interval = "1d"
[[file]]
path = "spy_1m_2020-12.csv"
symbol = "SPY"
interval = "1m"
time_zone = "America/New_York"
[[file]]
path = "ea_15m_prepost.csv"
symbol = "EA"
interval = "15m"
[[file]]
path = "aet_l_1d_100x_error.csv"
symbol = "AET.L"
interval = "1d"
currency = "GBp"
[[file]]
path = "ken_ta_1d_bad_dividend.csv"
symbol = "KEN.TA"
interval = "1d"
[[file]]
path = "aapl_daily_2015_2017.csv"
symbol = "AAPL"
interval = "1d"
time_zone = "America/New_York"
"""


@pytest.fixture
def folder(fixtures: Path, tmp_path: Path) -> Path:
    for path in (fixtures / "ohlcv").iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "index.toml").write_text(INDEX)
    (tmp_path / "notes.txt").write_text("not a series")
    (tmp_path / "some.csv").write_text("named like no series")
    return tmp_path


@pytest.fixture
def provider(folder: Path) -> FileProvider:
    return FileProvider(folder, clock=SystemClock())


def fetch(provider: FileProvider, symbol: str, interval: Interval = Interval.D1) -> FetchedBars:
    return provider.fetch_bars(SeriesKey(symbol, interval), None, None, deadline=None)


def first(fetched: FetchedBars) -> tuple[str, float, float, float, float, float]:
    c = fetched.bars.columns
    when = datetime.fromtimestamp(int(c.open_time_ms[0]) / 1000, UTC)
    values = tuple(float(v[0]) for v in (c.open, c.high, c.low, c.close, c.volume))
    return f"{when:%Y-%m-%dT%H:%M}", *values  # type: ignore[return-value]


def test_month_first_dates_after_a_byte_order_mark(provider: FileProvider) -> None:
    fetched = fetch(provider, "^SPX")
    assert len(fetched.bars.columns) == 8111
    assert first(fetched) == ("1990-01-02T05:00", 353.4, 359.69, 351.98, 359.69, 0.0)
    assert (fetched.source, fetched.instrument.currency) == ("file", "USD")
    assert fetched.bars.last_is_final


def test_fractional_volumes_and_seven_day_weeks(provider: FileProvider) -> None:
    fetched = fetch(provider, "BTC-USD")
    assert (len(fetched.bars.columns), first(fetched)[5]) == (1246, 795.150377)


def test_local_times_without_a_zone(provider: FileProvider) -> None:
    fetched = fetch(provider, "SPY", Interval.M1)
    assert len(fetched.bars.columns) == 1564
    assert first(fetched)[0] == "2020-12-15T14:30"


def test_times_with_their_own_offset_and_gaps(provider: FileProvider) -> None:
    fetched = fetch(provider, "EA", Interval.M15)
    times = fetched.bars.columns.open_time_ms
    assert first(fetched)[0] == "2026-05-26T08:00"
    assert (times[1] - times[0]) == 45 * 60_000


def test_newest_first_and_a_jump_of_100_times(provider: FileProvider) -> None:
    fetched = fetch(provider, "AET.L")
    assert (fetched.bars.columns.open_time_ms[1:] > fetched.bars.columns.open_time_ms[:-1]).all()
    assert FlagReason.SUSPICIOUS_JUMP in {flag.reason for flag in fetched.bars.flags}
    assert fetched.bars.columns.close.max() / fetched.bars.columns.close.min() > 50  # kept as they are


def test_dividends_are_events(provider: FileProvider) -> None:
    fetched = fetch(provider, "KEN.TA")
    assert {event.kind for event in fetched.events} == {EventKind.DIVIDEND}
    assert all(event.amount and event.amount > 0 for event in fetched.events)


def test_prefixed_columns_and_adjusted_closes(provider: FileProvider) -> None:
    fetched = fetch(provider, "AAPL")
    assert first(fetched) == ("2015-02-17T05:00", 127.489998, 128.880005, 126.919998, 127.830002, 63152400.0)
    assert fetched.bars.adjusted_close is not None
    assert fetched.bars.adjusted_close[0] == 122.905254


def test_parquet_named_by_its_series(provider: FileProvider, folder: Path) -> None:
    table = pd.read_csv(folder / "btc_daily_2017_2021.csv", parse_dates=["date"]).set_index("date")
    table.to_parquet(folder / "ETH-USD_1d.parquet")
    fetched = fetch(provider, "ETH-USD")
    assert (fetched.bars.columns.close == fetch(provider, "BTC-USD").bars.columns.close).all()
    assert (fetched.bars.columns.open_time_ms == fetch(provider, "BTC-USD").bars.columns.open_time_ms).all()


def test_a_range_has_the_bars_that_opened_in_it(provider: FileProvider) -> None:
    day_ms = 86_400_000
    start_ms = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
    fetched = provider.fetch_bars(
        SeriesKey("BTC-USD", Interval.D1), start_ms, start_ms + 3 * day_ms, deadline=None
    )
    assert fetched.bars.columns.open_time_ms.tolist() == [start_ms + i * day_ms for i in range(3)]


def test_a_quote_is_the_last_close(provider: FileProvider) -> None:
    known, unknown = provider.fetch_quotes(["BTC-USD", "NOSUCH"], deadline=None)
    assert isinstance(known, Quote)
    assert (known.price, known.source) == (37371.38, "file")
    assert isinstance(unknown, NotFound)


def test_search_and_instruments_follow_the_index(provider: FileProvider) -> None:
    assert [found.symbol for found in provider.search("s&p", limit=5, deadline=None)] == ["^SPX"]
    assert provider.instrument("AET.L", deadline=None).currency == "GBp"


def test_a_missing_symbol_or_interval_is_reported(provider: FileProvider, folder: Path) -> None:
    with pytest.raises(NotFound) as symbol:
        fetch(provider, "NOSUCH")
    assert symbol.value.reason is Reason.SYMBOL_NOT_FOUND
    with pytest.raises(NotFound) as interval:
        fetch(provider, "^SPX", Interval.M1)
    assert interval.value.reason is Reason.NO_DATA
    (folder / "BAD_1d.csv").write_text("date,open\n2020-01-01,1\n")
    with pytest.raises(Unavailable, match=r"BAD_1d.csv cannot be read: no column for high, low, close"):
        fetch(provider, "BAD")


def test_rows_that_are_not_bars_are_rejected(provider: FileProvider, folder: Path) -> None:
    (folder / "ODD_1d.csv").write_text(
        "Date,Open,High,Low,Close\nyesterday,1,1,1,1\n2020-01-02,1,2,0.5,1.5\n2020-01-03,1,2,x,1.5\n"
    )
    fetched = fetch(provider, "ODD")
    assert len(fetched.bars.columns) == 1
    assert [row.reason.value for row in fetched.bars.rejected] == ["OUT_OF_RANGE", "NOT_FINITE"]
    unread = fetched.bars.rejected[0]
    assert (unread.row, unread.values) == (2, "time='yesterday'")
    assert unread.detail == "line 2: 'yesterday' is not a time, read as year-month-day"
    assert fetched.bars.rejected[1].row == 4
    assert fetched.bars.rejected[1].detail.startswith("line 4: low is 'x'")


@pytest.mark.parametrize("suffix", [".csv.gz", ".pq"])
def test_other_suffixes(provider: FileProvider, folder: Path, suffix: str) -> None:
    frame = pd.read_csv(folder / "btc_daily_2017_2021.csv")
    path = folder / f"ETH-USD_1d{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv.gz" else frame.to_parquet(path)
    assert (
        fetch(provider, "ETH-USD").bars.columns.close == fetch(provider, "BTC-USD").bars.columns.close
    ).all()


def test_parquet_and_csv_have_the_same_events(provider: FileProvider, folder: Path) -> None:
    frame = pd.read_csv(folder / "ken_ta_1d_bad_dividend.csv", index_col=0)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.index, utc=True))
    frame["Stock Splits"] = np.where(np.arange(len(frame)) == 5, 4.0, 0.0)
    frame["Capital Gains"] = np.where(np.arange(len(frame)) == 7, 0.25, 0.0)
    frame.to_parquet(folder / "KEN_1d.parquet")
    entry = '[[file]]\npath = "KEN_1d.parquet"\ntime_zone = "Asia/Jerusalem"\n'
    ours = 'symbol = "KEN.TA"\n'
    (folder / "index.toml").write_text(INDEX.replace(ours, f'{ours}time_zone = "Asia/Jerusalem"\n') + entry)
    dividends = fetch(provider, "KEN.TA").events
    events = fetch(provider, "KEN").events
    assert tuple(event for event in events if event.kind is EventKind.DIVIDEND) == dividends
    others = [event for event in events if event.kind is not EventKind.DIVIDEND]
    times = fetch(provider, "KEN").bars.columns.open_time_ms
    assert [(event.kind, event.time_ms) for event in others] == [
        (EventKind.SPLIT, times[5]),
        (EventKind.CAPITAL_GAIN, times[7]),
    ]
    assert (others[0].numerator, others[0].denominator, others[1].amount) == (4.0, 1.0, 0.25)


def test_local_times_need_a_zone_that_the_index_names(provider: FileProvider, folder: Path) -> None:
    (folder / "LOCAL_1m.csv").write_text("Date,Open,High,Low,Close\n2020-01-02 09:30,1,1,1,1\n")
    with pytest.raises(Unavailable, match=r"name no time zone; time_zone in index.toml says it"):
        fetch(provider, "LOCAL", Interval.M1)
    entry = '[[file]]\npath = "LOCAL_1m.csv"\ntime_zone = "Europe/Paris"\n'
    (folder / "index.toml").write_text(INDEX + entry)
    assert first(fetch(provider, "LOCAL", Interval.M1))[0] == "2020-01-02T08:30"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "it is empty"),
        (b"PAR1", "it is not a whole Parquet"),
        (b"\xff\xfe\0", "it is not utf-16-le text"),
        (b"Date,Open,High,Low,Close\nsoon,1,1,1,1\n", "'soon' is not a time"),
    ],
)
def test_a_file_that_is_not_understood_is_malformed(
    provider: FileProvider, folder: Path, content: bytes, line: str
) -> None:
    (folder / "BAD_1d.csv").write_bytes(content)
    with pytest.raises(Unavailable, match=f"BAD_1d.csv cannot be read: {line}") as caught:
        fetch(provider, "BAD")
    assert caught.value.reason is Reason.UPSTREAM_MALFORMED


def test_a_file_without_rows_has_no_data(provider: FileProvider, folder: Path) -> None:
    (folder / "NONE_1d.csv").write_text("Date,Open,High,Low,Close\n")
    with pytest.raises(NotFound) as caught:
        fetch(provider, "NONE")
    assert caught.value.reason is Reason.NO_DATA


def test_an_unknown_zone_is_reported(provider: FileProvider, folder: Path) -> None:
    (folder / "index.toml").write_text(INDEX.replace("America/New_York", "Mars/X", 1))
    with pytest.raises(Unavailable, match=r"'Mars/X' is not an IANA time zone"):
        fetch(provider, "^SPX")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('type = "stock"', "type of '1.csv': 'stock' was given; one of EQUITY, ETF, INDEX, FUTURE, "),
        ("name = 5", "name of '1.csv': 5 was given; a text is accepted"),
        ('symbol = "a b"', "symbol of '1.csv': 'a b' was given; a symbol is 1 to 32 characters"),
        ('interval = "2d"', "interval of '1.csv': '2d' was given; '2d' is not supported; use 1m, 5m"),
        (
            'time_zone = "Mars/X"',
            "time_zone of '1.csv': 'Mars/X' was given; 'Mars/X' is not an IANA time zone",
        ),
    ],
)
def test_a_wrong_field_of_the_index_is_told_with_its_file(
    provider: FileProvider, folder: Path, line: str, said: str
) -> None:
    (folder / "index.toml").write_text(f'{INDEX}[[file]]\npath = "1.csv"\n{line}\n')
    with pytest.raises(Unavailable) as caught:
        fetch(provider, "^SPX")
    assert caught.value.reason is Reason.UPSTREAM_MALFORMED
    assert caught.value.message.startswith(f"index.toml cannot be read: {said}")


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    for folder in (tmp_path / "none", tmp_path / "plain"):
        provider = FileProvider(folder, clock=SystemClock())
        with pytest.raises(Unavailable, match=f"the folder {folder} cannot be read: ") as caught:
            fetch(provider, "AAPL")
        assert caught.value.reason is Reason.UPSTREAM_UNAVAILABLE
        [quote] = provider.fetch_quotes(["AAPL"], deadline=None)
        assert isinstance(quote, Unavailable)
        with pytest.raises(Unavailable):
            provider.search("a", limit=1, deadline=None)


@pytest.mark.parametrize("index", ["[file]\npath = 'a.csv'\n", "file = [1]\n", "[[file]]\nsymbol = 'A'\n"])
def test_an_index_of_another_form_is_malformed(provider: FileProvider, folder: Path, index: str) -> None:
    (folder / "index.toml").write_text(index)
    with pytest.raises(Unavailable, match=r"index.toml cannot be read") as caught:
        fetch(provider, "^SPX")
    assert caught.value.reason is Reason.UPSTREAM_MALFORMED


def test_flags_are_limited_to_the_range(provider: FileProvider) -> None:
    whole = fetch(provider, "AET.L")
    flag = whole.bars.flags[0]
    day_ms = 86_400_000
    part = provider.fetch_bars(whole.key, flag.open_time_ms, flag.open_time_ms + day_ms, deadline=None)
    assert {each.open_time_ms for each in part.bars.flags} == {flag.open_time_ms}
