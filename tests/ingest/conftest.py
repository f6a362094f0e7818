"""A store of each kind, for every test that asks for one."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from finstage_runtime.clock import SYSTEM, Clock, ManualClock
from services.ingest.store.api import Store
from services.ingest.store.schema import metadata
from services.ingest.store.sql import open_store
from tests.ingest.stores import NOW_MS
from tests.postgres_server import create_database, drop_database

Reopen = Callable[[], Store]


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_admin_url: str) -> Iterator[str]:
    """A database with the store's tables, shared because its creation is slow; tests leave it empty."""
    name = f"finstage_{uuid.uuid4().hex}"
    url = create_database(postgres_admin_url, name)
    open_store(url, clock=SYSTEM).close()
    yield url
    drop_database(postgres_admin_url, name)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/var/finstage.db"
        return
    url = request.getfixturevalue("shared_postgres_url")
    yield url
    empty_tables(url)


def empty_tables(url: str) -> None:
    """Reset a PostgreSQL database to roughly the state after the migrations."""
    with psycopg.connect(url) as connection:
        # The log always has a line, and readers begin at its end.
        for table in metadata.tables.keys() - {"identity", "outbox"}:
            connection.execute(f"DELETE FROM {table}".encode())


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still at NOW_MS."""
    return ManualClock(NOW_MS / 1000)


@pytest.fixture
def reopen(store_url: str, clock: Clock) -> Iterator[Reopen]:
    """Open the test's database; each call opens it again, as another process would."""
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
