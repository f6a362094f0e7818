"""The shortest proof that the parts fit."""

from libs.cache import Policy, Status, open_cache

POLICY = Policy(fresh_s=60)


async def test_a_value_loaded_once_is_there_for_the_next_cache(redis_url: str) -> None:
    async def load() -> bytes:
        return b"value"

    url = f"{redis_url}?prefix=smoke:"
    async with open_cache(url) as first, open_cache(url) as second:
        loaded = await first.get_or_load("k", load, POLICY)
        found = await second.get_or_load("k", load, POLICY)
        assert (loaded.status, found.status, found.value) == (Status.MISS, Status.HIT, b"value")
        await first.clear()
