"""Every caller gets its answer, or the reason, before its deadline; the work continues for the next one."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from finstage_market.errors import DeadlineTooShort, FinstageError, RateLimited, Reason, Unavailable
from finstage_market.interval import Interval
from finstage_runtime.clock import SYSTEM
from finstage_runtime.executor import BoundedExecutor
from services.ingest.fetching.flights import Flights
from services.ingest.fetching.lookups import Lookups
from services.ingest.fetching.refresh import Refresher
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_providers
from services.ingest.series import Quote, SeriesKey
from services.ingest.store.sql import open_store
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.outcomes import Failure, Outcome
from services.ingest.upstream.waits import may_wait
from tests.ingest.chart_replies import DAY, body
from tests.ingest.scripted_upstream import Answer, ScriptedUpstream, upstream

KEY = SeriesKey("AAPL", Interval.D1)
NOW_S = int(time.time())
REPLY: Any = (
    body(
        [(round(NOW_S - 3 * 86_400) * 1000, *DAY), (round(NOW_S - 2 * 86_400) * 1000, *DAY)],
        symbol="AAPL",
        regularMarketPrice=11.0,
    )
    | {}
)
REPLY["chart"]["result"][0]["meta"]["regularMarketTime"] = NOW_S - 60
DATA = orjson.dumps(REPLY)


# Flights by themselves


@pytest.fixture
def flights() -> Flights[str, str]:
    return Flights(lambda failure, key: failure.as_error(key, "quote"), clock=SYSTEM)


async def test_a_caller_leaves_before_its_deadline_and_the_next_one_gets_the_answer(
    flights: Flights[str, str],
) -> None:
    begun, done = 0, asyncio.Event()

    async def work(_: float | None) -> str:
        nonlocal begun
        begun += 1
        await done.wait()
        return "answer"

    deadline = SYSTEM.monotonic() + 0.2
    with pytest.raises(DeadlineTooShort):
        await flights.do("A", work, deadline=deadline)
    assert SYSTEM.monotonic() < deadline
    waiting = asyncio.create_task(flights.do("A", work, deadline=SYSTEM.monotonic() + 10))
    await asyncio.sleep(0)
    done.set()
    assert (await waiting, begun) == ("answer", 1)


@pytest.mark.parametrize("lasts_s", [0.05, 5.0])
async def test_a_wait_that_does_not_fit_is_told_at_once_and_one_that_fits_is_waited_for(
    flights: Flights[str, str], lasts_s: float
) -> None:
    refused = Failure(Outcome.RATE_LIMITED, "status 429")

    async def work(_: float | None) -> str:
        may_wait(refused, lasts_s)
        await asyncio.sleep(min(lasts_s, 0.5))
        return "answer"

    started = SYSTEM.monotonic()
    short = flights.do("A", work, deadline=started + 1.0)
    if lasts_s < 1:
        assert await short == "answer"
        return
    patient = asyncio.create_task(flights.do("A", work, deadline=started + 20))
    with pytest.raises(RateLimited) as error:
        await short
    assert SYSTEM.monotonic() - started < 0.3
    assert error.value.retry_after_s == pytest.approx(5.0, abs=0.2)
    assert await patient == "answer"


async def test_the_last_reason_is_told_when_the_time_is_over(flights: Flights[str, str]) -> None:
    async def work(_: float | None) -> str:
        may_wait(Failure(Outcome.UNAVAILABLE, "status 503"), 0.05)
        await asyncio.sleep(1)
        return "answer"

    with pytest.raises(Unavailable, match="status 503"):
        await flights.do("A", work, deadline=SYSTEM.monotonic() + 0.2)


# Through provider and store


@dataclass(frozen=True)
class World:
    server: ScriptedUpstream
    refresher: Refresher
    lookups: Lookups

    async def ensure(self, within_s: float) -> tuple[int, FinstageError | None, float]:
        """Return the number of bars, the reason for a failed refresh, and the time that it took."""
        started = SYSTEM.monotonic()
        state, error = await self.refresher.ensure(KEY, max_age_s=0.0, deadline=started + within_s)
        return state.count, error, SYSTEM.monotonic() - started


@contextmanager
def made(folder: Path, *answers: Answer) -> Iterator[World]:
    with upstream(*answers) as server:
        parts = Parts(UpstreamSettings(sim_url=server.url), SYSTEM, UpstreamMetrics(CollectorRegistry()))
        providers = open_providers(["sim"], parts)
        store = open_store(f"sqlite:///{folder}/finstage.db", clock=SYSTEM)
        threads = BoundedExecutor(threads=4, queued=100, name="threads")
        refresher = Refresher(
            store, providers, upstream=threads, database=threads, writing=threads, clock=SYSTEM
        )
        yield World(server, refresher, Lookups(providers, upstream=threads, clock=SYSTEM))
        providers.close()
        threads.close()
        store.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with made(tmp_path, Answer(200, DATA)) as found:
        yield found


@pytest.mark.parametrize("within_s", [0.3, 1.0])
async def test_a_hung_upstream_hides_nothing_that_is_held(world: World, within_s: float) -> None:
    held, error, _ = await world.ensure(5)
    assert (held, error) == (2, None)
    world.server.answers = [Answer(200, DATA, delay_s=2.0)]
    count, error, took_s = await world.ensure(within_s)
    assert (count, took_s < within_s) == (held, True)
    assert isinstance(error, DeadlineTooShort)
    asked = len(world.server.asked)
    # The first request still answers.
    count, error, _ = await world.ensure(5)
    assert (count, error, len(world.server.asked)) == (held, None, asked)


async def test_a_caller_with_much_time_has_what_is_held_after_three_seconds(world: World) -> None:
    await world.ensure(5)
    world.server.answers = [Answer(200, DATA, delay_s=4.0)]
    count, error, took_s = await world.ensure(30)
    assert count == 2
    assert isinstance(error, DeadlineTooShort)
    assert 2.5 < took_s < 3.7


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(429, headers={"Retry-After": "5"}), Reason.UPSTREAM_RATE_LIMITED),
        (Answer(429), Reason.UPSTREAM_RATE_LIMITED),
        (Answer(999), Reason.UPSTREAM_RATE_LIMITED),
        (Answer(500), Reason.UPSTREAM_UNAVAILABLE),
        (Answer(503, headers={"Retry-After": "3600"}), Reason.UPSTREAM_UNAVAILABLE),
        (Answer(200, b'{"chart":'), Reason.UPSTREAM_MALFORMED),
    ],
)
async def test_a_short_deadline_keeps_the_reason(
    tmp_path: Path, answer: Answer, reason: Reason, held: bool
) -> None:
    with made(tmp_path, *([Answer(200, DATA)] if held else []), answer) as world:
        if held:
            await world.ensure(5)
        for within_s in (0.5, 1.0, 0.3):
            started = SYSTEM.monotonic()
            error: FinstageError | None
            try:
                _, error, _ = await world.ensure(within_s)
            except FinstageError as raised:
                error = raised
            assert SYSTEM.monotonic() - started < within_s
            assert error is not None
            assert error.reason is reason
            assert error.retry_after_s is not None


@pytest.mark.parametrize("answer", [Answer(429), Answer(503), Answer(999)])
async def test_quotes_of_one_call_all_keep_the_reason(world: World, answer: Answer) -> None:
    world.server.answers = [answer]
    symbols = ["AAPL", "MSFT", "TSLA"]
    started = SYSTEM.monotonic()
    answers = await world.lookups.quotes(symbols, deadline=started + 0.5)
    assert SYSTEM.monotonic() - started < 0.5
    assert {type(each) for each in answers} <= {RateLimited, Unavailable}


# Quotes that are not newer


async def test_a_quote_older_than_the_one_before_or_ahead_of_now_is_not_newer(world: World) -> None:
    async def answer(price: float, age_s: int) -> Quote | FinstageError:
        reply = orjson.loads(DATA)
        reply["chart"]["result"][0]["meta"] |= {
            "regularMarketPrice": price,
            "regularMarketTime": int(time.time()) - age_s,
        }
        world.server.answers = [Answer(200, orjson.dumps(reply))]
        [quote] = await world.lookups.quotes(["AAPL"], deadline=None)
        return quote

    async def ask(price: float, age_s: int) -> Quote:
        quote = await answer(price, age_s)
        assert isinstance(quote, Quote)
        assert quote.market_time_ms <= quote.fetched_at_ms
        return quote

    early = await answer(99.0, -86_400)  # no time is made up for it, and it does not hide what comes
    assert isinstance(early, Unavailable)
    assert early.reason is Reason.UPSTREAM_MALFORMED
    assert (await ask(10.0, 60)).price == 10.0
    assert (await ask(9.0, 90)).price == 10.0
    assert (await ask(11.0, -3600)).price == 10.0
    assert (await ask(12.0, 30)).price == 12.0
    assert (await ask(13.0, -1)).price == 13.0
