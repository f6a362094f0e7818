"""WriteBars: takes batches in, acknowledges each one when it is committed, and bounds the memory they need.

While one commit runs, the next batches are read and checked, up to the rows of one commit; small batches
share a commit. When the database slows down, the queue fills, then the connection's window, and then the
client waits.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache

from finstage_market.errors import AlreadyExists, FinstageError, PreconditionFailed
from finstage_market.symbol import parse_symbol
from finstage_runtime.clock import Clock
from finstage_runtime.executor import BoundedExecutor
from services.ingest.clock import now_ms
from services.ingest.store.client_writes import ClientWriter
from services.ingest.store.instruments import Instruments
from services.ingest.store.values import Batch, BatchResult, WriteHeader
from services.ingest.writing import chunks
from services.ingest.writing.batches import check_batch, read_batch

Written = tuple[Batch, BatchResult]

_MIN_WEIGHT = 10
# Symbols of a stream whose kind is remembered.
MAX_SYMBOLS = 1024


async def written(
    messages: AsyncIterator[bytes],
    header: WriteHeader,
    *,
    writes: ClientWriter,
    instruments: Instruments,
    database: BoundedExecutor,
    clock: Clock,
) -> AsyncGenerator[Written, None]:
    """Write batches as they arrive; yield each one, with its result, when it is committed.

    Args:
        messages: serialised WriteBarsRequests, without the header.
        database: where the store's calls block.

    Raises:
        InvalidRequest: a message is not a batch; those before it are committed.
        PreconditionFailed, AlreadyExists: as ClientWriter.write(); those before it are committed.
    """

    @lru_cache(MAX_SYMBOLS)
    def may_be_negative(text: str) -> bool:
        with suppress(ValueError):
            instrument = instruments.get(parse_symbol(text))
            return instrument is not None and instrument.may_be_negative
        return False

    def check(message: bytes) -> Batch:
        sent = read_batch(message)
        return check_batch(sent, now_ms=now_ms(clock), may_be_negative=may_be_negative(sent.symbol))

    async def checked(message: bytes) -> Batch:
        return await database.run(check, message)

    queue = BatchQueue(chunks.first_rows(chunks.memory_used()))
    reading = asyncio.create_task(queue.fill(messages, checked))
    try:
        while group := await queue.take():
            begun = clock.monotonic()
            pairs, error = await database.run(_commit, group, header, writes)
            queue.rows = chunks.next_rows(
                queue.rows,
                written=sum(_weight(batch) for batch, _ in pairs),
                took_s=clock.monotonic() - begun,
                memory_used=chunks.memory_used(),
            )
            for pair in pairs:
                yield pair
            if error is not None:
                raise error
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


def _commit(
    group: Sequence[Batch], header: WriteHeader, writes: ClientWriter
) -> tuple[list[Written], FinstageError | None]:
    """Write batches in one transaction; when one is refused, write those before it, and return its error."""
    try:
        return list(zip(group, writes.write(header, group), strict=True)), None
    except (PreconditionFailed, AlreadyExists):
        done: list[Written] = []
        for batch in group:
            try:
                done.append((batch, writes.write(header, [batch])[0]))
            except (PreconditionFailed, AlreadyExists) as error:
                return done, error
        return done, None


class BatchQueue:
    """Batches read ahead of the commits, about `rows` of them in total; one batch always has room."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._waiting: deque[Batch] = deque()
        self._held_rows = 0
        self._changed = asyncio.Condition()
        self._ended = False
        self._error: BaseException | None = None

    async def fill(
        self, messages: AsyncIterator[bytes], checked: Callable[[bytes], Awaitable[Batch]]
    ) -> None:
        """Read messages until there are no more, or one is invalid."""
        try:
            async for message in messages:
                batch = await checked(message)
                async with self._changed:
                    await self._changed.wait_for(lambda: not self._waiting or self._held_rows < self.rows)
                    self._waiting.append(batch)
                    self._held_rows += _weight(batch)
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            self._ended = True
            async with self._changed:
                self._changed.notify_all()

    async def take(self) -> list[Batch]:
        """Return waiting batches, up to the rows of a commit but at least one; empty: there are no more.

        Raises the error of reading, once everything before it was taken.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting and self._error is not None:
                raise self._error
            taken: list[Batch] = []
            taken_rows = 0
            while self._waiting and (not taken or taken_rows < self.rows):
                batch = self._waiting.popleft()
                taken.append(batch)
                taken_rows += _weight(batch)
            self._held_rows -= taken_rows
            self._changed.notify_all()
            return taken


def _weight(batch: Batch) -> int:
    """Return how many rows a batch counts for: a refused or small one takes room and time too."""
    return max(len(batch.bars.columns) + len(batch.bars.rejected), _MIN_WEIGHT)
