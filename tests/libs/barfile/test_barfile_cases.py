"""Small files of the shapes that people have, each with its right answer.

The inputs are in the folder `cases/files` of the recorded data, where CASES.md lists them.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import finstage_barfile as barfile
from finstage_barfile import BarFile, Unreadable
from finstage_market.interval import Interval

from .conftest import opened

LOCAL = "%d.%m.%Y %H:%M:%S.%f GMT%z"
NEW_YORK = barfile.zone_of("America/New_York")


@pytest.fixture(scope="session")
def cases(fixtures: Path) -> Path:
    folder = fixtures / "cases" / "files"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}; set FINSTAGE_FIXTURES to the folder that has them")
    return folder


@pytest.mark.parametrize(
    ("name", "how", "interval", "first", "close", "volume"),
    [
        ("SPLT_1d.csv", {}, "1d", "2020-08-27 00:00", 125.01, 4 * 38888096),
        ("av_daily_adj.csv", {}, "1d", "2020-08-27 00:00", 125.01, 4 * 38888096),
        ("quandl_wiki.csv", {}, "1d", "2014-06-06 00:00", 645.57 / 7, 7 * 12497800),
        ("binance_spot_1h.csv", {}, "1h", "2024-01-01 00:00", 42475.23, 1271.68108),
        ("bse.csv", {}, "1d", "2024-01-01 00:00", 2600.7, 197824),
        ("nse_site.csv", {}, "1d", "2024-01-01 00:00", 2590.25, 197824),
        ("cdd.csv", {}, "1h", "2024-01-01 00:00", 42475.23, 1271.68108),
        ("cdd_noline1.csv", {}, "1h", "2024-01-01 00:00", 42475.23, 1271.68108),
        ("cryptocompare.csv", {}, "1h", "2024-01-01 00:00", 42475.23, 1271.68),
        ("vol_lots.csv", {}, "1d", "2024-01-02 00:00", 1.5, 5_500_000),
        ("mt5_m15.csv", {"time_zone": NEW_YORK}, "15m", "2024-01-02 05:00", 2063.55, 412),
        ("mt4_headerless.csv", {"time_zone": NEW_YORK}, "15m", "2024-01-02 05:00", 1.1045, 1234),
        ("histdata.csv", {"time_zone": barfile.zone_of("Etc/GMT+5")}, "1m", "2012-02-01 05:00", 1.30656, 0),
        ("ch_apos.csv", {}, "1d", "2024-01-02 00:00", 7185.64, 82488700),
        ("excel_sep.csv", {}, "1d", "2024-01-02 00:00", 185.64, 82488700),
        ("excel_utf16.csv", {}, "1d", "2024-01-02 00:00", 185.64, 82488700),
        ("cmc1.csv", {}, "1d", "2024-01-01 00:00", 44167, 1),
        ("databento.csv", {}, "1m", "2020-12-28 13:00", 372025, 1200),
        ("simfin.csv", {}, "1d", "2024-01-02 00:00", 185.64, 82488700),
        ("yahoo_web.csv", {}, "1d", "2024-01-02 00:00", 185.64, 82488700),
        ("tz_abbrev.csv", {}, "5m", "2024-01-02 14:30", 1, 5),
        ("ts_ns.parquet", {}, "1m", "2024-01-02 14:30", 1.5, 10),
        ("f.feather", {}, "1m", "2024-01-02 14:30", 1.5, 10),
        ("dukascopy_gmt.csv", {}, "1m", "2019-09-30 00:00", 1.09406, 585.1),
        ("dukascopy_local.csv", {}, "1h", "2018-01-12 17:00", 1.20106, 185.93),
        ("dukascopy_local.csv", {"date_format": LOCAL}, "1h", "2018-01-12 17:00", 1.20106, 185.93),
        ("date_fmt_z.csv", {"date_format": "%d/%m/%Y %H:%M %z"}, "5m", "2024-01-02 14:30", 10, 1),
        ("settle.csv", {}, "1d", "2024-01-02 00:00", 71.7, 318943),
        ("us_fix.csv", {}, "1d", "2026-11-25 00:00", 42.5, 1000),
        ("jp_fix.csv", {}, "1d", "2026-11-24 00:00", 3065, 1000),
    ],
)  # fmt: skip
def test_a_case_is_read_rightly(
    cases: Path, name: str, how: dict[str, Any], interval: str, first: str, close: float, volume: float
) -> None:
    bars = barfile.read(cases / name, **how)
    assert (bars.interval, bars.refused) == (interval, ())
    assert opened(bars)[0] == first
    assert (bars.columns.close[0], bars.columns.volume[0]) == (close, volume)
    lines = (cases / name).read_bytes().count(b"\n")
    assert bars.row_name == "row" or len(bars.bars) >= lines - 3


@pytest.mark.parametrize(
    ("name", "interval", "told", "settled_by"),
    [
        ("h1_as_1m.csv", "1m", "its bars look like 1h, not 1m", "interval"),
        ("weekly_as_1d.csv", "1d", "its bars look like 1w, not 1d", "interval"),
        ("histdata.csv", None, "its times ('2012-02-01 00:00') name no time zone", "time_zone"),
        ("mt4_headerless.csv", None, "its times ('2024-01-02 00:00') name no time zone", "time_zone"),
        ("wrongzone.csv", None, "its times ('2024-01-02 09:30') name no time zone", "time_zone"),
        ("nul.csv", "1d", "it holds zero bytes, so it is not UTF-8 text", "encoding"),
    ],
)
def test_a_case_is_refused_with_what_settles_it(
    cases: Path, name: str, interval: str | None, told: str, settled_by: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        barfile.read(cases / name, interval=Interval(interval) if interval else None)
    assert (str(caught.value), caught.value.settled_by) == (told, settled_by)


@pytest.mark.parametrize(
    ("names", "zone", "days"),
    [
        (("jp1.csv", "jp2.csv"), None, 3),
        (("gf1.csv", "gf2.csv"), None, 3),
        (("gf_year.csv", "stooq_year.csv"), NEW_YORK, 262),
        (("cmc1.csv", "cmc2.csv"), None, 3),
        (("daily_1600ny_247.csv",), NEW_YORK, 7),
        (("mixed_ms_us_1d.csv",), None, 8),
    ],
)
def test_files_of_one_series_name_each_day_once(
    cases: Path, names: tuple[str, ...], zone: Any, days: int
) -> None:
    files = [barfile.read(cases / name, interval=Interval.D1, time_zone=zone) for name in names]
    assert all(file.refused == () for file in files)
    times = [file.columns.open_time_ms for file in files]
    assert all((np.diff(each) > 0).all() for each in times), "each once in its file"
    assert (np.concatenate(times) % 86_400_000 == 0).all(), "midnight UTC of its date"
    assert len(np.unique(np.concatenate(times))) == days
    assert {t[:4] for t in opened(files[0])} <= {"2024", "2025"}


def test_both_hours_that_the_clock_shows_twice_are_read(cases: Path) -> None:
    bars = barfile.read(cases / "dst_fall.csv", time_zone=NEW_YORK, interval=Interval.M5)
    assert [time[11:] for time in opened(bars)] == ["04:55", "05:00", "05:55", "06:00", "06:55", "07:00"]
    assert (bars.columns.close[3], bars.refused) == (10.5, ())


def test_no_case_is_read_without_a_volume_unsaid(cases: Path) -> None:
    for path in sorted(cases.iterdir()):
        if path.name in ("CASES.md", "nul.csv"):
            continue
        bars: BarFile = barfile.read(path, time_zone=NEW_YORK)
        assert "volume" in bars.column_names or any(guess.settled_by == "no_volume" for guess in bars.guesses)


ODD = (
    b",",
    b";",
    b'"',
    b"\n",
    b"\r",
    b"0",
    b"1e400",
    b"-",
    b":",
    b"nan",
    b"\x00",
    b"\xff",
    b"+02:00",
    b"4:1",
    b"24:00",
)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_case_is_read_or_refused_in_words(cases: Path, tmp_path: Path, seed: int) -> None:
    chosen, path = random.Random(seed), tmp_path / "bars.csv"
    contents = [case.read_bytes() for case in sorted(cases.glob("*.csv"))]
    for _ in range(25):
        content = bytearray(chosen.choice(contents))
        for _ in range(chosen.randint(1, 8)):
            at = chosen.randrange(len(content))
            content[at : at + chosen.randrange(5)] = chosen.choice(ODD)
        path.write_bytes(content)
        try:
            bars = barfile.read(path, time_zone=NEW_YORK)
        except Unreadable:
            continue
        assert len(bars.columns) == len(bars.rows) == len(bars.bars)
