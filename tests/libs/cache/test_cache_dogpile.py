"""The backend test suite that dogpile.cache ships, on our memory and Redis backends."""

import uuid
from typing import Any, ClassVar

import pytest
from dogpile.testing.fixtures import (
    _GenericBackendFixture,
    _GenericBackendTestSuite,
    _GenericMutexTestSuite,
    _GenericSerializerTestSuite,
)

from . import dogpile_adapter  # registers the backend

BACKEND = "finstage.cache"
assert dogpile_adapter


class OnRedis:
    """Name the session's Redis before dogpile's own `setup_class` needs it."""

    backend = BACKEND
    config_args: ClassVar[dict[str, Any]] = {"arguments": {"url": "memory://"}}

    @pytest.fixture(autouse=True)
    def _over_redis(self, redis_url: str) -> None:
        type(self).config_args = {"arguments": {"url": f"{redis_url}?prefix={uuid.uuid4().hex}:&timeout_s=5"}}


class TestMemoryAsADogpileBackend(_GenericBackendTestSuite):
    backend = BACKEND
    config_args: ClassVar[dict[str, Any]] = {"arguments": {"url": "memory://"}}


class TestMemoryWithASerializer(_GenericSerializerTestSuite, _GenericBackendFixture):
    backend = BACKEND
    config_args: ClassVar[dict[str, Any]] = {"arguments": {"url": "memory://"}}


class TestRedisAsADogpileBackend(OnRedis, _GenericBackendTestSuite):
    pass


class TestRedisMutexes(OnRedis, _GenericMutexTestSuite):
    pass
