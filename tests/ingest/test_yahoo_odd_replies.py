"""Odd replies that no recording shows, or shows alone."""

from typing import Any

import pytest

from finstage_market.interval import Interval
from services.ingest.providers.yahoo_bars import fetched_bars
from services.ingest.providers.yahoo_chart import Chart
from services.ingest.providers.yahoo_quote import quote_of
from services.ingest.series import FlagReason, GapReason, RejectReason, SeriesKey
from services.ingest.upstream.outcomes import Failure, Outcome
from tests.ingest.chart_replies import ALWAYS, DAY, NULL, Row, bars, body, last, ms, read, session, times

MONDAY = session("2024-03-04T09:30", "2024-03-04T16:00")


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [1.0, 2.0, 3.0],
        [1.0, "2.0"],
        [1.0, True],
        [1.0, [2.0]],
        [1.0, {}],
        {"0": 1.0},
        "1.0",
        7,
        False,
    ],
)
@pytest.mark.parametrize("name", ["open", "volume", "adjclose"])
def test_an_array_without_one_number_per_row_makes_the_reply_malformed(name: str, values: object) -> None:
    """The numbers cannot be assigned to rows."""
    reply = body([("2024-03-04T09:30", *DAY, 11.0), ("2024-03-05T09:30", *DAY, 11.0)])
    indicators = reply["chart"]["result"][0]["indicators"]
    group = indicators["adjclose"] if name == "adjclose" else indicators["quote"]
    group[0][name] = values
    failure = read(reply)
    assert isinstance(failure, Failure)
    assert failure.outcome is Outcome.MALFORMED


@pytest.mark.parametrize("quote", [[{}], [], None, [{"volume": [1, 2]}]])
@pytest.mark.parametrize("adjusted", [True, False])
def test_timestamps_without_any_prices_make_the_reply_malformed(quote: object, adjusted: bool) -> None:
    """It is one damage, of days as of hours, which have no adjusted closes."""
    row = ("2024-03-04T09:30", *DAY, *([11.0] if adjusted else []))
    reply = body([row, ("2024-03-05T09:30", *row[1:])])
    reply["chart"]["result"][0]["indicators"]["quote"] = quote
    failure = read(reply)
    assert isinstance(failure, Failure)
    assert failure.outcome is Outcome.MALFORMED


@pytest.mark.parametrize("stamps", [[1.5, 2.5], ["1", "2"], [1, None], [True, 1], 5, [1, 10**13], [[1], [2]]])
def test_timestamps_that_are_not_whole_seconds_make_the_reply_malformed(stamps: object) -> None:
    reply = body([("2024-03-04T09:30", *DAY), ("2024-03-05T09:30", *DAY)])
    reply["chart"]["result"][0]["timestamp"] = stamps
    failure = read(reply)
    assert isinstance(failure, Failure)
    assert failure.outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ({"chart": {"result": None, "error": None}}, Outcome.MALFORMED),
        ({"chart": {"result": [], "error": None}}, Outcome.NO_DATA),
        ({"chart": {"result": [None], "error": None}}, Outcome.MALFORMED),
        ({"chart": {"result": {}, "error": None}}, Outcome.MALFORMED),
        ({"chart": {"error": "no"}}, Outcome.MALFORMED),
        ({"chart": None}, Outcome.MALFORMED),
        ({}, Outcome.MALFORMED),
        (
            {"finance": {"error": {"code": "Unauthorized", "description": "Invalid Crumb"}}},
            Outcome.UNAUTHORIZED,
        ),
        ({"chart": {"error": {"code": 5, "description": None}}}, Outcome.MALFORMED),
    ],
)
def test_replies_without_a_result(reply: object, outcome: Outcome) -> None:
    failure = read(reply)
    assert isinstance(failure, Failure)
    assert failure.outcome is outcome


