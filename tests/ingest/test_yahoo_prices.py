"""Prices: their decimals, their sign, their scale, and the money of dividends."""

from typing import Any

import numpy as np
import pytest

from finstage_market.interval import Interval
from services.ingest.providers.float32 import decimal, decimals
from services.ingest.providers.yahoo_quote import quote_of
from services.ingest.series import BarFlag, FlagReason, GapReason, Quote, RejectReason
from services.ingest.upstream.outcomes import Failure, Outcome
from tests.ingest.chart_replies import DAY, bars, body, chart, ms, read, session

JUMP = FlagReason.SUSPICIOUS_JUMP


DIVIDEND_IGNORED = FlagReason.DIVIDEND_IGNORED


def days(*closes: float, first: int = 4) -> list[tuple[Any, ...]]:
    """Return flat daily bars from 4 March on, weekends included."""
    return [(f"2024-03-{first + i:02}T09:30", c, c, c, c, 100) for i, c in enumerate(closes)]


# Decimals


@pytest.mark.parametrize(
    ("sent", "precision", "value"),
    [
        (285.1400146484375, 2, 285.14),
        (287.760009765625, 2, 287.76),
        (287.760009765625, None, 287.76),
        (31.137142181396484, 2, 31.137142),  # adjusted for a split of 7: its digits are real
        (22588.861328125, 2, 22588.86),  # no float32 is nearer
        (1.1498217582702637, 4, 1.1498218),
        (-37.630001068115234, 2, -37.63),
        (float(np.float32(1.2345679e-09)), 12, 1.2345679e-09),
        (285.14, 2, 285.14),
        (136.32443799854968, 2, 136.32443799854968),  # a double of its own
        (0.0, 2, 0.0),
        (1e300, 2, 1e300),
    ],
)
def test_a_float32_becomes_the_decimal_that_it_was(sent: float, precision: int | None, value: float) -> None:
    assert decimal(sent, precision) == value


def test_every_price_of_two_digits_comes_back_and_order_is_kept() -> None:
    given = np.round(np.random.default_rng(7).uniform(0.01, 90_000, (4, 5000)), 2)
    sent = given.astype(np.float32).astype(np.float64)
    assert (decimals(sent, 2)[given < 16_384] == given[given < 16_384]).all()
    for precision in (None, 0, 2, 4):
        found = decimals(np.sort(sent.ravel()), precision)
        assert (np.diff(found) >= 0).all()
        assert (found.astype(np.float32) == np.sort(sent.ravel()).astype(np.float32)).mean() > 0.7


def test_null_stays_null() -> None:
    assert np.isnan(decimals(np.array([np.nan, 1.5]), 2)).tolist() == [True, False]


def test_a_quote_and_a_bar_say_the_same_number() -> None:
    noise = [float(np.float32(price)) for price in (287.76, 288.1, 285.0, 285.14)]
    reply = body(
        [("2024-03-04T09:30", *noise, 100)],
        sessions=[session("2024-03-04T09:30", "2024-03-04T16:00")],
        market="2024-03-04T10:00",
        regularMarketPrice=noise[3],
        regularMarketDayHigh=288.1,
    )
    quote = quote_of(chart(reply), "X", now_ms=0, source="yahoo")
    assert isinstance(quote, Quote)
    assert (quote.price, quote.day_open, quote.day_high) == (285.14, 287.76, 288.1)
    columns = bars(Interval.H1, reply).bars.columns
    assert (columns.open[0], columns.high[0], columns.close[0]) == (287.76, 288.1, 285.14)


# Zero and below


