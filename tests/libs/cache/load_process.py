"""A process that loads one key many times at once: see test_cache_shared."""

import asyncio
import collections
import json
import sys
import time
from pathlib import Path

from finstage_cache import Policy, open_cache
from finstage_cache.tiered import TieredBackend


async def main(url: str, lines: str, callers: int) -> None:
    def load() -> bytes:
        with Path(lines).open("a") as file:
            file.write("load\n")
        time.sleep(0.3)
        return b"value"

    async with open_cache(url) as cache:
        await cache.get("warm the connection")
        if isinstance(cache.backend, TieredBackend):
            await cache.backend.ready()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        policy = Policy(fresh_s=60)
        answers = await asyncio.gather(*[cache.get_or_load("k", load, policy) for _ in range(callers)])
        assert {answer.value for answer in answers} == {b"value"}
        print(json.dumps(collections.Counter(answer.status for answer in answers)))


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
