"""Reading: ranges, newest bars, chunks of one version, coverage, adjustment, instruments."""

import numpy as np
import pytest

from finstage_market.columns import VALUES, Columns
from finstage_market.errors import Unavailable
from finstage_market.interval import Interval
from services.ingest.series import (
    BarFlag,
    Event,
    EventKind,
    FlagReason,
    Gap,
    GapReason,
    Instrument,
    RejectedRow,
    RejectReason,
    SeriesKey,
)
from services.ingest.store import reading
from services.ingest.store.api import Store
from services.ingest.store.values import Batch, WriteHeader, WriteMode
from tests.ingest.conftest import Reopen
from tests.ingest.ingest_server import series_of
from tests.ingest.stores import KEY, NOW_MS, bars, batch, closes, day, fetched, tail

HEADER = WriteHeader("key", WriteMode.UPSERT, "client:test")
TEN = {i: 10.0 + i for i in range(10)}


@pytest.mark.parametrize(
    ("start", "end", "limit", "expected"),
    [
        (None, None, None, range(10)),
        (3, None, None, range(3, 10)),
        (None, 4, None, range(4)),
        (2, 8, 3, range(5, 8)),
        (None, None, 4, range(6, 10)),
        (None, None, 99, range(10)),
        (20, None, None, range(0)),
        (5, 5, None, range(0)),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_read_gives_the_range_or_the_newest_of_it(
    store: Store, start: int | None, end: int | None, limit: int | None, expected: range, chunked: bool
) -> None:
    store.fetched.write(fetched(bars(TEN), last_is_final=False))
    start_ms, end_ms = (None if i is None else day(i) for i in (start, end))
    if chunked:
        found = store.bars.read_chunks(KEY, start_ms=start_ms, end_ms=end_ms, limit=limit, chunk_rows=3)
        assert found is not None
        parts = list(found.chunks)
        last_is_final = found.last_is_final
        assert all(len(part) <= 3 for part in parts)
        columns = Columns.concat(parts)
    else:
        read = store.bars.read(KEY, start_ms=start_ms, end_ms=end_ms, limit=limit)
        assert read is not None
        columns, last_is_final = read.columns, read.last_is_final
    assert closes(columns) == {i: TEN[i] for i in expected}
    assert last_is_final == (9 not in expected)
    for name in ("open_time_ms", *VALUES):
        assert getattr(columns, name).flags.c_contiguous


def test_every_value_comes_back_bit_for_bit(store: Store) -> None:
    columns = Columns.of(
        [day(0), day(1)], [1e-300, 0.0], [1e300, 1 / 3], [5e-324, 0.0], [0.1, 0.2], [2**53, 1.5]
    )
    store.fetched.write(fetched(columns))
    read = tail(store, KEY, 2)
    for name in VALUES:
        assert getattr(read, name).tobytes() == getattr(columns, name).tobytes()


def test_chunks_have_one_version_while_the_series_grows(store: Store, reopen: Reopen) -> None:
    store.fetched.write(fetched(bars(TEN), last_is_final=False))
    found = store.bars.read_chunks(KEY, chunk_rows=4)
    assert found is not None
    first = next(found.chunks)
    reopen().fetched.write(fetched(bars({9: 99.0, 10: 100.0}), first_day=9))
    assert closes(Columns.concat([first, *found.chunks])) == TEN
    assert (found.state.revision, found.last_is_final) == (1, False)


def test_a_series_restated_between_chunks_must_be_read_again(store: Store, reopen: Reopen) -> None:
    store.fetched.write(fetched(bars(TEN)))
    found = store.bars.read_chunks(KEY, chunk_rows=4)
    assert found is not None
    assert closes(next(found.chunks)) == {i: TEN[i] for i in range(4)}
    reopen().fetched.write(fetched(bars(dict.fromkeys(range(12), 99.0))))
    with pytest.raises(Unavailable, match="restated"):
        next(found.chunks)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 9, 10, 11])
