"""The checks of rows: rejected rows with their reasons, and kept rows with their flags."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finstage_market.columns import VALUES, Columns
from finstage_market.interval import Interval
from services.ingest.series import FlagReason, RejectReason
from services.ingest.validate import check, is_over

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000
START_MS = 1_600_000_200_000 // 900_000 * 900_000


def bars(*rows: tuple[float, ...], step_ms: int = DAY_MS, start_ms: int = START_MS) -> Columns:
    """Return columns of (open, high, low, close, volume) rows, step_ms apart."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return Columns.of(start_ms + step_ms * np.arange(len(table)), *table.T)


GOOD = (10.0, 11.0, 9.0, 10.5, 100.0)


def reasons(columns: Columns, interval: Interval = Interval.D1) -> dict[int, RejectReason]:
    return {r.row: r.reason for r in check(interval, columns, now_ms=NOW_MS).rejected}


def test_good_rows_pass_untouched() -> None:
    columns = bars(GOOD, GOOD, GOOD)
    checked = check(Interval.D1, columns, now_ms=NOW_MS)
    assert checked.columns is columns
    assert checked.source_rows is None
    assert not checked.rejected
    assert not checked.flags


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ((np.nan, np.inf, 9, 10, 1), "open is nan, high is inf; a finite number is accepted"),
        ((10, 11, -9, 10, -1), "low is -9.0, volume is -1.0; 0 or above is accepted"),
        ((10, 9, 11, 10, 1), "high 9.0 is below low 11.0; high at or above low is accepted"),
        ((12, 11, 9, 8, 1), "open is 12.0, close is 8.0; low..high, 9.0..11.0, is accepted"),
    ],
)
def test_the_detail_names_the_field_what_was_given_and_what_is_accepted(
    row: tuple[float, ...], detail: str
) -> None:
    assert [r.detail for r in check(Interval.D1, bars(GOOD, row), now_ms=NOW_MS).rejected] == [detail]


def test_the_detail_of_an_adjusted_close_and_of_times() -> None:
    columns = bars(GOOD, GOOD)
    rejected = check(Interval.D1, columns, now_ms=NOW_MS, adjusted_close=np.array([np.inf, -1.0])).rejected
    assert [r.detail for r in rejected] == [
        "adjusted_close is inf; a finite number is accepted",
        "adjusted_close is -1.0; 0 or above is accepted",
    ]
    late = bars(GOOD, start_ms=NOW_MS + DAY_MS)
    assert [r.detail for r in check(Interval.D1, late, now_ms=NOW_MS).rejected] == [
        "it opens at 2023-11-15T22:13:20.000Z, and now is 2023-11-14T22:13:20.000Z"
        "; at most 14 h ahead is accepted"
    ]
    minute = bars(GOOD, start_ms=NOW_MS // 60_000 * 60_000 + 60_000)
    assert [r.detail for r in check(Interval.M1, minute, now_ms=NOW_MS).rejected] == [
        "it opens at 2023-11-14T22:14:00.000Z, and now is 2023-11-14T22:13:20.000Z"
        "; at most 10 s ahead is accepted"
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((np.nan, 11, 9, 10, 1), RejectReason.NOT_FINITE),
        ((10, np.inf, 9, 10, 1), RejectReason.NOT_FINITE),
        ((10, 11, -np.inf, 10, 1), RejectReason.NOT_FINITE),
        ((10, 11, 9, 10, np.nan), RejectReason.NOT_FINITE),
        ((-1, 11, -1, 10, 1), RejectReason.NEGATIVE),
        ((10, 11, 9, 10, -1), RejectReason.NEGATIVE),
        ((10, 9, 11, 10, 1), RejectReason.HIGH_BELOW_LOW),
        ((12, 11, 9, 10, 1), RejectReason.OUTSIDE_RANGE),
        ((10, 11, 9, 8, 1), RejectReason.OUTSIDE_RANGE),
    ],
)
def test_a_row_that_cannot_be_a_bar_is_refused_alone(row: tuple[float, ...], reason: RejectReason) -> None:
    checked = check(Interval.D1, bars(GOOD, row, GOOD), now_ms=NOW_MS)
    assert [(r.row, r.reason) for r in checked.rejected] == [(1, reason)]
    assert checked.rejected[0].values == " ".join(
        f"{name}={float(value)!r}" for name, value in zip(VALUES, row, strict=True)
    )
    assert checked.source_rows is not None
    assert checked.source_rows.tolist() == [0, 2]


