"""The detection of a restated history; stored are the days 0 to 3, and the last is forming."""

import pytest

from services.ingest.fetching.restatement import why_restated
from services.ingest.series import Event, EventKind, FetchedBars, Gap, GapReason
from services.ingest.store.api import Store
from services.ingest.store.values import WriteHeader, WriteMode
from tests.ingest.stores import KEY, bars, batch, day, fetched

HELD = {0: 10.0, 1: 11.0, 2: 12.0, 3: 13.0}
CLOSES = [9.0, 10.0, 11.0, 13.0]


def dividend(at: int) -> tuple[Event, ...]:
    return (Event(EventKind.DIVIDEND, day(at), amount=0.5),)


def why(store: Store, again: FetchedBars) -> str:
    held = store.bars.read(KEY)
    assert held is not None
    return why_restated(store.bars, held, again)


LIMIT = Gap(day(0), day(2), GapReason.PROVIDER_LIMIT, None, "no older bars")


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (fetched(bars(HELD), adjusted=CLOSES), ""),
        (fetched(bars(HELD | {3: 14.0, 4: 15.0})), ""),
        (fetched(bars(HELD | {2: 12.5})), "a final bar has other prices"),
        (fetched(bars({0: 10.0, 2: 12.0})), "a final bar is gone"),
        (fetched(bars({2: 12.0}), gaps=(LIMIT,)), ""),
        (fetched(bars({}), first_day=0, end_day=4), ""),
        (fetched(bars(HELD), events=dividend(2)), "a dividend that was not known"),
        (fetched(bars(HELD), events=dividend(-5), first_day=-9), ""),
        (fetched(bars(HELD), adjusted=[8.5, *CLOSES[1:]]), "a final bar has another adjusted close"),
    ],
)
def test_a_fetch_is_compared_with_what_a_provider_brought(
    store: Store, again: FetchedBars, reason: str
) -> None:
    store.fetched.write(fetched(bars(HELD), adjusted=CLOSES, last_is_final=False))
    assert why(store, again) == reason


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (fetched(bars({0: 10.0, 2: 12.0}), events=dividend(1), adjusted=[1.0, 2.0]), ""),
        (fetched(bars({0: 10.0, 2: 12.5})), ""),
    ],
)
def test_bars_of_clients_are_never_restated(store: Store, again: FetchedBars, reason: str) -> None:
    header = WriteHeader("k", WriteMode.UPSERT, "client:test")
    store.writes.open(header)
    store.writes.write(header, [batch(1, bars(HELD))])
    assert why(store, again) == reason
