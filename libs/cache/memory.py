"""Live objects in this process: bounded in entries and bytes, evicted by S3-FIFO, expired entries first.

S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak, SOSP 2023): new entries go through a small queue; those asked for
again there, or lately evicted from it (the ghosts), go to the main queue, which gives entries that were
asked for another round. A hit only raises a counter, so it costs next to nothing. Measurements:
docs/adr/0003-own-eviction-core.md.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from .answer import ABSENT, Answer, Held, Status
from .backend import BackendCounts, Size
from .clock import SYSTEM, Clock
from .codecs import Codec

ENTRY_BYTES = 600
"""What an entry is taken to occupy beside its key and value: its objects and its places in the tables."""

TICK_S = 1.0
"""An expired entry leaves within this time, at the next store."""

EARLY_LOADS = 20.0
"""An entry closer to its end than this many load times is not quick: XFetch's chance before that is under
3e-9."""

SMALL_SHARE = 0.05
"""The small queue's share of both bounds."""

MOST_ROUNDS = 3
"""How many rounds of the main queue an entry can earn."""

_NEVER = float("-inf")


class _Node:
    __slots__ = ("answer", "born", "gone", "key", "queue", "quick", "tick", "uses", "weight")

    def __init__(self, key: str, queue: "OrderedDict[str, _Node]") -> None:
        self.key = key
        self.queue = queue
        self.uses = 0
        self.weight = 0
        self.tick = -1
        self.answer: Answer[Any]
        self.born: float  # monotonic time of answer.stored
        self.quick: float  # until then, `peek` answers with it
        self.gone: float  # from then on, it does not exist


