"""Our caches as dogpile.cache backends, for its test suite: a loop in a thread, and calls into it."""

import asyncio
import secrets
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from dogpile.cache import register_backend
from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex

from finstage_cache import BYTES, Policy, open_cache

POLICY = Policy(fresh_s=3600)
MUTEX_S = 30.0


class Loop:
    """An event loop of its own thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


class Mutex(CacheMutex):
    """A mutex by our cluster locks."""

    def __init__(self, backend: "DogpileBackend", key: str) -> None:
        self._backend = backend
        self._key = f"mutex:{key}"
        self._token = b""

    def _claim(self, token: bytes) -> bool:
        backend = self._backend
        claims = backend.loop.run(backend.cache.backend.locks.claim([self._key], token, BYTES))
        return bool(claims[self._key].ours)

    def acquire(self, wait: bool = True) -> bool:
        token = secrets.token_hex(8).encode()
        while not self._claim(token):
            if not wait:
                return False
            time.sleep(0.005)
        self._token = token
        return True

    def release(self) -> None:
        self._release(self._token)

    def locked(self) -> bool:
        probe = secrets.token_hex(8).encode()
        if self._claim(probe):
            self._release(probe)
            return False
        return True

    def _release(self, token: bytes) -> None:
        self._backend.loop.run(self._backend.cache.backend.locks.release([self._key], token))


class DogpileBackend(BytesBackend):
    """Over any URL."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.loop = Loop()
        self.cache = self.loop.run(self._open(arguments["url"]))

    async def _open(self, url: str) -> Any:
        return open_cache(url)

    def get_mutex(self, key: str) -> Mutex | None:
        return None if self.cache.backend.locks is None else Mutex(self, key)

    def get_serialized(self, key: str) -> Any:
        return self.get_serialized_multi([key])[0]

    def get_serialized_multi(self, keys: Sequence[str]) -> list[Any]:
        found = self.loop.run(self.cache.get_many(keys))
        return [found[key].value if key in found else NO_VALUE for key in keys]

    def set_serialized(self, key: str, value: bytes) -> None:
        self.set_serialized_multi({key: value})

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        self.loop.run(self.cache.set_many(mapping, POLICY))

    def delete(self, key: str) -> None:
        self.delete_multi([key])

    def delete_multi(self, keys: Sequence[str]) -> None:
        self.loop.run(self.cache.delete_many(keys))


register_backend("finstage.cache", __name__, "DogpileBackend")
