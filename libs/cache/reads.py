"""One read per key at a time from a backend that has to be waited for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from .answer import Answer, Held

Read = Callable[[list[str]], Awaitable[dict[str, Held]]]


class Reads:
    """Reads under way, by key. A load that lands meanwhile answers them, so that no one loads again after
    it."""

    def __init__(self) -> None:
        self.pending: dict[str, asyncio.Future[Held | None]] = {}

    async def read(self, keys: Iterable[str], read: Read) -> dict[str, Held]:
        """What is held for the keys, by reads that are under way already and one `read` of the others."""
        wanted = list(keys)
        found: dict[str, Held] = {}
        while wanted:
            joined = {key: pending for key in wanted if (pending := self.pending.get(key)) is not None}
            own = [key for key in wanted if key not in joined]
            if own:
                found.update(await self._lead(own, read))
            if joined:
                await asyncio.wait(joined.values())
            for key, pending in joined.items():
                if not pending.cancelled() and (held := pending.result()) is not None:
                    found[key] = held
            wanted = [key for key, pending in joined.items() if pending.cancelled()]
        return found

    async def _lead(self, keys: list[str], read: Read) -> dict[str, Held]:
        future = asyncio.get_running_loop().create_future
        mine: dict[str, asyncio.Future[Held | None]] = {key: future() for key in keys}
        self.pending.update(mine)
        try:
            found = await read(keys)
        except BaseException:
            for pending in mine.values():
                pending.cancel()  # whoever joined reads for itself
            raise
        finally:
            for key, pending in mine.items():
                if self.pending.get(key) is pending:
                    del self.pending[key]
        for key, pending in mine.items():
            if pending.done():
                held = pending.result()
                if held is not None:
                    found[key] = held
            else:
                pending.set_result(found.get(key))
        return found

    def landed(self, key: str, answer: Answer[Any]) -> None:
        """A load of the key ended: reads that began before it need not look further."""
        pending = self.pending.pop(key, None)
        if pending is not None and not pending.done():
            pending.set_result(Held(answer, 0.0))

    def outdate(self, keys: Iterable[str] | None) -> None:
        """The keys (None: all) were set or deleted: no one may join a read that began before."""
        for key in list(self.pending) if keys is None else keys:
            self.pending.pop(key, None)