@pytest.mark.parametrize(
    "meta",
    [
        {},
        None,
        {"exchangeTimezoneName": "Mars/Olympus", "gmtoffset": 3600},
        {"exchangeTimezoneName": "../../etc/passwd"},
        {"exchangeTimezoneName": "America", "gmtoffset": "x"},
        {
            "exchangeTimezoneName": 5,
            "gmtoffset": 10**9,
            "priceHint": -1,
            "currency": {},
            "regularMarketTime": "a",
        },
        {"tradingPeriods": 5, "currentTradingPeriod": []},
        {"tradingPeriods": [[{"start": 5, "end": 1}], {"start": "a"}, [[[[[[{}]]]]]]]},
    ],
)
def test_invalid_meta_is_unknown(meta: object) -> None:
    """The bars do not depend on it."""
    reply = body([("2024-03-04T09:30", *DAY), ("2024-03-05T09:30", *DAY)])
    reply["chart"]["result"][0]["meta"] = meta
    found = bars(Interval.D1, reply)
    assert times(found) == ["03-04 09:30", "03-05 09:30"]
    assert found.bars.last_is_final


def test_unordered_rows_are_sorted() -> None:
    days = [(f"2024-03-{day:02}T09:30", day, day, day, day, day) for day in (8, 7, 4, 5, 6)]
    found = bars(Interval.D1, body(days))
    assert times(found) == ["03-04 09:30", "03-05 09:30", "03-06 09:30", "03-07 09:30", "03-08 09:30"]
    assert found.bars.columns.close.tolist() == [4, 5, 6, 7, 8]


def test_a_row_sent_twice_is_one_bar() -> None:
    monday, tuesday = ("2024-03-04T09:30", *DAY), ("2024-03-05T09:30", *DAY)
    found = bars(Interval.D1, body([monday, monday, tuesday, tuesday]))
    assert times(found) == ["03-04 09:30", "03-05 09:30"]
    assert (found.bars.last_is_final, found.bars.rejected) == (True, ())


def test_a_null_row_beside_one_with_values_is_not_a_gap() -> None:
    monday, tuesday = ("2024-03-04T09:30", *DAY), ("2024-03-05T09:30", *DAY)
    found = bars(
        Interval.D1, body([("2024-03-04T09:30", *NULL), monday, tuesday, ("2024-03-05T09:30", *NULL)])
    )
    assert times(found) == ["03-04 09:30", "03-05 09:30"]
    assert found.gaps == ()


def test_two_different_rows_of_one_past_slot_are_both_rejected() -> None:
    rows = [
        ("2024-03-04T09:30", *DAY),
        ("2024-03-05T09:30", *DAY),
        ("2024-03-05T09:30", 20.0, 22.0, 19.0, 21.0, 100),
        ("2024-03-06T09:30", *DAY),
    ]
    found = bars(Interval.D1, body(rows))
    assert times(found) == ["03-04 09:30", "03-06 09:30"]
    assert [r.reason for r in found.bars.rejected] == [RejectReason.DUPLICATE] * 2
    assert [(gap.reason, gap.start_ms) for gap in found.gaps] == [
        (GapReason.REJECTED, ms("2024-03-05T09:30"))
    ]


def test_a_second_row_of_a_past_day_is_refused() -> None:
    rows = [("2024-03-04T09:30", *DAY), ("2024-03-04T14:07", *DAY), ("2024-03-05T09:30", *DAY)]
    found = bars(Interval.D1, body(rows))
    assert times(found) == ["03-04 09:30", "03-05 09:30"]
    assert [r.reason for r in found.bars.rejected] == [RejectReason.OFF_GRID]


@pytest.mark.parametrize(
    ("interval", "regular", "live"),
    [
        (Interval.M5, "2024-03-04T10:05", "2024-03-04T10:08:31"),
        (Interval.D1, "2024-03-04T09:30", "2024-03-04T10:08:31"),
        (Interval.W1, "2024-03-04T00:00", "2024-03-05T10:08:31"),
        (Interval.MO1, "2024-03-01T00:00", "2024-03-05T10:08:31"),
    ],
)
def test_a_live_row_is_merged_with_the_row_of_its_slot(interval: Interval, regular: str, live: str) -> None:
    """The bar has the row's open, the live close, both extremes, and the larger volume, not the sum."""
    rows = [(regular, 10.0, 12.0, 9.0, 11.0, 500, 11.0), (live, 11.5, 13.0, 11.0, 12.5, 100, 12.5)]
    found = bars(interval, body(rows, sessions=[MONDAY] if interval.is_intraday else ()), now=live)
    assert found.bars.columns.open_time_ms.tolist() == [ms(regular)]
    assert last(found) == [10.0, 13.0, 9.0, 12.5, 500.0]
    assert (found.bars.last_is_final, found.as_of_ms) == (False, ms(live))
    assert found.bars.adjusted_close is not None
    assert found.bars.adjusted_close.tolist() == [12.5]