@pytest.mark.parametrize("kind", ["FUTURE", "INDEX"])
def test_futures_and_indices_trade_below_zero(kind: str) -> None:
    rows = [
        ("2024-03-04T09:30", 0.02, 0.03, -0.02, -0.01, 0),
        ("2024-03-05T09:30", -0.105, -0.1, -0.11, -0.105, 0),
        ("2024-03-06T09:30", 0.0, 0.0, 0.0, 0.0, 0),
    ]
    found = bars(Interval.D1, body(rows, instrumentType=kind, priceHint=4))
    assert found.bars.columns.close.tolist() == [-0.01, -0.105, 0.0]
    assert (found.bars.rejected, found.gaps) == ((), ())
    assert [flag.reason for flag in found.bars.flags] == [FlagReason.ZERO_PRICE]


@pytest.mark.parametrize("kind", ["EQUITY", "ETF", "CRYPTOCURRENCY", "CURRENCY", "MUTUALFUND", ""])
def test_others_do_not(kind: str) -> None:
    rows = [("2024-03-04T09:30", *DAY), ("2024-03-05T09:30", -1.0, -0.5, -2.0, -1.0, 10)]
    found = bars(Interval.D1, body(rows, instrumentType=kind))
    assert len(found.bars.columns) == 1
    assert [row.reason for row in found.bars.rejected] == [RejectReason.NEGATIVE]


def test_zeros_among_prices_far_from_zero_are_missing_whatever_the_kind() -> None:
    rows = [
        *days(20.0, 21.0),
        ("2024-03-06T09:30", 0, 0, 0, 0, 0),
        ("2024-03-07T09:30", 20.0, 21.0, 0, 20.0, 5),
    ]
    found = bars(Interval.D1, body(rows, instrumentType="FUTURE"))
    assert found.bars.columns.close.tolist() == [20.0, 21.0]
    assert [gap.reason for gap in found.gaps] == [GapReason.PROVIDER_MISSING, GapReason.REJECTED]


@pytest.mark.parametrize(
    ("kind", "price", "served"),
    [
        ("INDEX", -0.105, True),
        ("INDEX", 0.0, True),
        ("FUTURE", -37.63, True),
        ("EQUITY", -1.0, False),
        ("EQUITY", 0.0, False),
        ("", -1.0, False),
    ],
)
def test_a_quote_at_or_below_zero_is_served_or_not_usable_and_never_retried(
    kind: str, price: float, served: bool
) -> None:
    reply = body([], instrumentType=kind, regularMarketPrice=price, market="2024-03-04T10:00", priceHint=4)
    quote = quote_of(chart(reply), "X", now_ms=0, source="yahoo")
    if served:
        assert isinstance(quote, Quote)
        assert quote.price == price
    else:
        assert isinstance(quote, Failure)
        assert quote.outcome is Outcome.NO_DATA
        error = quote.as_error("X", "quote")
        assert error.retry_after_s is None
        assert f"a price of {price!r}" in error.message


# Scale


def jumps(*flags: BarFlag) -> list[int]:
    return [flag.open_time_ms for flag in flags if flag.reason is JUMP]


@pytest.mark.parametrize("factor", [10, 100, 0.1, 0.01])
@pytest.mark.parametrize("which", [1, 2, 3])
def test_one_price_of_a_bar_out_of_scale_is_flagged_and_kept(factor: float, which: int) -> None:
    """It tries high, low and open, in each possible direction."""
    row = [101.0, 103.0, 99.0, 102.0]
    row[which - 1] *= factor
    row[1], row[2] = max(row), min(row)
    rows = [*days(100.0, 101.0), ("2024-03-06T09:30", *row, 50), *days(102.0, first=7)]
    found = bars(Interval.D1, body(rows))
    assert len(found.bars.columns) == 4
    assert ms("2024-03-06T09:30") in jumps(*found.bars.flags)


def test_a_gap_a_crash_and_a_monthly_rally_are_in_scale() -> None:
    month = ("2021-01-01T00:00", 19.0, 483.0, 17.0, 325.0, 100)
    assert jumps(*bars(Interval.MO1, body([month])).bars.flags) == []
    assert jumps(*bars(Interval.D1, body(days(100.0, 45.0, 20.0, 60.0))).bars.flags) == []


