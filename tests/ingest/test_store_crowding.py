"""A day has one bar, however it is stamped, in both databases."""

import numpy as np
import pytest

from finstage_market.columns import Columns
from services.ingest.series import RejectReason
from services.ingest.store.api import Store
from services.ingest.store.values import WriteHeader, WriteMode
from tests.ingest.stores import DAY_MS, KEY, bars, batch, closes, fetched

HEADER = WriteHeader("key", WriteMode.UPSERT, "client:test")
OPENS_MS = 14 * 3_600_000 + 1_800_000


def stamped_at_the_open(columns: Columns) -> Columns:
    times = columns.open_time_ms + OPENS_MS - DAY_MS
    return Columns(times, columns.open, columns.high, columns.low, columns.close, columns.volume)


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.INSERT])
def test_a_day_that_has_a_bar_gets_no_second_one_under_another_stamp(store: Store, mode: WriteMode) -> None:
    store.fetched.write(fetched(stamped_at_the_open(bars({1: 10, 2: 11, 3: 12})), first_day=-1))
    header = WriteHeader("key", mode, "client:test")
    store.writes.open(header)
    # The store has days 0 to 2, stamped 14:30; a write brings them at midnight, with a day before and one
    # after.
    [result] = store.writes.write(header, [batch(1, bars({-2: 1, 0: 2, 1: 3, 2: 4, 4: 5}))])
    assert (result.rows.inserted, result.rows.rejected) == (2, 3)
    assert {row.reason for row in result.rejected} == {RejectReason.OFF_GRID}
    assert [row.row for row in result.rejected] == [1, 2, 3]
    read = store.bars.read(KEY)
    assert read is not None
    assert read.columns.close.tolist() == [1, 10, 11, 12, 5]
    assert np.diff(read.columns.open_time_ms).min() > DAY_MS // 2


def test_bars_with_the_same_stamps_are_written(store: Store) -> None:
    store.writes.open(HEADER)
    batches = [batch(1, bars({0: 1, 1: 2})), batch(2, bars({1: 3, 2: 4})), batch(3, bars({3: 5}))]
    results = store.writes.write(HEADER, batches)
    assert [result.rows.rejected for result in results] == [0, 0, 0]
    read = store.bars.read(KEY)
    assert read is not None
    assert closes(read.columns) == {0: 1, 1: 3, 2: 4, 3: 5}