@pytest.mark.parametrize(
    ("interval", "before", "live", "slot"),
    [
        (Interval.M5, "2024-03-04T10:05", "2024-03-04T10:21:44", "2024-03-04T10:20"),
        (Interval.D1, "2024-03-01T09:30", "2024-03-04T10:21:44", "2024-03-04T09:30"),
        (Interval.W1, "2024-02-26T00:00", "2024-03-05T10:21:44", "2024-03-04T00:00"),
        (Interval.MO1, "2024-02-01T00:00", "2024-03-05T10:21:44", "2024-03-01T00:00"),
    ],
)
def test_a_live_row_alone_is_put_on_its_slot(interval: Interval, before: str, live: str, slot: str) -> None:
    sessions = [MONDAY] if interval.is_intraday else ()
    found = bars(interval, body([(before, *DAY), (live, *DAY)], sessions=sessions))
    assert found.bars.columns.open_time_ms.tolist() == [ms(before), ms(slot)]
    assert not found.bars.last_is_final


def test_a_live_row_alone_in_the_reply_is_put_on_its_slot() -> None:
    current = session("2024-03-04T09:30", "2024-03-04T16:00")
    assert times(bars(Interval.D1, body([("2024-03-04T10:08:31", *DAY)], current=current))) == ["03-04 09:30"]
    assert times(bars(Interval.D1, body([("2024-03-04T10:08:31", *DAY)]))) == ["03-04 00:00"]
    assert times(bars(Interval.W1, body([("2024-03-06T10:08:31", *DAY)]))) == ["03-04 00:00"]
    assert times(bars(Interval.H1, body([("2024-03-04T10:42:31", *DAY)], sessions=[MONDAY]))) == [
        "03-04 10:30"
    ]


def test_the_grid_restarts_after_a_lunch_break() -> None:
    """Tokyo trades from 9:00 to 11:30 and 12:30 to 15:00; the reply lists one session."""
    tokyo = "Asia/Tokyo"
    days = [session(f"2024-03-{d:02}T09:00", f"2024-03-{d:02}T15:00", tokyo) for d in (4, 5)]
    hours = ["09:00", "10:00", "11:00", "12:30", "13:30", "14:30"]
    rows = [(f"2024-03-{d:02}T{hour}", *DAY) for d in (4, 5) for hour in hours]
    found = bars(Interval.H1, body(rows, zone=tokyo, sessions=days))
    assert times(found, tokyo) == [f"03-{d:02} {hour}" for d in (4, 5) for hour in hours]
    # The first row of the afternoon is forming and has one price so far.
    forming = [*rows[:9], ("2024-03-05T12:30", 10.0, 10.0, 10.0, 10.0, 0)]
    reply = body(forming, zone=tokyo, sessions=days, market="2024-03-05T12:30")
    found = bars(Interval.H1, reply, now="2024-03-04T22:31")
    assert times(found, tokyo)[-1] == "03-05 12:30"
    assert not found.bars.last_is_final


def test_a_market_without_a_close_has_a_last_minute() -> None:
    """The reply lists its session as 00:00 to 23:59."""
    day = session("2024-03-04T00:00", "2024-03-04T23:59", "UTC")
    rows = [("2024-03-04T23:58", *DAY), ("2024-03-04T23:59", *DAY)]
    found = bars(Interval.M1, body(rows, zone="UTC", sessions=[day]))
    assert times(found, "UTC") == ["03-04 23:58", "03-04 23:59"]


def test_a_quote_on_the_grid_forms_a_bar_only_while_trading_may_continue() -> None:
    """Futures pause at 17:00, within a session that the reply lists as the whole day."""
    day = session("2024-03-04T00:00", "2024-03-04T23:59")
    rows = [("2024-03-04T16:55", *DAY), ("2024-03-04T17:00", 11.0, 11.0, 11.0, 11.0, 0)]
    reply = body(rows, sessions=[day], market="2024-03-04T17:00")
    young, old = (bars(Interval.M5, reply, now=f"2024-03-04T17:{minute}") for minute in ("01", "30"))
    assert (times(young)[-1], young.bars.last_is_final) == ("03-04 17:00", False)
    found = times(old)[-1], old.bars.last_is_final, old.as_of_ms
    assert found == ("03-04 16:55", True, ms("2024-03-04T17:00"))
    assert old.dropped == {"closing_quote": 1}