def split(day: str, numerator: float, denominator: float = 1) -> dict[str, Any]:
    at = ms(day) // 1000
    return {"splits": {str(at): {"date": at, "numerator": numerator, "denominator": denominator}}}


@pytest.mark.parametrize("interval", [Interval.D1, Interval.H1])
@pytest.mark.parametrize(
    ("numerator", "denominator"), [(5, 1), (4, 1), (3, 2), (5, 4), (1, 10), (1, 25), (11, 10), (20, 1)]
)
def test_a_listed_split_that_shows_in_the_closes_is_flagged(
    interval: Interval, numerator: int, denominator: int
) -> None:
    ratio = numerator / denominator
    rows = days(100.0 * ratio, 101.0 * ratio, 100.2, 100.7)
    events = split("2024-03-06T09:30", numerator, denominator)
    assert jumps(*bars(interval, body(rows, events=events)).bars.flags) == [ms("2024-03-06T09:30")]
    adjusted = bars(interval, body(days(100.0, 101.0, 100.2, 100.7), events=events))
    assert jumps(*adjusted.bars.flags) == []


def test_a_split_applied_on_another_day_or_to_a_part_of_the_history_is_flagged() -> None:
    late = bars(Interval.D1, body(days(400.0, 404.0, 402.0, 100.5), events=split("2024-03-06T09:30", 4)))
    assert jumps(*late.bars.flags) == [ms("2024-03-07T09:30")]
    rows = days(*[25.0] * 3, *[100.0] * 12)
    twice = bars(Interval.D1, body(rows, events=split("2024-03-18T09:30", 4)))
    assert jumps(*twice.bars.flags) == [ms("2024-03-07T09:30")]


def test_a_crash_by_half_is_no_split_of_two_years_later() -> None:
    rows = days(53.5, 25.75, 24.0, 24.2, 22.3, 22.0, 21.8, 21.9, 22.0, 22.4, 22.8)
    found = bars(Interval.D1, body(rows, events=split("2024-03-14T09:30", 2)))
    assert jumps(*found.bars.flags) == []


# Dividends


@pytest.mark.parametrize(
    ("prices_in", "paid_in", "amount", "expected"),
    [
        ("GBp", "GBP", 1.0, 100.0),
        ("GBp", "GBp", 17.5, 17.5),
        ("GBp", "GBX", 17.5, 17.5),
        ("GBP", "GBp", 17.5, 0.175),
        ("ZAc", "ZAR", 2.0, 200.0),
        ("ILA", "ILS", 0.5, 50.0),
        ("KWF", "KWD", 0.05, 50.0),
        ("USD", "USD", 0.24, 0.24),
        ("USD", "", 0.24, 0.24),
        ("", "USD", 0.24, 0.24),
        ("GBp", "USD", 0.24, None),
        ("EUR", "CHF", 3.0, None),
    ],
)
def test_a_dividend_is_in_the_money_of_the_prices_or_left_out(
    prices_in: str, paid_in: str, amount: float, expected: float | None
) -> None:
    at = ms("2024-03-05T09:30") // 1000
    dividend: dict[str, Any] = {"amount": amount, "date": at} | ({"currency": paid_in} if paid_in else {})
    reply = body(days(100.0, 99.0), currency=prices_in, events={"dividends": {str(at): dividend}})
    amounts = [event.amount for event in chart(reply).events]
    assert amounts == ([] if expected is None else [pytest.approx(expected)])
    ignored = [flag for flag in bars(Interval.D1, reply).bars.flags if flag.reason is DIVIDEND_IGNORED]
    assert [flag.detail for flag in ignored] == (
        [f"a dividend of {amount:g} {paid_in}, and the prices are in {prices_in}"] if expected is None else []
    )


