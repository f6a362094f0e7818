"""Every recorded reply of the chart API, checked by hand and against tests/ingest/naive_yahoo.py."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS, Grid
from services.ingest.providers.yahoo_bars import GRANULARITIES, CleanBars, Window, clean
from services.ingest.providers.yahoo_chart import Chart, read_chart
from services.ingest.providers.yahoo_quote import quote_of
from services.ingest.series import EventKind, FlagReason, Gap, GapReason, Quote, RejectReason
from services.ingest.upstream.outcomes import Failure, Outcome
from tests.ingest.naive_yahoo import read_bars

NOW_MS = 1_790_000_000_000  # 2026-09-21, after all recordings
ALWAYS = Window(-(10**14), 10**14)
BARS = [
    "aapl_1d_split_dividend_2020",
    "aapl_1m_1d_midsession_live_bar",
    "aapl_1m_1day_null_bar_live_tail",
    "aapl_1mo_5y_events",
    "aapl_1wk_2y_events",
    "btc_usd_1d",
    "btc_usd_1d_1y",
    "dji_1mo",
    "eurusd_1d",
    "fchi_3mo",
    "fund_0p000071w8_to_1d",
    "fund_0p0000xts7_1d",
    "gbpusd_1d_5d_live_bar",
    "gc_future_1d",
    "gme_1h_9mo_split",
    "gs2c_de_1d_5d_live_bar",
    "gspc_1d",
    "gspc_1m_1day",
    "ibm_1d_1962_gap_events",
    "inr_1d_null_bar",
    "ixic_1wk",
    "msft_1d_1y_dividends",
    "muv2_de_1d_6mo_close_null_only",
    "nvda_1d_1y_split",
    "ocdo_l_gbp_pence_1d",
    "orsted_co_dkk_1d",
    "pm_1d_2008_2022_dividends",
    "qqq_etf_1d",
    "tsla_1d_2010_2023",
    "tsla_30m_prepost",
    "vfinx_3mo_max_capital_gains",
    "whr_1h_1d",
    "wsu_de_1d_2023",
]
EMPTY = ["aapl_1m_weekend_empty_200", "aps_ax_2020", "capio_st_no_timestamp_empty_quote", "vxapl_2020"]
LIVE = [
    "aapl_1m_1d_midsession_live_bar",
    "aapl_1mo_5y_events",
    "btc_usd_1d_1y",
    "gbpusd_1d_5d_live_bar",
    "gs2c_de_1d_5d_live_bar",
]


class Replies:
    """The recorded replies, by file name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text())

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def read(self, name: str) -> Chart | Failure:
        return read_chart(self.manifest[f"{name}.json"]["status"] or 200, self.path(name).read_bytes())

    def chart(self, name: str) -> Chart:
        chart = self.read(name)
        assert isinstance(chart, Chart)
        return chart

    def bars(self, name: str, window: Window = ALWAYS, now_ms: int = NOW_MS) -> CleanBars:
        chart = self.chart(name)
        intervals = {granularity: interval for interval, granularity in GRANULARITIES.items()}
        interval = intervals.get(chart.granularity, Interval.MO1)
        grid = Grid(months=3) if chart.granularity == "3mo" else GRIDS[interval]
        return clean(chart, interval, grid, window, now_ms=now_ms)


@pytest.fixture
def replies(fixtures: Path) -> Replies:
    return Replies(fixtures / "yahoo")


