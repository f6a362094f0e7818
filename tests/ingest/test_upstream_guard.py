"""Pace, breaker, budget and bounds of one upstream, which keep retries from multiplying an outage."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from finstage_market.errors import FinstageError, RateLimited, Reason, Unavailable
from finstage_runtime.breaker import BreakerState
from finstage_runtime.clock import ManualClock
from services.ingest.hours.calendars import Calendars
from services.ingest.providers.api import Provider
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.providers.fallback import Providers
from services.ingest.providers.yahoo import YahooProvider
from services.ingest.providers.yahoo_batch import BatchQuotes, Crumbs
from services.ingest.series import Quote
from services.ingest.upstream.budget import RetryBudget
from services.ingest.upstream.guard import ProviderStatus
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.outcomes import Outcome
from services.ingest.upstream.pace import PROBE_S, Learnt, MemoryPaceStore, Pace, PacePolicy, PaceStore
from services.ingest.upstream.pace_redis import AWAY_S, RedisPaceStore
from services.ingest.upstream.retry import RetryPolicy
from tests.ingest.scripted_upstream import Answer, ScriptedUpstream, SkippingClock, upstream
from tests.redis_server import RedisServer

NO_RETRIES = RetryPolicy(retries=0, reconnects=0)
POLICY = PacePolicy(max_rate_per_s=16.0, min_rate_per_s=1.0, burst=4, recovery_s=15.0)


def provider_of(
    server: ScriptedUpstream, clock: SkippingClock, *, retry: RetryPolicy = NO_RETRIES, in_flight: int = 16
) -> Provider:
    settings = UpstreamSettings(
        sim_url=server.url, retry=retry, max_rate_per_s=1000.0, max_in_flight=in_flight
    )
    return open_provider("sim", Parts(settings, clock, UpstreamMetrics(CollectorRegistry()), clock.sleep))


def ask(provider: Provider, clock: SkippingClock, within_s: float = 30.0) -> Quote | FinstageError:
    [answer] = provider.fetch_quotes(["AAPL"], deadline=clock.monotonic() + within_s)
    return answer


def status(provider: Provider) -> ProviderStatus:
    [found] = provider.status()
    return found


# Pace


def test_the_rate_halves_with_a_refusal_and_grows_back_in_a_straight_line() -> None:
    learnt = Learnt()
    assert learnt.rate_at(100.0, POLICY) == 16.0
    learnt = learnt.refused(100.0, POLICY)
    assert [learnt.rate_at(100.0 + s, POLICY) for s in (0, 4, 8, 100)] == [8.0, 12.0, 16.0, 16.0]


def test_refusals_at_once_halve_it_once_and_never_below_the_least() -> None:
    learnt = Learnt()
    for _ in range(10):
        learnt = learnt.refused(100.0, POLICY)
    assert learnt.rate_at(100.0, POLICY) == 8.0
    for second in range(101, 120):
        learnt = learnt.refused(float(second), POLICY)
    assert learnt.rate_at(119.0, POLICY) >= 1.0
    assert learnt.rate_at(119.0, POLICY) < 2.1


def paced(store: PaceStore, clock: ManualClock) -> Pace:
    return Pace(POLICY, store, clock=clock, now=clock.wall, sleep=clock.advance, longest_wait_s=60.0)


def test_requests_keep_to_the_rate_after_a_burst() -> None:
    clock = ManualClock()
    pace = paced(MemoryPaceStore(), clock)
    started = clock.monotonic()
    for _ in range(4 + 32):
        assert pace.acquire(None) is None
    assert 1.95 < clock.monotonic() - started < 2.1


def test_a_wait_that_does_not_fit_is_refused_before_it_begins() -> None:
    clock = ManualClock()
    pace = paced(MemoryPaceStore(), clock)
    for _ in range(4):
        pace.acquire(None)
    started = clock.monotonic()
    late = pace.acquire(started + 0.01)
    assert late is not None
    assert isinstance(late.as_error("X", "quote"), RateLimited)
    assert late.as_error("X", "quote").reason is Reason.OWN_LIMIT  # nobody but us has set this rate
    assert clock.monotonic() == started
    pace.refused()
    late = pace.acquire(started + 0.01)
    assert late is not None
    assert late.as_error("X", "quote").reason is Reason.UPSTREAM_RATE_LIMITED


def test_a_wall_clock_that_is_set_back_holds_nobody() -> None:
    with upstream() as server:
        clock = SetBackClock()
        provider = provider_of(server, clock)
        for _ in range(3):
            assert isinstance(ask(provider, clock), Quote)
            clock.back_s += 3600
        assert clock.slept == []


class SetBackClock(SkippingClock):
    """A clock whose wall time is back_s behind."""

    back_s = 0.0

    def wall(self) -> float:
        return super().wall() - self.back_s


def test_a_retry_after_stops_all_requests() -> None:
    with upstream(Answer(429, headers={"Retry-After": "20"}), Answer()) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        assert isinstance(ask(provider, clock), RateLimited)
        other = ask(provider, clock, within_s=5.0)
        assert isinstance(other, RateLimited)
        assert 19.0 < (other.retry_after_s or 0) <= 20.0
        assert 19.0 < (status(provider).retry_after_s or 0) <= 20.0
        assert len(server.asked) == 1
        patient = ask(provider, clock, within_s=30.0)
        assert isinstance(patient, Quote)
        assert 19.0 < clock.slept[-1] <= 20.0
        assert status(provider).retry_after_s is None


def test_a_retry_after_in_2099_holds_for_ten_minutes_and_then_one_request_probes() -> None:
    """During the probe all other requests are refused; after its answer all may go."""
    held = Answer(429, headers={"Retry-After": "Thu, 01 Jan 2099 00:00:00 GMT"})
    with upstream(held, Answer(503), Answer()) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        ask(provider, clock)
        assert 599 < (status(provider).retry_after_s or 0) <= 600
        clock.sleep(590)
        assert isinstance(ask(provider, clock, within_s=5), RateLimited)
        assert len(server.asked) == 1
        clock.sleep(11)
        assert isinstance(ask(provider, clock, within_s=5), Unavailable)  # the probe
        assert isinstance(ask(provider, clock, within_s=5), RateLimited)
        assert len(server.asked) == 2
        clock.sleep(PROBE_S + 1)
        assert isinstance(ask(provider, clock, within_s=5), Quote)
        assert isinstance(ask(provider, clock, within_s=5), Quote)
        assert len(server.asked) == 4


def test_a_wait_is_told_with_the_reason_of_the_answer_that_asked_for_it() -> None:
    with upstream(Answer(503, headers={"Retry-After": "30"}), Answer()) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        for _ in range(2):
            error = ask(provider, clock, within_s=5)
            assert isinstance(error, Unavailable)
            assert error.reason is Reason.UPSTREAM_UNAVAILABLE


def test_a_retry_after_of_one_host_does_not_stop_another() -> None:
    """The cookie's page is on a host of its own: quotes continue without it, one by one."""
    with upstream(Answer(429, headers={"Retry-After": "3600"})) as cookies, upstream() as charts:
        clock = SkippingClock()
        metrics = UpstreamMetrics(CollectorRegistry())
        parts = Parts(UpstreamSettings(retry=NO_RETRIES), clock, metrics, clock.sleep)
        pace = PacePolicy(max_rate_per_s=1000.0, min_rate_per_s=1.0, burst=100)
        client, other = (parts.client(n, s.url, pace) for n, s in (("a", charts), ("b", cookies)))
        batch = BatchQuotes(client, Crumbs(client, other, clock=clock))
        provider = YahooProvider(client, clock=clock, batch=batch)
        answers = provider.fetch_quotes(["AAPL", "X1", "X2", "X3"], deadline=clock.monotonic() + 30)
        assert isinstance(answers[0], Quote)
        assert (len(cookies.asked), clock.slept) == (1, [])
        assert status(provider).retry_after_s is None


