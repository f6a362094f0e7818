"""Fixtures for every test: the recorded data, a real Redis and a real PostgreSQL."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests import postgres_server, redis_server

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo the logging configuration of each test."""
    before = structlog.get_config()
    configured = structlog.is_configured()
    yield
    if configured:
        structlog.configure(**before)
    else:
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of recorded upstream replies, histories and expected indicator values."""
    folder = Path(os.environ.get("FINSTAGE_FIXTURES", REPO.parent / "shared" / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}; set FINSTAGE_FIXTURES to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis for the session. Use your own key prefix; to break it, start another (redis_server)."""
    if given := redis_server.given_url():
        yield given
        return
    with redis_server.RedisServer() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_admin_url() -> Iterator[str]:
    """A real PostgreSQL for the session. To break it, start another (postgres_server)."""
    if given := postgres_server.given_url():
        yield given
        return
    with postgres_server.postgres_server() as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_admin_url: str) -> Iterator[str]:
    """An empty database for one test."""
    name = f"finstage_{uuid.uuid4().hex}"
    yield postgres_server.create_database(postgres_admin_url, name)
    postgres_server.drop_database(postgres_admin_url, name)
