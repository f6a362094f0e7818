"""The plan of a write, without a database: what is inserted, updated, removed or rejected, and versions."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np

from finstage_market.columns import VALUES, Columns
from finstage_market.interval import Interval
from services.ingest.hours.grid import GRIDS
from services.ingest.store.diff import Bars, Extent
from services.ingest.store.ownership import Origin, OwnedRange
from services.ingest.store.values import RowCounts, WriteMode
from services.ingest.store.write_plan import NO_BARS, Held, Write, WritePlan, plan_write
from tests.ingest.stores import DAY_MS, bars, day

NO_DIVIDENDS = np.empty(0, dtype=np.int64)
PROVIDER = Origin(None, 0, NO_DIVIDENDS)
CLIENT = Origin(7, 0, NO_DIVIDENDS)
TEN = {d: 10.0 + d for d in range(10)}


def of(closes: dict[int, float], adjusted: Sequence[float] | None = None) -> Bars:
    return Bars(bars(closes), None if adjusted is None else np.array(adjusted))


def held(
    closes: dict[int, float], *, last_is_final: bool = True, ownership: Sequence[OwnedRange] = ()
) -> Held:
    """A series that has these bars, all of them loaded."""
    ends = (day(min(closes)), day(max(closes)))
    before_last = None if last_is_final or len(closes) < 2 else day(sorted(closes)[-2])
    extent = Extent(len(closes), *ends, last_is_final)
    return Held(extent, list(ownership), of(closes), before_last_ms=before_last)


def planned(before: Held, write: Write) -> WritePlan:
    return plan_write(before, write, GRIDS[Interval.D1])


def test_a_bar_after_the_last_is_added_without_a_restatement() -> None:
    plan = planned(held(TEN), Write(of({9: 19.0, 10: 20.0}), PROVIDER))
    assert plan.inserted.tolist() == [False, True]
    assert plan.unchanged.tolist() == [True, False]
    assert plan.extent == Extent(11, day(0), day(10), last_is_final=True)
    assert (plan.restated, plan.changed) == (False, (day(10), day(10)))


def test_the_first_bars_of_a_series_are_its_extent() -> None:
    plan = planned(Held(), Write(of({3: 1.0, 4: 2.0}), PROVIDER, last_is_final=False))
    assert plan.counts == RowCounts(2, inserted=2)
    assert plan.extent == Extent(2, day(3), day(4), last_is_final=False)
    assert (plan.restated, plan.changed) == (False, (day(3), day(4)))


def test_a_forming_bar_changes_without_a_restatement_until_it_is_final() -> None:
    forming = held(TEN, last_is_final=False)
    plan = planned(forming, Write(of({8: 18.0, 9: 19.5}), PROVIDER, last_is_final=False))
    assert (plan.counts.updated, plan.restated, plan.changed) == (1, False, (day(9), day(9)))
    assert not plan.extent.last_is_final
    same_and_final = planned(forming, Write(of({9: 19.0}), PROVIDER))
    assert same_and_final.counts == RowCounts(1, unchanged=1)
    assert (same_and_final.extent.last_is_final, same_and_final.restated) == (True, False)
    assert same_and_final.changed == (day(9), day(9))


def test_a_bar_that_is_written_again_changes_nothing_and_a_final_one_stays_final() -> None:
    plan = planned(held(TEN), Write(of({9: 19.0}), PROVIDER, last_is_final=False))
    assert (plan.changed, plan.restated, plan.extent.last_is_final) == (None, False, True)


def test_a_corrected_final_bar_is_a_restatement() -> None:
    plan = planned(held(TEN), Write(of({4: 99.0}), PROVIDER))
    assert (plan.counts, plan.restated, plan.changed) == (RowCounts(1, updated=1), True, (day(4), day(4)))
    assert plan.extent == Extent(10, day(0), day(9), last_is_final=True)


def test_a_bar_before_the_last_final_one_is_a_restatement() -> None:
    missing = {d: c for d, c in TEN.items() if d != 4}
    late = Write(of({4: 14.0}), PROVIDER)
    assert planned(held(missing), late).restated
    # Day 9 is forming, so day 8 is the last final bar: between the two nothing final changes.
    gap = held({d: c for d, c in TEN.items() if d != 8}, last_is_final=False)
    assert not planned(gap, Write(of({8: 18.0}), PROVIDER)).restated


def test_mode_insert_rejects_stored_bars_and_mode_update_new_ones() -> None:
    sent = of({8: 18.0, 9: 99.0, 10: 20.0})
    inserting = planned(held(TEN), Write(sent, CLIENT, mode=WriteMode.INSERT))
    assert inserting.rejected.tolist() == [True, True, False]
    assert inserting.counts == RowCounts(3, inserted=1, rejected=2)
    updating = planned(held(TEN), Write(sent, CLIENT, mode=WriteMode.UPDATE))
    assert updating.rejected.tolist() == [False, False, True]
    assert updating.counts == RowCounts(3, updated=1, unchanged=1, rejected=1)
    assert not updating.crowded.any()
    assert updating.extent.last_ms == day(9)


def test_a_client_corrects_the_bar_of_a_day_under_its_stamp() -> None:
    stored = bars({0: 10.0, 1: 11.0})
    opens = Columns(stored.open_time_ms + DAY_MS // 2, *(getattr(stored, name) for name in VALUES))
    before = Held(Extent(2, int(opens.open_time_ms[0]), int(opens.open_time_ms[1])), [], Bars(opens))
    new_york = ZoneInfo("America/New_York")
    plan = planned(before, Write(of({1: 3.0, 2: 4.0}), CLIENT, zone=new_york))
    assert plan.bars.times.tolist() == [int(opens.open_time_ms[1]), day(2)]
    assert plan.counts == RowCounts(2, inserted=1, updated=1)


def test_a_provider_passes_over_the_bars_of_a_client() -> None:
    owned = OwnedRange(day(4), day(5), 7, None)
    before = held(TEN, ownership=[owned])
    fetched = of({3: 13.5, 4: 99.0, 10: 20.0})
    plan = planned(before, Write(fetched, PROVIDER, replaced=(day(3), day(11))))
    assert plan.counts == RowCounts(3, inserted=1, updated=1, unchanged=1)
    assert plan.removed.tolist() == [day(d) for d in (6, 7, 8, 9)]
    assert plan.ownership == [owned]
    split = Origin(None, 0, NO_DIVIDENDS, replaces_clients=True)
    everything = planned(before, Write(fetched, split, replaced=(day(3), day(11))))
    assert (everything.counts.updated, everything.removed.tolist()[0]) == (2, day(5))


def test_a_replaced_range_loses_the_bars_that_do_not_come() -> None:
    plan = planned(held(TEN), Write(of({5: 15.0, 7: 17.0}), PROVIDER, replaced=(day(5), day(20))))
    assert plan.removed.tolist() == [day(6), day(8), day(9)]
    assert plan.extent == Extent(7, day(0), day(7), last_is_final=True)
    assert (plan.restated, plan.changed) == (True, (day(6), day(9)))


def test_a_range_that_comes_empty_leaves_the_neighbours_as_ends() -> None:
    loaded = of({d: TEN[d] for d in (8, 9)})
    extent = Extent(10, day(0), day(9), last_is_final=True)
    before = Held(extent, [], loaded, neighbours_ms=(day(7), None))
    plan = planned(before, Write(NO_BARS, PROVIDER, replaced=(day(8), day(10))))
    assert plan.extent == Extent(8, day(0), day(7), last_is_final=True)
    nothing_left = planned(held({8: 1.0}), Write(NO_BARS, PROVIDER, replaced=(day(8), day(9))))
    assert nothing_left.extent == Extent(0, None, None, last_is_final=True)


def test_what_a_client_writes_is_its_own_but_for_the_forming_bar() -> None:
    plan = planned(held(TEN), Write(of({9: 19.5, 10: 20.0}), CLIENT, last_is_final=False))
    assert [(each.start_ms, each.is_client) for each in plan.ownership] == [(day(9), True)]
    assert plan.ownership[0].end_ms < day(10)


def test_an_updated_bar_without_an_adjusted_close_keeps_its_ratio() -> None:
    before = Held(Extent(1, day(0), day(0)), [], of({0: 10.0}, [5.0]))
    plan = planned(before, Write(of({0: 20.0}), CLIENT))
    assert plan.bars.adjusted_close is not None
    assert plan.bars.adjusted_close.tolist() == [10.0]


def test_a_dividend_that_comes_to_light_restates_the_bars_before_it() -> None:
    plan = planned(held(TEN), Write(NO_BARS, reads_changed_before_ms=day(5)))
    assert (plan.restated, plan.changed) == (True, (day(0), day(5) - 1))
    assert plan.counts == RowCounts()
    assert not planned(held(TEN), Write(NO_BARS, reads_changed_before_ms=day(0))).restated


def test_bars_without_adjusted_closes_are_not_copied() -> None:
    sent = of({10: 20.0, 11: 21.0})
    assert planned(held(TEN), Write(sent, CLIENT)).bars is sent
