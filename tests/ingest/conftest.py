"""A store of each kind, for every test that asks for one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libs.cache.clock import Clock, ManualClock
from services.ingest.store.api import Store
from services.ingest.store.sql import open_store
from tests.ingest.stores import NOW_MS

Reopen = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of the test's own, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/finstage.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at NOW_MS."""
    return ManualClock(NOW_MS / 1000)


@pytest.fixture
def reopen(store_url: str, clock: Clock) -> Iterator[Reopen]:
    """Opens the test's database: once more with each call, as another process would."""
    opened: list[Store] = []

    def again() -> Store:
        opened.append(open_store(store_url, clock=clock, connections=4))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Reopen) -> Store:
    """A store on an empty database."""
    return reopen()
