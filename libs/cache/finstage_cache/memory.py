"""Live objects in this process, bounded in entries and bytes: expired entries leave first, then by S3-FIFO.

S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak, SOSP 2023): new entries pass through a small queue. Entries that are
requested again there, or shortly after their eviction from it (the ghosts), enter the main queue, where each
request earns another round. A hit only increments a counter, so it costs next to nothing. Measurements:
docs/adr/0003-own-eviction-core.md.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from finstage_runtime.clock import SYSTEM, Clock

from .answer import Answer, Held, Status
from .backend import BackendCounts, Size
from .codecs import Codec

ENTRY_BYTES = 600
"""The estimated bytes of an entry besides its key and value: its objects and its places in the tables."""

TICK_S = 1.0
"""The width of an expiry tick: an expired entry leaves at the first store after its tick."""

EARLY_LOADS = 20.0
"""`peek` serves an entry until this many load times before its end. Until then the chance of an early
refresh (XFetch) is below 3e-9."""

SMALL_SHARE = 0.05
"""The small queue's share of both limits."""

MAX_ROUNDS = 3
"""The rounds of the main queue that an entry can earn."""

_EVER = float("inf")
_NEVER = float("-inf")
_SMALL, _MAIN, _REMOVED = range(3)


class _Due(dict["_Node", None]):
    """The nodes that expire in one tick, in the order they were put."""

    __slots__ = ("tick",)

    def __init__(self, tick: int) -> None:
        self.tick = tick


class _Node:
    # As few objects as possible: making and freeing them is most of the cost of a store.
    __slots__ = ("answer", "born", "due", "key", "peek_until", "place", "since", "uses", "weight")

    def __init__(self, key: str, place: int) -> None:
        self.key = key
        self.place = place
        self.uses = 0
        self.weight = 0
        self.answer: Answer[Any]
        self.since: float  # monotonic time of the `put`
        self.born: float  # monotonic time of answer.stored
        self.peek_until: float  # monotonic time
        self.due: _Due