def test_requests_can_be_resumed_by_hand() -> None:
    with upstream(Answer(429, headers={"Retry-After": "600"}), Answer()) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        ask(provider, clock)
        Providers([provider], Calendars()).resume("another")
        assert isinstance(ask(provider, clock), RateLimited)
        Providers([provider], Calendars()).resume("sim")
        assert isinstance(ask(provider, clock), Quote)
        assert status(provider).retry_after_s is None


def test_replicas_share_what_they_learn_through_redis(redis_url: str) -> None:
    clock = ManualClock()
    stores = [RedisPaceStore(Redis.from_url(redis_url), "test-shared", clock=clock) for _ in range(2)]
    one, other = (paced(store, clock) for store in stores)
    one.refused()
    assert other.rate_per_s == 8.0
    one.told_to_wait(7.0, Outcome.RATE_LIMITED)
    assert other.retry_after_s == pytest.approx(7.0)
    clock.advance(8.0)
    started = clock.monotonic()
    for _ in range(2 + 16):
        assert one.acquire(None) is None
        assert other.acquire(None) is None
    # 36 requests, 4 of them at once, at 16 a second, together.
    assert 1.9 < clock.monotonic() - started < 2.2


def test_without_redis_each_replica_goes_on_from_the_last_shared_pace() -> None:
    clock = ManualClock()
    with RedisServer() as server:
        redis = Redis.from_url(server.url, socket_timeout=0.5)
        pace = paced(RedisPaceStore(redis, "test-away", clock=clock), clock)
        pace.refused()
        assert pace.rate_per_s == 8.0
    assert pace.rate_per_s == 8.0
    pace.refused()
    for _ in range(8):
        assert pace.acquire(None) is None
    clock.advance(AWAY_S)
    assert pace.acquire(None) is None


