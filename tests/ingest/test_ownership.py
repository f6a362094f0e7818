"""Ownership against a plain model: per bar, who wrote it and which dividends its adjusted close includes."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.store.ownership import (
    ANY_WRITE,
    Origin,
    OwnedRange,
    adjusted_to_ms,
    client_owned,
    ownership_after,
    readjusted_before_ms,
)

NO_DIVIDENDS = np.empty(0, dtype=np.int64)
TIMES = st.integers(0, 30)


@dataclass
class Model:
    """Bars by time: their write (None: a provider), and up to when adjusted closes include dividends."""

    writes: dict[int, int | None] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)
    knows_by: dict[int, int | None] = field(default_factory=dict)

    def write(self, adjusted: dict[int, bool], origin: Origin) -> None:
        if origin.write_id is not None and any(adjusted.values()):
            for time in self.known:
                if self.knows_by[time] == self.writes[time] == origin.write_id:
                    self.known[time] = max(self.known[time], origin.adjusted_to_ms)
        for time, has in adjusted.items():
            self.writes[time] = origin.write_id
            if has:
                self.known[time], self.knows_by[time] = origin.adjusted_to_ms, origin.write_id
            elif self.knows_by.get(time) is not None:
                self.knows_by[time] = ANY_WRITE


@given(
    st.lists(
        st.tuples(
            st.dictionaries(TIMES, st.booleans(), min_size=1, max_size=8),
            st.none() | st.integers(1, 3),
            st.integers(100, 110),
        ),
        max_size=12,
    ),
    st.lists(st.integers(100, 110), unique=True, max_size=3).map(sorted),
)
@settings(max_examples=400, deadline=None)
def test_ownership_agrees_with_the_model_on_each_bar(
    writes: list[tuple[dict[int, bool], int | None, int]], paid: list[int]
) -> None:
    model, ranges = Model(), list[OwnedRange]()
    for adjusted, write_id, known_ms in writes:
        origin = Origin(write_id, known_ms, np.array(paid, dtype=np.int64))
        times = np.array(sorted(adjusted))
        ranges = ownership_after(
            ranges,
            origin,
            times=times,
            adjusted=np.array([1.0 if adjusted[t] else np.nan for t in times.tolist()]),
            last_is_final=True,
            others=np.array(sorted(model.writes), dtype=np.int64),
            last_ms=max(model.writes, default=None),
        )
        model.write(adjusted, origin)
        every = np.array(sorted(model.writes))
        assert dict(zip(every.tolist(), client_owned(ranges, every).tolist(), strict=True)) == {
            t: w is not None for t, w in sorted(model.writes.items())
        }
        for time, known in zip(every.tolist(), adjusted_to_ms(ranges, every).tolist(), strict=True):
            expected = model.known.get(time, known)
            # Two times are equivalent if no dividend lies between them.
            low, high = sorted((known, expected))
            assert known == expected or (
                model.knows_by[time] is None and not [d for d in paid if low < d <= high]
            )
        assert [p.start_ms for p in ranges] == sorted({p.start_ms for p in ranges})
        assert all(a.end_ms < b.start_ms for a, b in pairwise(ranges))


def test_bars_appended_day_by_day_are_one_range() -> None:
    ranges: list[OwnedRange] = []
    for day in range(5):
        ranges = ownership_after(
            ranges,
            Origin(day + 1, day, NO_DIVIDENDS),
            times=np.array([day]),
            adjusted=None,
            last_is_final=True,
            others=NO_DIVIDENDS,
            last_ms=day - 1 if day else None,
        )
    assert ranges == [OwnedRange(0, 4, ANY_WRITE, None)]


def test_a_provider_s_refreshes_are_one_range_until_a_dividend_is_between() -> None:
    ranges: list[OwnedRange] = []
    for day, paid in ((10, []), (20, []), (30, [25])):
        ranges = ownership_after(
            ranges,
            Origin(None, day, np.array(paid, dtype=np.int64)),
            times=np.array([day - 1, day]),
            adjusted=np.array([1.0, 1.0]),
            last_is_final=True,
            others=NO_DIVIDENDS,
            last_ms=day - 10 if day > 10 else None,
        )
    assert ranges == [OwnedRange(9, 20, None, 10), OwnedRange(29, 30, None, 30)]


def test_bars_to_which_another_dividend_applies_read_differently() -> None:
    paid = np.array([5, 15, 25])
    was, now = [OwnedRange(0, 3, 1, 10)], [OwnedRange(0, 3, 1, 20)]
    assert readjusted_before_ms(was, now, paid) == 15
    assert readjusted_before_ms(was, [OwnedRange(4, 9, 1, 20)], paid) is None
    assert readjusted_before_ms(was, [OwnedRange(0, 3, 1, 12)], paid) is None