class MemoryStore:
    """The store itself: synchronous, for one event loop (not thread-safe)."""

    def __init__(self, *, entries: int, size: int, clock: Clock) -> None:
        self.entries = entries
        self.size = size
        self.bytes = 0
        self.counts = BackendCounts()
        self._monotonic = clock.monotonic
        self._nodes: dict[str, _Node] = {}
        # The queues keep removed nodes until there are as many as live ones.
        self._small: deque[_Node] = deque()
        self._main: deque[_Node] = deque()
        self._removed = 0
        self._small_entries = 0
        self._small_bytes = 0
        self._small_entries_share = entries * SMALL_SHARE
        self._small_bytes_share = size * SMALL_SHARE
        self._ghosts: set[str] = set()
        self._ghost_order: deque[str] = deque()
        self._ticks: dict[int, _Due] = {}
        self._swept = int(self._monotonic() / TICK_S)
        self._next_sweep = (self._swept + 1) * TICK_S

    def __len__(self) -> int:
        return len(self._nodes)

    def peek(self, key: str) -> Answer[Any] | None:
        """The answer if it is a value and certainly fresh. This is the whole cost of a hit."""
        node = self._nodes.get(key)
        if node is None or self._monotonic() >= node.peek_until:
            return None
        node.uses += 1
        return node.answer

    def get(self, key: str) -> Held | None:
        """The held answer, fresh or not, and its age."""
        node = self._nodes.get(key)
        if node is None:
            return None
        now = self._monotonic()
        if now >= node.born + node.answer.error_for:
            self._remove(node)
            self.counts.expirations += 1
            return None
        node.uses += 1
        return node.answer, now - node.born

    def put(self, key: str, answer: Answer[Any], age_s: float = 0.0, peek_s: float = _EVER) -> bool:
        """Hold an answer that is `age_s` old, and let `peek` serve it for `peek_s`; False: too large."""
        now = self._monotonic()
        if now >= self._next_sweep:
            self._sweep(now)
        weight = answer.weight + ENTRY_BYTES + len(key)
        node = self._nodes.get(key)
        if weight > self.size:
            if node is not None:
                self._remove(node)
            self.counts.refused += 1
            return False
        born = now - age_s if age_s else now
        tick = int((born + answer.error_for) / TICK_S)
        due = self._ticks.get(tick)
        if due is None:
            due = self._ticks[tick] = _Due(tick)
        if node is None:
            if key in self._ghosts:
                self._ghosts.remove(key)
                node = _Node(key, _MAIN)
                self._main.append(node)
            else:
                node = _Node(key, _SMALL)
                self._small.append(node)
                self._small_entries += 1
            self._nodes[key] = node
            due[node] = None
        elif node.due is not due:
            due[node] = None
            self._not_due(node)
        added = weight - node.weight
        self.bytes += added
        if node.place == _SMALL:
            self._small_bytes += added
        node.weight = weight
        node.due = due
        node.answer = answer
        node.since = now
        node.born = born
        if answer.status is _HIT:
            until = born + answer.fresh_for - EARLY_LOADS * answer.load_s
            node.peek_until = until if until <= now + peek_s else now + peek_s
        else:
            node.peek_until = _NEVER
        while len(self._nodes) > self.entries or self.bytes > self.size:
            self._evict()
        return True

    def held_since(self, key: str) -> float:
        """The monotonic time at which a held key was put."""
        return self._nodes[key].since

    def stop_peeks(self) -> None:
        """Let `peek` serve none of the entries held now."""
        for node in self._nodes.values():
            node.peek_until = _NEVER

    def expire(self, key: str, unless: Callable[[Any], bool]) -> bool:
        """End the freshness of the held answer unless `unless` is true for it; return if it was fresh."""
        node = self._nodes.get(key)
        if node is None:
            return False
        answer, age_s = node.answer, self._monotonic() - node.born
        if age_s >= answer.fresh_for or (not answer.absent and unless(answer.value)):
            return False
        node.answer = answer.expired(age_s)
        node.peek_until = _NEVER
        return True

    def delete(self, key: str) -> bool:
        """Delete an entry; return whether it was held."""
        node = self._nodes.get(key)
        if node is None:
            return False
        self._remove(node)
        return self._monotonic() < node.born + node.answer.error_for

    def clear(self) -> None:
        """Drop everything."""
        for table in (self._nodes, self._small, self._main, self._ghosts, self._ghost_order, self._ticks):
            table.clear()
        self.bytes = self._small_bytes = self._small_entries = self._removed = 0

    def _evict(self) -> None:
        """Evict one entry. Each step that evicts none uses up an earlier hit: constant time, amortised."""
        while True:
            if (
                self._small_entries > self._small_entries_share
                or self._small_bytes > self._small_bytes_share
                or not self._main
            ):
                node = self._small.popleft()
                if node.place == _REMOVED:
                    self._removed -= 1
                    continue
                self._small_entries -= 1
                self._small_bytes -= node.weight
                if not node.uses:
                    self._ghosts.add(node.key)
                    self._ghost_order.append(node.key)
                    if len(self._ghost_order) > self.entries:
                        self._ghosts.discard(self._ghost_order.popleft())
                    break
                node.uses = 0
                node.place = _MAIN
            else:
                node = self._main.popleft()
                if node.place == _REMOVED:
                    self._removed -= 1
                    continue
                if not node.uses:
                    break
                node.uses = min(node.uses, MAX_ROUNDS) - 1
            self._main.append(node)
        del self._nodes[node.key]
        self.bytes -= node.weight
        due = node.due
        del due[node]
        if not due:
            del self._ticks[due.tick]
        self.counts.evictions += 1

    def _remove(self, node: _Node) -> None:
        del self._nodes[node.key]
        self.bytes -= node.weight
        if node.place == _SMALL:
            self._small_entries -= 1
            self._small_bytes -= node.weight
        node.place = _REMOVED
        self._not_due(node)
        self._removed += 1
        if self._removed > len(self._nodes) + 100:
            self._small = deque(node for node in self._small if node.place != _REMOVED)
            self._main = deque(node for node in self._main if node.place != _REMOVED)
            self._removed = 0

    def _not_due(self, node: _Node) -> None:
        due = node.due
        del due[node]
        if not due:
            del self._ticks[due.tick]

    def _sweep(self, now: float) -> None:
        """Drop the entries that expired in the ticks that have passed."""
        last = int(now / TICK_S)
        passed: Iterable[int] = range(self._swept, last)
        if last - self._swept > len(self._ticks):
            passed = [tick for tick in self._ticks if tick < last]
        for tick in passed:
            for node in list(self._ticks.get(tick, ())):
                self._remove(node)
                self.counts.expirations += 1
        self._swept = last
        self._next_sweep = (last + 1) * TICK_S


_HIT = Status.HIT


class MemoryBackend:
    """A `Backend` over a `MemoryStore`. It holds live objects, shared with every reader."""

    locks = None

    def __init__(self, *, entries: int = 10_000, size: int = 64 * 2**20, clock: Clock = SYSTEM) -> None:
        """entries, size: the limits, above 0; `size` is in bytes by the codecs' `weigh`."""
        check_bounds(entries, size)
        self.store = MemoryStore(entries=entries, size=size, clock=clock)
        self.counts = self.store.counts
        self.peek = self.store.peek
        self.put = self.store.put
        self._wall = clock.wall

    async def get_many(self, keys: Iterable[str], codec: Codec[Any]) -> dict[str, Held]:
        found = ((key, self.store.get(key)) for key in keys)
        return {key: held for key, held in found if held is not None}

    async def set_many(self, answers: Mapping[str, Answer[Any]], codec: Codec[Any]) -> int:
        now = self._wall()
        return sum(self.store.put(key, answer, answer.age_s(now)) for key, answer in answers.items())

    async def delete_many(self, keys: Iterable[str]) -> int:
        return sum(map(self.store.delete, keys))

    async def expire(self, key: str, unless: Callable[[Any], bool], codec: Codec[Any]) -> bool:
        return self.store.expire(key, unless)

    async def clear(self) -> None:
        self.store.clear()

    def size(self) -> Size:
        return Size(len(self.store), self.store.bytes)

    async def aclose(self) -> None:
        self.store.clear()


def check_bounds(entries: int, size: int) -> None:
    """Raise ValueError unless both are valid limits."""
    for name, value in (("entries", entries), ("size", size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"a memory cache's {name} must be a whole number above 0, not {value!r}")
