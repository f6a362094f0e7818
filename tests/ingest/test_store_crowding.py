"""A day has one bar, which a client corrects however it stamps it, in both databases."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from finstage_market.columns import Columns
from services.ingest.series import Instrument, RejectReason
from services.ingest.store.api import Store
from services.ingest.store.values import WriteHeader, WriteMode
from tests.ingest.stores import DAY_MS, KEY, bars, batch, closes, day, fetched

HEADER = WriteHeader("key", WriteMode.UPSERT, "client:test")
OPENS_MS = 14 * 3_600_000 + 1_800_000


def stamped_at_the_open(columns: Columns) -> Columns:
    times = columns.open_time_ms + OPENS_MS - DAY_MS
    return Columns(times, columns.open, columns.high, columns.low, columns.close, columns.volume)


def in_zone(zone: str, **stamps: str) -> list[int]:
    """Open times in milliseconds, as clocks in a zone show them."""
    return [
        round(datetime.fromisoformat(stamp).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
        for stamp in stamps.values()
    ]


def of_times(times: list[int], closes: list[float]) -> Columns:
    close = np.array(closes)
    return Columns.of(times, close, close + 1, close - 1, close, close * 10)


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.INSERT, WriteMode.UPDATE])
def test_a_client_corrects_a_day_in_place_whatever_its_stamp(store: Store, mode: WriteMode) -> None:
    store.fetched.write(fetched(stamped_at_the_open(bars({1: 10, 2: 11, 3: 12})), first_day=-1))
    header = WriteHeader("key", mode, "client:test")
    store.writes.open(header)
    # The store has days 0 to 2, stamped 14:30; a write brings them at midnight, with a day before and one
    # after.
    [result] = store.writes.write(header, [batch(1, bars({-2: 1, 0: 2, 1: 3, 2: 4, 4: 5}))])
    expected = {
        WriteMode.UPSERT: ((2, 3, 0), [1, 2, 3, 4, 5]),
        WriteMode.INSERT: ((2, 0, 3), [1, 10, 11, 12, 5]),
        WriteMode.UPDATE: ((0, 3, 2), [2, 3, 4]),
    }
    rows = result.rows
    read = store.bars.read(KEY)
    assert read is not None
    assert ((rows.inserted, rows.updated, rows.rejected), read.columns.close.tolist()) == expected[mode]
    assert np.diff(read.columns.open_time_ms).min() > DAY_MS // 2


@pytest.mark.parametrize(
    ("zone", "provider", "client"),
    [
        ("Asia/Tokyo", "2024-03-05T09:00", "2024-03-05T00:00"),
        ("Asia/Tokyo", "2024-03-05T00:00", "2024-03-05T15:00"),
        ("America/New_York", "2024-03-05T09:30", "2024-03-05T16:00"),
        ("America/New_York", "2024-03-05T00:00", "2024-03-05T20:00"),
        ("Australia/Sydney", "2024-03-05T00:00", "2024-03-05T16:00"),
        ("Europe/London", "2024-07-01T00:00", "2024-07-01T08:00"),
    ],
)
def test_the_day_is_that_of_the_exchange_s_zone(store: Store, zone: str, provider: str, client: str) -> None:
    theirs, ours = in_zone(zone, provider=provider, client=client)
    instrument = Instrument("AAPL", time_zone=zone, source="sim")
    first_day = (theirs - day(0)) // DAY_MS - 2
    brought = of_times([theirs, theirs + DAY_MS], [10.0, 11.0])
    store.fetched.write(fetched(brought, first_day=first_day, instrument=instrument))
    store.writes.open(HEADER)
    date = round(datetime.fromisoformat(provider[:10]).replace(tzinfo=UTC).timestamp() * 1000)
    for sequence, stamp in enumerate((ours, date), start=1):
        [result] = store.writes.write(HEADER, [batch(sequence, of_times([stamp], [20.0 + sequence]))])
        assert (result.rows.updated, result.rows.inserted) == (1, 0)
        read = store.bars.read(KEY)
        assert read is not None
        assert read.columns.close.tolist() == [20.0 + sequence, 11.0]
        assert read.columns.open_time_ms[0] == theirs


def test_of_two_rows_of_one_day_the_first_is_kept(store: Store) -> None:
    store.writes.open(HEADER)
    [result] = store.writes.write(
        HEADER, [batch(1, of_times([day(0), day(0) + DAY_MS // 2, day(1)], [1.0, 2.0, 3.0]))]
    )
    assert (result.rows.inserted, result.rows.rejected) == (2, 1)
    assert [(row.row, row.reason) for row in result.rejected] == [(1, RejectReason.OFF_GRID)]


def test_a_day_round_the_clock_that_is_stored_keeps_its_stamps_over_a_change_of_the_clocks(
    store: Store,
) -> None:
    """16:00 in New York is 21:00 UTC on the Saturday and 20:00 on the Sunday."""
    stamps = in_zone("America/New_York", saturday="2023-03-11T16:00", sunday="2023-03-12T16:00")
    store.instruments.put(Instrument("AAPL", time_zone="America/New_York", source="sim"))
    store.writes.open(HEADER)
    for sequence, stamp in enumerate(stamps, start=1):
        store.writes.write(HEADER, [batch(sequence, of_times([stamp], [float(sequence)]))])
    [again] = store.writes.write(HEADER, [batch(3, of_times([stamps[0]], [9.0]))])
    assert (again.rows.updated, again.rows.rejected) == (1, 0)
    read = store.bars.read(KEY)
    assert read is not None
    assert read.columns.close.tolist() == [9.0, 2.0]


def test_where_the_zone_is_not_known_another_stamp_is_refused_not_guessed(store: Store) -> None:
    store.writes.open(HEADER)
    store.writes.write(HEADER, [batch(1, bars({0: 1, 1: 2}))])
    [result] = store.writes.write(HEADER, [batch(2, of_times([day(1) + 3_600_000], [9.0]))])
    assert [row.reason for row in result.rejected] == [RejectReason.OFF_GRID]


def test_bars_with_the_same_stamps_are_written(store: Store) -> None:
    store.writes.open(HEADER)
    batches = [batch(1, bars({0: 1, 1: 2})), batch(2, bars({1: 3, 2: 4})), batch(3, bars({3: 5}))]
    results = store.writes.write(HEADER, batches)
    assert [result.rows.rejected for result in results] == [0, 0, 0]
    read = store.bars.read(KEY)
    assert read is not None
    assert closes(read.columns) == {0: 1, 1: 3, 2: 4, 3: 5}
