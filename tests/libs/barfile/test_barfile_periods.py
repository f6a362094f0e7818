"""How far bars are apart, which day, week or month they are of, and which moments their times are."""

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


def of_times(*times: object) -> str:
    return "time,open,high,low,close,volume\n" + "".join(
        f"{time},1,1,1,1,{i}\n" for i, time in enumerate(times)
    )


def every(freq: str, count: int, start: str = "2024-01-01", shown: str = "%Y-%m-%d %H:%M:%SZ") -> str:
    return of_times(*(f"{time:{shown}}" for time in pd.date_range(start, periods=count, freq=freq)))


@pytest.mark.parametrize(
    ("freq", "interval"),
    [("1min", "1m"), ("5min", "5m"), ("15min", "15m"), ("30min", "30m"), ("1h", "1h"),
     ("D", "1d"), ("B", "1d"),
     ("7D", "1w"), ("W-FRI", "1w"), ("MS", "1mo"), ("ME", "1mo"), ("BME", "1mo")],
)  # fmt: skip
@pytest.mark.parametrize("count", [4, 60])
def test_without_an_interval_the_spacing_of_the_bars_is_taken_and_told(
    read_text: ReadText, freq: str, interval: str, count: int
) -> None:
    bars = read_text(every(freq, count), interval=None)
    assert bars.interval == interval
    assert f"interval: {interval}, as far as its bars are apart" in bars.notes


@pytest.mark.parametrize("count", [3, 5, 100])
@pytest.mark.parametrize(
    ("freq", "interval", "looks"),
    [("1h", "1m", "1h"), ("5min", "1m", "5m"), ("30min", "15m", "30m"), ("D", "1h", "1d"), ("D", "1m", "1d"),
     ("7D", "1d", "1w"), ("MS", "1d", "1mo"), ("MS", "1w", "1mo")],
)  # fmt: skip
def test_a_coarser_file_is_refused_and_its_interval_named(
    read_text: ReadText, freq: str, interval: str, looks: str, count: int
) -> None:
    with pytest.raises(Unreadable) as caught:
        read_text(every(freq, count), interval=interval)
    told = f"its bars look like {looks}, not {interval}"
    assert (str(caught.value), caught.value.settled_by) == (told, "interval")


@pytest.mark.parametrize(("freq", "looks"), [("4h", "4h"), ("2min", "2m"), ("QS", "3mo"), ("YS", "1y")])
def test_an_interval_that_is_not_supported_is_named(read_text: ReadText, freq: str, looks: str) -> None:
    for interval in (None, "1m"):
        with pytest.raises(Unreadable, match=f"its bars look like {looks}.*; intervals are 1m, 5m"):
            read_text(every(freq, 12), interval=interval)


@pytest.mark.parametrize(
    ("interval", "times"),
    [
        ("1m", ("09:30", "09:33", "09:34", "09:41", "10:59")),
        ("1m", ("09:30", "11:30")),
        ("5m", ("09:30", "09:35", "09:45", "10:30")),
        ("1h", ("09:30", "10:30", "11:30", "13:00", "14:00", "15:00")),
    ],
)
def test_bars_that_are_missing_are_no_coarser_interval(
    read_text: ReadText, interval: str, times: tuple[str, ...]
) -> None:
    days = ("2024-01-02", "2024-01-03")[: len(times) - 1]
    content = of_times(*(f"{day} {time}Z" for day in days for time in times))
    assert read_text(content, interval=interval).interval == interval


def test_one_bar_within_the_day_does_not_tell_its_interval(read_text: ReadText) -> None:
    with pytest.raises(Unreadable) as caught:
        read_text(of_times("2024-01-02 09:30Z"), interval=None)
    assert caught.value.settled_by == "interval"
    assert read_text(of_times("2024-01-02"), interval=None).interval == "1d"


