"""Fixtures for every test: the recorded data, a real Redis and a real PostgreSQL."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import redis_server

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of recorded upstream replies, histories and expected indicator values."""
    folder = Path(os.environ.get("FINSTAGE_FIXTURES", REPO.parent / "shared" / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}; set FINSTAGE_FIXTURES to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis for the session: use own key prefixes; to break one, start your own (redis_server)."""
    if given := redis_server.given_url():
        yield given
        return
    with redis_server.RedisServer() as server:
        yield server.url
