"""Parquet files as pandas, Arrow and others write them."""

import dataclasses
import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import finstage_barfile as barfile
from finstage_barfile import BarFile, NoColumn, NoRows, NoZone, Unreadable
from finstage_market.columns import VALUES
from finstage_market.interval import Interval

JANUARY_MS = 1_704_067_200_000  # 2024-01-01
NEW_YORK = barfile.zone_of("America/New_York")
FIXTURES = [
    "aapl_daily_2015_2017",
    "aet_l_1d_100x_error",
    "btc_daily_2017_2021",
    "ea_15m_prepost",
    "ken_ta_1d_bad_dividend",
    "spx_daily_1990_2022",
    "spy_1m_2020-12",
]


def read(path: Path, *, time_zone: Any = None, intraday: bool = False) -> BarFile:
    interval = Interval.M1 if intraday else Interval.D1
    return barfile.read(path, time_zone=time_zone, interval=interval)


def written(path: Path, **columns: Any) -> Path:
    """Write a file of these columns; a missing price is 1, missing times are days from 2024-01-01."""
    rows = len(next(iter(columns.values())))
    days = pa.array(JANUARY_MS + 86_400_000 * np.arange(rows), pa.timestamp("ms"))
    table = {"time": days} | {name: [1.0] * rows for name in ("open", "high", "low", "close")}
    parquet.write_table(pa.table(table | columns), path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bars.parquet"


def as_dict(bars: BarFile) -> dict[str, Any]:
    """Return a BarFile as comparable values, with rows counted like the lines of a CSV."""
    header = 1 if bars.row_name == "row" else 0
    fields = {field.name: getattr(bars, field.name) for field in dataclasses.fields(bars)}
    for name in ("row_name", "bars", "digest"):
        del fields[name]
    return fields | {
        "columns": {name: getattr(bars.columns, name).tobytes() for name in ("open_time_ms", *VALUES)},
        "adjusted_close": None if bars.adjusted_close is None else bars.adjusted_close.tobytes(),
        "rows": list(bars.rows + header),
        "refused": [dataclasses.replace(each, row=each.row + header) for each in bars.refused],
    }


@pytest.mark.parametrize("numbers", ["text", "doubles"])
@pytest.mark.parametrize("name", FIXTURES)
def test_the_same_data_as_csv_and_as_parquet_is_the_same(
    fixtures: Path, path: Path, name: str, numbers: str
) -> None:
    csv = fixtures / f"ohlcv/{name}.csv"
    frame = pd.read_csv(csv, dtype="str", encoding="utf-8-sig")
    if numbers == "doubles":
        for column in frame.columns[1:]:
            if column != "direction":
                frame[column] = [float(cell) for cell in frame[column]]
    frame.to_parquet(path, index=False)
    found = [barfile.read(each, time_zone=NEW_YORK) for each in (path, csv)]
    assert as_dict(found[0]) == as_dict(found[1])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_timestamps_of_any_unit(path: Path, unit: str, zone: str | None) -> None:
    step_ms = 60_000 if zone else 86_400_000
    moments = pd.to_datetime([JANUARY_MS, JANUARY_MS + step_ms], unit="ms").as_unit(unit)
    if zone:
        moments = moments.tz_localize("UTC").tz_convert(zone)
    bars = read(written(path, time=pa.array(moments)), intraday=zone is not None)
    assert list(bars.columns.open_time_ms) == [JANUARY_MS, JANUARY_MS + step_ms]
    assert bars.times == ("times with their own zone" if zone else "timestamps, UTC")


def test_timestamps_without_a_zone_need_one_within_the_day(path: Path) -> None:
    written(path, time=[dt.datetime(2024, 1, 2, 9, 30)])
    with pytest.raises(NoZone, match="name no time zone"):
        read(path, intraday=True)
    bars = read(path, intraday=True, time_zone=NEW_YORK)
    assert pd.Timestamp(bars.columns.open_time_ms[0], unit="ms").isoformat() == "2024-01-02T14:30:00"
    assert bars.times == "timestamps, America/New_York"


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates(path: Path, kind: pa.DataType) -> None:
    written(path, date=pa.array([dt.date(2024, 1, 2), dt.date(2024, 1, 1)], kind), time=["x", "y"])
    bars = read(path)
    assert bars.column_names["time"] == "date"
    assert list(bars.columns.open_time_ms) == [JANUARY_MS, JANUARY_MS + 86_400_000]
    assert list(bars.rows) == [2, 1]


@pytest.mark.parametrize(
    ("times", "how"),
    [
        ([1_704_067_200, None], "s since 1970"),
        ([1_704_067_200_000, None], "ms since 1970"),
        ([1_704_067_200_000_000_000, None], "ns since 1970"),
        ([1_704_067_200.0, float("nan")], "s since 1970"),
        ([1_704_067_200.0, 1.5], "s since 1970"),
        (["1704067200", "total"], "s since 1970"),
        ([20240101, None], "year-month-day, UTC"),
        (["2024-01-01", None], "year-month-day, UTC"),
        (["1/1/2024", ""], "month/day/year, UTC"),
        (pd.Categorical(["2024-01-01", "x"]), "year-month-day, UTC"),
        (pa.array(["2024-01-01", "x"], pa.large_string()), "year-month-day, UTC"),
    ],
)
def test_numbers_and_text_as_times(path: Path, times: Any, how: str) -> None:
    bars = read(written(path, time=times))
    assert list(bars.columns.open_time_ms) == [JANUARY_MS]
    assert [each.row for each in bars.refused] == [2]
    assert bars.times == how


@pytest.mark.parametrize("name", [None, "Date"])
def test_the_index_that_pandas_writes(path: Path, name: str | None) -> None:
    frame = pd.DataFrame(
        {price: [1.0, 2.0] for price in ("Open", "High", "Low", "Close")},
        index=pd.date_range("2024-01-01", periods=2, tz="UTC", name=name),
    )
    frame.to_parquet(path)
    bars = read(path)
    assert list(bars.columns.open_time_ms) == [JANUARY_MS, JANUARY_MS + 86_400_000]
    assert bars.ignored == ()


@pytest.mark.parametrize(
    "closes",
    [
        [1.5, None, 0.1],
        pa.array([1.5, None, 0.1], pa.float64()),
        pa.array([Decimal("1.5"), None, Decimal("0.1")], pa.decimal128(38, 18)),
        ["1.5", "n/a", " 0.1"],
        pd.Categorical(["1.5", None, "0.1"]),
        pd.array([1.5, None, 0.1], dtype="Float64"),
    ],
)
def test_prices_of_any_type(path: Path, closes: Any) -> None:
    close = read(written(path, close=closes)).columns.close
    assert (close[0], close[2]) == (1.5, 0.1)
    assert np.isnan(close[1])


@pytest.mark.parametrize(
    ("closes", "close"),
    [
        (pa.array([2**53 + 1], pa.int64()), float(2**53 + 1)),
        (pa.array([2**64 - 1], pa.uint64()), float(2**64)),
        (pa.array([0.1], pa.float32()), float(np.float32(0.1))),
        (
            pa.array([Decimal("123456789012345678.123456789")], pa.decimal128(38, 9)),
            123456789012345678.123456789,
        ),
        (["1,234.5"], 1234.5),
    ],
)
def test_numbers_are_the_nearest_doubles(path: Path, closes: Any, close: float) -> None:
    found = read(written(path, close=closes)).columns.close[0]
    assert found == close


@pytest.mark.parametrize(
    "volumes", [[5, None], [5.0, float("nan")], ["5", ""], pa.array([5, None], pa.int8())]
)
def test_a_missing_volume_is_none(path: Path, volumes: Any) -> None:
    assert list(read(written(path, volume=volumes)).columns.volume) == [5, 0]


def test_a_time_finer_than_a_millisecond_is_refused(path: Path) -> None:
    bars = read(
        written(path, time=pa.array([JANUARY_MS * 10**6 + 1, JANUARY_MS * 10**6], pa.timestamp("ns")))
    )
    assert list(bars.columns.open_time_ms) == [JANUARY_MS]
    assert [(each.row, each.reason) for each in bars.refused] == [
        (1, "'2024-01-01 00:00:00.000000001' is finer than a millisecond")
    ]


def test_a_row_without_a_time_is_refused(path: Path) -> None:
    bars = read(written(path, time=pa.array([None, JANUARY_MS], pa.timestamp("ms"))))
    assert (bars.row_name, list(bars.rows)) == ("row", [2])
    assert [(each.row, each.reason) for each in bars.refused] == [(1, "it has no time")]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"time": [dt.time(9, 30)]}, "column 'time' holds time64[us], which is not a time"),
        ({"time": [True]}, "column 'time' holds bool, which is not a time"),
        ({"close": [True]}, "column 'close' holds bool, which is not a number"),
        ({"close": [[1.0]]}, "column 'close' holds list<element: double>, which is not a number"),
        ({"time": pa.nulls(1)}, "column 'time' holds null, which is not a time"),
        ({"time": pa.nulls(1, pa.timestamp("s"))}, "its column of times is empty"),
        ({"time": ["soon"]}, "'soon' is not a time that can be read"),
    ],
)
def test_a_column_of_a_wrong_type_is_reported(path: Path, columns: dict[str, Any], line: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(written(path, **columns))
    assert line in str(caught.value)


def test_missing_rows_and_columns_are_reported(path: Path) -> None:
    with pytest.raises(NoRows, match="there are no rows in it"):
        read(written(path, time=pa.array([], pa.timestamp("ms"))))
    parquet.write_table(pa.table({"when": [1], "open": [1.0]}), path)
    with pytest.raises(NoColumn, match="no column for time, high, low, close; the file has when, open"):
        read(path)


def test_the_first_bytes_say_what_a_file_is(path: Path, tmp_path: Path) -> None:
    close = read(written(path, close=[1.5])).columns.close
    for name in ("bars.pq", "bars", "bars.csv"):
        path.rename(tmp_path / name)
        assert (read(tmp_path / name).columns.close == close).all()
        (tmp_path / name).rename(path)
    path.write_text("date,open,high,low,close\n2024-01-01,1,1,1,1\n")
    with pytest.raises(Unreadable, match="it is not Parquet: it does not begin with PAR1"):
        read(path)


def test_a_damaged_file_is_one_line(path: Path) -> None:
    whole = written(path, close=np.arange(1000.0)).read_bytes()
    for kept in (4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(Unreadable, match=r"it is not a whole Parquet or Arrow file: .+") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    zeroed = bytearray(whole)
    zeroed[4:200] = bytes(196)
    path.write_bytes(zeroed)
    with pytest.raises(Unreadable, match=r"it is not a whole Parquet or Arrow file: .+"):
        read(path)


def test_without_pyarrow_the_error_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path, close=[1.5])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unreadable, match=r"pip install pyarrow, or finstage-barfile\[parquet\]"):
        read(path)


def test_missing_numbers(path: Path) -> None:
    bars = read(written(path, close=[1.0, None], volume=[np.nan, 7.0], adjclose=pa.array([None, 0.5])))
    assert bars.adjusted_close is not None
    np.testing.assert_array_equal(bars.columns.close, [1, np.nan])
    np.testing.assert_array_equal(bars.adjusted_close, [np.nan, 0.5])
    assert (list(bars.columns.volume), bars.refused) == ([0, 7], ())