@pytest.mark.parametrize(
    ("stamp", "zone"),
    [
        ("2024-01-04", ""), ("2024-01-04 00:00:00", "Asia/Tokyo"), ("2024-01-04T00:00:00+09:00", ""),
        ("2024-01-04T00:00:00+09:00", "America/New_York"), ("2024-01-04 00:00:00-05:00", ""),
        ("2024-01-04T00:00:00Z", ""),
        ("2024-01-04T00:00:00Z", "America/New_York"), ("2024-01-04 16:00:00", "America/New_York"),
        ("2024-01-04 23:00:00-05:00", ""), ("2024-01-04 08:00:00+13:00", ""),
        ("2024-01-04T23:59:59.999Z", ""),
        ("2024-01-03T15:00:00Z", "Asia/Tokyo"), ("1704294000", "Asia/Tokyo"), ("1704326400000", ""),
        ("1704412799999", ""), ("2024-01-04 00:00:00 EST", ""), ("04.01.2024 00:00:00.000 GMT+0700", ""),
    ],
)  # fmt: skip
def test_a_day_is_that_of_its_own_stamp(read_text: ReadText, stamp: str, zone: str) -> None:
    assert opened(read_text(of_times(stamp), zone=zone)) == ["2024-01-04 00:00"]


def test_an_instant_that_shows_no_zone_is_left_to_that_of_the_series(read_text: ReadText) -> None:
    assert opened(read_text(of_times("2024-01-03T23:00:00Z"))) == ["2024-01-03 23:00"], "10:00 in Sydney"


def test_timestamps_of_a_parquet_have_the_day_of_their_zone(tmp_path: Path) -> None:
    index = pd.DatetimeIndex(["2024-01-04", "2024-01-05"], tz="Asia/Tokyo", name="Date")
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0), index=index)
    frame.to_parquet(tmp_path / "b.parquet")
    assert opened(barfile.read(tmp_path / "b.parquet")) == ["2024-01-04 00:00", "2024-01-05 00:00"]


def test_every_day_of_a_year_is_there_once_whatever_the_clocks_do(read_text: ReadText) -> None:
    for zone in (
        "America/New_York",
        "Europe/London",
        "Australia/Lord_Howe",
        "Asia/Tokyo",
        "America/Sao_Paulo",
    ):
        for shown in ("%Y-%m-%d 16:00", "%Y-%m-%d 00:00", "%Y-%m-%d 02:30"):
            bars = read_text(every("D", 366, shown=shown), zone=zone)
            assert (len(bars.bars), bars.refused) == (366, ())
            assert opened(bars)[0::365] == ["2024-01-01 00:00", "2024-12-31 00:00"]


@pytest.mark.parametrize(
    ("stamps", "stamp"),
    [
        (("2024-01-01", "2024-01-08"), "start"),  # Monday
        (("2024-01-05", "2024-01-12"), "start"),  # Friday
        (("2023-12-31", "2024-01-07"), "start"),  # the Sunday before
        (("2024-01-06", "2024-01-13"), "start"),  # Saturday
        (("2024-01-01T00:00:00+09:00", "2024-01-08T00:00:00+09:00"), "start"),
        (("2023-12-31 18:00:00-05:00", "2024-01-07 18:00:00-05:00"), "start"),  # as sessions of futures begin
        (("2024-01-07T23:59:59.999Z", "2024-01-14T23:59:59.999Z"), "end"),
        (("2024-01-08 00:00:00Z", "2024-01-15 00:00:00Z"), "end"),
        (("2024-01-07", "2024-01-14"), "end"),  # the Sunday that ends it
        (("2024-01-07 00:00:00Z", "2024-01-14 00:00:00Z"), "end"),
        (("2024-01-05", "2024-01-12"), "end"),
    ],
)
def test_a_week_opens_on_its_monday(read_text: ReadText, stamps: tuple[str, ...], stamp: str) -> None:
    bars = read_text(of_times(*stamps), interval="1w", stamp=stamp)
    assert opened(bars) == ["2024-01-01 00:00", "2024-01-08 00:00"]


