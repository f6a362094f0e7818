"""Stretches against a plain model: per bar, who wrote it and what its adjusted close knows."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.store.ownership import (
    SOME_WRITE,
    Origin,
    Stretch,
    adjusted_to,
    of_clients,
    reread_before_ms,
    stretched,
)

NO_DIVIDENDS = np.empty(0, dtype=np.int64)
TIMES = st.integers(0, 30)


@dataclass
class Model:
    """Bars by time: the write that brought each (None: a provider), and what its adjusted close knows."""

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
                self.knows_by[time] = SOME_WRITE


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
def test_stretches_say_of_each_bar_what_the_model_says(
    writes: list[tuple[dict[int, bool], int | None, int]], paid: list[int]
) -> None:
    model, parts = Model(), list[Stretch]()
    for adjusted, write_id, known_ms in writes:
        origin = Origin(write_id, known_ms, np.array(paid, dtype=np.int64))
        times = np.array(sorted(adjusted))
        parts = stretched(
            parts,
            origin,
            times=times,
            adjusted=np.array([1.0 if adjusted[t] else np.nan for t in times.tolist()]),
            last_is_final=True,
            others=np.array(sorted(model.writes), dtype=np.int64),
            last_ms=max(model.writes, default=None),
        )
        model.write(adjusted, origin)
        every = np.array(sorted(model.writes))
        assert dict(zip(every.tolist(), of_clients(parts, every).tolist(), strict=True)) == {
            t: w is not None for t, w in sorted(model.writes.items())
        }
        for time, known in zip(every.tolist(), adjusted_to(parts, every).tolist(), strict=True):
            expected = model.known.get(time, known)
            # To know more, or less, is the same where no dividend is between the two.
            low, high = sorted((known, expected))
            assert known == expected or (
                model.knows_by[time] is None and not [d for d in paid if low < d <= high]
            )
        assert [p.start_ms for p in parts] == sorted({p.start_ms for p in parts})
        assert all(a.end_ms < b.start_ms for a, b in pairwise(parts))


def test_what_is_appended_day_by_day_is_one_stretch() -> None:
    parts: list[Stretch] = []
    for day in range(5):
        parts = stretched(
            parts,
            Origin(day + 1, day, NO_DIVIDENDS),
            times=np.array([day]),
            adjusted=None,
            last_is_final=True,
            others=NO_DIVIDENDS,
            last_ms=day - 1 if day else None,
        )
    assert parts == [Stretch(0, 4, SOME_WRITE, None)]


def test_a_provider_s_refreshes_are_one_stretch_until_a_dividend_is_between() -> None:
    parts: list[Stretch] = []
    for day, paid in ((10, []), (20, []), (30, [25])):
        parts = stretched(
            parts,
            Origin(None, day, np.array(paid, dtype=np.int64)),
            times=np.array([day - 1, day]),
            adjusted=np.array([1.0, 1.0]),
            last_is_final=True,
            others=NO_DIVIDENDS,
            last_ms=day - 10 if day > 10 else None,
        )
    assert parts == [Stretch(9, 20, None, 10), Stretch(29, 30, None, 30)]


def test_bars_to_which_another_dividend_applies_read_differently() -> None:
    paid = np.array([5, 15, 25])
    was, now = [Stretch(0, 3, 1, 10)], [Stretch(0, 3, 1, 20)]
    assert reread_before_ms(was, now, paid) == 15
    assert reread_before_ms(was, [Stretch(4, 9, 1, 20)], paid) is None
    assert reread_before_ms(was, [Stretch(0, 3, 1, 12)], paid) is None