# Breaker


def test_an_upstream_that_is_away_is_left_alone() -> None:
    """A caller comes every 50 ms for two minutes: once the breaker is open, at most 1.1 requests a second."""
    with upstream(Answer(503)) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock, retry=RetryPolicy())
        started = clock.monotonic()
        while status(provider).breaker is BreakerState.CLOSED:
            ask(provider, clock)
        before, since = len(server.asked), clock.monotonic()
        assert before <= 8
        while clock.monotonic() - since < 120:
            answer = ask(provider, clock)
            assert isinstance(answer, Unavailable)
            assert answer.retry_after_s is not None
            clock.sleep(0.05)
        assert len(server.asked) - before <= 1.1 * 120 / 10
        assert "not asked for now, after repeated failures" in answer.message
        ask(provider, clock)  # the probe, if one is due just now
        assert status(provider).breaker_retry_in_s is not None
        server.answers = [Answer()]
        clock.sleep(30.0)
        assert isinstance(ask(provider, clock), Quote)
        assert status(provider).breaker is BreakerState.CLOSED
        assert started < since


def test_callers_without_patience_do_not_open_it() -> None:
    with upstream(Answer(delay_s=0.2)) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        for _ in range(8):
            answer = ask(provider, clock, within_s=0.05)
            assert isinstance(answer, FinstageError)
            assert answer.reason is Reason.DEADLINE_TOO_SHORT
        assert isinstance(ask(provider, clock), Quote)
        assert status(provider).breaker is BreakerState.CLOSED


def test_refusals_do_not_open_it() -> None:
    with upstream(Answer(429)) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        for _ in range(8):
            assert isinstance(ask(provider, clock), RateLimited)
        assert status(provider).breaker is BreakerState.CLOSED


# Budget


def test_retries_are_paid_for_by_successes() -> None:
    budget = RetryBudget(capacity=3, per_success=0.5)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.earn()
    assert not budget.take()
    budget.earn()
    assert budget.take()
    for _ in range(100):
        budget.earn()
    assert budget.left == 3


def test_refusals_of_everything_are_not_multiplied_for_long() -> None:
    """429s do not open the breaker; the budget ends the retries at 50."""
    with upstream(Answer(429)) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock, retry=RetryPolicy())
        for _ in range(100):
            ask(provider, clock, within_s=1000)
        assert len(server.asked) == 100 + 50
        assert status(provider).retry_budget < 1


# Bounds and status


def test_requests_in_flight_are_bounded() -> None:
    with upstream(Answer(delay_s=0.01)) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock, in_flight=3)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: ask(provider, clock), range(64)))
        assert all(isinstance(answer, Quote) for answer in answers)
        assert server.most_at_once == 3
        assert (status(provider).in_flight, status(provider).max_in_flight) == (0, 3)


def test_status_tells_outcomes_and_the_newest_failures_first() -> None:
    with upstream(*[Answer(503)] * 2, *[Answer(200, b"<html>")] * 12, Answer()) as server:
        clock = SkippingClock()
        provider = provider_of(server, clock)
        for _ in range(15):
            ask(provider, clock)
        found = status(provider)
        assert found.outcomes == {"UPSTREAM_UNAVAILABLE": 2, "UPSTREAM_MALFORMED": 12, "data": 1}
        assert len(found.last_errors) == 10
        assert {error.outcome.value for error in found.last_errors} == {"UPSTREAM_MALFORMED"}
        assert found.last_errors[0].at_ms >= found.last_errors[-1].at_ms
        assert (found.provider, found.rate_per_s, found.max_rate_per_s) == ("sim", 1000.0, 1000.0)
