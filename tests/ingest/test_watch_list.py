"""The watch list: the times at which series are due, and their refreshes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from finstage_market.errors import FinstageError
from finstage_market.interval import Interval
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.refresh import Refresher
from services.ingest.fetching.watch_list import MAX_RETRY_S, RETRY_S, WatchList, next_refresh_ms
from services.ingest.hours.calendars import Calendar, Calendars
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.series import Instrument, SeriesKey, SeriesState
from services.ingest.store.sql import open_store
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.retry import RetryPolicy
from sim.clock import FakeClock, epoch
from sim.faults import Fault
from sim.server import Sim, start


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def new_york() -> Calendar:
    found = Calendars().of(Instrument("AAPL", exchange="NMS"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("interval", "fetched", "due"),
    [
        # Within the session of Wednesday 3 July 2024, 13:30 to 17:00, a series is due after each bar.
        (Interval.M1, "2024-07-03T14:00:10", "2024-07-03T14:01:05"),
        (Interval.M1, "2024-07-03T14:01:04", "2024-07-03T14:01:05"),
        (Interval.M5, "2024-07-03T14:00:10", "2024-07-03T14:05:05"),
        (Interval.D1, "2024-07-03T14:00:10", "2024-07-03T14:15:05"),
        (Interval.W1, "2024-07-03T14:00:10", "2024-07-03T15:00:05"),
        # After the close it is due once more, when the last prices have arrived.
        (Interval.M1, "2024-07-03T16:59:30", "2024-07-03T17:30:00"),
        (Interval.D1, "2024-07-03T16:50:00", "2024-07-03T17:30:00"),
        # Then it is due after the first bar of Friday: Thursday is a holiday.
        (Interval.M1, "2024-07-03T17:30:01", "2024-07-05T13:31:05"),
        (Interval.D1, "2024-07-03T18:00:00", "2024-07-05T13:45:05"),
    ],
)
def test_series_are_due_with_their_bars_and_markets(
    new_york: Calendar, interval: Interval, fetched: str, due: str
) -> None:
    fetched_ms = at(fetched)
    found = next_refresh_ms(interval, fetched_ms=fetched_ms, now_ms=fetched_ms, calendar=new_york)
    assert datetime.fromtimestamp(found / 1000, UTC) == datetime.fromtimestamp(at(due) / 1000, UTC)


def test_a_series_never_fetched_is_due_now(new_york: Calendar) -> None:
    sunday = at("2024-07-07T12:00")
    assert next_refresh_ms(Interval.D1, fetched_ms=None, now_ms=sunday, calendar=new_york) == sunday


def test_a_series_whose_close_was_missed_is_due_now(new_york: Calendar) -> None:
    sunday = at("2024-07-07T12:00")
    friday = at("2024-07-05T15:00")
    assert next_refresh_ms(Interval.D1, fetched_ms=friday, now_ms=sunday, calendar=new_york) == sunday


def test_without_known_hours_a_series_is_due_at_all_hours() -> None:
    sunday = at("2024-07-07T12:00:10")
    due = next_refresh_ms(Interval.M5, fetched_ms=sunday, now_ms=sunday, calendar=None)
    assert due == at("2024-07-07T12:05:05")


class MarketClock:
    """A clock with the market's wall time and the machine's monotonic time."""

    def __init__(self, market: FakeClock) -> None:
        self._market = market

    def wall(self) -> float:
        return self._market()

    def monotonic(self) -> float:
        return time.monotonic()


APPLE, BITCOIN = SeriesKey("AAPL", Interval.M5), SeriesKey("BTC-USD", Interval.M5)


class Stubborn(Refresher):
    """A refresher that fails for one symbol. asked: every series requested from it."""

    asked: list[SeriesKey]

    async def ensure(
        self, key: SeriesKey, *, max_age_s: float, deadline: float | None, patience_s: float | None = None
    ) -> tuple[SeriesState, FinstageError | None]:
        self.asked.append(key)
        if key == FAULTY:
            raise ZeroDivisionError("a bug")
        return await super().ensure(key, max_age_s=max_age_s, deadline=deadline, patience_s=patience_s)


UNKNOWN, FAULTY = SeriesKey("NOSUCH", Interval.D1), SeriesKey("FAULTY", Interval.D1)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[tuple[WatchList, Sim, FakeClock]]:
    with watching(tmp_path, [APPLE, BITCOIN]) as (watch_list, _, sim, market):
        yield watch_list, sim, market


@contextmanager
def watching(
    folder: Path, keys: list[SeriesKey]
) -> Iterator[tuple[WatchList, list[SeriesKey], Sim, FakeClock]]:
    """A watch list of the simulated market: a Friday, ten minutes before the close in New York."""
    market = FakeClock(epoch("2024-07-12T19:50:00Z"))
    with start(clock=market) as sim:
        clock, calendars = MarketClock(market), Calendars()
        settings = UpstreamSettings(sim_url=sim.url, retry=RetryPolicy(retries=0, reconnects=0))
        parts = Parts(settings, clock, UpstreamMetrics(CollectorRegistry()), calendars=calendars)
        provider = open_providers(["sim"], parts)
        store = open_store(f"sqlite:///{folder}/finstage.db", clock=clock)
        upstream = BoundedExecutor(threads=4, queued=100, name="upstream")
        database = BoundedExecutor(threads=4, queued=100, name="database")
        refresher = Stubborn(
            store, provider, upstream=upstream, database=database, writing=database, clock=clock
        )
        refresher.asked = []
        watch_list = WatchList(
            keys, refresher=refresher, store=store, database=database, calendars=calendars, clock=clock
        )
        yield watch_list, refresher.asked, sim, market
        upstream.close()
        database.close()
        store.close()


async def test_a_due_series_is_refreshed(watched: tuple[WatchList, Sim, FakeClock]) -> None:
    watch_list, _, market = watched
    assert await watch_list.refresh_due() == [APPLE, BITCOIN]
    assert await watch_list.refresh_due() == []
    market.advance(5 * 60 + 5)
    assert await watch_list.refresh_due() == [APPLE, BITCOIN]
    market.advance(20 * 60)  # past the close, not yet settled
    assert await watch_list.refresh_due() == [BITCOIN]
    market.advance(30 * 60)
    assert await watch_list.refresh_due() == [APPLE, BITCOIN]
    market.advance(86_400)  # Saturday
    assert await watch_list.refresh_due() == [BITCOIN]


async def test_a_failure_is_tried_again_later(watched: tuple[WatchList, Sim, FakeClock]) -> None:
    watch_list, sim, market = watched
    sim.faults.add(Fault("server_error", status=503, form="seconds", retry_after=120, count=2))
    assert await watch_list.refresh_due() == [APPLE, BITCOIN]
    market.advance(60)
    assert await watch_list.refresh_due() == []
    market.advance(61)
    assert await watch_list.refresh_due() == [APPLE, BITCOIN]
    assert await watch_list.refresh_due() == []


async def test_bad_entries_do_not_harm_others_and_are_tried_ever_less_often(tmp_path: Path) -> None:
    with watching(tmp_path, [UNKNOWN, FAULTY, BITCOIN]) as (watch_list, asked, _, market):
        due = [set(await watch_list.refresh_due())]
        for _ in range(60):
            market.advance(5 * 60)
            due.append(set(await watch_list.refresh_due()))
        assert due[0] == {UNKNOWN, FAULTY, BITCOIN}
        assert all(BITCOIN in each for each in due)
        # In five hours it is asked after 1, 2, 4, … 60 minutes, checked every five.
        assert 4 <= asked.count(UNKNOWN) <= 12
        assert asked.count(UNKNOWN) == asked.count(FAULTY)
        assert RETRY_S < MAX_RETRY_S


async def test_it_runs_until_it_is_cancelled(watched: tuple[WatchList, Sim, FakeClock]) -> None:
    watch_list, sim, _ = watched
    running = asyncio.create_task(watch_list.run())
    async with asyncio.timeout(10):
        while len(sim.stats.summary()["log"]) < 2:  # noqa: ASYNC110 - it is the server that must have heard
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