def at(text: str) -> int:
    """Return the milliseconds of an ISO time, UTC when it names no zone."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def rows(bars: CleanBars) -> list[tuple[float, ...]]:
    """Return (open time, open, high, low, close, volume) of each bar."""
    c = bars.bars.columns
    return list(
        zip(
            *(column.tolist() for column in (c.open_time_ms, c.open, c.high, c.low, c.close, c.volume)),
            strict=True,
        )
    )


def test_every_recording_is_in_one_of_these_tests(replies: Replies) -> None:
    errors = {"beke_400_data_doesnt_exist", "si_404_not_found", "edited_aapl_no_timestamp_but_quote"}
    others = {"manifest", "errors_secondhand"}
    names = {path.stem for path in replies.folder.glob("*.json")}
    assert names <= set(BARS) | set(EMPTY) | errors | others


@pytest.mark.parametrize("name", BARS)
def test_bars_are_those_of_the_naive_reader(replies: Replies, name: str) -> None:
    expected = [
        (round(when.timestamp() * 1000), *bar) for when, bar in sorted(read_bars(replies.path(name)).items())
    ]
    assert rows(replies.bars(name)) == expected


@pytest.mark.parametrize("name", [name for name in BARS if name not in LIVE])
def test_bars_of_the_past_are_final(replies: Replies, name: str) -> None:
    assert replies.bars(name).bars.last_is_final


@pytest.mark.parametrize("name", LIVE)
def test_a_live_bar_is_never_final(replies: Replies, name: str) -> None:
    """This holds even long after: the row is the live quote, not the bar that it became."""
    bars = replies.bars(name)
    assert not bars.bars.last_is_final
    assert bars.as_of_ms == replies.chart(name).market_time_ms


def test_1_null_bars_are_gaps(replies: Replies) -> None:
    def missing(start: str, end: str) -> Gap:
        return Gap(at(start), at(end), GapReason.PROVIDER_MISSING, 1, "a row without values")

    assert replies.bars("inr_1d_null_bar").gaps == (
        missing("2017-07-11T00:00+01:00", "2017-07-12T00:00+01:00"),
    )
    assert replies.bars("wsu_de_1d_2023").gaps == (
        missing("2023-08-07T09:00+02:00", "2023-08-08T00:00+02:00"),
    )
    assert replies.bars("aapl_1m_1day_null_bar_live_tail").gaps == (
        missing("2024-10-02T15:15", "2024-10-02T15:16"),
    )


def test_2_closes_alone_are_no_bars(replies: Replies) -> None:
    bars = replies.bars("muv2_de_1d_6mo_close_null_only")
    assert len(bars.bars.columns) == 0
    assert [(gap.missing_bars, gap.detail) for gap in bars.gaps] == [
        (16, "a close without open, high and low"),
        (1, "a row without values"),
        (107, "a close without open, high and low"),
    ]


def test_3_the_live_quote_is_put_on_its_slot(replies: Replies) -> None:
    """The minute 18:30 exists as a null row; the days 5 September and 29 October only as live rows."""
    minute = 129.55
    assert rows(replies.bars("aapl_1m_1d_midsession_live_bar"))[-1] == (
        at("2021-01-11T18:30"), minute, minute, minute, minute, 0.0,
    )  # fmt: skip
    assert replies.bars("aapl_1m_1d_midsession_live_bar").gaps == ()
    assert rows(replies.bars("gbpusd_1d_5d_live_bar"))[-1] == (
        at("2022-09-05T00:00+01:00"),
        1.1519543, 1.1537352, 1.1445838, 1.1498218, 0.0,
    )  # fmt: skip
    assert rows(replies.bars("gs2c_de_1d_5d_live_bar"))[-1] == (
        at("2025-10-29T09:00+01:00"),
        20.13, 20.15, 19.786, 19.948, 9179.0,
    )  # fmt: skip


def test_4_the_live_quote_of_another_day_is_no_bar_of_the_window(replies: Replies) -> None:
    window = Window(at("2024-10-02"), at("2024-10-03"), at("2024-10-03"))
    bars = replies.bars("aapl_1m_1day_null_bar_live_tail", window)
    assert (len(bars.bars.columns), rows(bars)[-1][0]) == (389, at("2024-10-02T19:59"))
    assert bars.bars.last_is_final
    assert bars.dropped == {"outside_session": 1}


def test_5_the_second_row_of_a_month_is_merged_into_it(replies: Replies) -> None:
    """715,260,000 is the sum of July's days to the 15th and includes the live day's 75,396,045."""
    assert rows(replies.bars("aapl_1mo_5y_events"))[-1] == (
        at("2022-07-01T00:00-04:00"),
        136.04, 150.86, 135.66, 150.17, 715260000.0,
    )  # fmt: skip


def test_6_the_current_day_is_stamped_with_its_start(replies: Replies) -> None:
    assert rows(replies.bars("btc_usd_1d_1y"))[-1] == (
        at("2022-07-25"),
        22588.86, 22649.12, 21625.56, 22100.424, 32534474752.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "start", "end", "first"),
    [
        ("ixic_1wk", "2020-06-05T22:00", "2020-07-06T22:00", "2020-06-08T04:00"),
        ("fchi_3mo", "2009-12-31T23:00", "2016-02-05T23:00", "2010-02-28T23:00"),
        ("gspc_1d", "2021-12-31T23:00", "2022-02-01T23:00", "2022-01-03T14:30"),
        ("btc_usd_1d_1y", "2021-07-25T21:32:03", "2022-07-25T21:32:03", "2021-07-26"),
    ],
)
def test_7_bars_that_opened_before_the_window_are_left_out(
    replies: Replies, name: str, start: str, end: str, first: str
) -> None:
    assert rows(replies.bars(name, Window(at(start), at(end), None)))[0][0] == at(first)


def test_7_a_week_that_the_request_cut_off_is_left_out(replies: Replies) -> None:
    """The week of 6 July holds Monday alone: 4.5 billion shares, where others have 20."""
    window = Window(at("2020-06-05T22:00"), at("2020-07-06T22:00"), at("2020-07-06T22:00"))
    bars = replies.bars("ixic_1wk", window)
    assert rows(bars)[-1][0] == at("2020-06-29T04:00")
    assert bars.dropped == {"outside_window": 1, "cut_off": 1}


def test_8_a_bar_at_the_end_of_the_window_is_left_out(replies: Replies) -> None:
    window = Window(at("2020-01-01"), at("2020-01-03"), at("2020-01-03"))
    for name in ("btc_usd_1d", "eurusd_1d"):
        assert [row[0] for row in rows(replies.bars(name, window))] == [at("2020-01-01"), at("2020-01-02")]


def test_9_the_closing_stub_is_no_bar(replies: Replies) -> None:
    for name in ("whr_1h_1d", "gme_1h_9mo_split"):
        bars = replies.bars(name)
        assert rows(bars)[-1][0] == at("2022-09-02T19:30")
        assert bars.dropped == {"outside_session": 1}
        assert bars.as_of_ms == at("2022-09-02T20:00")


def test_10_a_volume_of_zero_while_the_price_moved_is_flagged(replies: Replies) -> None:
    for name, first in (("gspc_1m_1day", "2022-03-18T13:30"), ("whr_1h_1d", "2022-09-02T13:30")):
        bars = replies.bars(name)
        assert [(flag.open_time_ms, flag.reason) for flag in bars.bars.flags] == [
            (at(first), FlagReason.VOLUME_MISSING)
        ]
    assert replies.bars("eurusd_1d").bars.flags == ()  # has no volumes at all


@pytest.mark.parametrize("name", EMPTY)
def test_11_a_reply_without_timestamps_is_no_data(replies: Replies, name: str) -> None:
    bars = replies.bars(name)
    assert (len(bars.bars.columns), bars.gaps, bars.bars.rejected, bars.as_of_ms) == (0, (), (), None)


def test_12_missing_meta_is_unknown(replies: Replies) -> None:
    instrument = replies.chart("capio_st_no_timestamp_empty_quote").instrument
    assert (instrument.currency, instrument.first_bar_ms, instrument.type) == ("", None, "FUND")
    assert instrument.time_zone == "America/New_York"
    chart = replies.chart("capio_st_no_timestamp_empty_quote")
    quote = quote_of(chart, "CAPIO.ST", now_ms=NOW_MS, source="yahoo")
    assert isinstance(quote, Failure)
    assert quote.outcome is Outcome.NO_DATA
    # In a five-year chart, the close before the chart is not the previous session's close.
    assert replies.chart("aapl_1mo_5y_events").previous_close is None


def test_13_only_the_regular_session_is_taken(replies: Replies) -> None:
    bars = replies.bars("tsla_30m_prepost")
    times = [row[0] for row in rows(bars)]
    assert (len(times), times[0], times[-1]) == (13, at("2021-11-22T14:30"), at("2021-11-22T20:30"))
    assert bars.dropped == {"outside_session": 17}


def test_14_intraday_bars_have_no_adjusted_close(replies: Replies) -> None:
    assert replies.bars("whr_1h_1d").bars.adjusted_close is None
    adjusted = replies.bars("aapl_1d_split_dividend_2020").bars.adjusted_close
    assert adjusted is not None
    assert adjusted[0] == 128.02847


def test_15_events_have_their_own_date(replies: Replies) -> None:
    events = replies.chart("aapl_1wk_2y_events").events
    assert [e.time_ms for e in events if e.kind is EventKind.SPLIT] == [at("2020-08-31T13:30")]
    assert events[0].time_ms == at("2020-02-07T14:30")
    month = replies.chart("aapl_1mo_5y_events").events
    assert (month[0].kind, month[0].time_ms, month[0].amount) == (
        EventKind.DIVIDEND,
        at("2017-08-10T13:30"),
        0.1575,
    )


def test_16_events_before_1970_and_without_a_bar_are_kept(replies: Replies) -> None:
    events = replies.chart("ibm_1d_1962_gap_events").events
    assert len(events) == 17
    assert events[0].time_ms == -249_298_200_000
    splits = [(e.numerator, e.denominator) for e in events if e.kind is EventKind.SPLIT]
    assert splits == [(5, 4), (3, 2), (2, 1), (5, 4), (4, 1), (2, 1), (2, 1)]


def test_17_a_split_of_4_and_one_of_4_0_are_the_same(replies: Replies) -> None:
    for name in ("nvda_1d_1y_split", "aapl_1d_split_dividend_2020"):
        splits = [e for e in replies.chart(name).events if e.kind is EventKind.SPLIT]
        assert [(e.numerator, e.denominator) for e in splits] == [(4.0, 1.0)]


def test_18_prices_that_contradict_one_another_are_refused(replies: Replies) -> None:
    bars = replies.bars("vfinx_3mo_max_capital_gains")
    assert [(r.row, r.open_time_ms, r.reason) for r in bars.bars.rejected] == [
        (161, at("2025-04-01T04:00"), RejectReason.OUTSIDE_RANGE),  # low 0.0
        (162, at("2025-07-01T04:00"), RejectReason.OUTSIDE_RANGE),  # low 574.70, open 572.06
    ]
    assert [gap.reason for gap in bars.gaps] == [GapReason.REJECTED] * 2
    kinds = [e.kind for e in replies.chart("vfinx_3mo_max_capital_gains").events]
    assert (kinds.count(EventKind.DIVIDEND), kinds.count(EventKind.CAPITAL_GAIN)) == (164, 21)


def test_19_volumes_above_32_bits_are_kept(replies: Replies) -> None:
    assert rows(replies.bars("gspc_1d"))[0][5] == 2_446_190_000.0


def test_20_local_midnights_move_with_daylight_saving(replies: Replies) -> None:
    times = [row[0] for row in rows(replies.bars("gs2c_de_1d_5d_live_bar"))]
    assert times[1:3] == [at("2025-10-24T07:00"), at("2025-10-27T08:00")]


def test_21_a_market_time_of_another_year_changes_no_bar(replies: Replies) -> None:
    assert replies.bars("tsla_1d_2010_2023").as_of_ms == at("2023-08-11T20:00")
    assert replies.bars("fund_0p0000xts7_1d").bars.last_is_final


def test_22_pence_stay_pence(replies: Replies) -> None:
    chart = replies.chart("ocdo_l_gbp_pence_1d")
    assert chart.instrument.currency == "GBp"
    assert rows(replies.bars("ocdo_l_gbp_pence_1d"))[0][4] == 1259.5
    quote = quote_of(chart, "OCDO.L", now_ms=NOW_MS, source="yahoo")
    assert isinstance(quote, Quote)
    assert (quote.price, quote.currency) == (1897.5, "GBp")


def test_23_closes_without_timestamps_are_malformed(replies: Replies) -> None:
    failure = replies.read("edited_aapl_no_timestamp_but_quote")
    assert isinstance(failure, Failure)
    assert failure.outcome is Outcome.MALFORMED


def test_25_recorded_errors(replies: Replies) -> None:
    for name, outcome in (
        ("beke_400_data_doesnt_exist", Outcome.NO_DATA),
        ("si_404_not_found", Outcome.NOT_FOUND),
    ):
        failure = replies.read(name)
        assert isinstance(failure, Failure)
        assert failure.outcome is outcome
        assert not failure.mendable


def test_25_errors_told_by_others(replies: Replies) -> None:
    """The cases are in errors_secondhand.json; the body of a reply with status 429 is not read."""
    quoted = json.loads(replies.path("errors_secondhand").read_text())["responses"]
    outcomes = [read_chart(200 if q["status"] == 429 else q["status"], q["body"].encode()) for q in quoted]
    assert [f.outcome for f in outcomes if isinstance(f, Failure)] == [
        Outcome.NO_DATA,
        Outcome.NO_DATA,
        Outcome.NO_DATA,
        Outcome.MALFORMED,
        Outcome.UNAUTHORIZED,
        Outcome.UNAUTHORIZED,
        Outcome.RATE_LIMITED,
    ]


def test_a_quote_is_read_from_meta(replies: Replies) -> None:
    quote = quote_of(replies.chart("aapl_1m_1d_midsession_live_bar"), "AAPL", now_ms=NOW_MS, source="yahoo")
    assert quote == Quote(
        symbol="AAPL",
        price=129.55,
        currency="USD",
        market_time_ms=at("2021-01-11T18:30:13"),
        source="yahoo",
        fetched_at_ms=NOW_MS,
        price_precision=2,
        previous_close=132.05,
        day_open=128.965,
        market_state="CLOSED",  # by the clock, long after that day
    )
    later = quote_of(replies.chart("aapl_1m_1day_null_bar_live_tail"), "AAPL", now_ms=NOW_MS, source="yahoo")
    assert isinstance(later, Quote)
    assert (later.price, later.previous_close, later.market_state) == (225.67, 226.78, "CLOSED")