@pytest.mark.parametrize("interval", [Interval.H1, Interval.D1])
@pytest.mark.parametrize(
    ("day", "flagged"),
    [
        ("2024-03-05", "2024-03-05T09:30"),
        ("2024-03-06", "2024-03-05T09:30"),
        ("2024-03-09", "2024-03-07T09:30"),
        ("2024-03-02", None),
    ],
)
def test_an_ignored_dividend_of_a_day_without_a_bar_is_told_too(
    interval: Interval, day: str, flagged: str | None
) -> None:
    """It is told at the last bar that it should have lowered; before all bars, it lowers none."""
    at = ms(f"{day}T09:30") // 1000
    paid = {str(at): {"amount": 0.3, "date": at, "currency": "USD"}}
    rows = [(f"2024-03-{of:02}T09:30", *DAY) for of in (4, 5, 7)]
    reply = body(rows, currency="GBp", instrumentType="ETF", events={"dividends": paid})
    flags = [flag for flag in bars(interval, reply).bars.flags if flag.reason is DIVIDEND_IGNORED]
    assert [flag.open_time_ms for flag in flags] == ([ms(flagged)] if flagged else [])


# Sessions


@pytest.mark.parametrize("interval", [interval for interval in Interval if interval.is_intraday])
@pytest.mark.parametrize("start", ["07:20", "09:59", "08:05", "09:30"])
@pytest.mark.parametrize("known", ["sessions", "current", ""])
def test_bars_count_from_the_start_of_their_session(interval: Interval, start: str, known: str) -> None:
    """The reply gives the start for its days or for today; otherwise the times show it."""
    step_ms, opens, shown = interval.nominal_ms, [], []
    for day in (4, 5, 6):
        shown.append(session(f"2024-03-{day:02}T{start}", f"2024-03-{day:02}T16:00"))
        opens += range(shown[-1]["start"] * 1000, shown[-1]["end"] * 1000, step_ms)
    given: Any = {"sessions": shown} if known == "sessions" else {"current": shown[-1]} if known else {}
    found = bars(interval, body([(at, *DAY) for at in opens], **given))
    assert found.bars.columns.open_time_ms.tolist() == opens
    assert found.bars.rejected == ()
    assert found.bars.last_is_final


@pytest.mark.parametrize("known", ["sessions", ""])
def test_a_row_off_the_session_s_grid_is_refused(known: str) -> None:
    shown = [session("2024-03-04T07:20", "2024-03-04T14:00")]
    opens = ["07:20", "08:20", "08:47", "09:20", "10:20"]
    given: Any = {"sessions": shown} if known else {}
    found = bars(Interval.H1, body([(f"2024-03-04T{at}", *DAY) for at in opens], **given))
    assert len(found.bars.columns) == 4
    assert [row.reason for row in found.bars.rejected] == [RejectReason.OFF_GRID]


# Final


@pytest.mark.parametrize(
    ("interval", "own", "live", "over"),
    [
        (Interval.H1, "2024-03-08T15:30", "2024-03-08T15:59:57", "2024-03-09T10:00"),
        (Interval.D1, "2024-03-08T09:30", "2024-03-08T16:00:01", "2024-03-09T10:00"),
        (Interval.D1, "2024-03-08T09:30", "2024-03-08T11:42:10", "2024-03-09T10:00"),
        (Interval.W1, "2024-03-04T00:00", "2024-03-08T16:00:01", "2024-03-11T08:00"),
        (Interval.MO1, "2024-03-01T00:00", "2024-03-28T16:00:01", "2024-04-01T08:00"),
    ],
)
def test_a_period_that_is_over_is_final_beside_the_live_row(
    interval: Interval, own: str, live: str, over: str
) -> None:
    """Its own row stays unchanged. Before its end, the live row belongs to it, and it is not final."""
    rows = [(own, 10.0, 12.0, 9.0, 11.0, 500), (live, 11.5, 11.5, 11.5, 11.5, 0)]
    hours: Any = {"current": session("2024-03-08T09:30", "2024-03-08T16:00"), "market": live}
    found = bars(interval, body(rows, **hours), now=over)
    assert found.bars.columns.open_time_ms.tolist() == [ms(own)]
    assert (found.bars.last_is_final, found.bars.columns.close.tolist()) == (True, [11.0])
    running = bars(interval, body(rows, **hours), now=live)
    assert (running.bars.last_is_final, running.bars.columns.close.tolist()) == (False, [11.5])