def test_chunks_of_any_size_are_the_whole(store: Store, rows: int) -> None:
    store.fetched.write(fetched(bars(TEN)))
    found = store.bars.read_chunks(KEY, chunk_rows=rows)
    assert found is not None
    parts = list(found.chunks)
    assert closes(Columns.concat(parts)) == TEN
    assert all(0 < len(part) <= rows for part in parts)


def test_missing_things_are_none(store: Store) -> None:
    assert store.bars.read(KEY) is None
    assert len(tail(store, KEY, 3)) == 0
    assert store.bars.coverage(KEY).gaps == ()
    assert store.instruments.get("AAPL") is None
    assert store.bars.read_chunks(KEY) is None


@pytest.mark.parametrize("interval", [Interval.D1, Interval.H1])
def test_long_series_and_distant_bars_are_compared_correctly(store: Store, interval: Interval) -> None:
    key = SeriesKey("AAPL", interval)
    whole = series_of(5000)
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, whole, key=key)])
    few = whole[np.array([0, 7, 2500, 4999])]
    few.close[1] += 0.001
    result = store.writes.write(HEADER, [batch(2, few, key=key)])[0]
    assert (result.rows.unchanged, result.rows.updated) == (3, 1)
    read = store.bars.read(key, start_ms=int(whole.open_time_ms[7]), limit=None)
    assert read is not None
    assert read.columns.close[0] == few.close[1]
    assert len(read.columns) == 4993


# Coverage


def test_gaps_and_flags_of_a_fetched_range_are_the_newest_fetch_s(store: Store) -> None:
    gap = Gap(day(2), day(4), GapReason.PROVIDER_MISSING, 2, "why")
    flag = BarFlag(day(1), FlagReason.ZERO_PRICE, "low = 0")
    store.fetched.write(fetched(bars({0: 10, 1: 11, 4: 14}), gaps=(gap,), flags=(flag,)))
    covered = store.bars.coverage(KEY)
    assert (covered.gaps, covered.flags) == ((gap,), (flag,))
    store.fetched.write(
        fetched(
            bars({1: 11, 3: 13}), first_day=1, end_day=4, gaps=(Gap(day(2), day(3), GapReason.NO_TRADES, 1),)
        )
    )
    covered = store.bars.coverage(KEY)
    assert [(g.start_ms, g.end_ms, g.reason) for g in covered.gaps] == [(day(2), day(3), GapReason.NO_TRADES)]
    assert covered.flags == ()


def test_a_fetch_of_a_part_cuts_the_gaps_around_it(store: Store) -> None:
    store.fetched.write(
        fetched(bars({0: 10}), end_day=9, gaps=(Gap(day(1), day(9), GapReason.NO_TRADES, 8),))
    )
    store.fetched.write(fetched(bars({4: 14}), first_day=4))
    assert store.bars.coverage(KEY).gaps == (
        Gap(day(1), day(4), GapReason.NO_TRADES),
        Gap(day(5), day(9), GapReason.NO_TRADES),
    )


def test_a_range_never_fetched_is_a_gap(store: Store) -> None:
    store.fetched.write(fetched(bars({10: 10}), first_day=10))
    store.fetched.write(fetched(bars({20: 10}), first_day=20))
    asked = store.bars.coverage(KEY, start_ms=day(5), end_ms=day(30)).gaps
    assert [(g.start_ms, g.end_ms, g.reason) for g in asked] == [
        (day(5), day(10), GapReason.NOT_FETCHED),
        (day(11), day(20), GapReason.NOT_FETCHED),
        (day(21), day(30), GapReason.NOT_FETCHED),
    ]
    store.fetched.write(fetched(bars({15: 10}), first_day=10, end_day=21))
    assert store.bars.coverage(KEY).gaps == ()


def test_the_future_is_not_covered_by_a_fetch_to_the_end_of_time(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10}), end_day=100_000))
    state = store.bars.state(KEY)
    assert state is not None
    assert (state.covered_start_ms, state.covered_end_ms) == (day(0), NOW_MS)