class MemoryStore:
    """The store itself: synchronous, for one event loop (not thread-safe)."""

    def __init__(self, *, entries: int, size: int, clock: Clock) -> None:
        self.entries = entries
        self.size = size
        self.bytes = 0
        self.counts = BackendCounts()
        self._monotonic = clock.monotonic
        self._nodes: dict[str, _Node] = {}
        self._small: OrderedDict[str, _Node] = OrderedDict()
        self._main: OrderedDict[str, _Node] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0
        self._small_entries_share = entries * SMALL_SHARE
        self._small_bytes_share = size * SMALL_SHARE
        self._ticks: dict[int, dict[_Node, None]] = {}
        self._swept = int(self._monotonic() / TICK_S)

    def __len__(self) -> int:
        return len(self._nodes)

    def peek(self, key: str) -> Answer[Any] | None:
        """The answer, if it is positive and surely fresh. The whole cost of a hit is here."""
        node = self._nodes.get(key)
        if node is None or self._monotonic() >= node.quick:
            return None
        node.uses += 1
        return node.answer

    def get(self, key: str) -> Held | None:
        """What is held for a key, fresh or not."""
        node = self._nodes.get(key)
        if node is None:
            return None
        now = self._monotonic()
        if now >= node.gone:
            self._remove(node)
            self.counts.expirations += 1
            return None
        node.uses += 1
        return Held(node.answer, now - node.born)

    def put(self, key: str, answer: Answer[Any], weight: int, age_s: float = 0.0) -> bool:
        """Hold an answer that is `age_s` old and weighs `weight` bytes; whether it was not too large to."""
        now = self._monotonic()
        if now >= self._swept + TICK_S:
            self._sweep(now)
        weight += ENTRY_BYTES + len(key)
        node = self._nodes.get(key)
        if weight > self.size:
            if node is not None:
                self._remove(node)
            self.counts.refused += 1
            return False
        if node is None:
            node = self._admit(key)
        else:
            self._unschedule(node)
        born = now - age_s
        node.answer = answer
        node.born = born
        node.gone = born + answer.error_for
        node.quick = (
            born + answer.fresh_for - EARLY_LOADS * answer.load_s if answer.status is _HIT else _NEVER
        )
        self.bytes += weight - node.weight
        if node.queue is self._small:
            self._small_bytes += weight - node.weight
        node.weight = weight
        tick = node.tick = int(node.gone / TICK_S)
        due = self._ticks.get(tick)
        if due is None:
            self._ticks[tick] = {node: None}
        else:
            due[node] = None
        while len(self._nodes) > self.entries or self.bytes > self.size:
            self._evict()
        return True

    def delete(self, key: str) -> bool:
        """Whether there was such an entry."""
        node = self._nodes.get(key)
        if node is None:
            return False
        self._remove(node)
        return self._monotonic() < node.gone

    def clear(self) -> None:
        """Drop everything."""
        for table in (self._nodes, self._small, self._main, self._ghosts, self._ticks):
            table.clear()
        self.bytes = self._small_bytes = 0

    def _admit(self, key: str) -> _Node:
        ghost = hash(key)
        if ghost in self._ghosts:
            del self._ghosts[ghost]
            queue = self._main
        else:
            queue = self._small
        node = self._nodes[key] = queue[key] = _Node(key, queue)
        return node

    def _evict(self) -> None:
        """Let one entry go. Each step without eviction uses up one earlier hit: constant time, amortised."""
        while True:
            if self._small and (
                len(self._small) > self._small_entries_share
                or self._small_bytes > self._small_bytes_share
                or not self._main
            ):
                key, node = self._small.popitem(last=False)
                self._small_bytes -= node.weight
                if node.uses == 0:
                    self._ghosts[hash(key)] = None
                    if len(self._ghosts) > len(self._nodes):
                        self._ghosts.popitem(last=False)
                    break
                node.uses = 0
            else:
                key, node = self._main.popitem(last=False)
                if node.uses == 0:
                    break
                node.uses = min(node.uses, MOST_ROUNDS) - 1
            self._main[key] = node
            node.queue = self._main
        del self._nodes[key]
        self.bytes -= node.weight
        self._unschedule(node)
        self.counts.evictions += 1

    def _remove(self, node: _Node) -> None:
        del self._nodes[node.key]
        del node.queue[node.key]
        self.bytes -= node.weight
        if node.queue is self._small:
            self._small_bytes -= node.weight
        self._unschedule(node)

    def _unschedule(self, node: _Node) -> None:
        due = self._ticks.get(node.tick)
        if due is not None:
            due.pop(node, None)
            if not due:
                del self._ticks[node.tick]

    def _sweep(self, now: float) -> None:
        """Drop what expired in the ticks that have passed."""
        last = int(now / TICK_S)
        passed: Iterable[int] = range(self._swept, last)
        if last - self._swept > len(self._ticks):
            passed = [tick for tick in self._ticks if tick < last]
        for tick in passed:
            for node in list(self._ticks.get(tick, ())):
                self._remove(node)
                self.counts.expirations += 1
        self._swept = last


_HIT = Status.HIT


class MemoryBackend:
    """A `Backend` over a `MemoryStore`: what is stored is the live object, shared with every reader."""

    locks = None

    def __init__(self, *, entries: int = 10_000, size: int = 64 * 2**20, clock: Clock = SYSTEM) -> None:
        """`entries` and `size` (bytes, by the codecs' `weigh`) bound what is held; both must be above 0."""
        for name, value in (("entries", entries), ("size", size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"a memory cache's {name} must be a whole number above 0, not {value!r}")
        self.store = MemoryStore(entries=entries, size=size, clock=clock)
        self.counts = self.store.counts
        self.peek = self.store.peek

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]:
        found = ((key, self.store.get(key)) for key in keys)
        return {key: held for key, held in found if held is not None}

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        weighed = [(key, answer, weigh(answer, codec)) for key, answer in answers.items()]
        return sum([self.store.put(key, answer, weight) for key, answer, weight in weighed])

    async def delete_many(self, keys: Iterable[str]) -> int:
        return sum(map(self.store.delete, keys))

    async def clear(self) -> None:
        self.store.clear()

    def size(self) -> Size:
        return Size(len(self.store), self.store.bytes)

    async def aclose(self) -> None:
        self.store.clear()


def weigh(answer: Answer[Any], codec: Codec[Any]) -> int:
    """The bytes of an answer's value. Raises CodecError for one that the codec cannot hold."""
    value = answer._value
    return 0 if value is ABSENT else codec.weigh(value)