def test_a_zero_price_is_kept_and_flagged() -> None:
    checked = check(Interval.D1, bars((0, 1, 0, 1, 5)), now_ms=NOW_MS)
    assert len(checked.columns) == 1
    assert [(f.reason, f.detail) for f in checked.flags] == [(FlagReason.ZERO_PRICE, "open, low = 0")]


def test_within_rounding_high_and_low_are_widened_and_the_bar_is_flagged() -> None:
    given = bars((10.0, 11.0, 9.0, 11.000001, 5), (8.999999, 11.0, 9.0, 10, 5))
    checked = check(Interval.D1, given, now_ms=NOW_MS)
    assert checked.columns.high.tolist() == [11.000001, 11.0]
    assert checked.columns.low.tolist() == [9.0, 8.999999]
    assert {f.reason for f in checked.flags} == {FlagReason.OHLC_ROUNDED}
    assert len(checked.flags) == 2


def test_the_price_precision_decides_the_tolerated_rounding() -> None:
    row = bars((100.0, 101.0, 99.0, 101.004, 5))
    assert check(Interval.D1, row, now_ms=NOW_MS).rejected
    assert not check(Interval.D1, row, now_ms=NOW_MS, price_precision=2).rejected
    cheap = bars((0.10, 0.11, 0.09, 0.114, 5))  # half a cent is much, of eleven
    assert check(Interval.D1, cheap, now_ms=NOW_MS, price_precision=2).rejected


def test_order_and_duplicates_are_judged_against_the_kept_rows() -> None:
    times = START_MS + DAY_MS * np.array([0, 2, 1, 2, 2, 3, 0])
    columns = Columns.of(times, *np.tile(np.array(GOOD)[:, None], 7))
    assert reasons(columns) == {
        2: RejectReason.UNORDERED,
        3: RejectReason.DUPLICATE,
        4: RejectReason.DUPLICATE,
        6: RejectReason.DUPLICATE,
    }


def test_a_refused_row_does_not_make_those_after_it_unordered() -> None:
    columns = bars(GOOD, GOOD, GOOD)
    columns.open_time_ms[1] = NOW_MS + 30 * DAY_MS
    assert reasons(columns) == {1: RejectReason.IN_FUTURE}


def test_times_outside_the_centuries_are_refused_even_where_arithmetic_would_overflow() -> None:
    limits = np.iinfo(np.int64)
    columns = Columns.of([limits.max, limits.min], *np.tile(np.array(GOOD)[:, None], 2))
    assert reasons(columns) == {0: RejectReason.OUT_OF_RANGE, 1: RejectReason.OUT_OF_RANGE}


@pytest.mark.parametrize(
    ("interval", "offset_min", "accepted"),
    [
        ("1m", 1, True),
        ("1m", 0.5, False),
        ("5m", 5, True),
        ("5m", 4, False),
        ("15m", 15, True),
        ("30m", 15, True),
        ("1h", 30, True),  # sessions that open at half past
        ("1h", 20, False),
        ("1d", 17, True),
    ],
)
def test_bars_open_on_the_grid_of_their_interval(interval: str, offset_min: float, accepted: bool) -> None:
    columns = bars(GOOD, start_ms=START_MS + int(offset_min * 60_000))
    expected = {} if accepted else {0: RejectReason.OFF_GRID}
    assert reasons(columns, Interval(interval)) == expected


def test_there_is_one_daily_bar_a_day_whatever_daylight_saving_does_to_its_hour() -> None:
    hour = DAY_MS // 24
    times = START_MS + hour * np.array([0, 23, 48, 55, 72])
    columns = Columns.of(times, *np.tile(np.array(GOOD)[:, None], 5))
    assert reasons(columns) == {3: RejectReason.OFF_GRID}


MONDAY_MS = 1_599_436_800_000  # 2020-09-07


