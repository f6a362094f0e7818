"""The libraries that libs/cache is compared with, each set up as a user would, with the same keys."""

import functools
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import aiocache  # type: ignore[import-untyped]
import cachetools
import cashews
import theine
from dogpile.cache import make_region

Get = Callable[[str], Any]
Set = Callable[[str], Any]
GetAsync = Callable[[str], Awaitable[Any]]

TTL_S = 3600.0
VALUE = b"v" * 100


class ExpiringDict:
    """A dict with expiry: the least work that a cache of this kind can do."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[bytes, float]] = {}
        self._monotonic = time.monotonic

    def get(self, key: str) -> bytes | None:
        held = self._held.get(key)
        if held is None or self._monotonic() >= held[1]:
            return None
        return held[0]

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        self._held[key] = (value, self._monotonic() + ttl_s)


def sync_gets(keys: Sequence[str]) -> dict[str, Get]:
    """Return cases that get hot keys, by name."""
    plain = dict.fromkeys(keys, VALUE)

    @functools.lru_cache(maxsize=10_000)
    def lru(key: str) -> bytes:
        return VALUE

    expiring = ExpiringDict()
    ttl_cache: cachetools.TTLCache[str, bytes] = cachetools.TTLCache(10_000, TTL_S)
    lock = threading.Lock()
    tiny: theine.Cache[str, bytes] = theine.Cache(10_000)
    region = make_region().configure("dogpile.cache.memory", expiration_time=TTL_S)
    for key in keys:
        lru(key)
        expiring.set(key, VALUE, TTL_S)
        ttl_cache[key] = VALUE
        region.set(key, VALUE)
    for key in keys:
        tiny.set(key, VALUE)

    def locked(key: str) -> bytes | None:
        with lock:
            return ttl_cache.get(key)

    def create() -> bytes:
        return VALUE

    return {
        "dict.get": plain.get,
        "functools.lru_cache hit": lru,
        "dict with expiry": expiring.get,
        "cachetools.TTLCache with a lock": locked,
        "theine get": tiny.get,
        "dogpile.cache get": region.get,
        "dogpile.cache get_or_create": lambda key: region.get_or_create(key, create),
    }


def sync_sets(entries: int) -> dict[str, Set]:
    """Return cases that store VALUE in caches with room for `entries`, by name."""
    ttl_cache: cachetools.TTLCache[str, bytes] = cachetools.TTLCache(entries, TTL_S)
    lock = threading.Lock()
    tiny: theine.Cache[str, bytes] = theine.Cache(entries)
    ttl = timedelta(seconds=TTL_S)

    def locked(key: str) -> None:
        with lock:
            ttl_cache[key] = VALUE

    return {
        "cachetools.TTLCache with a lock": locked,
        "theine": lambda key: tiny.set(key, VALUE, ttl),
    }


async def async_gets(keys: Sequence[str]) -> dict[str, GetAsync]:
    """Return cases that get hot keys from caches for asyncio, by name."""
    cashews_cache = cashews.Cache()
    cashews_cache.setup("mem://?size=10000")
    aiocache_cache = aiocache.SimpleMemoryCache()
    for key in keys:
        await cashews_cache.set(key, VALUE, expire=TTL_S)
        await aiocache_cache.set(key, VALUE, ttl=TTL_S)
    return {"cashews get": cashews_cache.get, "aiocache get": aiocache_cache.get}


async def cashews_over_redis(url: str, keys: Sequence[str]) -> tuple[GetAsync, Callable[[], Awaitable[None]]]:
    """Return a case that gets from cashews' Redis backend, and the function that closes it."""
    cache = cashews.Cache()
    cache.setup(url, client_side=False)
    for key in keys:
        await cache.set(key, VALUE, expire=TTL_S)
    return cache.get, cache.close