def test_bars_that_clients_write_fill_gaps(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 9: 19}), gaps=(Gap(day(1), day(9), GapReason.NO_TRADES, 8),)))
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({3: 13, 4: 14}))])
    assert store.bars.coverage(KEY).gaps == (
        Gap(day(1), day(3), GapReason.NO_TRADES),
        Gap(day(5), day(9), GapReason.NO_TRADES),
    )


def test_the_newest_gaps_are_given_and_the_others_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_ANNOTATIONS", 2)
    gaps = tuple(Gap(day(i), day(i + 1), GapReason.NO_TRADES, 1) for i in range(0, 10, 2))
    store.fetched.write(fetched(bars({1: 10}), end_day=10, gaps=gaps))
    covered = store.bars.coverage(KEY)
    assert (covered.gaps, covered.gaps_left_out) == (gaps[-2:], 3)


def test_a_bad_bar_that_every_refresh_meets_is_kept_once(store: Store) -> None:
    bad = RejectedRow(3, day(1), RejectReason.NEGATIVE, "prices must be 0 or above", "open=-1.0")
    for _ in range(3):
        result = store.fetched.write(fetched(bars({0: 10}), rejected=(bad,)))
        assert (result.rows.sent, result.rows.rejected) == (2, 1)
    (kept,) = store.rejections.find()
    assert (kept.row, kept.symbol, kept.interval, kept.source) == (bad, "AAPL", Interval.D1, "sim")
    assert store.rejections.find(symbol="AAPL", interval=Interval.D1, source="sim") == (kept,)
    assert store.rejections.find(symbol="MSFT") == ()


def test_bad_bars_of_any_number_are_kept_once(store: Store) -> None:
    bad = [RejectedRow(i, day(i), RejectReason.NEGATIVE, "below 0", f"open=-{i}.0") for i in range(30_001)]
    store.fetched.write(fetched(bars({0: 10}), rejected=tuple(bad[:30_000])))
    store.fetched.write(fetched(bars({0: 10}), rejected=tuple(bad[1:])))
    assert [each.row.row for each in store.rejections.find(limit=40_000)] == list(range(30_000, -1, -1))


def test_flags_of_any_number_of_bars_go_when_the_bars_change(store: Store) -> None:
    columns = series_of(12_000)
    odd = [BarFlag(int(ms), FlagReason.ZERO_PRICE, "low = 0") for ms in columns.open_time_ms]
    store.fetched.write(fetched(columns, first_day=-10_000, flags=tuple(odd)))
    columns.volume[1:-1] += 1
    store.writes.open(HEADER)
    [result] = store.writes.write(HEADER, [batch(1, columns)])
    assert result.rows.updated == 11_998
    assert store.bars.coverage(KEY).flags == (odd[0], odd[-1])


# Adjustment


def dividend(i: int, amount: float) -> Event:
    return Event(EventKind.DIVIDEND, day(i) + 14 * 3_600_000, amount=amount)


def test_prices_before_a_dividend_are_lowered_by_its_fraction_of_the_previous_close(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 100, 1: 100, 2: 98, 3: 98}), events=(dividend(2, 2.0),)))
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == [98.0, 98.0, 98.0, 98.0]
    assert read.columns.high.tolist() == pytest.approx([101 * 0.98, 101 * 0.98, 99, 99])
    assert read.columns.volume.tolist() == [1000.0, 1000.0, 980.0, 980.0]
    assert closes(tail(store, KEY, 9)) == {0: 100, 1: 100, 2: 98, 3: 98}
    part = store.bars.read(KEY, end_ms=day(1), adjustment="ALL")
    assert part is not None
    assert part.columns.close.tolist() == [98.0]


def test_stored_adjusted_closes_are_given_as_they_are(store: Store) -> None:
    adjusted = [90.1, 91.2, 98.0]
    store.fetched.write(fetched(bars({0: 100, 1: 101, 2: 98}), adjusted=adjusted, events=(dividend(2, 2.0),)))
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == adjusted
    assert np.all(read.columns.high >= read.columns.close)
    assert np.all(read.columns.low <= read.columns.close)


