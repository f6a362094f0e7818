"""The growth of epoch and revision, and the log of commits."""

import pytest

from finstage_market.errors import PreconditionFailed, Reason
from finstage_market.interval import Interval
from finstage_runtime.clock import ManualClock
from services.ingest.series import Event, EventKind, SeriesKey
from services.ingest.store.api import Store
from services.ingest.store.values import WriteHeader, WriteMode
from tests.ingest.conftest import Reopen
from tests.ingest.stores import KEY, bars, batch, closes, day, fetched, tail

HEADER = WriteHeader("key", WriteMode.UPSERT, "client:test")


def version(store: Store, key: SeriesKey = KEY) -> tuple[int, int]:
    state = store.bars.state(key)
    assert state is not None
    return state.epoch, state.revision


def test_the_first_write_gives_epoch_1_revision_1(store: Store) -> None:
    assert store.bars.state(KEY) is None
    result = store.fetched.write(fetched(bars({0: 10, 1: 11})))
    assert (result.state.epoch, result.state.revision, result.restated) == (1, 1, False)
    assert store.bars.state(KEY) == result.state


def test_bars_after_the_last_final_one_add_a_revision(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11})))
    store.fetched.write(fetched(bars({1: 11, 2: 12}), first_day=1))
    assert version(store) == (1, 2)


def test_a_write_without_changes_changes_no_version_and_is_no_commit(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11})))
    token = store.commits.token()
    result = store.fetched.write(fetched(bars({0: 10, 1: 11}), fetched_at_ms=day(1200)))
    assert version(store) == (1, 1)
    assert result.rows.unchanged == 2
    assert result.state.fetched_at_ms == day(1200)
    assert store.commits.after(token) == ()


@pytest.mark.parametrize(
    ("change", "replace"),
    [
        ({0: 10, 1: 99, 2: 12}, False),  # changed
        ({0: 10, 2: 12}, True),  # removed
        ({0: 10, 1: 11}, True),  # the last final one removed
    ],
)
def test_a_changed_or_removed_final_bar_is_a_restatement(
    store: Store, change: dict[int, float], replace: bool
) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11, 2: 12})))
    result = store.fetched.write(fetched(bars(change), end_day=3), replace=replace)
    assert result.restated
    assert version(store) == (2, 2)
    assert closes(tail(store, KEY, 9)) == change


def test_a_bar_before_the_last_final_one_is_a_restatement(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 2: 12})))
    store.fetched.write(fetched(bars({1: 11}), first_day=1))
    assert version(store) == (2, 2)


def test_the_forming_bar_may_change_become_final_or_go(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11}), last_is_final=False))
    store.fetched.write(fetched(bars({1: 11.5}), first_day=1, last_is_final=False))
    assert version(store) == (1, 2)
    store.fetched.write(fetched(bars({1: 11.5}), first_day=1))  # the same values, now final
    assert version(store) == (1, 3)
    store.fetched.write(fetched(bars({2: 12}), first_day=2, last_is_final=False))
    store.fetched.write(fetched(bars({1: 11.5}), first_day=1, end_day=9), replace=True)  # gone
    assert version(store) == (1, 5)
    state = store.bars.state(KEY)
    assert state is not None
    assert (state.last_ms, state.last_is_final, state.count) == (day(1), True, 2)


def test_the_forming_bar_and_new_ones_before_and_after_it_are_no_restatement(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 4: 14}), last_is_final=False))
    store.fetched.write(fetched(bars({2: 12, 4: 15, 5: 16}), first_day=2))
    assert version(store) == (1, 2)
    store.fetched.write(fetched(bars({1: 11}), first_day=1))  # 4 is final by now
    assert version(store) == (2, 3)


def test_a_final_bar_stays_final_while_it_is_the_same(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11})))
    result = store.fetched.write(fetched(bars({0: 10, 1: 11}), last_is_final=False))
    assert result.state.last_is_final
    result = store.fetched.write(fetched(bars({0: 10, 1: 12}), last_is_final=False))
    assert (result.restated, result.state.last_is_final) == (True, False)