def test_it_is_told_that_instants_without_a_zone_are_kept(read_text: ReadText) -> None:
    content = of_times("1704294000", "1704380400", "1704726000")  # midnights of Tokyo
    assert any(
        "time_zone says whose days they are" in note for note in read_text(content, interval="1d").notes
    )
    of_tokyo = read_text(content, interval="1d", time_zone="Asia/Tokyo")
    assert opened(of_tokyo) == ["2024-01-04 00:00", "2024-01-05 00:00", "2024-01-09 00:00"]
    assert not of_tokyo.notes


def test_it_is_told_that_a_sunday_is_read_as_the_start_of_a_week(read_text: ReadText) -> None:
    content = of_times("2024-01-07", "2024-01-14", "2024-01-21", "2024-01-28")
    told = (
        "4 of its weeks are stamped on a Sunday, and were read as those that begin on the Monday after it; "
        "stamp says if they end on it"
    )
    assert told in read_text(content, interval="1w").notes
    assert told not in read_text(content, interval="1w", stamp="end").notes
    ends = read_text(content, interval="1w", stamp="end")
    assert opened(ends) == [f"2024-01-{day:02} 00:00" for day in (1, 8, 15, 22)]


@pytest.mark.parametrize(
    ("stamps", "zone"),
    [
        (("2024-01-01", "2024-02-01"), ""),
        (("2024-01-31", "2024-02-29"), ""),
        (("2024-01", "2024-02"), ""),
        (("2024-01-01T00:00:00+09:00", "2024-02-01T00:00:00+09:00"), ""),
        (("2023-12-31T23:00:00Z", "2024-01-31T23:00:00Z"), "Europe/Paris"),
        (("1704063600", "1706742000"), "Europe/Paris"),
    ],
)
def test_a_month_opens_on_its_first(read_text: ReadText, stamps: tuple[str, ...], zone: str) -> None:
    bars = read_text(of_times(*stamps), interval="1mo", zone=zone)
    assert opened(bars) == ["2024-01-01 00:00", "2024-02-01 00:00"]


@pytest.mark.parametrize(
    ("interval", "stamp", "first"),
    [
        ("1m", "2024-01-02 09:31Z", "2024-01-02 09:30"),
        ("1m", "2024-01-02 09:30:59Z", "2024-01-02 09:30"),
        ("1h", "2024-01-02 10:30Z", "2024-01-02 09:30"),
        ("1h", "2024-01-02 09:59:59.999Z", "2024-01-02 09:00"),
        ("1d", "2024-01-03 00:00:00Z", "2024-01-02 00:00"),
        ("1d", "2024-01-02 23:59:59Z", "2024-01-02 00:00"),
        ("1d", "2024-01-02 16:00:00-05:00", "2024-01-02 00:00"),
        ("1d", "2024-01-02", "2024-01-02 00:00"),
        ("1mo", "2024-02-01 00:00:00Z", "2024-01-01 00:00"),
        ("1mo", "2024-01-31", "2024-01-01 00:00"),
    ],
)
def test_stamps_may_be_those_of_the_bars_ends(
    read_text: ReadText, interval: str, stamp: str, first: str
) -> None:
    assert opened(read_text(of_times(stamp), interval=interval, stamp="end")) == [first]


TWICE = {
    "America/New_York": ["2024-11-03 00:45", "2024-11-03 01:00", "2024-11-03 01:45", "2024-11-03 01:00",
                         "2024-11-03 01:45", "2024-11-03 02:00"],
    "Australia/Lord_Howe": ["2024-04-07 01:15", "2024-04-07 01:30", "2024-04-07 01:45", "2024-04-07 01:30",
                            "2024-04-07 01:45", "2024-04-07 02:00"],
    "Europe/London": ["2024-10-27 00:45", "2024-10-27 01:00", "2024-10-27 01:00", "2024-10-27 02:00"],
}  # fmt: skip


@pytest.mark.parametrize("zone", TWICE)
def test_an_hour_shown_twice_is_told_apart_by_the_order_of_the_rows(read_text: ReadText, zone: str) -> None:
    times = TWICE[zone]
    oldest = read_text(of_times(*times), interval="15m", zone=zone)
    newest = read_text(of_times(*times[::-1]), interval="15m", zone=zone)
    assert (oldest.refused, newest.refused) == ((), ())
    assert opened(oldest) == opened(newest) == sorted(set(opened(oldest)))
    assert len(opened(oldest)) == len(times)
    assert oldest.columns.volume.tolist() == newest.columns.volume.tolist()[::-1]


