"""A program of a user of the cache library, who has packages of his own."""

import asyncio

import utils

import libs
import services
import sim
from finstage_cache import Answer, Cache, MemoryBackend, Policy

assert [libs.NAME, utils.NAME] == ["the project's own libs", "the project's own utils"]
assert [services.NAME, sim.NAME] == ["the project's own services", "the project's own sim"]


async def load() -> bytes:
    return b"42"


async def main() -> None:
    async with Cache(MemoryBackend()) as cache:
        policy = Policy(fresh_s=60.0)
        first: Answer[bytes] = await cache.get_or_load("answer", load, policy)
        again = await cache.get_or_load("answer", load, policy)
        print(first.value.decode(), first.status.name, again.status.name)


asyncio.run(main())