@pytest.mark.parametrize("where", ["tradingPeriods", "currentTradingPeriod"])
def test_days_without_a_listed_session_are_like_the_others(where: str) -> None:
    """Rows before the session, in it, and the stub at its close."""
    rows = [("2024-03-01T08:00", *DAY), ("2024-03-01T09:30", *DAY), ("2024-03-01T16:00", *DAY)]
    given: Any = {"sessions": [MONDAY]} if where == "tradingPeriods" else {"current": MONDAY}
    assert times(bars(Interval.M30, body(rows, **given))) == ["03-01 09:30"]


def test_a_half_day_ends_at_its_own_close() -> None:
    friday = session("2023-11-24T09:30", "2023-11-24T13:00")
    rows = [("2023-11-24T12:30", *DAY), ("2023-11-24T13:00", 11.0, 11.0, 11.0, 11.0, 0)]
    found = bars(Interval.H1, body(rows, sessions=[friday], current=MONDAY))
    assert times(found) == ["11-24 12:30"]
    assert (found.bars.last_is_final, found.as_of_ms) == (True, ms("2023-11-24T13:00"))


@pytest.mark.parametrize(
    ("now", "market", "final"),
    [
        ("2024-03-04T10:04:30", "2024-03-04T10:04:29", False),
        ("2024-03-04T10:06:00", "2024-03-04T10:04:59", False),  # some exchanges reach the upstream late
        ("2024-03-04T10:06:00", "2024-03-04T10:05:01", True),
        ("2024-03-04T10:25:00", "2024-03-04T10:04:59", True),
    ],
)
def test_a_bar_is_final_once_the_market_is_past_its_end(now: str, market: str, final: bool) -> None:
    rows = [("2024-03-04T09:55", *DAY), ("2024-03-04T10:00", *DAY)]
    found = bars(Interval.M5, body(rows, sessions=[MONDAY], market=market), now=now)
    assert found.bars.last_is_final is final
    assert found.as_of_ms == (ms("2024-03-04T10:05") if final and market > "2024-03-04T10:05" else ms(market))


def test_a_day_is_final_after_its_session() -> None:
    rows = [("2024-03-01T09:30", *DAY), ("2024-03-04T09:30", *DAY)]
    reply = body(rows, current=MONDAY, market="2024-03-04T15:59:59")
    assert not bars(Interval.D1, reply, now="2024-03-04T16:00:00").bars.last_is_final
    reply = body(rows, current=MONDAY, market="2024-03-04T16:00:01")
    assert bars(Interval.D1, reply, now="2024-03-04T16:00:02").bars.last_is_final


def test_a_null_row_whose_time_is_not_over_is_not_a_gap() -> None:
    rows = [("2024-03-04T10:00", *DAY), ("2024-03-04T10:05", *NULL)]
    reply = body(rows, sessions=[MONDAY], market="2024-03-04T10:06")
    assert bars(Interval.M5, reply, now="2024-03-04T10:06").gaps == ()
    assert len(bars(Interval.M5, reply, now="2024-03-04T10:10").gaps) == 1


def test_a_row_off_the_full_minute_among_others_is_rejected() -> None:
    rows = [("2024-03-04T10:00", *DAY), ("2024-03-04T10:05:07", *DAY), ("2024-03-04T10:15", *DAY)]
    found = bars(Interval.M5, body(rows, sessions=[MONDAY]))
    assert times(found) == ["03-04 10:00", "03-04 10:15"]
    assert [r.reason for r in found.bars.rejected] == [RejectReason.OFF_GRID]


