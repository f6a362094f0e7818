"""A market over HTTP, with a clock that stands still until a test moves it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from sim.clock import FakeClock, epoch
from sim.server import Sim, start

Get = Callable[..., requests.Response]
GetChart = Callable[..., dict[str, Any]]


# A Wednesday, 11:30:07 in New York: US and European exchanges are open, the Asian ones closed.
NOON = epoch("2025-06-04T15:30:07Z")


@pytest.fixture(scope="session")
def _market() -> Iterator[tuple[Sim, FakeClock]]:
    clock = FakeClock(NOON)
    with start(clock=clock) as sim:
        yield sim, clock


@pytest.fixture
def clock(_market: tuple[Sim, FakeClock]) -> FakeClock:
    """The market's clock, at NOON."""
    _market[1].set(NOON)
    return _market[1]


@pytest.fixture
def sim(_market: tuple[Sim, FakeClock], clock: FakeClock) -> Sim:
    """The market in its first state: one server for all tests, because their changes can be undone."""
    sim = _market[0]
    sim.faults.clear()
    sim.anomalies.clear()
    sim.stats.clear()
    sim.market.unrestate()
    return sim


@pytest.fixture
def get(sim: Sim) -> Iterator[Get]:
    """GET a path with parameters, over one kept-alive connection."""
    with requests.Session() as session:
        yield lambda path, /, **params: session.get(sim.url + path, params=params, timeout=10)


@pytest.fixture
def chart(get: Get) -> GetChart:
    """Return the result of a chart request that must succeed."""

    def ask(symbol: str, **params: Any) -> dict[str, Any]:
        response = get("/v8/finance/chart/" + requests.utils.quote(symbol), **params)
        assert response.status_code == 200, response.text
        body = response.json()["chart"]
        assert body["error"] is None
        result: dict[str, Any] = body["result"][0]
        return result

    return ask