def test_an_hour_shown_twice_and_there_once_is_refused(read_text: ReadText) -> None:
    content = of_times("2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 02:00")
    bars = read_text(content, interval="1h", zone="America/New_York")
    assert [(each.row, each.cell) for each in bars.refused] == [(3, "2024-11-03 01:00")]


@pytest.mark.parametrize(
    "name",
    ["Gmt time", "unix", "ts", "window_start", "trade_date", "TradDt", "Open Time", "time_utc", "Date (UTC)",
     "DATE1",
     "timestamp_ms", "Local time", "bar_start", "day"],
)  # fmt: skip
def test_a_time_is_found_by_its_name(read_text: ReadText, name: str) -> None:
    content = of_times("2024-01-02 00:00:00", "2024-01-03 00:00:00").replace("time", name, 1)
    assert opened(read_text(content)) == ["2024-01-02 00:00", "2024-01-03 00:00"]


def test_a_name_that_says_utc_is_a_zone(read_text: ReadText) -> None:
    content = of_times("2024-01-02 09:30", "2024-01-02 09:31")
    for name in ("Gmt time", "time_utc", "Date (UTC)"):
        assert opened(read_text(content.replace("time", name, 1), interval="1m"))[0] == "2024-01-02 09:30"
    for name in ("Local time", "Date"):
        with pytest.raises(NoZone):
            read_text(content.replace("time", name, 1), interval="1m")


DAYS_MS = [1735344000000 + 86_400_000 * day for day in range(8)]


@pytest.mark.parametrize(
    "stamps",
    [
        [*DAYS_MS[:4], *(ms * 1000 for ms in DAYS_MS[4:])],
        [*(ms // 1000 for ms in DAYS_MS[:4]), *DAYS_MS[4:]],
        [*DAYS_MS[:7], DAYS_MS[7] // 1000],
        [*(ms // 1000 for ms in DAYS_MS[:2]), *(ms * 10**6 for ms in DAYS_MS[2:])],
        [ms * 1000 if at % 2 else ms for at, ms in enumerate(DAYS_MS)],
    ],
)
def test_units_that_a_column_mixes_are_told_by_each_number(read_text: ReadText, stamps: list[int]) -> None:
    bars = read_text(of_times(*stamps))
    assert bars.columns.open_time_ms.tolist() == DAYS_MS
    assert (bars.times, bars.refused) == ("numbers since 1970, each in the unit of its size", ())


def test_milliseconds_of_the_seventies_are_no_seconds(read_text: ReadText) -> None:
    stamps = [86_400_000 * day for day in range(-30, 1300)]
    bars = read_text(of_times(*stamps))
    assert (bars.columns.open_time_ms.tolist(), bars.times) == (stamps, "ms since 1970")


@pytest.mark.parametrize("far", ["1970-01-21", "1899-12-31", "2124-01-05"])
def test_a_time_decades_from_its_neighbours_is_refused(read_text: ReadText, far: str) -> None:
    bars = read_text(of_times("2024-01-02", far, "2024-01-03", "2024-01-04"))
    (refused,) = bars.refused
    assert (refused.row, len(bars.bars)) == (3, 3)
    assert "years from most other rows" in refused.reason


def test_seconds_that_a_type_calls_milliseconds_are_refused(tmp_path: Path) -> None:
    times = pa.array([1704067200, 1704153600, 1704240000], pa.timestamp("ms"))
    columns = {name: [1.0] * 3 for name in ("open", "high", "low", "close", "volume")}
    parquet.write_table(pa.table({"time": times} | columns), tmp_path / "b.parquet")
    with pytest.raises(Unreadable, match=r"its times are in January 1970 \(1970-01-20 17:21:07\)"):
        barfile.read(tmp_path / "b.parquet", interval=Interval.D1)
