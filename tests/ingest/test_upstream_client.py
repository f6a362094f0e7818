"""The upstream client over HTTP: outcomes, retries, Retry-After, deadlines, and refusals."""

import random
import ssl
import subprocess
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from finstage_market.errors import (
    DeadlineTooShort,
    FinstageError,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Reason,
    Unavailable,
)
from finstage_runtime.clock import ManualClock, SystemClock
from services.ingest.providers.catalogue import Parts, UpstreamSettings, open_provider
from services.ingest.series import Quote
from services.ingest.upstream.metrics import UpstreamMetrics
from services.ingest.upstream.outcomes import Failure, Outcome
from services.ingest.upstream.retry import Retrier, RetryPolicy, retry_after_s
from tests.ingest.scripted_upstream import Answer, ScriptedUpstream, SkippingClock, upstream

DEFAULT = RetryPolicy()
NOT_FOUND = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found"}}}'
NO_RANGE = b'{"chart":{"result":null,"error":{"code":"Bad Request","description":"Data doesn\'t exist"}}}'
INNER = b'{"chart":{"result":null,"error":{"code":"Internal Server Error","description":"oops"}}}'


class Asking:
    """Requests for quotes from a scripted upstream, and the waits between them."""

    def __init__(
        self,
        server: ScriptedUpstream,
        policy: RetryPolicy = DEFAULT,
        *,
        timeout_s: float = 10.0,
        url: str = "",
    ) -> None:
        self.registry = CollectorRegistry()
        settings = UpstreamSettings(
            url=url or server.url, retry=policy, timeout_s=timeout_s, user_agent="test-agent/1"
        )
        self._clock = SkippingClock()
        metrics = UpstreamMetrics(self.registry)
        parts = Parts(settings, self._clock, metrics, self._clock.sleep, random.Random(1))
        self._provider = open_provider("yahoo", parts)

    def quote(self, *, within_s: float | None = None) -> Quote | FinstageError:
        deadline = None if within_s is None else self._clock.monotonic() + within_s
        [answer] = self._provider.fetch_quotes(["AAPL"], deadline=deadline)
        return answer

    def count(self, outcome: Outcome) -> float:
        labels = {"provider": "yahoo", "outcome": outcome.value}
        return self.registry.get_sample_value("finstage_upstream_requests_total", labels) or 0.0

    @property
    def waits(self) -> list[float]:
        """Return the waits before retries, in seconds."""
        return self._clock.slept


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "outcome"),
    [
        (Answer(404, NOT_FOUND), NotFound, Reason.SYMBOL_NOT_FOUND, Outcome.NOT_FOUND),
        (Answer(200, NOT_FOUND), NotFound, Reason.SYMBOL_NOT_FOUND, Outcome.NOT_FOUND),
        (Answer(400, NO_RANGE), NotFound, Reason.NO_DATA, Outcome.NO_DATA),
        (Answer(401, b"{}"), PreconditionFailed, Reason.UPSTREAM_UNAUTHORIZED, Outcome.UNAUTHORIZED),
        (Answer(403, b"<html>"), PreconditionFailed, Reason.UPSTREAM_UNAUTHORIZED, Outcome.UNAUTHORIZED),
        (Answer(200, b"<!DOCTYPE html><html>"), Unavailable, Reason.UPSTREAM_MALFORMED, Outcome.MALFORMED),
        (
            Answer(200, b'{"chart":{"result":[{"meta":{'),
            Unavailable,
            Reason.UPSTREAM_MALFORMED,
            Outcome.MALFORMED,
        ),
        (Answer(200, b""), Unavailable, Reason.UPSTREAM_MALFORMED, Outcome.MALFORMED),
        (Answer(200, b"[]"), Unavailable, Reason.UPSTREAM_MALFORMED, Outcome.MALFORMED),
        (Answer(404, b"<html>"), Unavailable, Reason.UPSTREAM_MALFORMED, Outcome.MALFORMED),
    ],
)
def test_a_failure_that_a_retry_cannot_mend_is_tried_once(
    answer: Answer, kind: type[FinstageError], reason: Reason, outcome: Outcome
) -> None:
    with upstream(answer) as server:
        asking = Asking(server)
        error = asking.quote()
        assert type(error) is kind
        assert error.reason is reason
        assert len(server.asked) == 1
        assert asking.count(outcome) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "outcome"),
    [
        (Answer(429, b"Edge: Too Many Requests"), RateLimited, Outcome.RATE_LIMITED),
        (Answer(200, b"Edge: Too Many Requests"), RateLimited, Outcome.RATE_LIMITED),
        (Answer(999, b""), RateLimited, Outcome.RATE_LIMITED),
        (Answer(500, b""), Unavailable, Outcome.UNAVAILABLE),
        (Answer(503, b"<html>"), Unavailable, Outcome.UNAVAILABLE),
        (Answer(200, INNER), Unavailable, Outcome.UNAVAILABLE),
        (Answer(reset=True), Unavailable, Outcome.UNAVAILABLE),
    ],
)
def test_a_failure_that_a_retry_can_mend_is_tried_four_times(
    answer: Answer, kind: type[FinstageError], outcome: Outcome
) -> None:
    with upstream(answer) as server:
        asking = Asking(server)
        error = asking.quote()
        assert type(error) is kind
        assert error.retry_after_s is not None
        # The first reset gets one more attempt.
        assert len(server.asked) == 4 + answer.reset
        assert asking.count(outcome) == 4 + answer.reset