def test_a_bar_corrected_without_an_adjusted_close_keeps_its_factor(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 100, 1: 100, 2: 100}), adjusted=[90.0, 90.0, 100.0]))
    header = WriteHeader("k", WriteMode.UPSERT, "client:test")
    store.writes.open(header)
    (result,) = store.writes.write(header, [batch(1, bars({1: 50, 2: 100}))])
    assert (result.rows.updated, result.rows.unchanged) == (1, 1)
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == [90.0, 45.0, 100.0]


def test_a_dividend_after_the_adjusted_closes_lowers_them_too_without_a_rewrite(store: Store) -> None:
    """A refresh of the newest bars brings adjusted closes with a dividend that the stored ones lack."""
    first = day(3)
    store.fetched.write(
        fetched(
            bars({0: 100, 1: 100, 2: 100}),
            adjusted=[99, 99, 100],
            events=(dividend(2, 1.0),),
            fetched_at_ms=first,
        )
    )
    # Two percent are paid on day 4: the provider lowers every earlier adjusted close.
    store.fetched.write(
        fetched(
            bars({2: 100, 3: 100, 4: 98}),
            first_day=2,
            adjusted=[98, 98, 98],
            events=(dividend(2, 1.0), dividend(4, 2.0)),
            fetched_at_ms=day(5),
        )
    )
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == pytest.approx([97.02, 97.02, 98, 98, 98])
    found = store.bars.read_chunks(KEY, adjustment="ALL", chunk_rows=2)
    assert found is not None
    assert Columns.concat(list(found.chunks)).close.tolist() == read.columns.close.tolist()


def test_a_dividend_in_the_wrong_currency_lowers_nothing(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 100, 1: 100, 2: 98}), events=(dividend(2, 200.0),)))
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == [100, 100, 98]