def test_a_new_dividend_restates_every_series_that_begins_before_it(
    store: Store,
) -> None:
    early = SeriesKey("AAPL", Interval.W1)
    late = SeriesKey("AAPL", Interval.MO1)
    store.fetched.write(fetched(bars({0: 10, 1: 11, 2: 12})))
    store.fetched.write(fetched(bars({0: 10}), key=early))
    store.fetched.write(fetched(bars({7: 10}), key=late, first_day=7))
    dividend = Event(EventKind.DIVIDEND, day(2), amount=0.5)
    result = store.fetched.write(fetched(bars({2: 12, 3: 13}), first_day=2, events=(dividend,)))
    assert result.restated
    assert version(store) == (2, 2)
    assert version(store, early) == (2, 2)
    assert version(store, late) == (1, 1)
    store.fetched.write(fetched(bars({3: 13}), first_day=3, events=(dividend,)))
    assert version(store) == (2, 2)


def test_each_batch_of_a_transaction_is_a_write_of_its_own(store: Store) -> None:
    store.writes.open(HEADER)
    batches = [batch(1, bars({0: 10, 1: 11})), batch(2, bars({2: 12})), batch(3, bars({1: 9, 3: 13}))]
    results = store.writes.write(HEADER, batches)
    assert [(r.epoch, r.revision) for r in results] == [(1, 1), (1, 2), (2, 3)]
    assert closes(tail(store, KEY, 9)) == {0: 10, 1: 9, 2: 12, 3: 13}


def test_the_log_of_commits_lists_changes_and_resumes_after_a_token(
    store: Store, reopen: Reopen, clock: ManualClock
) -> None:
    start = store.commits.token()
    store.fetched.write(fetched(bars({0: 10, 1: 11}), last_is_final=False))
    store.fetched.write(fetched(bars({1: 12, 2: 13}), first_day=1))
    clock.advance(5)
    store.fetched.write(fetched(bars({0: 10.5, 3: 14})))
    first, second, third = store.commits.after(start)
    assert (first.first_changed_ms, first.last_changed_ms, first.restated) == (day(0), day(1), False)
    assert (second.first_changed_ms, second.last_changed_ms) == (day(1), day(2))
    assert (third.epoch, third.revision, third.restated) == (2, 3, True)
    assert third.committed_at_ms == first.committed_at_ms + 5000
    assert reopen().commits.after(second.token) == (third,)
    assert store.commits.after(start, limit=2) == (first, second)
    assert store.commits.after(store.commits.token()) == ()


def test_a_bar_that_only_became_final_is_in_the_log(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10, 1: 11}), last_is_final=False))
    token = store.commits.token()
    store.fetched.write(fetched(bars({2: 12}), first_day=2))
    (commit,) = store.commits.after(token)
    assert (commit.first_changed_ms, commit.last_changed_ms) == (day(1), day(2))


def test_listeners_hear_of_commits_until_they_end(store: Store) -> None:
    heard: list[int] = []
    end = store.commits.subscribe(lambda: heard.append(1))
    store.fetched.write(fetched(bars({0: 10})))
    store.fetched.write(fetched(bars({0: 10})))
    end()
    store.fetched.write(fetched(bars({1: 10}), first_day=1))
    assert heard == [1]


@pytest.mark.parametrize("token", ["", "x", "1", "1.x", "-1.2", "1.99999999999999999999"])
def test_an_invalid_token_is_refused(store: Store, token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        store.commits.after(token)


def test_a_token_older_than_the_kept_log_is_expired(store: Store, clock: ManualClock) -> None:
    start = store.commits.token()
    for i in range(3):
        store.fetched.write(fetched(bars({i: 10}), first_day=i))
        clock.advance(1)
    first, second, third = store.commits.after(start)
    assert store.maintenance.prune(commits_before_ms=third.committed_at_ms, records_before_ms=0)
    with pytest.raises(PreconditionFailed) as caught:
        store.commits.after(first.token)
    assert caught.value.reason is Reason.RESUME_EXPIRED
    assert store.commits.after(second.token) == (third,)


def test_a_provider_s_name_stays_among_the_sources_however_many_clients_write(store: Store) -> None:
    store.fetched.write(fetched(bars({0: 10})))
    for i in range(12):
        header = WriteHeader(f"key {i}", WriteMode.UPSERT, f"client:{i}")
        store.writes.open(header)
        store.writes.write(header, [batch(1, bars({i + 1: 10}))])
    state = store.bars.state(KEY)
    assert state is not None
    assert state.source == "sim+" + "+".join(f"client:{i}" for i in (0, 1, 2, 3, 4, 5, 11))
