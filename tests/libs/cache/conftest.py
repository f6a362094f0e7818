"""Caches of every kind, over real servers, with a clock that the test moves."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from finstage_cache import Cache, ManualClock, open_cache
from finstage_cache.tiered import TieredBackend
from tests import redis_server

KINDS = ["memory", "redis", "redis+cluster", "memory+redis", "memory+redis+cluster"]
SHARED_KINDS = KINDS[1:]


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    """A node of a real Redis Cluster of three primaries."""
    with redis_server.RedisCluster() as cluster:
        yield cluster.url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def url_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The URL of a kind of cache; within one test, the caches of one URL share what they store."""
    prefix = f"{uuid.uuid4().hex}:"

    def url_of(kind: str, **options: object) -> str:
        if kind in ("memory", "null"):
            where = "//"
        else:
            server = "cluster_url" if kind.endswith("cluster") else "redis_url"
            where = request.getfixturevalue(server).partition(":")[2].partition("?")[0]
            options = {"prefix": prefix, "timeout_s": 5.0, **options}
        return f"{kind}:{where}?" + "&".join(f"{name}={value}" for name, value in options.items())

    return url_of


@pytest.fixture
async def open_kind(
    url_of: Callable[[str], str], clock: ManualClock
) -> AsyncIterator[Callable[..., "Cache"]]:
    """Opens caches of one kind, each as another process would, and closes them."""
    opened: list[Cache] = []

    async def open_kind(kind: str, *, random: Callable[[], float] | None = None, **options: object) -> Cache:
        more = {} if random is None else {"random": random}
        cache = open_cache(url_of(kind, **options), clock=clock, **more)
        if isinstance(cache.backend, TieredBackend):
            await cache.backend.ready()
        opened.append(cache)
        return cache

    yield open_kind
    for cache in opened:
        await cache.clear()
        await cache.aclose()


@pytest.fixture(params=KINDS)
async def cache(request: pytest.FixtureRequest, open_kind: Callable[..., "Cache"]) -> Cache:
    """A cache of each kind."""
    return await open_kind(request.param)  # type: ignore[no-any-return]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "time_intensive: a mark of dogpile.cache's own suite")
