"""The opt-in transport, which follows the same rules."""

import pytest

from finstage_runtime.clock import SystemClock
from services.ingest.upstream.outcomes import Failure, Trouble
from services.ingest.upstream.transport import Reply, Transport
from tests.ingest.scripted_upstream import CHART, Answer, upstream

pytest.importorskip("curl_cffi", reason="the extra `impersonate` is not installed")


@pytest.fixture
def transport() -> Transport:
    from services.ingest.upstream.transport_curl import CurlTransport

    return CurlTransport(clock=SystemClock())


def get(transport: Transport, url: str, timeout_s: float = 5.0) -> Reply | Failure:
    return transport.get(
        url, headers={"User-Agent": "ours", "Accept": "application/json"}, timeout_s=timeout_s
    )


def test_it_looks_like_a_browser(transport: Transport) -> None:
    with upstream() as server:
        reply = get(transport, server.url)
        assert isinstance(reply, Reply)
        assert (reply.status, reply.body) == (200, CHART)
        assert server.asked[0][2]["User-Agent"].startswith("Mozilla/5.0")


def test_statuses_and_headers_come_through(transport: Transport) -> None:
    with upstream(Answer(429, b"no", {"Retry-After": "7"})) as server:
        reply = get(transport, server.url)
        assert isinstance(reply, Reply)
        assert (reply.status, reply.headers["retry-after"]) == (429, "7")


def test_it_refuses_the_same_replies_as_the_default_transport(transport: Transport) -> None:
    with upstream() as other, upstream(Answer(302, headers={"Location": f"{other.url}/x"})) as server:
        away = get(transport, server.url)
        assert isinstance(away, Failure)
        assert "refused a redirect to another host" in away.detail
        assert other.asked == []
        server.answers = [Answer(body=bytes(33 << 20))]
        large = get(transport, server.url)
        assert isinstance(large, Failure)
        assert large.detail == "a reply over 32 MiB"


def test_slow_and_broken_connections_are_failures_that_a_retry_may_mend(transport: Transport) -> None:
    with upstream(Answer(drip_s=0.05)) as server:
        slow = get(transport, server.url, timeout_s=0.3)
        assert isinstance(slow, Failure)
        assert (slow.mendable, slow.trouble) == (True, Trouble.TIMEOUT)
        server.answers = [Answer(reset=True)]
        reset = get(transport, server.url)
        assert isinstance(reset, Failure)
        assert reset.mendable
        assert "http://" not in reset.detail