@pytest.mark.parametrize(
    ("interval", "days", "unit"),
    [
        ("1d", [0, 0.5, 20 / 24, 2], "day"),
        ("1w", [0, 4, 6.5, 7], "week"),
        ("1mo", [0, 16, 23 - 1 / 24, 24], "month"),
    ],
)
def test_a_day_week_or_month_has_one_bar_and_the_detail_says_what_is_next(
    interval: str, days: list[float], unit: str
) -> None:
    times = [MONDAY_MS + round(d * DAY_MS) for d in [*days, -1]]
    columns = Columns.of(times, *np.tile(np.array(GOOD)[:, None], 5))
    refused = check(Interval(interval), columns, now_ms=NOW_MS).rejected
    off_grid, unordered = RejectReason.OFF_GRID, RejectReason.UNORDERED
    assert [(r.row, r.reason) for r in refused] == [(1, off_grid), (2, off_grid), (4, unordered)]
    assert refused[0].detail == (
        f"{np.datetime64(times[1], 'ms')}Z is in the same {unit} as 2020-09-07T00:00:00.000Z"
        f"; a later {unit} is accepted"
    )
    assert refused[2].detail.endswith(f"; a later {unit} is accepted")


@pytest.mark.parametrize(
    "zone",
    ["Europe/London", "Europe/Berlin", "Europe/Athens", "America/New_York", "Asia/Tokyo", "Australia/Sydney"],
)
@pytest.mark.parametrize("interval", [Interval.D1, Interval.W1, Interval.MO1])
def test_each_local_midnight_starts_a_period_of_its_own(zone: str, interval: Interval) -> None:
    frequency = {Interval.D1: "D", Interval.W1: "W-MON", Interval.MO1: "MS"}[interval]
    opens = pd.date_range("2000-01-01", "2020-01-01", freq=frequency, tz=zone)
    times = opens.tz_convert("UTC").as_unit("ms").asi8
    assert not reasons(Columns.of(times, *np.tile(np.array(GOOD)[:, None], len(times))), interval)


@pytest.mark.parametrize("day", ["first", "last"])
def test_weeks_and_months_may_be_stamped_by_their_first_or_last_trading_day(fixtures: Path, day: str) -> None:
    dates = pd.read_csv(fixtures / "ohlcv/spx_daily_1990_2022.csv", encoding="utf-8-sig")["date"]
    days = pd.Series(pd.to_datetime(dates, format="%m/%d/%Y"))
    for interval, period in ((Interval.W1, "W"), (Interval.MO1, "M")):
        opens = days.groupby(days.dt.to_period(period)).agg("min" if day == "first" else "max")[:-1]
        times = opens.to_numpy("datetime64[ms]").astype(np.int64)
        assert not reasons(Columns.of(times, *np.tile(np.array(GOOD)[:, None], len(times))), interval)