def test_a_retry_mends() -> None:
    with upstream(Answer(503), Answer(reset=True), Answer(429), Answer()) as server:
        asking = Asking(server)
        quote = asking.quote()
        assert isinstance(quote, Quote)
        assert quote.price == 1.5
        assert len(server.asked) == 4
        assert asking.count(Outcome.DATA) == 1


def test_waits_grow_with_full_jitter_up_to_the_cap() -> None:
    policy = RetryPolicy(retries=8, base_s=2.0, max_wait_s=60.0)
    ceilings = [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    waits: list[float] = []
    retrier = Retrier(policy, clock=SystemClock(), sleep=waits.append, rng=random.Random(1), provider="yahoo")
    for _ in range(40):
        failure = Failure(Outcome.UNAVAILABLE, "", mendable=True)
        assert retrier.run(lambda: failure, deadline=None, may_retry=lambda: True) is failure  # noqa: B023
    for i, ceiling in enumerate(ceilings):
        of_retry = waits[i :: len(ceilings)]
        assert len(of_retry) == 40
        assert 0.8 * ceiling < max(of_retry) <= ceiling
        assert min(of_retry) < 0.2 * ceiling
    assert max(waits) == 60.0  # the cap comes last


def seconds_form(wait_s: float) -> str:
    return str(int(wait_s))


def date_form(wait_s: float) -> str:
    return formatdate(time.time() + wait_s, usegmt=True)


@pytest.mark.parametrize("form", [seconds_form, date_form])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_floor_of_the_wait(form: Callable[[float], str], status: int) -> None:
    with upstream(Answer(status, headers={"Retry-After": form(7)}), Answer()) as server:
        asking = Asking(server)
        assert isinstance(asking.quote(), Quote)
        assert 5.9 < asking.waits[0] <= 7.0


@pytest.mark.parametrize("form", [seconds_form, date_form])
def test_a_wait_that_does_not_fit_fails_at_once(form: Callable[[float], str]) -> None:
    with upstream(Answer(429, headers={"Retry-After": form(20)})) as server:
        asking = Asking(server)
        error = asking.quote(within_s=5.0)
        assert isinstance(error, RateLimited)
        assert error.retry_after_s is not None
        assert 18.9 < error.retry_after_s <= 20.0
        assert (len(server.asked), asking.waits) == (1, [])


def test_a_wait_beyond_the_longest_is_not_begun_even_without_a_deadline() -> None:
    with upstream(Answer(503, headers={"Retry-After": "3600"})) as server:
        asking = Asking(server)
        error = asking.quote()
        assert isinstance(error, Unavailable)
        assert error.retry_after_s == 600  # nobody waits for longer before a probe
        assert (len(server.asked), asking.waits) == (1, [])


def test_a_deadline_that_is_too_short_is_refused_before_the_request() -> None:
    with upstream() as server:
        assert isinstance(Asking(server).quote(within_s=0.0), DeadlineTooShort)
        assert server.asked == []


def test_a_slow_body_is_given_up_as_a_whole() -> None:
    """Each byte arrives in time; the whole reply does not."""
    with upstream(Answer(drip_s=0.02)) as server:
        asking = Asking(server, RetryPolicy(retries=0), timeout_s=0.3)
        started = time.monotonic()
        error = asking.quote()
        assert isinstance(error, Unavailable)
        assert "no whole answer within 0.3 s" in error.message
        assert time.monotonic() - started < 2.0


def test_a_reply_over_32_mib_is_refused() -> None:
    with upstream(Answer(body=bytes(33 << 20))) as server:
        error = Asking(server).quote()
        assert isinstance(error, Unavailable)
        assert (error.reason, error.message) == (Reason.UPSTREAM_MALFORMED, "a reply over 32 MiB")


def test_redirects_stay_on_their_host() -> None:
    with upstream() as other, upstream(Answer(302, headers={"Location": "/elsewhere"}), Answer()) as server:
        assert isinstance(Asking(server).quote(), Quote)
        assert server.asked[1][1] == "/elsewhere"
        server.answers = [Answer(302, headers={"Location": f"{other.url}/x"})]
        error = Asking(server).quote()
        assert isinstance(error, Unavailable)
        assert f"refused a redirect to another host, 127.0.0.1:{other.server_port}" in error.message
        assert other.asked == []


def test_the_user_agent_is_ours() -> None:
    with upstream() as server:
        Asking(server).quote()
        assert server.asked[0][2]["User-Agent"] == "test-agent/1"


def test_events_have_the_documented_names_and_no_address() -> None:
    with upstream(Answer(429, headers={"Retry-After": "2"}), Answer()) as server, capture_logs() as logs:
        Asking(server).quote()
    events = {entry["event"]: entry for entry in logs}
    assert events["rate_limit_hit"]["retry_after_s"] == 2.0
    assert events["api_call_retry"]["outcome"] == "UPSTREAM_RATE_LIMITED"
    assert "http://" not in repr(logs)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("", None),
        ("9" * 400, 600.0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 600.0),
    ],
)
def test_retry_after_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, wall_s=ManualClock(1_700_000_000.0).wall()) == seconds


def test_an_invalid_certificate_is_reported(tmp_path: Path) -> None:
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with upstream() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        asking = Asking(server, url=f"https://localhost:{server.server_port}")
        error = asking.quote()
        assert isinstance(error, Unavailable)
        assert "the certificate was not accepted: " in error.message
        assert "self-signed" in error.message
        assert server.asked == []
        assert asking.waits == []