@pytest.mark.parametrize(
    ("interval", "expected"), [(Interval.W1, [98.0, 100.0]), (Interval.MO1, [100.0, 100.0])]
)
def test_a_longer_bar_that_holds_the_dividend_s_day_closed_after_it(
    store: Store, interval: Interval, expected: list[float]
) -> None:
    """Day 0 is Monday, September 14: the dividend is paid on the Wednesday of the week of day 7."""
    key = SeriesKey("AAPL", interval)
    store.fetched.write(fetched(bars({0: 100, 7: 100}), key=key, events=(dividend(9, 2.0),)))
    read = store.bars.read(key, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == expected


def test_one_event_met_at_two_intervals_is_one_event(store: Store) -> None:
    store.fetched.write(
        fetched(bars({0: 100, 3: 100}), events=(Event(EventKind.DIVIDEND, day(2), amount=1.0),))
    )
    weekly = SeriesKey("AAPL", Interval.W1)
    again = Event(EventKind.DIVIDEND, day(2) + 14 * 3_600_000, amount=1.0)
    store.fetched.write(fetched(bars({0: 100}), key=weekly, events=(again,)))
    assert store.bars.events("AAPL") == (Event(EventKind.DIVIDEND, day(2), amount=1.0),)


def test_events_missing_from_a_whole_daily_history_are_removed(store: Store) -> None:
    split = Event(EventKind.SPLIT, day(1), numerator=4.0, denominator=1.0)
    store.fetched.write(fetched(bars({0: 100, 3: 100}), events=(split, dividend(2, 1.0))))
    store.fetched.write(fetched(bars({0: 100, 3: 100}), events=(split,)), replace=True)
    assert store.bars.events("AAPL") == (split,)
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == [100, 100]
    assert read.state.epoch == 2


# Instruments


def test_an_instrument_keeps_fields_that_a_newer_one_lacks(store: Store) -> None:
    rich = Instrument(
        "AAPL",
        "Apple Inc.",
        "EQUITY",
        "NMS",
        "NasdaqGS",
        "USD",
        "America/New_York",
        2,
        345_479_400_000,
        "yahoo",
        1,
    )
    store.instruments.put(rich, Instrument("MSFT"))
    store.instruments.put(Instrument("AAPL", exchange="NGM", source="yahoo", fetched_at_ms=2))
    kept = store.instruments.get("AAPL")
    assert kept is not None
    assert (kept.name, kept.exchange, kept.price_precision) == ("Apple Inc.", "NGM", 2)
    assert store.instruments.get("NO") is None


def test_search_finds_symbols_and_names_whatever_their_case_the_best_first(store: Store) -> None:
    store.instruments.put(
        Instrument("AAPL", "Apple Inc.", "EQUITY"),
        Instrument("APLE", "Apple Hospitality", "EQUITY"),
        Instrument("APPLE.X", "Something", "INDEX"),
        Instrument("PAPL", "Pineapple", "ETF"),
        Instrument("100%", "Percent", "ETF"),
    )
    assert [i.symbol for i in store.instruments.search("apple")] == ["APPLE.X", "AAPL", "APLE", "PAPL"]
    assert [i.symbol for i in store.instruments.search("APPLE", types=["EQUITY"], limit=1)] == ["AAPL"]
    assert [i.symbol for i in store.instruments.search("aapl")] == ["AAPL"]
    assert [i.symbol for i in store.instruments.search("0%")] == ["100%"]
    assert store.instruments.search("%") == store.instruments.search("0%")
    assert store.instruments.search("nothing") == ()


def adjusted_batches(sent: dict[int, float], adjusted: dict[int, float], *, rows: int) -> list[Batch]:
    """Write a file's bars with their adjusted closes, in batches."""
    days = sorted(sent)
    return [
        batch(
            i + 1,
            bars({d: sent[d] for d in days[first : first + rows]}),
            adjusted=[adjusted[d] for d in days[first : first + rows]],
        )
        for i, first in enumerate(range(0, len(days), rows))
    ]


@pytest.mark.parametrize("rows", [1, 2, 3, 6])
@pytest.mark.parametrize("dividends_first", [True, False])
@pytest.mark.parametrize("commits", ["one", "each"])
def test_adjusted_closes_of_a_file_read_as_sent_whatever_its_batches(
    store: Store, rows: int, dividends_first: bool, commits: str
) -> None:
    sent = dict.fromkeys(range(6), 100.0)
    adjusted = {0: 97.02, 1: 97.02, 2: 99.0, 3: 99.0, 4: 100.0, 5: 100.0}
    weekly = fetched(
        bars({0: 100}),
        key=SeriesKey("AAPL", Interval.W1),
        end_day=7,
        events=(dividend(2, 2.0), dividend(4, 1.0)),
    )
    if dividends_first:
        store.fetched.write(weekly)
    store.writes.open(HEADER)
    batches = adjusted_batches(sent, adjusted, rows=rows)
    for part in [batches] if commits == "one" else [[each] for each in batches]:
        store.writes.write(HEADER, part)
    if not dividends_first:
        store.fetched.write(weekly)
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == [adjusted[d] for d in range(6)]
    # A dividend after the file's last bar lowers them all.
    later = fetched(
        bars({7: 50}),
        key=SeriesKey("AAPL", Interval.W1),
        first_day=7,
        end_day=14,
        events=(dividend(6, 50.0),),
    )
    store.fetched.write(later)
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == pytest.approx([adjusted[d] / 2 for d in range(6)])


def test_a_newer_file_knows_the_dividends_that_an_older_one_did_not(store: Store) -> None:
    newer = WriteHeader("newer", WriteMode.UPSERT, "client:test")
    store.fetched.write(
        fetched(bars({0: 100}), key=SeriesKey("AAPL", Interval.W1), end_day=7, events=(dividend(4, 1.0),))
    )
    for header in (HEADER, newer):
        store.writes.open(header)
    store.writes.write(
        HEADER, adjusted_batches(dict.fromkeys(range(3), 100.0), dict.fromkeys(range(3), 100.0), rows=9)
    )
    old = store.bars.state(KEY)
    read = store.bars.read(KEY, adjustment="ALL")
    assert old is not None
    assert read is not None
    assert read.columns.close.tolist() == pytest.approx([99.0] * 3)
    whole = {0: 99.0, 1: 99.0, 2: 99.0, 3: 99.0, 4: 100.0, 5: 100.0}
    store.writes.write(newer, adjusted_batches(dict.fromkeys(range(6), 100.0), whole, rows=2))
    read = store.bars.read(KEY, adjustment="ALL")
    assert read is not None
    assert read.columns.close.tolist() == list(whole.values())
    assert read.state.epoch > old.epoch


# Clients' bars beside a provider's


def test_a_client_s_bars_stay_when_a_provider_writes_the_series(store: Store) -> None:
    store.fetched.write(fetched(bars(TEN)))
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({-50: 1.0, 4: 99.0}))])
    was = store.bars.state(KEY)
    result = store.fetched.write(fetched(bars(TEN | {10: 20.0}), first_day=-90), replace=True)
    assert (result.rows.sent, result.rows.inserted, result.rows.unchanged) == (11, 1, 10)
    assert not result.restated
    read = store.bars.read(KEY)
    assert read is not None
    assert was is not None
    assert closes(read.columns) == {-50: 1.0} | TEN | {4: 99.0, 10: 20.0}
    assert closes(read.columns[read.client_owned]) == {-50: 1.0, 4: 99.0}
    assert read.state.epoch == was.epoch