def test_rows_of_zeros_are_missing_and_rows_with_some_zeros_are_rejected() -> None:
    rows = [
        ("2024-03-04T09:30", 0, 0, 0, 0, 0),
        ("2024-03-05T09:30", 0, 0, 0, 11.0, 0),
        ("2024-03-06T09:30", *DAY),
    ]
    found = bars(Interval.D1, body(rows))
    assert times(found) == ["03-06 09:30"]
    assert [(gap.reason, gap.detail) for gap in found.gaps] == [
        (GapReason.PROVIDER_MISSING, "prices of zero only"),
        (GapReason.REJECTED, ""),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((10.0, 9.0, 12.0, 11.0, 1), RejectReason.HIGH_BELOW_LOW),
        ((13.0, 12.0, 9.0, 11.0, 1), RejectReason.OUTSIDE_RANGE),
        ((-10.0, 12.0, -11.0, 11.0, 1), RejectReason.NEGATIVE),
        ((10.0, 12.0, 9.0, 11.0, -1), RejectReason.NEGATIVE),
    ],
)
def test_a_row_that_cannot_be_a_bar_is_rejected_with_its_place_and_values(
    row: Row, reason: RejectReason
) -> None:
    found = bars(Interval.D1, body([("2024-03-04T09:30", *NULL), ("2024-03-05T09:30", *row)]))
    [refused] = found.bars.rejected
    assert (refused.row, refused.open_time_ms, refused.reason) == (1, ms("2024-03-05T09:30"), reason)
    assert refused.values.startswith(f"open={float(row[0])!r} high=")
    assert len(found.bars.columns) == 0


def test_a_bar_of_the_future_is_refused() -> None:
    rows = [("2024-03-04T10:00", *DAY), ("2024-03-04T15:00", *DAY)]
    found = bars(Interval.M5, body(rows, sessions=[MONDAY]), now="2024-03-04T10:07")
    assert times(found) == ["03-04 10:00"]
    assert [r.reason for r in found.bars.rejected] == [RejectReason.IN_FUTURE]


def test_rounding_is_mended_and_flagged() -> None:
    found = bars(Interval.D1, body([("2024-03-04T09:30", 100.004, 100.0, 99.0, 99.5, 1)]))
    assert [flag.reason for flag in found.bars.flags] == [FlagReason.OHLC_ROUNDED]
    assert last(found)[1] == 100.004


def test_a_jump_of_100_times_is_flagged_and_kept() -> None:
    days = [("2024-03-04T09:30", 15.0, 15.0, 15.0, 15.0, 0), ("2024-03-05T09:30", 0.15, 0.15, 0.15, 0.15, 0)]
    found = bars(Interval.D1, body(days))
    assert found.bars.columns.close.tolist() == [15.0, 0.15]
    assert [(f.reason, f.open_time_ms) for f in found.bars.flags] == [
        (FlagReason.SUSPICIOUS_JUMP, ms("2024-03-05T09:30"))
    ]


def test_a_null_volume_is_zero_and_flagged() -> None:
    found = bars(Interval.D1, body([("2024-03-04T09:30", 10.0, 12.0, 9.0, 11.0, None)]))
    assert last(found)[4] == 0.0
    assert [flag.reason for flag in found.bars.flags] == [FlagReason.VOLUME_MISSING]


def test_null_adjusted_closes_are_absent() -> None:
    found = bars(Interval.D1, body([("2024-03-04T09:30", *DAY, None), ("2024-03-05T09:30", *DAY, 10.5)]))
    assert found.bars.adjusted_close is not None
    assert str(found.bars.adjusted_close.tolist()) == "[nan, 10.5]"


def test_a_symbol_in_lower_case_is_the_same() -> None:
    reply = body([("2024-03-04T09:30", *DAY)], symbol="x")
    chart = read(reply)
    assert isinstance(chart, Chart)
    found = fetched_bars(
        chart, SeriesKey("X", Interval.D1), ALWAYS, now_ms=ms("2024-04-01T00:00"), source="yahoo"
    )
    assert not isinstance(found, Failure)
    assert len(found.bars.columns) == 1


@pytest.mark.parametrize("price", [0, -37.63, None, "12", True])
def test_a_quote_without_a_price_above_zero_is_not_used(price: object) -> None:
    chart = read(body([], regularMarketPrice=price, market="2024-03-04T10:00"))
    assert isinstance(chart, Chart)
    assert isinstance(quote_of(chart, "X", now_ms=0, source="yahoo"), Failure)
