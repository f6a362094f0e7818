"""Single flight for reads: one read per key at a time, from a backend that needs waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from .answer import Held

Read = Callable[[list[str]], Awaitable[dict[str, Held]]]


class _Reading:
    __slots__ = ("found", "landed")

    def __init__(self) -> None:
        self.found: asyncio.Future[dict[str, Held]] = asyncio.get_running_loop().create_future()
        self.landed: dict[str, Held] = {}


class Reads:
    """The reads under way, by key. A load that ends meanwhile answers them, so that their callers do not load
    the key again."""

    def __init__(self) -> None:
        self.pending: dict[str, _Reading] = {}

    async def read(self, keys: Iterable[str], read: Read) -> dict[str, Held]:
        """The held answers, from reads that are under way already and from one `read` of the other keys."""
        wanted = list(keys)
        found: dict[str, Held] = {}
        while wanted:
            joined = {key: pending for key in wanted if (pending := self.pending.get(key)) is not None}
            own = [key for key in wanted if key not in joined] if joined else wanted
            if own:
                found.update(await self._lead(own, read))
            wanted = []
            for key, reading in joined.items():
                if not reading.found.done():
                    await asyncio.wait([reading.found])
                if reading.found.cancelled():
                    wanted.append(key)
                elif (held := reading.found.result().get(key)) is not None:
                    found[key] = held
        return found

    async def _lead(self, keys: list[str], read: Read) -> dict[str, Held]:
        reading = _Reading()
        self.pending.update(dict.fromkeys(keys, reading))
        try:
            found = await read(keys)
        except BaseException:
            reading.found.cancel()  # callers who joined read for themselves
            raise
        finally:
            for key in keys:
                if self.pending.get(key) is reading:
                    del self.pending[key]
        found.update(reading.landed)
        reading.found.set_result(found)
        return found

    def landed(self, key: str, held: Held) -> None:
        """Answer the read of a key that is under way with the answer of a load that ended."""
        reading = self.pending.pop(key, None)
        if reading is not None:
            reading.landed[key] = held

    def outdate(self, keys: Iterable[str] | None) -> None:
        """Stop callers from joining reads of the keys (None: all) that began before a set or delete."""
        for key in list(self.pending) if keys is None else keys:
            self.pending.pop(key, None)