def test_a_daily_date_may_be_ahead_by_the_furthest_time_zone() -> None:
    assert not reasons(bars(GOOD, start_ms=NOW_MS + 13 * DAY_MS // 24))
    assert reasons(bars(GOOD, start_ms=NOW_MS + 15 * DAY_MS // 24)) == {0: RejectReason.IN_FUTURE}
    minute = bars(GOOD, start_ms=NOW_MS // 60_000 * 60_000 + 60_000)
    assert reasons(minute, Interval.M1) == {0: RejectReason.IN_FUTURE}


def test_adjusted_closes_stay_with_their_rows() -> None:
    columns = bars(GOOD, (np.nan, 1, 1, 1, 1), GOOD, GOOD, GOOD)
    adjusted = np.array([9.0, 8.0, np.nan, -1.0, np.inf])
    checked = check(Interval.D1, columns, now_ms=NOW_MS, adjusted_close=adjusted)
    assert checked.adjusted_close is not None
    np.testing.assert_array_equal(checked.adjusted_close, [9.0, np.nan])
    assert {r.row: r.reason for r in checked.rejected} == {
        1: RejectReason.NOT_FINITE,
        3: RejectReason.NEGATIVE,
        4: RejectReason.NOT_FINITE,
    }


@pytest.mark.parametrize(
    ("close", "adjusted", "accepted"),
    [
        (10.5, 0.0, False),
        (10.5, 1e-9, True),
        (10.5, np.nan, True),
        (10.5, 210.0, True),
        (10.5, 210.1, False),
        (0.0, 0.0, True),
        (0.0, 1.0, False),
    ],
)
def test_a_client_s_adjusted_close_must_go_with_its_close(
    close: float, adjusted: float, accepted: bool
) -> None:
    columns = bars(GOOD, (10.0, 11.0, 0.0, close, 100.0))
    given = np.array([10.0, adjusted])
    refused = check(Interval.D1, columns, now_ms=NOW_MS, adjusted_close=given, from_client=True).rejected
    expected = (
        RejectReason.OUTSIDE_RANGE,
        f"adjusted_close is {adjusted}; above 0 and at most 20 times the close, {close}, is accepted",
        f"open=10.0 high=11.0 low=0.0 close={close} volume=100.0 adjusted_close={adjusted}",
    )
    assert [(r.reason, r.detail, r.values) for r in refused] == ([] if accepted else [expected])
    assert not check(Interval.D1, columns, now_ms=NOW_MS, adjusted_close=given).rejected


def test_the_recorded_pence_defect_is_flagged_where_the_price_jumps(fixtures: Path) -> None:
    lines = (fixtures / "ohlcv/aet_l_1d_100x_error.csv").read_text().splitlines()[1:]
    closes = np.array([float(line.split(",")[4]) for line in reversed(lines)])
    columns = bars(*((c, c, c, c, 1.0) for c in closes))
    checked = check(Interval.D1, columns, now_ms=NOW_MS)
    assert len(checked.columns) == len(closes)
    assert [f.reason for f in checked.flags] == [FlagReason.SUSPICIOUS_JUMP] * 2


def test_a_recorded_history_is_accepted_whole(fixtures: Path) -> None:
    reply = json.loads((fixtures / "yahoo/tsla_1d_2010_2023.json").read_text())["chart"]["result"][0]
    quote = reply["indicators"]["quote"][0]
    values = [quote[name] for name in ("open", "high", "low", "close", "volume")]
    columns = Columns.of(np.array(reply["timestamp"]) * 1000, *values)
    checked = check(Interval.D1, columns, now_ms=NOW_MS)
    assert len(checked.columns) == 3303
    assert not checked.flags


def test_a_bar_is_over_when_its_time_has_passed() -> None:
    assert is_over(Interval.M1, NOW_MS - 60_000, NOW_MS)
    assert not is_over(Interval.M1, NOW_MS - 59_999, NOW_MS)
    assert not is_over(Interval.MO1, NOW_MS - 30 * DAY_MS, NOW_MS)


number = st.one_of(
    st.floats(0, 100), st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300]), st.just(10.0)
)
times = st.one_of(
    st.integers(0, 20).map(lambda i: START_MS + 12 * 3_600_000 * i), st.integers(-(2**63), 2**63 - 1)
)


@given(rows=st.lists(st.tuples(times, number, number, number, number, number), max_size=30))
def test_every_row_is_kept_or_refused_once_and_kept_rows_are_bars(rows: list[tuple[float, ...]]) -> None:
    columns = Columns.of(
        np.array([r[0] for r in rows], dtype=np.int64), *np.array([r[1:] for r in rows]).reshape(-1, 5).T
    )
    checked = check(Interval.D1, columns, now_ms=NOW_MS)
    places = np.arange(len(rows)) if checked.source_rows is None else checked.source_rows
    assert sorted([*places.tolist(), *(r.row for r in checked.rejected)]) == list(range(len(rows)))
    kept = checked.columns
    assert np.array_equal(kept.open_time_ms, columns.open_time_ms[places])
    assert np.all(np.diff(kept.open_time_ms) >= DAY_MS // 2)
    for name in ("open", "close"):
        assert np.all((kept.low <= getattr(kept, name)) & (getattr(kept, name) <= kept.high))
    assert np.all((kept.low >= 0) & (kept.high < np.inf) & (kept.volume >= 0) & (kept.volume < np.inf))