def test_a_provider_s_bar_of_a_day_that_a_client_stamped_differently_is_skipped(store: Store) -> None:
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({0: 1.0, 1: 2.0}))])
    stamped = bars({0: 10.0, 1: 11.0, 2: 12.0})
    stamped.open_time_ms[:] += 14 * 3_600_000
    result = store.fetched.write(fetched(stamped), replace=True)
    assert (result.rows.inserted, result.rows.unchanged) == (1, 2)
    read = store.bars.read(KEY)
    assert read is not None
    assert read.columns.close.tolist() == [1.0, 2.0, 12.0]


def test_a_split_that_a_client_could_not_know_makes_the_history_the_provider_s(store: Store) -> None:
    store.fetched.write(fetched(bars(TEN)))
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({4: 99.0}))])
    halved = {d: c / 2 for d, c in TEN.items()}
    split = Event(EventKind.SPLIT, day(10), None, 2.0, 1.0)
    store.fetched.write(fetched(bars(halved | {10: 10.0}), events=(split,)), replace=True)
    read = store.bars.read(KEY)
    assert read is not None
    assert closes(read.columns) == halved | {10: 10.0}
    assert not read.client_owned.any()


def test_a_client_s_forming_bar_is_taken_over(store: Store) -> None:
    store.fetched.write(fetched(bars(TEN)))
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({9: 7.0, 10: 8.0}), last_is_final=False)])
    store.fetched.write(fetched(bars({9: 19.0, 10: 20.0, 11: 21.0}), first_day=9), replace=True)
    assert closes(tail(store, KEY, 3)) == {9: 7.0, 10: 20.0, 11: 21.0}


def test_the_day_after_one_that_a_provider_stamped_by_its_session_is_another_day(store: Store) -> None:
    stamped = bars({0: 10.0, 1: 11.0})
    stamped.open_time_ms[:] += 14 * 3_600_000 + 1_800_000
    store.fetched.write(fetched(stamped))
    store.writes.open(HEADER)
    (result,) = store.writes.write(HEADER, [batch(1, bars({1: 9.0, 2: 12.0, 3: 13.0}))])
    assert (result.rows.inserted, result.rows.updated) == (2, 1)


@pytest.mark.parametrize("interval", [Interval.D1, Interval.H1])
@pytest.mark.parametrize("commits", ["one", "each"])
def test_a_jump_is_marked_wherever_batches_end(store: Store, interval: Interval, commits: str) -> None:
    key = SeriesKey("AAPL", interval)
    store.writes.open(HEADER)
    sent = [{0: 100.0, 1: 100.0}, {2: 100.0}, {3: 9000.0}, {4: 9000.0}, {5: 1.0, 6: 1.0}]
    batches = [batch(i, bars(each), key=key) for i, each in enumerate(sent, 1)]
    for part in [batches] if commits == "one" else [[each] for each in batches]:
        store.writes.write(HEADER, part)
    assert [flag.open_time_ms for flag in store.bars.coverage(key).flags] == [day(3), day(5)]