# Quotes


@pytest.mark.parametrize("at", ["00:00:00", "12:00:00", "23:58:59", "23:59:00", "23:59:59"])
def test_a_market_without_a_close_is_open_in_its_last_minute(at: str) -> None:
    day = session("2024-03-04T00:00", "2024-03-04T23:59", "UTC")
    reply = body([], zone="UTC", current=day, market=f"2024-03-04T{at}", regularMarketPrice=5.0)
    quote = quote_of(chart(reply), "X", now_ms=ms(f"2024-03-04T{at}", "UTC"), source="yahoo")
    assert isinstance(quote, Quote)
    assert quote.market_state == "REGULAR"


@pytest.mark.parametrize(
    ("hours", "traded", "now", "state"),
    [
        (("00:00", "23:59"), "23:59:00", "2024-03-08T23:59:30", "REGULAR"),
        (("00:00", "23:59"), "23:59:00", "2024-03-09T00:00:00", "CLOSED"),
        (("00:00", "23:59"), "23:59:00", "2024-03-09T11:00:00", "CLOSED"),
        (("08:00", "16:30"), "16:29:00", "2024-03-08T16:29:59", "REGULAR"),
        (("08:00", "16:30"), "16:15:00", "2024-03-08T16:30:00", "CLOSED"),
    ],
)
def test_a_session_that_ended_before_now_is_closed(
    hours: tuple[str, str], traded: str, now: str, state: str
) -> None:
    """The last trade lies within its session for good: only the clock tells that it is over."""
    friday = session(f"2024-03-08T{hours[0]}", f"2024-03-08T{hours[1]}", "UTC")
    reply = body([], zone="UTC", current=friday, market=f"2024-03-08T{traded}", regularMarketPrice=0.78)
    quote = quote_of(chart(reply), "X", now_ms=ms(now, "UTC"), source="yahoo")
    assert isinstance(quote, Quote)
    assert quote.market_state == state


def test_a_quote_needs_no_rows() -> None:
    """Arrays of other lengths make bars malformed, but the price is in meta."""
    reply = body([("2024-03-04T09:30", *DAY)], regularMarketPrice=5.0, market="2024-03-04T10:00")
    reply["chart"]["result"][0]["indicators"]["quote"][0]["close"] = [1.0, 2.0]
    assert isinstance(read(reply), Failure)
    quote = quote_of(chart(reply, needs_rows=False), "X", now_ms=0, source="yahoo")
    assert isinstance(quote, Quote)
    assert quote.price == 5.0


@pytest.mark.parametrize(
    ("asked", "sent", "same"),
    [
        ("USDEUR=X", "EUR=X", True),
        ("EUR=X", "USDEUR=X", True),
        ("BRK.B", "BRK-B", True),
        ("EURUSD=X", "USD=X", False),
        ("EURUSD=X", "EUR=X", False),
        ("GBPEUR=X", "EUR=X", False),
        ("MSFT", "TSLA", False),
    ],
)
def test_an_alias_in_the_reply_is_the_asked_symbol_s_answer(asked: str, sent: str, same: bool) -> None:
    reply = body([], symbol=sent, regularMarketPrice=5.0, market="2024-03-04T10:00")
    quote = quote_of(chart(reply), asked, now_ms=0, source="yahoo")
    assert isinstance(quote, Quote) is same
    if isinstance(quote, Failure):
        assert sent in str(quote.as_error(asked, "quote"))
